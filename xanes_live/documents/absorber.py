"""Which element and edge a scan is of."""

from __future__ import annotations

import numpy as np

from xanes_live.documents.context import Context
from xanes_live.documents.contrast import transmission, yield_
from xanes_live.documents.guess import nearest_edge, steepest_rise
from xanes_live.documents.leaves import sample
from xanes_live.domain import Array, Channels
from xanes_live.edges import Edge, edges_within

_WIDEST = 5_000.0
"""An unannounced scan over more than this, eV, measures the source or the mirrors, not an edge."""
_NARROWEST = 30.0
"""An unannounced scan over less than this, eV, with no edge inside, adjusts the monochromator."""
_FEWEST = 8
"""An unannounced scan of fewer points is an alignment."""
_MOST_TRIED = 6
_MARGIN = 5.0
"""An edge nearer than this to an end of the scan, eV, is not what was scanned."""


def absorber(channels: tuple[Channels, ...], context: Context) -> Edge | None:
    """Return element and edge: announced, else where the signal rises, else inside the energies.

    Returns
    -------
    Edge or None
        An edge without element when this is a scan of nobody knows what; None when it is no
        absorption scan.
    """
    if context.element and context.edge:
        return Edge(context.element, context.edge, context.edge_energy or 0.0)
    energies = [c.energy[np.isfinite(c.energy)] for c in channels]
    low = min((float(e.min()) for e in energies if e.size), default=0.0)
    high = max((float(e.max()) for e in energies if e.size), default=0.0)
    inside = [e for e in edges_within(low + _MARGIN, high - _MARGIN) if _agrees(e, context)]
    if context.element:
        return _of_element(inside, 0.5 * (low + high), context)
    points = max((e.size for e in energies), default=0)
    if not context.xas_plan and (high - low > _WIDEST or points < _FEWEST):
        return None
    name = sample(context.start, context.config.sample_keys)
    seen = _seen(channels, name) if inside else None
    if seen is not None and _agrees(seen, context):
        return seen
    if not inside and not context.xas_plan and high - low < _NARROWEST:
        return None
    found = min(inside, key=lambda e: (e.edge != "K", e.energy), default=None)
    return found or Edge("", context.edge, 0.0)


def expected_energies(energy: Array, context: Context) -> tuple[float, ...]:
    """Return the energies, eV, at one of which a scan should show its edge.

    The announced edge alone where there is one; where only the element, or nothing, is announced,
    its edges (all K edges) inside the energies.
    """
    if context.edge_energy is not None:
        return (context.edge_energy,)
    finite = energy[np.isfinite(energy)]
    if not finite.size or not _NARROWEST <= np.ptp(finite) <= _WIDEST:
        return ()
    low, high = float(finite.min()) + _MARGIN, float(finite.max()) - _MARGIN
    inside = [e for e in edges_within(low, high) if _agrees(e, context)]
    first = [e.energy for e in inside if e.edge == "K"] or [e.energy for e in inside]
    return tuple(first[:_MOST_TRIED])


def _agrees(edge: Edge, context: Context) -> bool:
    return context.element in ("", edge.element) and context.edge in ("", edge.edge)


def _of_element(inside: list[Edge], middle: float, context: Context) -> Edge:
    """Return the edge of the announced element: inside the energies, else the nearest to them."""
    if inside:
        return min(inside, key=lambda e: "K L3 L2 L1".index(e.edge))
    own = [e for e in edges_within(0.0, 1e6) if e.element == context.element]
    return min(own, key=lambda e: abs(e.energy - middle), default=Edge(context.element, "", 0.0))


def _seen(channels: tuple[Channels, ...], name: str) -> Edge | None:
    """Return the edge at which the first sweep's signal rises."""
    first = channels[0]
    signals: list[Array] = []
    if first.i0 is not None and first.fluorescence is not None:
        signals.append(yield_(first.i0, np.nansum(first.fluorescence, axis=0)))
    if first.i0 is not None and first.it is not None:
        signals.append(transmission(first.i0, first.it))
    if first.mu is not None:
        signals.append(first.mu)
    for signal in signals:
        rise = steepest_rise(first.energy, signal)
        edge = nearest_edge(rise, name) if rise is not None else None
        if edge is not None:
            return edge
    return None
