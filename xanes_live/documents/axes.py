"""Which data key of a stream is the monochromator's energy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xanes_live.documents import metadata
from xanes_live.documents.context import CLEAR, Context, is_stage
from xanes_live.documents.leaves import flat
from xanes_live.documents.names import best_owner, energy_points, is_source
from xanes_live.documents.run import Stream
from xanes_live.documents.spikes import without_spikes
from xanes_live.documents.units import (
    ANGLE_UNITS,
    ENERGY_UNITS,
    energies,
    from_angle,
    read_as,
    unit_of,
)
from xanes_live.domain import Array

MIN_SPAN = 5.0
"""An energy that moves less than this, eV, is not scanned: read-back noise, a rocking curve."""
_WIDEST = 4000.0
"""More than a scan of an unclear name goes over, eV."""
_NO_POSITION = 2000.0
"""Above this, eV, a number in the wrong unit is an energy rather than a position."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The energy axis of a stream."""

    key: str
    energy: Array
    """eV, shape (n_events,) or (n_events, n_points)."""
    points: float
    """How sure it is, in the points of :mod:`xanes_live.documents.names`."""
    guessed: bool = False
    """The name did not tell; the values did."""
    corrected: str = ""
    """The unit it was read in where that is not the configured one."""

    @property
    def span(self) -> float:
        """Range of the energies, eV; 0 when there are none."""
        low, high = self.limits
        return high - low

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest energy, eV; both 0 when there are none."""
        finite = self.energy[np.isfinite(self.energy)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)

    def crosses(self, energy: float | None) -> bool:
        """Tell whether `energy` (eV) lies inside; False when it is not known."""
        low, high = self.limits
        return energy is not None and low < energy < high


def find_axis(stream: Stream, context: Context) -> Axis | None:
    """Return the energy axis of a stream, None when no energy is scanned in it."""
    config = context.config
    if config.energy is not None:
        return _configured(stream, context, config.energy)
    candidates = [
        axis for key in stream.columns if (axis := _candidate(stream, context, key)) is not None
    ]
    moving = [axis for axis in candidates if _moves(axis, context)]
    # an insertion device is the last resort, whatever its unit and though the plan moves it
    return max(moving, key=lambda axis: (not is_source(axis.key), axis.points), default=None)


def missing_spacing(stream: Stream, context: Context) -> str:
    """Return the key of a scanned Bragg angle that lacks a lattice spacing, '' if there is none."""
    if spacing(stream, context) is not None:
        return ""
    for key, column in stream.columns.items():
        if _is_angle(stream, context, key) and column.ndim == 1:
            known = column[np.isfinite(column)]
            if known.size and np.ptp(known) > 0:
                return key
    return ""


def _is_angle(stream: Stream, context: Context, key: str) -> bool:
    """Whether a key is the Bragg angle by its name, its unit or the configuration."""
    config, named = context.config, energy_points(key, owner_of(stream, key))
    unit = unit_of(stream.data_key(key).get("units"))
    if key == config.energy:
        return (config.energy_units or unit) in ANGLE_UNITS
    in_degrees = unit in ANGLE_UNITS and named.get("energy", 0.0) >= CLEAR
    return named.get("angle", 0.0) >= CLEAR or in_degrees


def spacing(stream: Stream, context: Context) -> float | None:
    """Return the crystal's lattice spacing, Å: configured, from the start document, or read out."""
    if context.config.d_spacing is not None:
        return context.config.d_spacing
    found = (metadata.d_spacing(said) for said in _said(stream, context))
    return next((d for d in found if d is not None), None)


def _said(stream: Stream, context: Context) -> Iterator[Mapping[str, Any]]:
    """Yield what may hold the lattice spacing, by lower-case name."""
    yield context.leaves
    for descriptor in stream.descriptors:
        yield flat(_values(descriptor.get("configuration")))
    yield _at_rest(stream)
    yield _at_rest(context.baseline)


def _at_rest(stream: Stream) -> dict[str, float]:
    """Return what did not change in a stream, by lower-case data key."""
    columns = ((key.lower(), c[np.isfinite(c)]) for key, c in stream.columns.items() if c.ndim == 1)
    return {key: float(c[0]) for key, c in columns if c.size and not np.ptp(c)}


def owner_of(stream: Stream, key: str) -> str:
    """Return the device a key belongs to, '' when no descriptor says it."""
    for descriptor in stream.descriptors:
        keys = descriptor.get("object_keys")
        if owner := best_owner(keys if isinstance(keys, Mapping) else None, key):
            return owner
    return str(stream.data_key(key).get("object_name", ""))


def _values(configuration: object) -> dict[str, Any]:
    """Return the values of a descriptor's configuration by key."""
    found: dict[str, Any] = {}
    for device in configuration.values() if isinstance(configuration, Mapping) else ():
        data = device.get("data") if isinstance(device, Mapping) else None
        found.update(data if isinstance(data, Mapping) else {})
    return found


