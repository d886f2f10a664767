"""Which points of a map were taken at one place, from the recorded positions of its motors."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.documents.run import Stream
from xanes_live.documents.sweeps import split
from xanes_live.domain import Array

_FOLLOWS = 0.9
"""A motor that moves with the energy this closely drives it, or follows it (an undulator)."""
_REPEATED = 0.3
"""Part of the steps at which the energy of a grid stands still where places were mixed."""


def axes_of_grid(start: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the motors of a grid scan and the points along each, [] if the scan is no grid."""
    shape, motors = start.get("shape"), start.get("motors")
    if not isinstance(shape, list | tuple) or not isinstance(motors, list | tuple):
        return []
    if len(shape) != len(motors) or not all(isinstance(n, int) for n in shape):
        return []
    return [(str(m), n) for m, n in zip(motors, shape, strict=True) if n > 1]


def by_place(energy: Array, stream: Stream, start: Mapping[str, Any]) -> list[NDArray[np.intp]]:
    """Divide a map by the recorded positions of the motors that do not move with the energy.

    Neither the order of the axes, nor snaking, nor an early end, nor lost events matter.

    Parameters
    ----------
    energy
        eV, in the order they were taken, shape (n_points,).
    stream
        The stream of the energies, with the columns of the motors.
    start
        The start document.

    Returns
    -------
    list of ndarray
        Indices of each sweep; empty if the scan is no map, or its places are not recorded.
    """
    axes = axes_of_grid(start)
    if len(axes) < 2:
        return []
    label, moved = np.zeros(energy.size, np.intp), 0
    for motor, points in axes:
        column = _positions(stream, motor, energy.size)
        if column is None:
            return []
        if _follows(column, energy):
            continue
        steps = _clusters(column, points)
        if steps is None:
            return []
        label = np.where((label < 0) | (steps < 0), -1, label * points + steps)
        moved += 1
    if not moved or moved == len(axes):
        return []  # which of the motors is the energy cannot be told
    places, first = np.unique(label[label >= 0], return_index=True)
    found = []
    for place in places[np.argsort(first)]:
        index = np.flatnonzero(label == place)
        found += [index[piece] for piece in split(energy[index])]
    return found


def mixed(energy: Array, start: Mapping[str, Any]) -> bool:
    """Whether points of several places of a map follow each other in what looks like one sweep.

    Parameters
    ----------
    energy
        eV, of one sweep, shape (n_points,).
    start
        The start document.
    """
    axes = axes_of_grid(start)
    steps = np.abs(np.diff(energy[np.isfinite(energy)]))
    if len(axes) < 2 or not steps.any() or energy.size > prod(n for _, n in axes):
        return False
    usual = float(np.median(steps[steps > 0.2 * steps.max()]))
    return float(np.mean(steps < 0.05 * usual)) > _REPEATED


def _positions(stream: Stream, motor: str, points: int) -> Array | None:
    """Return the positions of a motor, None where they are not recorded for each point."""
    keys = [motor]
    for descriptor in stream.descriptors:
        owned = (descriptor.get("object_keys") or {}).get(motor)
        keys += owned if isinstance(owned, list) else []
    for key in keys:
        column = stream.columns.get(key)
        if column is not None and column.shape == (points,) and np.isfinite(column).any():
            return column
    return None


def _follows(column: Array, energy: Array) -> bool:
    known = np.isfinite(column) & np.isfinite(energy)
    x, y = column[known], energy[known]
    if x.size < 2 or not np.ptp(x) or not np.ptp(y):
        return False
    return abs(float(np.corrcoef(x, y)[0, 1])) > _FOLLOWS


def _clusters(column: Array, points: int) -> NDArray[np.intp] | None:
    """Return the number of the place of each point, -1 where unknown; None if none stand apart.

    Read-backs scatter about each of the `points` positions: the largest gaps lie between these.
    """
    known = np.sort(column[np.isfinite(column)])
    gaps = np.diff(known)
    at = np.sort(np.argsort(gaps)[-(points - 1) :])
    at = at[gaps[at] > 0]
    low, high = known[np.r_[0, at + 1]], known[np.r_[at, known.size - 1]]
    if at.size and gaps[at].min() <= (high - low).max():
        return None
    found = np.searchsorted((known[at] + known[at + 1]) / 2, column)
    return np.where(np.isfinite(column), found, -1)
