"""The scan in progress and the raw channels, from a raw run as Tiled holds it."""

import asyncio

import numpy as np
import pytest

from tests import runs as made
from xanes_live.config import Config
from xanes_live.dashboard.live import drawn, recognised, simple_mu
from xanes_live.dashboard.rawrun import RawRuns
from xanes_live.dashboard.runs import Run
from xanes_live.domain import Channels, Mode

GRID = made.GRID + 7112.0


class FakeRun:
    """A raw run in the tree that TiledWriter makes."""

    def __init__(self, points, total=None):
        self.columns = made.readings(GRID)
        self.points, self.total, self.lists = points, total or GRID.size, 0

    async def children(self, path):
        self.lists += 1
        if path == "raw/u":
            keys = {k: {"dtype": "number", "shape": []} for k in ("mono", "i0", "it", "ir")}
            metadata = {"data_keys": {**keys, "mono": {**keys["mono"], "units": "eV"}}}
            family = "container"
            return [{"key": "primary", "structure_family": family, "metadata": metadata}]
        return [{"key": "internal", "structure_family": "table", "structure": {}, "metadata": {}}]

    async def table(self, path):
        n = self.points
        rows = {k: list(self.columns[k][:n]) for k in ("i0", "it", "ir")}
        return {
            "seq_num": list(range(1, n + 1))[::-1],  # Tiled promises no order
            "time": [1.7e9] * n,
            "mono": list(GRID[:n])[::-1],
            "ts_mono": [1.7e9] * n,
            "words": ["x"] * n,
            **{k: v[::-1] for k, v in rows.items()},
        }


START = {"uid": "u", "time": 1.7e9, "element": "Fe", "edge": "K", "plan_name": "xanes"}


def record_of(tiled, stop=None):
    return asyncio.run(RawRuns(tiled, "raw").record(Run("u", START, stop)))


def test_the_record_is_what_the_service_would_have_seen():
    record = record_of(FakeRun(GRID.size), {"exit_status": "success"})
    stream = record.streams["primary"]
    np.testing.assert_array_equal(stream.seq_num, np.arange(1, GRID.size + 1))
    np.testing.assert_array_equal(stream.columns["mono"], GRID)
    assert "ts_mono" not in stream.columns
    assert "words" not in stream.columns


def test_rows_that_were_appended_twice_are_read_once():
    tiled = FakeRun(GRID.size)
    once = tiled.table

    async def twice(path):
        table = await once(path)
        return {key: [*rows, *rows[7:12]] for key, rows in table.items()}

    tiled.table = twice
    stream = record_of(tiled).streams["primary"]
    np.testing.assert_array_equal(stream.seq_num, np.arange(1, GRID.size + 1))
    np.testing.assert_array_equal(stream.columns["mono"], GRID)
    assert len(stream.time) == GRID.size


@pytest.mark.parametrize("ahead", [-3, 0, 5])
def test_arrays_ahead_of_their_table_or_behind_it_keep_to_its_points(ahead):
    n, tiled = 40, FakeRun(40)
    there = np.arange(4.0 * (n + ahead)).reshape(-1, 4)
    children = tiled.children

    async def with_array(path):
        found = await children(path)
        if path == "raw/u":
            return found
        return [*found, {"key": "sdd", "structure_family": "array", "structure": {"shape": [1]}}]

    async def array(path, structure):
        return there

    tiled.children, tiled.array = with_array, array
    stream = record_of(tiled).streams["primary"]
    assert stream.columns["sdd"].shape == (n, 4)
    known = min(n, n + ahead)
    np.testing.assert_array_equal(stream.columns["sdd"][:known], there[:known])
    assert np.isnan(stream.columns["sdd"][known:]).all()


def test_of_a_point_taken_again_under_its_number_the_later_counts():
    tiled = FakeRun(GRID.size)
    once = tiled.table

    async def again(path):
        table = await once(path)
        later = {**{k: [v[0]] for k, v in table.items()}, "time": [1.8e9], "i0": [-1.0]}
        return {key: [*rows, *later[key]] for key, rows in table.items()}

    tiled.table = again
    stream = record_of(tiled).streams["primary"]
    assert len(stream.seq_num) == GRID.size
    assert stream.columns["i0"][-1] == -1.0


@pytest.mark.parametrize("share", [0.06, 0.2, 0.4, 0.7, 1.0])
def test_points_are_drawn_as_they_arrive(share):
    n = int(share * GRID.size)
    curve = drawn(recognised(record_of(FakeRun(n)), Config()))
    np.testing.assert_allclose(curve["energy"], GRID[:n])
    readings = made.readings(GRID)
    expected = np.log(readings["i0"] / readings["it"])[:n]
    np.testing.assert_allclose(curve["mu"], expected)
    assert curve["element"] == "Fe"


def test_where_the_data_are_is_not_asked_for_each_time():
    async def reading():
        tiled = FakeRun(10)
        raw = RawRuns(tiled, "raw")
        for points in (10, 20, 30):
            tiled.points = points
            await raw.record(Run("u", START))
        return tiled.lists

    assert asyncio.run(reading()) == 2


def test_a_run_of_something_else_is_drawn_as_nothing():
    assert drawn(None) == {}


def test_mu_of_each_mode():
    energy = np.array([1.0, 2.0])
    i0, it = np.array([4.0, 4.0]), np.array([2.0, 0.0])
    fluorescence = np.array([[1.0, 2.0], [3.0, 2.0]])
    mu, kind = simple_mu(Channels(energy, i0=i0, it=it), None)
    assert "transmission" in kind
    np.testing.assert_allclose(mu, [np.log(2), np.nan])
    mu, kind = simple_mu(
        Channels(energy, i0=i0, it=it, fluorescence=fluorescence), Mode.FLUORESCENCE
    )
    assert "fluorescence" in kind
    np.testing.assert_allclose(mu, [1.0, 1.0])
    mu, _ = simple_mu(Channels(energy, mu=it), None)
    np.testing.assert_array_equal(mu, it)
    assert np.isnan(simple_mu(Channels(energy), None)[0]).all()


def test_a_long_curve_is_thinned_out():
    from tests import factories

    n = 9000
    channels = Channels(np.linspace(7000, 7500, n), i0=np.ones(n), it=np.full(n, 0.5))
    curve = drawn(factories.scan(sweeps=(channels,)))
    assert len(curve["energy"]) <= 1500
