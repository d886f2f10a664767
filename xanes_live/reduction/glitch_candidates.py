"""Runs of a few points that stand off their neighbours, to be judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array

LONGEST = 3
"""Points of the longest run that is judged by its shape."""


def candidates(
    energy: Array, mu: Array, floor: Array, taken: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Return (start, length) of runs that stand off the line between their neighbours.

    Parameters
    ----------
    energy, mu
        shape (n_points,); energies in eV.
    floor
        Least distance from the line, units of μ, shape (n_points,).
    taken
        Points that are known to be bad, shape (n_points,); no run has one of them in it.
    """
    found: list[tuple[int, int]] = []
    for length in range(1, LONGEST + 1):
        count = energy.size - length - 4  # runs that begin at point 2, 3, …
        m = [mu[k : k + count] for k in range(length + 4)]
        beside = np.maximum(np.abs(m[1] - m[0]), np.abs(m[-1] - m[-2]))
        off, least = _off_line(energy, mu, length, count)
        enough = (off > floor[2 : 2 + count]) & (off > 1.5 * beside) & (least > 0.3 * off)
        if taken.any():
            windows = np.lib.stride_tricks.sliding_window_view(taken, length)
            enough &= ~windows[2 : 2 + count].any(axis=1)
        found += [(i, length) for i in (np.flatnonzero(enough) + 2).tolist()]
    return found


def _off_line(energy: Array, mu: Array, length: int, count: int) -> tuple[Array, Array]:
    """Return the largest and the smallest distance of runs from the line that spans them.

    Of the `count` runs of `length` points that begin at point 2, 3, ….
    """
    e, m = ([v[k : k + count] for k in range(1, length + 3)] for v in (energy, mu))
    slope = (m[-1] - m[0]) / (e[-1] - e[0])
    largest = smallest = np.abs(m[1] - m[0] - slope * (e[1] - e[0]))
    for k in range(2, length + 1):
        off = np.abs(m[k] - m[0] - slope * (e[k] - e[0]))
        largest, smallest = np.maximum(largest, off), np.minimum(smallest, off)
    return largest, smallest
