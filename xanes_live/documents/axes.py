"""Which data key of a stream is the monochromator's energy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xanes_live.config import BeamlineConfig
from xanes_live.documents import metadata
from xanes_live.documents.leaves import clean, flat
from xanes_live.documents.names import best_owner, energy_points, words
from xanes_live.documents.run import RunRecord, Stream
from xanes_live.documents.spikes import without_spikes
from xanes_live.documents.units import ENERGY_UNITS, energies, from_angle, positive, unit_of
from xanes_live.domain import Array

MIN_SPAN = 5.0
"""An energy that moves less than this, eV, is not scanned: read-back noise, a rocking curve."""
_CLEAR = 6.0
"""Points from which a name alone says that a key is the energy."""
_STAGE = re.compile(
    r"_(?:x|y|z|sam|sample|stage|slit\w*|table|pitch|roll|yaw|th|theta|phi|chi|piezo|pin|mirror|time|"
    r"temp\w*|temperature|volt\w*|current|i0|it|ir|if|det\w*|gap|height|pos|position)_"
)


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a run besides its data."""

    config: BeamlineConfig
    start: Mapping[str, Any]
    """The start document, JSON-safe and of bounded size; {} after a late subscription."""
    leaves: Mapping[str, Any]
    """The start document by dotted lower-case path."""
    element: str
    """Announced or configured, '' if neither."""
    edge: str
    edge_energy: float | None
    """Tabulated, eV; None when element and edge are not both known."""
    scanned: frozenset[str]
    """Devices and data keys the plan says it scans (motors, hints.dimensions)."""
    xas_plan: bool
    """The plan's name says that it is an absorption scan."""

    @classmethod
    def of(cls, record: RunRecord, config: BeamlineConfig) -> Context:
        """Collect what the start document and the configuration say."""
        start = clean(record.start)
        leaves = flat(start)
        element = metadata.element(leaves) or metadata.symbol_of(config.element)
        edge = metadata.edge(leaves) or metadata.edge_of(config.edge)
        plan = start.get("plan_name")
        return cls(
            config=config,
            start=start,
            leaves=leaves,
            element=element,
            edge=edge,
            edge_energy=metadata.known_edge(element, edge),
            scanned=frozenset(_scanned(start)),
            xas_plan=plan in config.plans or metadata.is_xas_plan(start),
        )

    @property
    def scans_energy(self) -> bool:
        """Whether the plan says that it scans something named like an energy."""
        return any(max(energy_points(name).values(), default=0) >= _CLEAR for name in self.scanned)

    @property
    def announced(self) -> bool:
        """Whether the start document alone makes this an absorption scan."""
        elsewhere = self.scanned and all(is_stage(name) for name in self.scanned)
        named = bool(self.element and self.edge and self.scans_energy)
        return named or (self.xas_plan and not elsewhere)


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


def is_stage(name: str) -> bool:
    """Tell whether a name is that of a position, a time or a detector."""
    return _STAGE.search(words(name)) is not None


def find_axis(stream: Stream, context: Context) -> Axis | None:
    """Return the energy axis of a stream, None when no energy is scanned in it."""
    config = context.config
    if config.energy is not None:
        return _configured(stream, context, config.energy)
    candidates = [
        axis for key in stream.columns if (axis := _candidate(stream, context, key)) is not None
    ]
    moving = [axis for axis in candidates if _moves(axis, context)]
    return max(moving, key=lambda axis: axis.points, default=None)


def missing_spacing(stream: Stream, context: Context) -> str:
    """Return the key of a scanned Bragg angle that lacks a lattice spacing, '' if there is none."""
    if spacing(stream, context) is not None:
        return ""
    for key, column in stream.columns.items():
        owner = owner_of(stream, key)
        angle = energy_points(key, owner).get("angle", 0.0) >= _CLEAR or (
            key == context.config.energy and context.config.energy_units in ("deg", "rad", "mdeg")
        )
        if (
            angle
            and column.ndim == 1
            and np.nanmax(column, initial=0) > np.nanmin(column, initial=0)
        ):
            return key
    return ""


def spacing(stream: Stream, context: Context) -> float | None:
    """Return the crystal's lattice spacing, Å: configured, from the start document, or read out."""
    if context.config.d_spacing is not None:
        return context.config.d_spacing
    found = metadata.d_spacing(context.leaves)
    for descriptor in stream.descriptors:
        if found is None:
            found = metadata.d_spacing(flat(_values(descriptor.get("configuration"))))
    return found


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


