"""Maps: each place is a spectrum of its own, whatever the order of the axes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runs import FE, GRID, absorption, documents
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.domain import Declined

E = 7112 + GRID[::2]


def _identified(grids, motors, keep=slice(None), *, recorded=True, **md):
    """Return the scan of a map; the first motor runs slowest."""
    columns = {m: g.ravel()[keep] for m, g in zip(motors, grids, strict=True)}
    place = sum((10 * i + 1) * columns[m] for i, m in enumerate(motors) if m != "energy")
    mu = absorption(columns["energy"]) * (1 + 0.01 * np.round(place))
    i0 = np.full(mu.size, 1e6)
    kept = columns if recorded else {"energy": columns["energy"]}
    start = {**FE, "motors": motors, "shape": grids[0].shape, **md}
    run = documents({**kept, "i0": i0, "it": i0 * np.exp(-mu)}, start)
    return identify(assemble(run), BeamlineConfig())


def _pure(scan, places):
    assert scan.places
    assert len(scan.sweeps) == places
    for sweep in scan.sweeps:
        share = np.log(sweep.i0 / sweep.it) / absorption(sweep.energy)
        assert np.ptp(share) < 1e-6


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_energy_may_be_any_axis_of_a_map(at):
    axes = [("samy", np.arange(2.0)), ("samx", np.arange(3.0))]
    axes.insert(at, ("energy", E))
    grids = np.meshgrid(*(a for _, a in axes), indexing="ij")
    _pure(_identified(grids, [m for m, _ in axes]), 6)


@pytest.mark.parametrize("keep", ["snake", "short", "lost", "jitter"])
def test_maps_that_snake_end_early_or_lose_events_keep_their_places_apart(keep):
    energy, x = np.meshgrid(E, np.arange(3.0), indexing="ij")
    rows = np.arange(x.size)
    if keep == "snake":
        x[1::2] = x[1::2, ::-1]
    if keep == "jitter":
        x = x + np.random.default_rng(0).normal(0, 0.01, x.shape)
    rows = {"short": rows[:-16], "lost": np.delete(rows, 40)}.get(keep, rows)
    _pure(_identified([energy, x], ["energy", "samx"], rows, snake_axes=str(keep == "snake")), 3)


def test_places_that_cannot_be_told_apart_are_not_predicted():
    grids = np.meshgrid(E, np.arange(2.0), np.arange(3.0), indexing="ij")
    found = _identified(grids, ["energy", "samy", "samx"], recorded=False)
    assert isinstance(found, Declined)
    assert "places" in found.flag.message
