"""One sweep's points put in order: increasing energies, each once.

Monochromators scan downwards, back and forth, and with encoders that tremble; programs write NaN
and repeat points where regions of a scan meet. After this module none of that exists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array

SAME = 5e-4
"""Energies nearer than this are the same point, eV (the smallest step larch accepts)."""
_HIGHEST = 1e7
"""Larger numbers are no X-ray energies, eV."""
_TREMBLE = 0.2
"""Fraction of the usual step below which neighbours in a sweep that trembles are one point."""
_TURN = 0.05
"""Fraction of the scanned range that a sweep must go back by to count as having turned."""
_LEG = 8
"""Points on average from which the stretches between turns are passes over the same energies; where
they are shorter, the points were taken, or written, in no order at all."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the points of a sweep are rearranged, dropped and averaged."""

    energy: Array
    """eV, shape (n_points,), strictly increasing."""
    picked: NDArray[np.intp]
    """Raw points in order of energy."""
    starts: NDArray[np.intp]
    """Where among `picked` each point of `energy` begins; those up to the next are averaged."""
    dropped: int
    """Raw points left out because their energy is not a positive number."""
    merged: int
    """Raw points that were averaged with others."""
    rearranged: bool
    """Whether the energies were not increasing."""

    def apply(self, values: Array) -> Array:
        """Rearrange readings, averaging those of one energy and ignoring NaN among them.

        Parameters
        ----------
        values
            shape (..., n_raw).

        Returns
        -------
        Array
            shape (..., n_points); NaN where none of the readings is finite.
        """
        taken = np.asarray(values, dtype=np.float64)[..., self.picked]
        if self.starts.size == self.picked.size:
            return taken
        finite = np.isfinite(taken)
        total = np.add.reduceat(np.where(finite, taken, 0.0), self.starts, axis=-1)
        count = np.add.reduceat(finite.astype(np.float64), self.starts, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / count, dtype=np.float64)


def put_in_order(energy: Array) -> Order:
    """Return how to bring a sweep into order.

    Parameters
    ----------
    energy
        eV as measured, shape (n_raw,).

    Returns
    -------
    Order
        With no points at all when no energy is a positive number.
    """
    good = np.flatnonzero((energy > 0) & (energy < _HIGHEST))
    dropped = energy.size - good.size
    e = np.asarray(energy, dtype=np.float64)[good]
    steps = np.diff(e)
    if np.all(steps >= SAME):
        return Order(e, good, np.arange(e.size), dropped, 0, rearranged=False)
    order = np.argsort(e, kind="stable")
    e_sorted = e[order]
    rearranged = bool(np.any(steps < 0))
    starts = _starts(e, e_sorted, rearranged)
    counts = np.diff(np.append(starts, e.size))
    mean = np.add.reduceat(e_sorted, starts) / counts
    merged = int(counts[counts > 1].sum())
    return Order(mean, good[order], starts, dropped, merged, rearranged)


def _starts(e: Array, e_sorted: Array, rearranged: bool) -> NDArray[np.intp]:
    """Return where the groups of points to be averaged begin among the sorted energies."""
    tolerance = SAME
    if rearranged:
        legs = _legs(e)
        if len(legs) * _LEG > e.size:
            return _first_of_runs(np.diff(e_sorted) >= SAME)
        if len(legs) > 1:
            return _cells(e_sorted, np.unique(e[max(legs, key=lambda leg: leg.stop - leg.start)]))
        steps = np.abs(np.diff(e))
        falling = e[-1] < e[0]
        trembles = bool(np.any(np.diff(e) > 0)) if falling else True
        if trembles:
            tolerance = max(SAME, _TREMBLE * float(np.median(steps)))
    return _first_of_runs(np.diff(e_sorted) >= tolerance)


def _first_of_runs(new: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.concatenate(([0], np.flatnonzero(new) + 1)).astype(np.intp)


def _legs(e: Array) -> list[slice]:
    """Split a sweep where it turns round by more than a trembling."""
    turn = max(_TURN * float(np.ptp(e)), SAME)
    bounds, extreme, direction = [0], 0, 0
    for i in range(1, e.size):
        moved = e[i] - e[extreme]
        if direction == 0:
            if abs(moved) > turn:
                direction, extreme = (1 if moved > 0 else -1), i
        elif moved * direction > 0:
            extreme = i
        elif -moved * direction > turn:
            bounds.append(extreme)
            direction, extreme = -direction, i
    return [slice(a, b) for a, b in zip(bounds, [*bounds[1:], e.size], strict=True)]


def _cells(e_sorted: Array, grid: Array) -> NDArray[np.intp]:
    """Group points by the nearest energy of one leg; those outside it stay for themselves."""
    grid = grid[np.concatenate(([True], np.diff(grid) >= SAME))]
    nearest = np.searchsorted(0.5 * (grid[1:] + grid[:-1]), e_sorted)
    half = 0.5 * float(np.median(np.diff(grid))) if grid.size > 1 else 0.0
    outside = (e_sorted < grid[0] - half) | (e_sorted > grid[-1] + half)
    new = (np.diff(nearest) > 0) | ((outside[1:] | outside[:-1]) & (np.diff(e_sorted) >= SAME))
    return _first_of_runs(new)
