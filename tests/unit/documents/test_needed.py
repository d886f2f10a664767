"""What was lost of a run matters only if a spectrum would be made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.complete import needs_rereading
from xanes_live.documents.identify import identify
from xanes_live.documents.run import External, Problem, ProblemKind
from xanes_live.domain import Declined, Scan

E = 7112.0 + runs.GRID
VALUES = {"energy": E, **runs.readings(E)}
N = len(E)


def record(columns, keys=None, *, most=None):
    """The run as it is kept where only the values of the channels and a bit more have room."""
    documents = runs.documents(columns, runs.FE, keys=keys or {})
    return assemble(documents, source="live", max_points=most or 100 * N)


def channels(*names):
    return {"energy": E, **{name: VALUES[name] for name in names}}


@pytest.mark.parametrize("mca", ["xs_channel1_mca", "ketek_spectrum", "mca", "sdd1"])
@pytest.mark.parametrize("config", [{}, {"energy": "energy", "i0": "i0", "it": "it"}])
def test_spectra_among_the_events_that_were_not_kept_are_not_waited_for(mca, config):
    found = record({**channels("i0", "it"), mca: np.ones((N, 1024))})
    assert found.has(ProblemKind.TRUNCATED)
    settings = BeamlineConfig(**config)
    assert needs_rereading(found, settings) is None
    scan = identify(found, settings)
    assert isinstance(scan, Scan)
    assert scan.flags == ()


def test_the_elements_of_a_detector_that_were_not_kept_are_waited_for_and_named():
    found = record({**channels("i0", "it"), "sdd": np.ones((N, 120))})
    assert needs_rereading(found) is not None
    (flag,) = identify(found, BeamlineConfig()).flags
    assert (flag.code, "'sdd'" in flag.message) == ("data_truncated", True)
    # somebody who says which channel is fluorescence wants no other
    named = BeamlineConfig(fluorescence=("f0",))
    again = record({**channels("i0", "it", "f0"), "sdd": np.ones((N, 120))})
    assert needs_rereading(again, named) is None


def test_a_channel_that_is_lacking_because_it_was_not_kept_is_named():
    found = record({**channels("i0"), "it": np.ones((N, 200))})
    assert needs_rereading(found) is not None
    declined = identify(found, BeamlineConfig())
    assert isinstance(declined, Declined)
    assert declined.flag.code == "data_truncated"
    assert "'it'" in declined.flag.message


def unreachable(found, key, shape=()):
    """The run with values of `key` in a file that is not there."""
    stream = found.streams["primary"]
    described = dict(stream.descriptors[0])
    described["data_keys"] = {
        **described["data_keys"],
        key: {"dtype": "array", "shape": list(shape), "external": "STREAM:"},
    }
    stream = replace(stream, descriptors=(described,))
    file = {"uri": "file:///no/such.h5", "data_key": key, "mimetype": "application/x-hdf5"}
    external = External("primary", key, file, ({"indices": {"start": 0, "stop": N}},))
    return replace(found, streams={"primary": stream}, external=(external,))


@pytest.mark.parametrize(
    ("key", "shape", "waited"),
    [
        ("xs_fluor", (4, 4096), False),
        ("xs_fluor", (1, 4096), False),
        ("xs_fluor", (4,), True),
        ("xs_fluor", (), True),
        ("webcam_jpeg", (64, 48), False),
        ("temperature", (), False),
        ("itrans", (), True),
        ("sample_x", (), False),
    ],
)
def test_files_out_of_reach_are_waited_for_only_where_a_channel_is_in_them(key, shape, waited):
    found = unreachable(record(channels("i0", "it")), key, shape)
    assert bool(needs_rereading(found)) is waited
    codes = [flag.code for flag in identify(found, BeamlineConfig()).flags]
    assert ("external_unread" in codes) is waited


def test_a_file_with_a_key_that_is_configured_is_waited_for():
    found = unreachable(record(channels("i0", "it")), "temperature")
    settings = BeamlineConfig(i0="i0", it="it", fluorescence=("temperature",))
    assert needs_rereading(found, settings) is not None


def test_nothing_is_known_to_be_useless_while_the_channels_are_not_all_there():
    found = unreachable(record(channels("i0")), "det7")
    assert "det7" in needs_rereading(found)


def test_what_another_stream_lost_matters_if_its_name_is_that_of_a_channel():
    found = record(channels("i0", "it"))
    for key, waited in (("mono_energy", True), ("webcam", False)):
        lost = Problem(ProblemKind.TRUNCATED, "not kept", stream="other", key=key)
        assert bool(needs_rereading(replace(found, problems=(lost,)))) is waited
