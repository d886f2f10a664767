"""Where one sweep of the monochromator ends and the next begins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array

_TURN = 0.25
"""Part of the whole range the energy must come back by to have turned. Read-back jitter and the
overlap of a step scan's regions stay far below it, and a sweep that covers less is none."""
_MANY = 20_000
_FLY_BACK = 0.25
"""A sweep with fewer points than this part of the median is the way back to the start."""
_LEG = 8
"""Points on average below which what lies between the turns is no sweep: the points were taken in
no order, and together they are one spectrum."""
_RESIDUE = 0.05
"""A sweep over less than this part of the range is what was read while the axis turned round."""


def split(energy: Array) -> list[NDArray[np.intp]]:
    """Divide one long series of energies into monotonic sweeps.

    Back-and-forth scans turn at both ends; a saw-tooth (the same grid again and again) gives one
    sweep a tooth, its fly-backs being left out. Read-back jitter is not a turn.

    Parameters
    ----------
    energy
        eV, in the order they were taken, shape (n_points,); NaN where unknown.

    Returns
    -------
    list of ndarray
        Indices of the points of each sweep, in the order they were taken; points of unknown energy
        inside a sweep belong to it, those before the first and after the last to none.
    """
    finite = np.flatnonzero(np.isfinite(energy))
    if finite.size == 0:
        return []
    values = energy[finite]
    span = float(values.max() - values.min())
    if span <= 0:
        return [_filled(finite)]
    turns = _turns(values, _TURN * span)
    if len(turns) > 1 and (len(turns) + 1) * _LEG > values.size:
        return [_filled(finite)]
    bounds = [0, *(t + 1 for t in turns), values.size]
    pieces = [finite[a:b] for a, b in pairwise(bounds)]
    return [_filled(piece) for piece in _whole(_with_lone_starts(pieces), energy, span)]


def _filled(piece: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a sweep with the points of unknown energy inside it."""
    return np.arange(piece[0], piece[-1] + 1)


def by_grid(
    energy: Array, shape: Sequence[int], *, snaking: bool = False
) -> list[NDArray[np.intp]]:
    """Divide a grid scan whose slow axis is the energy: one sweep for each place of the fast axis.

    Parameters
    ----------
    energy
        eV, in the order they were taken, shape (n_points,).
    shape
        Points along each axis of the scan, the slow one first.
    snaking
        Whether the fast axis runs back and forth.

    Returns
    -------
    list of ndarray
        Indices of each sweep; empty if the scan is no such grid.
    """
    if len(shape) != 2 or min(shape) < 2 or shape[0] * shape[1] != energy.size:
        return []
    rows = energy.reshape(tuple(shape))
    if not np.ptp(rows, axis=1).max() < 0.2 * np.median(np.abs(np.diff(rows.mean(axis=1)))):
        return []
    index = np.arange(energy.size).reshape(rows.shape)
    if snaking:
        index[1::2] = index[1::2, ::-1]
    return [index[:, j] for j in range(shape[1])]


def _turns(values: Array, threshold: float) -> list[int]:
    """Return the indices of the extremes from which `values` come back by more than `threshold`."""
    steps = np.diff(values)
    if (steps >= 0.0).all() or (steps <= 0.0).all():
        return []  # the usual step scan
    step = max(1, values.size // _MANY)
    coarse = values[::step].tolist()
    turns: list[int] = []
    direction, low, high = 0, 0, 0
    for i, value in enumerate(coarse):
        if value > coarse[high]:
            high = i
        if value < coarse[low]:
            low = i
        if direction >= 0 and value < coarse[high] - threshold:
            if direction > 0:
                turns.append(high)
            direction, low, high = -1, i, i
        elif direction <= 0 and value > coarse[low] + threshold:
            if direction < 0:
                turns.append(low)
            direction, low, high = 1, i, i
    return turns if step == 1 else [_refined(values, t * step, step) for t in turns]


def _refined(values: Array, near: int, step: int) -> int:
    """Return the true extreme beside an extreme of the thinned-out series."""
    first = max(0, near - step)
    window = values[first : near + step + 1]
    up = values[near] >= np.median(values[max(0, near - 20 * step) : near + 20 * step + 1])
    return first + int(np.argmax(window) if up else np.argmin(window))


def _with_lone_starts(pieces: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Join the single point at which a saw-tooth starts again to the tooth that follows."""
    joined: list[NDArray[np.intp]] = []
    pending = np.zeros(0, np.intp)
    for piece in pieces:
        whole = np.concatenate((pending, piece))
        pending = np.zeros(0, np.intp)
        if piece.size <= 2 and len(pieces) > 1:
            pending = whole
        else:
            joined.append(whole)
    if pending.size:
        joined.append(pending)
    return joined


def _whole(pieces: list[NDArray[np.intp]], energy: Array, span: float) -> list[NDArray[np.intp]]:
    """Leave out fly-backs and what was read while the axis turned round."""
    if len(pieces) < 2:
        return pieces
    typical = float(np.median([piece.size for piece in pieces if piece.size > 2] or [1]))
    kept = []
    for piece in pieces:
        covered = float(np.ptp(energy[piece]))
        fly_back = piece.size < _FLY_BACK * typical and covered > 0.5 * span
        residue = covered < _RESIDUE * span and piece.size < _FLY_BACK * typical
        if not fly_back and not residue:
            kept.append(piece)
    return kept or pieces
