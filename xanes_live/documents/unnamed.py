"""The energy of an absorption scan whose key has no telling name, unit or motor."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from xanes_live.documents.axes import MIN_SPAN, Axis, owner_of
from xanes_live.documents.channels import Roles, find_roles, shows_edge
from xanes_live.documents.context import Context, is_stage
from xanes_live.documents.names import (
    channel_points,
    energy_points,
    is_other_energy,
    is_reading,
    words,
)
from xanes_live.documents.run import Stream
from xanes_live.documents.spikes import without_spikes
from xanes_live.documents.sweeps import split
from xanes_live.documents.units import ENERGY_UNITS, energies, unit_of
from xanes_live.domain import Array
from xanes_live.edges import edges_within

_WIDEST = 4_000.0
"""An axis over more than this, eV, is a clock or a counter rather than a scan of one edge."""
_MARGIN = 5.0
"""How far inside the range the edge must lie, eV."""
_FEWEST = 8
_IN_ORDER = 0.99
"""Correlation of value and order above which a sweep is monotonic, read-back jitter aside."""
_CLEAR_NAME = 6.0
_WISHED = re.compile(r"_(?:set|val|demand|target|requested|request|cmd|nominal)_")
"""Words of a key that holds where the energy was sent, not where it was."""


def guess_axis(stream: Stream, context: Context) -> tuple[Axis, Roles] | None:
    """Return the swept column that crosses the edge, and the channels beside it.

    The plan has to say that this is an absorption scan and which edge it is of; where it says only
    one of the two, the signals have to show the edge as well. None if no column will do.
    """
    certain = context.announced and context.edge_energy is not None
    if context.config.energy is not None or not (context.announced or _may_be_xas(stream, context)):
        return None
    found = []
    for axis in _axes(stream, context):
        roles = find_roles(stream, axis, context)
        shown = roles.complete and shows_edge(stream, axis, roles, context)
        if certain or shown:
            found.append((shown, axis.points, axis, roles))
    best = max(found, key=lambda item: item[:2], default=None)
    return None if best is None else (best[2], best[3])


def _may_be_xas(stream: Stream, context: Context) -> bool:
    """Whether a run of another plan may scan the announced edge.

    It does not if the plan names what it scans (that was judged before), or if an energy was
    recorded and stood still: then something else was scanned.
    """
    recorded = any(
        energy_points(key, owner_of(stream, key)).get("energy", 0.0) >= _CLEAR_NAME
        for key in stream.columns
    )
    return context.edge_energy is not None and not context.scanned and not recorded


def _axes(stream: Stream, context: Context) -> Iterator[Axis]:
    for key, column in stream.columns.items():
        unit = unit_of(stream.data_key(key).get("units"))
        if unit not in ("", *ENERGY_UNITS) or not _may_be_energy(stream, key):
            continue
        energy = energies(column, unit, context.edge_energy) if column.ndim in (1, 2) else None
        if energy is None:
            continue
        energy = without_spikes(energy)
        points = energy_points(key, owner_of(stream, key)).get("energy", 0.0)
        if _WISHED.search(words(key)):
            points -= 3.0
        axis = Axis(key, energy, points, guessed=True)
        if MIN_SPAN <= axis.span <= _WIDEST and _crosses(energy, context) and _swept(energy):
            yield axis


def _may_be_energy(stream: Stream, key: str) -> bool:
    owner = owner_of(stream, key)
    if is_stage(key) or is_stage(owner) or is_other_energy(key) or is_other_energy(owner):
        return False
    # a detector that happens to count as many as the energy has electronvolts
    return is_reading(key) and not channel_points(key, owner)


def _crosses(energy: Array, context: Context) -> bool:
    low, high = float(np.nanmin(energy)) + _MARGIN, float(np.nanmax(energy)) - _MARGIN
    if context.edge_energy is not None:
        return low < context.edge_energy < high
    return low < high and any(context.element in ("", e.element) for e in edges_within(low, high))


def _swept(energy: Array) -> bool:
    """Whether the values run from end to end, once or several times."""
    rows = [energy] if energy.ndim == 1 else [row for row in energy if np.isfinite(row).any()]
    pieces = [row[piece] for row in rows for piece in split(row)]
    return bool(pieces) and all(_in_order(piece[np.isfinite(piece)]) for piece in pieces)


def _in_order(values: Array) -> bool:
    if values.size < _FEWEST or not np.ptp(values) > 0:
        return False
    # of ranks, so that the coarse and fine regions of a step scan count alike
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    along = float(np.corrcoef(np.arange(values.size), ranks)[0, 1])
    # equal values rank in the order they were taken, whichever way the scan went
    ends = (values[-1] - values[0]) * along > 0
    return ends and abs(along) > _IN_ORDER