def _scanned(start: Mapping[str, Any]) -> Iterable[str]:
    motors = start.get("motors")
    for motor in motors if isinstance(motors, list | tuple) else ():
        if isinstance(motor, str):
            yield motor
    hints = start.get("hints")
    dimensions = hints.get("dimensions") if isinstance(hints, Mapping) else None
    for dimension in dimensions if isinstance(dimensions, list | tuple) else ():
        fields = dimension[0] if isinstance(dimension, list | tuple) and dimension else ()
        for name in fields if isinstance(fields, list | tuple) else (fields,):
            if isinstance(name, str):
                yield name


def _configured(stream: Stream, context: Context, key: str) -> Axis | None:
    column = stream.columns.get(key)
    if column is None:
        return None
    unit = context.config.energy_units or unit_of(stream.data_key(key).get("units"))
    energy = _converted(stream, context, column, unit, key, believe=context.config.energy_units)
    axis = None if energy is None else Axis(key, without_spikes(energy), 100.0)
    return axis if axis is not None and _moves(axis, context) else None


def _energies(column: Array, unit: str, context: Context) -> Array | None:
    found = energies(column, unit, context.edge_energy)
    return None if found is None else without_spikes(found)


def _converted(
    stream: Stream, context: Context, column: Array, unit: str, key: str, believe: str | None
) -> Array | None:
    """Return a configured column in eV."""
    if believe in ENERGY_UNITS:
        return positive(column * (1e3 if believe == "keV" else 1.0))
    angle = unit in ("deg", "rad", "mdeg", "mrad") or (
        not unit and "angle" in energy_points(key) and context.config.d_spacing is not None
    )
    if not angle:
        return energies(column, unit, context.edge_energy)
    d = spacing(stream, context)
    return None if d is None else from_angle(column, unit, d)


def _candidate(stream: Stream, context: Context, key: str) -> Axis | None:
    """Return `key` as energy axis if name, units or the plan speak for it."""
    column = stream.columns[key]
    owner = owner_of(stream, key)
    unit = unit_of(stream.data_key(key).get("units"))
    named = energy_points(key, owner)
    angle = named.get("angle", 0.0)
    scanned = 4.0 if key in context.scanned or owner in context.scanned else 0.0
    if unit in ENERGY_UNITS and named.get("energy", 0.0) > -5:
        points = named.get("energy", 0.0) + 6.0 + scanned
        energy = _energies(column, unit, context)
    elif unit in ("deg", "rad", "mdeg", "mrad") or angle > max(named.get("energy", 0.0), 0.0):
        # an energy, where there is one, is better than an angle
        meant = 4.0 if context.config.d_spacing is not None else 0.0
        points = 0.5 * (angle + scanned + meant)
        d = spacing(stream, context) if points >= 0.5 * _CLEAR and unit != "other" else None
        energy = None if d is None else from_angle(column, unit, d)
        return None if energy is None else Axis(key, without_spikes(energy), points)
    elif named.get("energy", 0.0) <= -5:
        return None  # of something else
    else:
        points = named.get("energy", 0.0) + scanned
        # whatever the values of one that neither its name nor the plan speaks for, it is none
        hopeless = points < _CLEAR and not scanned
        energy = None if hopeless else _energies(column, "", context)
    if unit == "other" and energy is not None:
        # motor records keep 'mm' when nobody changes it
        axis = Axis(key, energy, points - 5.0)
        clear = named.get("energy", 0.0) >= _CLEAR
        return axis if clear and _crosses_announced_edge(axis, context) else None
    if energy is None:
        return None
    axis = Axis(key, energy, points)
    if points < _CLEAR and not (scanned and _crosses_announced_edge(axis, context)):
        return None
    return axis


def _crosses_announced_edge(axis: Axis, context: Context) -> bool:
    """Whether a scanned axis without a telling name passes over the announced edge."""
    if context.edge_energy is None or is_stage(axis.key) or axis.span > 4000:
        return False
    return axis.crosses(context.edge_energy)


def _moves(axis: Axis, context: Context) -> bool:
    """Whether the energy is scanned, and not merely recorded."""
    if axis.span >= MIN_SPAN:
        return True
    return context.announced and bool(np.isfinite(axis.energy).any())
