"""Runs of which several streams hold a scan: what is read of them, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.domain import Scan

E = 7112.0 + runs.GRID
N = len(E)


def scanned(*names, energy=E, e0=7112.0, seed=0):
    values = runs.readings(energy, e0, seed)
    return {"energy": energy, **{name: values[name] for name in names}}


def documents(streams, start=runs.FE, apart=1000.0):
    """One run with these streams by name, taken one after the other."""
    *before, (name, columns) = streams.items()
    made = runs.documents(columns, start, stream=name, before=before)
    names = {doc["uid"]: doc["name"] for kind, doc in made if kind == "descriptor"}
    late = {name: apart * k for k, name in enumerate(streams)}
    return [
        (kind, {**doc, "time": doc["time"] + late[names[doc["descriptor"]]]})
        if kind == "event"
        else (kind, doc)
        for kind, doc in made
    ]


def read(made, **config) -> Scan:
    found = identify(assemble(made), BeamlineConfig(**config))
    assert isinstance(found, Scan), found
    return found


def said(scan: Scan) -> str:
    (flag,) = scan.flags
    assert flag.code == "streams_unused"
    return flag.message


@pytest.mark.parametrize("names", [("up", "down"), ("primary", "primary_2"), ("a", "b", "c")])
def test_the_same_scan_again_in_another_stream_is_a_sweep_of_the_run(names):
    streams = {
        name: scanned("i0", "it", energy=E[::-1] if k % 2 else E, seed=k)
        for k, name in enumerate(names)
    }
    scan = read(documents(streams))
    assert scan.flags == ()
    assert len(scan.sweeps) == len(names)
    for sweep, columns in zip(scan.sweeps, streams.values(), strict=True):
        np.testing.assert_array_equal(sweep.energy, columns["energy"])
        np.testing.assert_array_equal(sweep.it, columns["it"])


def test_what_the_second_stream_lost_is_told():
    made = documents({"up": scanned("i0", "it"), "down": scanned("i0", "it", seed=1)})
    last = [i for i, (kind, _) in enumerate(made) if kind == "event"][-3]
    scan = read([pair for i, pair in enumerate(made) if i != last])
    assert [flag.code for flag in scan.flags] == ["data_missing"]
    assert scan.sweeps[1].energy.size == N - 1


def test_a_copy_of_a_stream_is_no_repeat_of_it():
    both = scanned("i0", "it")
    scan = read(documents({"primary": both, "averaged": both}, apart=0.0))
    assert len(scan.sweeps) == 1
    assert "'averaged'" in said(scan)


def test_a_stream_of_other_detectors_is_named_with_its_keys():
    streams = {"primary": scanned("i0", "it"), "fluorescence": scanned("i0", "f0")}
    streams["fluorescence"]["iff"] = streams["fluorescence"].pop("f0")
    scan = read(documents(streams))
    assert scan.sweeps[0].fluorescence is None
    assert "predicted from stream 'primary'" in said(scan)
    assert "'fluorescence' (energy, i0, iff)" in said(scan)
    chosen = read(documents(streams), stream="fluorescence")
    assert chosen.flags == ()
    assert chosen.sweeps[0].it is None


@pytest.mark.parametrize("order", [("Fe", "Cu"), ("Cu", "Fe")])
def test_of_two_edges_the_announced_one_is_read_and_the_other_named(order):
    at = {"Fe": 7112.0, "Cu": 8979.0}
    names = dict(zip(order, ("primary", "second"), strict=True))
    streams = {
        names[symbol]: scanned("i0", "it", energy=at[symbol] + runs.GRID, e0=at[symbol])
        for symbol in order
    }
    scan = read(documents(streams))
    assert scan.sweeps[0].energy[0] == 7112.0 + runs.GRID[0]
    assert f"'{names['Cu']}'" in said(scan)


@pytest.mark.parametrize(
    "other",
    [
        {"sample_x": np.linspace(0, 1, 30), "i0": np.ones(30), "it": np.ones(30)},
        {"energy": np.full(30, 7112.0), "i0": np.ones(30), "it": np.ones(30)},
        {"energy": E},
        {"temperature": np.full(30, 300.0)},
    ],
)
def test_streams_that_hold_no_scan_are_not_named(other):
    assert read(documents({"other": other, "primary": scanned("i0", "it")})).flags == ()
