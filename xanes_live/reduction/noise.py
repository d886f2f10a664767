"""Point-to-point noise of μ(E), separated from structure by a high-order difference."""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array
from xanes_live.median import median

MEDIAN_TO_SIGMA = 1.4826
"""Median of the absolute value → standard deviation, for normally distributed values."""
_MIN_POINTS = 12


def cubic_residuals(energy: Array, mu: Array) -> Array:
    """Return how far each point lies from the cubic through its four neighbours.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing, n_points ≥ 5.
    mu
        shape (..., n_points).

    Returns
    -------
    Array
        shape (..., n_points − 4), without the first and last two points, divided by the factor by
        which the combination enlarges independent noise: their standard deviation is that of μ.
    """
    weights = _lagrange(energy)
    residual = mu[..., 2:-2] - (
        weights[0] * mu[..., :-4]
        + weights[1] * mu[..., 1:-3]
        + weights[2] * mu[..., 3:-1]
        + weights[3] * mu[..., 4:]
    )
    enlarged = np.sqrt(1.0 + (weights * weights).sum(axis=0))
    return np.asarray(residual / enlarged, dtype=np.float64)


def _lagrange(energy: Array) -> Array:
    """Return the weights of the four neighbours of each point in the cubic, (4, n_points − 4)."""
    nodes = np.stack((energy[:-4], energy[1:-3], energy[3:-1], energy[4:]))
    away = energy[2:-2] - nodes
    apart = nodes[:, None] - nodes
    apart[range(4), range(4)] = away  # cancels the factor of the neighbour itself
    return np.asarray(away.prod(axis=0) / apart.prod(axis=1), dtype=np.float64)


def noise_level(energy: Array, mu: Array, e0: float | None = None) -> Array:
    """Return the standard deviation of the noise of one or many spectra.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        shape (..., n_points).
    e0
        Approximate edge energy, eV: the noise is then taken above the edge, where counting
        statistics of fluorescence are worst, leaving out the steep part.

    Returns
    -------
    Array
        shape (...); NaN with fewer than five points. Structure of a well-sampled edge adds about
        0.1 % of the edge step when the scan ends within 30 eV of it, else much less.
    """
    if energy.size < 5:
        return np.full(mu.shape[:-1], np.nan)
    residual = np.abs(cubic_residuals(energy, mu))
    if e0 is not None:
        relative = energy[2:-2] - e0
        for low, high in ((30.0, 200.0), (12.0, np.inf), (30.0, np.inf)):
            part = (relative > low) & (relative < high)
            if part.sum() >= _MIN_POINTS:
                residual = residual[..., part]
                break
    return np.asarray(MEDIAN_TO_SIGMA * median(residual), dtype=np.float64)
