"""Maps of which each place is a spectrum, told from where the other motors were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xanes_live.documents.sweeps import split
from xanes_live.domain import Array

_APART = 5.0
"""Ratio of the least distance of two places to what readings of one place scatter, at least."""
_STILL = 0.8
"""Share of the points of a sweep at one place from which the others are turning points."""
_FEWEST = 5
"""Points of a spectrum; with fewer at each, positions are of a motor that follows the energy."""
_COVERED = 0.5
"""Share of the energies that a place has to cover: a gap that follows in steps covers less."""
_REPEATED = 0.3
"""Share of the steps at which the energy stands still from which it goes in stairs."""


def by_places(
    energy: Array, pieces: Sequence[NDArray[np.intp]], positions: Sequence[Array]
) -> list[NDArray[np.intp]]:
    """Divide a scan during which other motors moved between places: sweeps of one place each.

    Which axis was fast, whether it ran back and forth, and whether points are missing or the scan
    was broken off does not matter: points belong together that were taken at one place.

    Parameters
    ----------
    energy
        eV, in the order they were taken, shape (n_points,); NaN where unknown.
    pieces
        Indices of the sweeps as the energy alone tells them.
    positions
        Of each other motor, shape (n_points,).

    Returns
    -------
    list of ndarray
        Indices of each sweep, those of one place after another; empty where nothing moved within
        a sweep, or what moved followed the energy.
    """
    place = _labels(energy.size, positions)
    if not any(_mixed(place[piece]) for piece in pieces):
        return []
    first = np.unique(place, return_index=True)[1]
    groups = [np.flatnonzero(place == place[start]) for start in np.sort(first)]
    covered = np.median([_span(energy[group]) for group in groups])
    if energy.size < _FEWEST * len(groups) or covered < _COVERED * _span(energy):
        return []
    return [group[piece] for group in groups for piece in split(energy[group])]


def in_stairs(energy: Array) -> bool:
    """Whether the energy of a sweep stands still again and again, as where places were mixed."""
    steps = np.abs(np.diff(energy[np.isfinite(energy)]))
    if not steps.any():
        return False
    usual = float(np.median(steps[steps > 0.2 * steps.max()]))
    return float(np.mean(steps < 0.05 * usual)) > _REPEATED


def _span(energy: Array) -> float:
    known = energy[np.isfinite(energy)]
    return float(np.ptp(known)) if known.size else 0.0


def _mixed(labels: NDArray[np.intp]) -> bool:
    """Whether a sweep was taken at several places."""
    return bool(labels.size and np.bincount(labels).max() < _STILL * labels.size)


def _labels(n: int, positions: Sequence[Array]) -> NDArray[np.intp]:
    """Return a number for each place, alike for points at the same, shape (n,)."""
    each = [_clusters(values) for values in positions if values.shape == (n,)]
    if not each:
        return np.zeros(n, dtype=np.intp)
    return np.unique(np.stack(each), axis=1, return_inverse=True)[1].reshape(n)


def _clusters(values: Array) -> NDArray[np.intp]:
    """Return which of a few well separated values each is near; 0 for all if there are none."""
    order = np.argsort(values)
    steps = np.diff(values[order])
    ranked = np.sort(steps)[::-1]
    least = 1e-9 * float(np.ptp(values)) if steps.size else 0.0
    if not 0.0 < least < np.inf:  # it stands still, or was not always read
        return np.zeros(values.size, dtype=np.intp)
    ratio = ranked / np.maximum(np.append(ranked[1:], 0.0), least)
    ratio[ranked <= least] = 0.0
    best = int(ratio.argmax())
    if ratio[best] < _APART:
        return np.zeros(values.size, dtype=np.intp)
    number = np.concatenate([[0], np.cumsum(steps >= ranked[best])])
    labels = np.empty(values.size, dtype=np.intp)
    labels[order] = number
    return labels
