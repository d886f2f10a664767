from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from urllib.parse import urlparse

import event_model
import h5py
import numpy as np
import pytest
from bluesky import Msg

from xanes_live.demo.plans import PLANS
from xanes_live.demo.programme import PROGRAMME, Entry
from xanes_live.demo.samples import load

BY_NAME = {entry.name: entry for entry in PROGRAMME}
NAMES = list(BY_NAME)


@pytest.fixture(scope="session")
def documents(measure):
    """Documents of an entry by name, each measured once."""
    return cache(lambda name: measure(BY_NAME[name]))


def columns(documents) -> dict[str, np.ndarray]:
    """All values of stream 'primary' by data key, read without this package."""
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    values: dict[str, list] = {}
    for name, doc in documents:
        if name == "event" and streams[doc["descriptor"]] == "primary":
            for key, value in doc["data"].items():
                values.setdefault(key, []).append(value)
        elif name == "event_page":
            for key, block in doc["data"].items():
                values.setdefault(key, []).extend(block)
        elif name == "stream_resource":
            with h5py.File(urlparse(doc["uri"]).path) as file:
                values[doc["data_key"]] = list(file[doc["parameters"]["dataset"]][()])
    return {key: np.array(value) for key, value in values.items()}


def channels(documents) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy (eV), I0 and It of a run whichever plan it is of."""
    found = columns(documents)

    def one(*names: str) -> np.ndarray:
        return next(found[name] for name in names if name in found)

    prefixes = ("fly_", "panda_", "qexafs_")
    energy = one("mono_energy", "energy", *(p + "energy" for p in prefixes))
    i0 = one("I0", "scaler_I0", *(p + "i0" for p in prefixes))
    it = one("It", "scaler_I1", *(p + "it" for p in prefixes))
    return (energy * 1000 if energy.max() < 100 else energy), i0, it


@pytest.mark.parametrize("name", NAMES)
def test_documents_are_valid(documents, name: str) -> None:
    for kind, doc in documents(name):
        event_model.schema_validators[event_model.DocumentNames[kind]].validate(doc)


@pytest.mark.parametrize("name", NAMES)
def test_runs_are_whole_and_count_their_events(documents, name: str) -> None:
    entry, taken = BY_NAME[name], documents(name)
    counts = Counter(kind for kind, _ in taken)
    assert counts["start"] == counts["stop"] == entry.repeats
    for kind, doc in taken:
        if kind == "stop":
            assert doc["exit_status"] == entry.expected.exit_status
    stop = taken[-1][1]
    energy_points = {"qexafs": 20, "alignment": 21, "pages": 600, "hdf5": 600}.get(entry.plan)
    found = columns(taken)
    rows = len(next(iter(found.values()))) // entry.repeats
    assert stop["num_events"]["primary"] == rows == (energy_points or rows)


@pytest.mark.parametrize(
    "name",
    [
        e.name
        for e in PROGRAMME
        if e.plan != "alignment" and not e.fault.dead and not e.fault.i0_dropout
    ],
)
def test_the_spectrum_is_the_measured_one(documents, name: str) -> None:
    sample = load(BY_NAME[name].sample)
    energy, i0, it = channels(documents(name))
    expected = np.interp(energy, sample.energy, sample.absorption)
    # Between the points of the file the simulation interpolates with a smoother curve, and the
    # thick foil lets little more than the dark current through.
    tolerance = 0.05 * np.ptp(sample.absorption)
    assert np.abs(np.log(i0 / it) - expected).max() < tolerance
    assert np.median(np.abs(np.log(i0 / it) - expected)) < 0.006


@pytest.mark.parametrize("name", ["feo", "fe3o4-event-pages", "fe2o3-hdf5", "fes2-qexafs"])
def test_the_seed_decides_the_counts(measure, documents, name: str) -> None:
    first, again, other = (
        columns(d) for d in (documents(name), measure(BY_NAME[name]), measure(BY_NAME[name], 1))
    )
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
    assert any(not np.array_equal(first[key], other[key]) for key in first)


def test_repeats_differ_by_their_noise_only(documents) -> None:
    energy, i0, it = (part.reshape(3, -1) for part in channels(documents("vivianite")))
    assert np.ptp(energy, axis=0).max() < 0.3
    mu = np.log(i0 / it)
    assert 0 < np.abs(mu - mu.mean(axis=0)).max() < 0.02


def test_metadata_differ_as_they_do_between_beamlines(documents) -> None:
    starts = {name: documents(name)[0][1] for name in NAMES}
    assert starts["feo"]["element"] == "Fe"
    assert starts["feo"]["motors"] == ["mono_energy"]
    kev, plain = starts["fe3c-kev"], starts["fen-no-edge-named"]
    assert "element" not in kev
    assert kev["XDI"]["Element"] == {"symbol": "Fe", "edge": "K"}
    assert not {"element", "edge", "XDI"} & plain.keys()
    assert list(starts["sample-alignment"]["motors"]) == ["sample_x"]


def test_the_kev_axis_says_so(documents) -> None:
    descriptor = next(
        d for n, d in documents("fe3c-kev") if n == "descriptor" and d["name"] == "primary"
    )
    assert descriptor["data_keys"]["energy"]["units"] == "keV"
    assert 7.0 < columns(documents("fe3c-kev"))["energy"].min() < 7.2


def test_step_scans_have_a_dark_stream(documents) -> None:
    taken = documents("feo")
    dark = next(d["uid"] for n, d in taken if n == "descriptor" and d["name"] == "dark")
    readings = [d["data"] for n, d in taken if n == "event" and d["descriptor"] == dark]
    assert len(readings) == 1
    assert max(readings[0].values()) < 200


def test_sweeps_go_up_and_down(documents) -> None:
    energy = columns(documents("fes2-qexafs"))["qexafs_energy"]
    assert energy.shape == (20, 400)
    rising = np.polyfit(np.arange(400), energy.T, 1)[0] > 0
    np.testing.assert_array_equal(rising, np.arange(20) % 2 == 0)


def test_the_hdf5_file_is_announced_once_and_grows(documents) -> None:
    taken = documents("fe2o3-hdf5")
    resources = {d["uid"]: d for n, d in taken if n == "stream_resource"}
    datums = [d for n, d in taken if n == "stream_datum"]
    assert len(resources) == 5
    for uid, resource in resources.items():
        spans = [d["indices"] for d in datums if d["stream_resource"] == uid]
        assert spans[0]["start"] == 0
        assert spans[-1]["stop"] == 600
        assert all(a["stop"] == b["start"] for a, b in pairwise(spans))
        assert resource["uri"].startswith("file://localhost/")
    assert columns(taken)["panda_fluo"].shape == (600, 4)


def test_the_aborted_scan_stops_where_it_was_stopped(documents) -> None:
    energy, _, _ = channels(documents("feo-aborted"))
    assert energy.size == BY_NAME["feo-aborted"].stop_after


def test_the_short_scan_stays_within_a_few_volts(documents) -> None:
    energy, _, _ = channels(documents("feo-too-short"))
    assert np.ptp(energy) < 40


def test_a_scan_that_fails_says_so_and_ends_itself_only(measure, monkeypatch) -> None:
    def broken(hall, entry: Entry):
        yield Msg("open_run", plan_name="broken")
        raise RuntimeError("vacuum lost")

    monkeypatch.setitem(PLANS, "alignment", broken)
    stop = measure(BY_NAME["sample-alignment"])[-1][1]
    assert stop["exit_status"] == "fail"
    assert "vacuum lost" in stop["reason"]
