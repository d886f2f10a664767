"""How far to trust an edge step, from the ranges that fixed it.

The tables are measured: 114 full scans (3d K edges, 48 samples, each sample with one weight) were
cut at various distances below and above the edge, normalised as usual, and their edge steps
compared with those of the full scans. What is tabulated is the root mean square relative deviation,
bias included. A straight line through 60 eV of post-edge is worse than a constant: it extrapolates
the first EXAFS oscillation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xanes_live.domain import Array

_POST: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # degree: (eV above the edge, relative error)
    0: (
        (10, 15, 20, 25, 30, 40, 50, 100, 150, 200, 300, 400),
        (0.43, 0.34, 0.26, 0.14, 0.12, 0.046, 0.031, 0.030, 0.041, 0.050, 0.068, 0.086),
    ),
    1: (
        (10, 20, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400),
        (
            0.72,
            0.59,
            0.43,
            0.27,
            0.19,
            0.15,
            0.145,
            0.087,
            0.054,
            0.039,
            0.023,
            0.015,
            0.012,
            0.017,
        ),
    ),
    2: (
        (20, 40, 60, 80, 100, 125, 150, 200, 250, 300, 400, 600),
        (0.80, 0.55, 0.55, 0.43, 0.32, 0.21, 0.145, 0.095, 0.066, 0.050, 0.030, 0.015),
    ),
}
_PRE = (
    # eV below the edge, relative error
    (2, 5, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150),
    (0.57, 0.55, 0.47, 0.37, 0.16, 0.12, 0.063, 0.043, 0.035, 0.030, 0.025, 0.015),
)


def post_edge_error(reach: float, degree: int) -> float:
    """Return the relative error of the edge step due to a post-edge of `reach` eV.

    Parameters
    ----------
    reach
        End of the post-edge range, eV above e0.
    degree
        Degree of the post-edge polynomial.
    """
    distance, error = _POST[min(degree, 2)]
    grows = 1.5 ** max(degree - 2, 0)
    return float(np.interp(reach, distance, error)) * grows


def pre_edge_error(reach: float) -> float:
    """Return the relative error of the edge step due to a pre-edge of `reach` eV."""
    return float(np.interp(reach, *_PRE))


def edge_step_error(pre: float, post: float, degree: int, counting: float) -> float:
    """Return the relative standard uncertainty of the edge step.

    Parameters
    ----------
    pre, post
        Range below and above e0, eV.
    degree
        Degree of the post-edge polynomial.
    counting
        What noise alone does to the edge step, relative to it: see :func:`step_noise`.
    """
    parts = (pre_edge_error(pre), post_edge_error(post, degree), counting)
    return float(np.sqrt(sum(part * part for part in parts)))


def range_errors(ranges: Mapping[str, float]) -> Array:
    """Return the relative errors of the edge step due to the ranges below and above the edge, (2,).

    Parameters
    ----------
    ranges
        pre1, norm2 (eV relative to e0) and nnorm as used.
    """
    above = post_edge_error(ranges["norm2"], int(ranges["nnorm"]))
    return np.array([pre_edge_error(-ranges["pre1"]), above])


def step_noise(x: Array, ranges: Mapping[str, float], noise: float) -> float:
    """Return the standard deviation of the edge step by noise alone, in the units of `noise`.

    That is the error of both fits at e0, where they are extrapolated to: several times that of
    their means. All of a normalised spectrum shares it.

    Parameters
    ----------
    x
        Energies relative to e0, eV, shape (n_points,).
    ranges
        pre1, pre2, norm1, norm2 (eV relative to e0) and nnorm as used.
    noise
        Standard deviation of the point-to-point noise of μ.
    """
    fits = (("pre1", "pre2", 1), ("norm1", "norm2", int(ranges["nnorm"])))
    parts = [x[(x >= ranges[low]) & (x <= ranges[high])] for low, high, _ in fits]
    leverages = [_at_edge(part, fit[2]) for part, fit in zip(parts, fits, strict=True)]
    return noise * float(np.sqrt(sum(leverages)))


def _at_edge(x: Array, degree: int) -> float:
    """Return the variance at x = 0 of a polynomial fitted at `x`, relative to that of a point.

    That of each of the polynomials that are orthogonal over `x`, added up (G. E. Forsythe,
    *J. SIAM* 5, 74 (1957)): to invert a matrix takes three times as long.
    """
    if x.size == 0:
        return 1.0
    x = x / (float(np.abs(x).max()) or 1.0)
    curve, before, size_before = np.ones(x.size), np.zeros(x.size), 1.0
    here, here_before, total = 1.0, 0.0, 0.0  # the same polynomials at x = 0
    for _ in range(min(degree, x.size - 1) + 1):
        square = curve * curve
        size = float(square.sum())
        total += here**2 / size
        centre, share = float(x @ square) / size, size / size_before
        curve, before = (x - centre) * curve - share * before, curve
        here, here_before = -centre * here - share * here_before, here
        size_before = size
    return total
