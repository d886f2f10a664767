"""Which absorption edge a spectrum shows, when nothing says it."""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array
from xanes_live.edges import Edge, edges_within

_BELOW, _ABOVE = 25.0, 15.0
"""How far the steepest rise may lie above and below the tabulated energy, eV: oxides rise up to
20 eV above it, uncalibrated monochromators are off by several eV either way."""
_HANDICAP = {"K": 0.0, "L3": 8.0, "L2": 16.0, "L1": 24.0}
"""Distance, eV, by which another edge must be nearer than a K edge to be preferred."""


def steepest_rise(energy: Array, signal: Array, width: float = 10.0) -> float | None:
    """Return where `signal` rises most over a few eV.

    The rise at a point is the mean of the signal over `width` above it minus the mean over `width`
    below it, which noise, glitches and the slope of the background hardly disturb.

    Parameters
    ----------
    energy, signal
        shape (n_points,); energies in eV, in any order.
    width
        Length of each of the two windows, eV.

    Returns
    -------
    float or None
        Energy, eV; None when fewer than eight finite points are given or nothing rises.
    """
    good = np.isfinite(energy) & np.isfinite(signal)
    order = np.argsort(energy[good], kind="stable")
    e, s = energy[good][order], signal[good][order]
    if e.size < 8:
        return None
    total = np.concatenate(([0.0], np.cumsum(s - s.mean())))
    middle = 0.5 * (e[1:] + e[:-1])
    here = np.arange(1, e.size)
    low = np.minimum(np.searchsorted(e, middle - width), here - 1)
    high = np.maximum(np.searchsorted(e, middle + width, side="right"), here + 1)
    rise = (total[high] - total[here]) / (high - here) - (total[here] - total[low]) / (here - low)
    rise[(here < 3) | (here > e.size - 3)] = -np.inf
    best = int(np.argmax(rise))
    return float(middle[best]) if rise[best] > 0 else None


def nearest_edge(energy: float, prefer: str = "") -> Edge | None:
    """Return the tabulated edge that a rise at `energy` (eV) most probably is.

    Parameters
    ----------
    energy
        Where μ(E) rises, eV.
    prefer
        Text that may hold the symbol of the element (a file name, a sample's name): an edge of an
        element spelled out there wins over others in reach.

    Returns
    -------
    Edge or None
        None when no edge is in reach.
    """
    reach = edges_within(energy - _BELOW, energy + _ABOVE)
    named = [edge for edge in reach if _spelled(edge.element, prefer)]

    def distance(edge: Edge) -> float:
        return abs(energy - 5.0 - edge.energy) + _HANDICAP[edge.edge]

    return min(named or reach, key=distance, default=None)


def _spelled(symbol: str, text: str) -> bool:
    """Whether `text` holds `symbol` in its own spelling, not inside a longer word."""
    at = text.find(symbol)
    while at >= 0:
        before = text[at - 1] if at else " "
        after = text[at + len(symbol)] if at + len(symbol) < len(text) else " "
        if not before.isalpha() and not after.islower():
            return True
        at = text.find(symbol, at + 1)
    return False
