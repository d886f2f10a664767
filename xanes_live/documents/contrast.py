"""How clearly a signal shows an absorption edge, for choosing among detectors and edges.

This only ranks candidates; what is predicted from is worked out by the reduction.
"""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array

_BELOW = (-150.0, -8.0)
_ABOVE = (15.0, 150.0)
"""Windows relative to the edge, eV, in which straight lines are fitted."""


def contrast(energy: Array, signal: Array, edge: float) -> float:
    """Return the rise of `signal` at `edge` in units of the scatter around it.

    Straight lines are fitted below and above the edge; the rise is their distance at the edge, the
    scatter the residual of both.

    Parameters
    ----------
    energy, signal
        shape (n_points,); eV, in any order.
    edge
        Tabulated edge energy, eV.

    Returns
    -------
    float
        Negative when the signal falls; 0 when there are too few points on either side.
    """
    good = np.isfinite(energy) & np.isfinite(signal)
    x, y = energy[good] - edge, signal[good]
    below = _line(x, y, *_BELOW)
    above = _line(x, y, *_ABOVE)
    if below is None or above is None:
        return 0.0
    scale = float(np.ptp(y)) or 1.0
    scatter = np.hypot(below[1], above[1]) + 1e-6 * scale
    return float((above[0] - below[0]) / scatter)


def transmission(i0: Array, it: Array) -> Array:
    """Return ln(I0 / It), NaN where either is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((i0 > 0) & (it > 0), i0 / it, np.nan)
        return np.log(ratio)


def yield_(i0: Array, signal: Array) -> Array:
    """Return I / I0, NaN where I0 is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(i0 > 0, signal / i0, np.nan)


def _line(x: Array, y: Array, low: float, high: float) -> tuple[float, float] | None:
    """Return value at x = 0 and residual scatter of a straight line fitted between the limits."""
    inside = (x >= low) & (x <= high)
    if np.count_nonzero(inside) < 3:
        return None
    u, v = x[inside], y[inside]
    width = float(np.ptp(u))
    slope = float(np.polyfit(u - u.mean(), v, 1)[0]) if width > 20 else 0.0
    residual = v - v.mean() - slope * (u - u.mean())
    return float(v.mean() - slope * u.mean()), float(np.sqrt(np.mean(residual**2)))
