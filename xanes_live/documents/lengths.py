"""Arrays of one event that are not all of the same length."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from xanes_live.domain import Array

_SAME = 2
"""Samples by which arrays of one sweep differ because triggers start and stop unevenly."""
_UNEVEN = 0.03
"""Part of the length by which the buffers of a continuous scan differ."""


def reach(points: int, *, loose: bool = True) -> int:
    """Return by how many samples an array may differ from `points` energies."""
    return max(_SAME, int(_UNEVEN * points)) if loose else _SAME


def common(energy: Array, columns: Iterable[Array]) -> tuple[int, int]:
    """Return how many samples all arrays of an event hold, and how many more the longest does.

    Rows of a stream are padded with NaN to the length of the longest event, which is left out.

    Parameters
    ----------
    energy
        eV, shape (n_points,).
    columns
        Each with the samples along its last axis. Those that differ from the energy by more than a
        few per cent, such as a detector that never answered, do not count.
    """
    points = _filled(energy)
    lengths = [_filled(column) for column in columns]
    close = [points, *(n for n in lengths if abs(n - points) <= reach(points))]
    return min(close), max(close) - min(close)


def _filled(values: Array) -> int:
    """Return the number of samples up to the last that is one."""
    known = np.isfinite(values).reshape(-1, values.shape[-1]).any(axis=0)
    found = np.flatnonzero(known)
    return int(found[-1]) + 1 if found.size else 0
