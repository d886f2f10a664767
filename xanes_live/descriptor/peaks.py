"""Peaks of G2: where the shells of neighbours are, to better than the grid.

Everything takes arrays of shape (..., n_g2), so that members and spectra go together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array, Peak

NEAR = (1.0, 3.5)
"""The region of the first shells, Å (the paper's)."""
FAR = (3.5, 6.0)
"""The region beyond, Å."""
MIN_HEIGHT = 0.25
"""Least height of a peak in units of 0.1 Z; one carbon atom at 2 Å makes 0.45."""
MIN_SHARE = 0.15
"""Least prominence of a peak, as a share of the highest value of its region."""


def prominence(values: Array) -> Array:
    """Return how far each point stands above the higher of its two saddles; 0 if not a maximum.

    The saddle on a side is the least value between the point and the nearest higher one on that
    side (or the end), as in topography and in :func:`scipy.signal.peak_prominences`. Of a flat top
    the first point counts. The two ends are no maxima.

    Parameters
    ----------
    values
        Shape (..., n).

    Returns
    -------
    Array
        Shape (..., n).
    """
    rows = values.reshape(-1, values.shape[-1])
    height = np.zeros(rows.shape)
    inner = rows[:, 1:-1]
    row, at = np.nonzero((inner > rows[:, :-2]) & (inner >= rows[:, 2:]))  # maxima are few
    at += 1
    height[row, at] = rows[row, at] - _higher_saddle(rows[row], at)
    return height.reshape(values.shape)


def _higher_saddle(rows: Array, at: NDArray[np.intp]) -> Array:
    """Return the higher of the saddles to both sides of point `at` of each row, (k, n) → (k,)."""
    higher = rows > rows[np.arange(len(rows)), at][:, None]
    number, at = np.arange(rows.shape[1]), at[:, None]
    last = np.where(higher & (number < at), number, -1).max(axis=1, keepdims=True, initial=-1)
    end = number.size
    first = np.where(higher & (number > at), number, end).min(axis=1, keepdims=True, initial=end)
    left = np.where((number > last) & (number <= at), rows, np.inf).min(axis=1)
    right = np.where((number < first) & (number >= at), rows, np.inf).min(axis=1)
    return np.asarray(np.maximum(left, right))


def refine(radius: Array, values: Array, index: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return position (Å) and height of the parabola through the points around a maximum.

    Parameters
    ----------
    radius
        Equally spaced centres, Å, shape (n,).
    values
        Shape (..., n).
    index
        Index of the highest of the three points, shape (...); clipped to the inner points.
    """
    index = np.minimum(np.maximum(index, 1), len(radius) - 2)
    rows, at = values.reshape(-1, len(radius)), index.reshape(-1)
    row = np.arange(len(rows))
    a, b, c = (rows[row, at + k].reshape(index.shape) for k in (-1, 0, 1))
    curvature = a - 2.0 * b + c
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(curvature < 0, 0.5 * (a - c) / curvature, 0.0)
    offset = np.minimum(np.maximum(offset, -0.5), 0.5)
    return radius[index] + offset * (radius[1] - radius[0]), b - 0.25 * (a - c) * offset


def significant(radius: Array, values: Array, sigma: Array | None = None) -> NDArray[np.bool_]:
    """Return where `values` has a maximum that counts, shape (..., n).

    A maximum counts if it is high enough in itself, prominent enough in its region, and, where the
    members' standard deviation is given, higher than that.
    """
    height = prominence(values)
    chosen = (height > 0) & (values >= MIN_HEIGHT)
    if sigma is not None:
        chosen &= values > sigma
    for region in (NEAR, FAR):
        inside = slice(*np.searchsorted(radius, region))
        top = values[..., inside].max(axis=-1, keepdims=True, initial=-np.inf)
        chosen[..., inside] &= height[..., inside] >= MIN_SHARE * top
    chosen[..., : np.searchsorted(radius, NEAR[0])] = False
    return np.asarray(chosen)


def first_peak(radius: Array, values: Array, sigma: Array | None = None) -> Array:
    """Return the position of the first significant peak, Å, shape (...); NaN where there is none.

    Parameters
    ----------
    radius
        Equally spaced centres, Å, shape (n,).
    values
        G2, shape (..., n).
    sigma
        Standard deviation of `values`, shape (..., n), if peaks must exceed it.
    """
    chosen = significant(radius, values, sigma)
    position, _ = refine(radius, values, chosen.argmax(axis=-1))
    return np.where(chosen.any(axis=-1), position, np.nan)


def find_peaks(radius: Array, mean: Array, sigma: Array | None = None) -> tuple[Peak, ...]:
    """Return the significant peaks of one G2 in order of distance.

    Parameters
    ----------
    radius
        Equally spaced centres, Å, shape (n,).
    mean
        G2, shape (n,).
    sigma
        Standard deviation over members, shape (n,).
    """
    index = np.flatnonzero(significant(radius, mean, sigma))
    position, height = refine(radius, np.repeat(mean[None], len(index), axis=0), index)
    return tuple(
        Peak(float(r), float(h), "near" if r < NEAR[1] else "far")
        for r, h in zip(position, height, strict=True)
    )