def _configured(stream: Stream, context: Context, key: str) -> Axis | None:
    column, given = stream.columns.get(key), context.config.energy_units
    if column is None:
        return None
    unit = given or unit_of(stream.data_key(key).get("units"))
    if unit in ("", "other"):
        energy = _of_size(context, column, key)
        read = None if energy is None else (energy, unit)
    else:
        units = (unit, *_other_units(key, unit, context))
        read = read_as(column, units, context.edge_energy, spacing(stream, context))
    if read is None:
        return None
    corrected = read[1] if given is not None and read[1] != given else ""
    axis = Axis(key, without_spikes(read[0]), 100.0, corrected=corrected)
    return axis if _moves(axis, context) else None


def _of_size(context: Context, column: Array, key: str) -> Array | None:
    """Return a configured column in eV where no unit is stated."""
    if "angle" not in energy_points(key) or context.config.d_spacing is None:
        return energies(column, "", context.edge_energy)
    return from_angle(column, "", context.config.d_spacing)


def _other_units(key: str, unit: str, context: Context) -> tuple[str, ...]:
    """Return in what else the values of a configured key may be, the likeliest first."""
    named = energy_points(key)
    angle = named.get("angle", 0.0) > max(named.get("energy", 0.0), 0.0)
    energy = not angle and named.get("energy", 0.0) >= CLEAR
    angle_first = angle or (unit in ANGLE_UNITS and not energy)
    first = ANGLE_UNITS if angle_first else ENERGY_UNITS
    # against its name only over the announced edge, which no wrong unit reaches by chance
    if (angle or energy) and context.edge_energy is None:
        return first
    return (*first, *(ENERGY_UNITS if angle_first else ANGLE_UNITS))


def _energies(column: Array, unit: str, context: Context) -> Array | None:
    found = energies(column, unit, context.edge_energy)
    return None if found is None else without_spikes(found)


def _candidate(stream: Stream, context: Context, key: str) -> Axis | None:
    """Return `key` as energy axis if name, units or the plan speak for it."""
    owner = owner_of(stream, key)
    unit = unit_of(stream.data_key(key).get("units"))
    named = energy_points(key, owner)
    energy, angle = named.get("energy", 0.0), named.get("angle", 0.0)
    scanned = 4.0 if key in context.scanned or owner in context.scanned else 0.0
    if unit in ENERGY_UNITS and energy > -5:
        found = _energies(stream.columns[key], unit, context)
        axis = None if found is None else Axis(key, found, energy + 6.0 + scanned)
    elif unit in ANGLE_UNITS or angle > max(energy, 0.0):
        axis = _of_angle(stream, context, key, unit, max(angle, energy), scanned)
        if axis is None and energy > angle:
            axis = _despite_unit(stream, context, key, energy, scanned)
        return axis
    elif energy <= -5:
        return None  # of something else
    elif unit == "other":
        return _despite_unit(stream, context, key, energy, scanned)
    else:
        # whatever the values of one that neither its name nor the plan speaks for, it is none
        hopeless = energy + scanned < CLEAR and not scanned
        found = None if hopeless else _energies(stream.columns[key], "", context)
        axis = None if found is None else Axis(key, found, energy + scanned)
    if axis is None or axis.points >= CLEAR:
        return axis
    return axis if scanned and _crosses_announced_edge(axis, context) else None


def _of_angle(
    stream: Stream, context: Context, key: str, unit: str, named: float, scanned: float
) -> Axis | None:
    # an energy, where there is one, is better than an angle
    meant = 4.0 if context.config.d_spacing is not None else 0.0
    points = 0.5 * (named + scanned + meant)
    d = spacing(stream, context) if points >= 0.5 * CLEAR and unit != "other" else None
    energy = None if d is None else from_angle(stream.columns[key], unit, d)
    return None if energy is None else Axis(key, without_spikes(energy), points)


def _despite_unit(
    stream: Stream, context: Context, key: str, named: float, scanned: float
) -> Axis | None:
    """Return a key as energy whose unit says otherwise: motor records keep 'mm' or 'deg'.

    It has to be named clearly and to go over the announced edge; where none is announced, the plan
    has to say that it is scanned, over energies that no position has.
    """
    energy = _energies(stream.columns[key], "", context) if named >= CLEAR else None
    if energy is None:
        return None
    axis = Axis(key, energy, named + scanned - 5.0)
    if context.edge_energy is not None:
        return axis if _crosses_announced_edge(axis, context) else None
    least = float(np.nanmin(stream.columns[key], initial=np.inf))
    return axis if scanned and least > _NO_POSITION and axis.span < _WIDEST else None


def _crosses_announced_edge(axis: Axis, context: Context) -> bool:
    """Whether a scanned axis without a telling name passes over the announced edge."""
    if context.edge_energy is None or is_stage(axis.key) or axis.span > _WIDEST:
        return False
    return axis.crosses(context.edge_energy)


def _moves(axis: Axis, context: Context) -> bool:
    """Whether the energy is scanned, and not merely recorded."""
    if axis.span >= MIN_SPAN:
        return True
    return context.announced and bool(np.isfinite(axis.energy).any())
