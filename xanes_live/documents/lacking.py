"""Why a stream cannot be read, in words: what is lacking, and what is there instead."""

from __future__ import annotations

import numpy as np

from xanes_live.documents.axes import missing_spacing, owner_of
from xanes_live.documents.channels import Roles
from xanes_live.documents.context import CLEAR, Context
from xanes_live.documents.names import channel_points, energy_points
from xanes_live.documents.run import Stream

_LISTED = 8


def no_axis(stream: Stream, context: Context) -> str:
    """Say why a stream has no energy."""
    key = context.config.energy
    if key is not None and key not in stream.columns:
        return not_recorded("energy", key, stream)
    if angle := missing_spacing(stream, context):
        return f"{angle!r} is a Bragg angle, and the lattice spacing of the crystal is not known"
    if key is not None:
        return _no_energies(stream, context, key)
    if named := _scanned_energy(stream, context):
        return _no_energies(stream, context, named)
    return f"no energy among {listed(stream, 'energy')}"


def _scanned_energy(stream: Stream, context: Context) -> str:
    """Return a key that is an energy by its name and moves, '' if there is none."""
    for key, column in stream.columns.items():
        owner = owner_of(stream, key)
        scanned = key in context.scanned or owner in context.scanned
        named = energy_points(key, owner).get("energy", 0.0) >= CLEAR and column.ndim == 1
        known = column[np.isfinite(column)]
        if scanned and named and known.size and np.ptp(known) > 0:
            return key
    return ""


def _no_energies(stream: Stream, context: Context, key: str) -> str:
    """Say that the values of what is the energy by configuration or name are none."""
    column, config = stream.columns[key], context.config
    by = "the configured energy" if key == config.energy else "the energy"
    known = column[np.isfinite(column)]
    if not known.size:
        return f"{by}, {key!r}, has no values"
    units = config.energy_units or stream.data_key(key).get("units")
    said = f" in {units}" if isinstance(units, str) and units else ""
    at = f" near the {context.element} {context.edge} edge" if context.edge_energy else ""
    values = f"goes from {known.min():g} to {known.max():g}"
    return f"{by}, {key!r}, {values}: no energies{said}{at}"


def no_channels(stream: Stream, roles: Roles, context: Context) -> str:
    """Say why a stream has an energy and no μ(E)."""
    config = context.config
    for role, key in (("i0", config.i0), ("it", config.it)):
        if key is not None and key not in roles.keys:
            return unusable(role, key, stream)
    if config.fluorescence and not roles.fluorescence:
        return unusable("fluorescence", " + ".join(config.fluorescence), stream)
    if roles.i0:
        return f"no signal (It, fluorescence) among {listed(stream, 'it', 'fluorescence')}"
    return f"no I0 among {listed(stream, 'i0')}"


def unusable(role: str, key: str, stream: Stream) -> str:
    """Say why a configured channel is not used."""
    if key not in stream.columns:
        return not_recorded(role, key, stream)
    values = "×".join(map(str, stream.columns[key].shape[1:])) or "1"
    return f"{role} = {key!r} of the configuration has {values} values a point"


def not_recorded(role: str, key: str, stream: Stream) -> str:
    """Say that what the configuration names is not there, and what is."""
    where = f" in stream {stream.name!r}" if stream.name != "primary" else ""
    there = listed(stream, role)
    return f"{role} = {key!r} of the configuration was not recorded{where}; there are {there}"


def listed(stream: Stream, *roles: str) -> str:
    """Name the keys of a stream, those first that may have one of `roles` by their name."""

    def points(key: str) -> float:
        owner = owner_of(stream, key)
        named = {**channel_points(key, owner), **energy_points(key, owner)}
        return max((named.get(role, 0.0) for role in roles), default=0.0)

    keys = sorted(stream.columns, key=lambda key: (-max(points(key), 0.0), key))
    if not keys:
        return "the data (no events)"
    return ", ".join(keys[:_LISTED]) + (", …" if len(keys) > _LISTED else "")
