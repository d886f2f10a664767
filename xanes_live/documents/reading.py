"""A stream read as an absorption scan: energy, channels and sweeps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from xanes_live.documents.axes import Axis, find_axis
from xanes_live.documents.channels import Roles, find_roles, is_spectrum
from xanes_live.documents.context import Context
from xanes_live.documents.lacking import no_axis, no_channels
from xanes_live.documents.lengths import common
from xanes_live.documents.places import by_places, in_stairs
from xanes_live.documents.run import RunRecord, Stream
from xanes_live.documents.sweeps import by_grid, split
from xanes_live.documents.unnamed import guess_axis
from xanes_live.domain import Array, Channels

_ASIDE = re.compile(r"baseline|monitor|dark|background|config|interlock", re.IGNORECASE)
_MAX_SWEEPS = 20_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stream holds of an absorption scan."""

    stream: Stream
    axis: Axis | None = None
    roles: Roles = field(default_factory=Roles)
    lacking: str = ""
    """Why there is no axis or no channels, in words."""

    @property
    def complete(self) -> bool:
        """Whether μ(E) can be worked out."""
        return self.axis is not None and self.roles.complete

    @property
    def guessed(self) -> bool:
        """Whether it was the data that told what is what."""
        return self.roles.guessed or (self.axis is not None and self.axis.guessed)


def read(record: RunRecord, context: Context) -> Reading | None:
    """Return how the best stream reads; None when there is no stream that could."""
    return next(iter(readings(record, context)), None)


def readings(record: RunRecord, context: Context) -> list[Reading]:
    """Return how each stream that may hold the spectra reads, the best first."""
    chosen = context.config.stream
    names = [n for n in record.streams if n == chosen or (chosen is None and not _ASIDE.search(n))]
    found = (_reading(record.streams[name], context) for name in names)
    return sorted(found, key=lambda reading: _rank(reading, context), reverse=True)


def _rank(reading: Reading, context: Context) -> tuple[bool, bool, bool, bool, float, int]:
    """Order of preference among streams; the one over the announced edge before all others."""
    axis = reading.axis
    return (
        reading.complete,
        axis is not None,
        axis is not None and axis.crosses(context.edge_energy),
        reading.stream.name == "primary",
        axis.points if axis else 0.0,
        len(reading.stream.seq_num),
    )


def _reading(stream: Stream, context: Context) -> Reading:
    axis = find_axis(stream, context)
    if axis is not None:
        roles = find_roles(stream, axis, context)
    elif (guessed := guess_axis(stream, context)) is not None:
        axis, roles = guessed
    else:
        return Reading(stream, lacking=no_axis(stream, context))
    return Reading(
        stream, axis, roles, "" if roles.complete else no_channels(stream, roles, context)
    )


def sweeps(reading: Reading, context: Context) -> tuple[Channels, ...]:
    """Return the raw channels of each sweep, in the order they were taken."""
    axis, roles = reading.axis, reading.roles
    if axis is None:
        return ()
    if axis.energy.ndim == 1:
        columns = _used(reading.stream, axis, roles)
        upright = {key: np.moveaxis(column, 0, -1) for key, column in columns.items()}
        pieces = _places(reading, context) or _grid(axis.energy, context) or split(axis.energy)
        found = [_channels(axis.energy[p], upright, roles, p) for p in pieces]
    else:
        found = []
        for energy, columns in _events(reading.stream, axis, roles):
            n, _ = common(energy, columns.values())
            cut = {key: column[..., :n] for key, column in columns.items()}
            found += [_channels(energy[p], cut, roles, p) for p in split(energy[:n])]
    return tuple(found[:_MAX_SWEEPS])


def of_places(reading: Reading, context: Context) -> bool:
    """Whether the sweeps are places of a map: one axis of a grid is the energy, another is not."""
    axis = reading.axis
    if axis is None or axis.energy.ndim != 1:
        return False
    if _places(reading, context):
        return True
    return bool(_grid(axis.energy, context)) or _is_line_by_line(axis.energy.size, context)


def _is_line_by_line(points: int, context: Context) -> bool:
    """Whether a second motor stands still while the energy, the fast axis, is scanned."""
    shape = _shape(context)
    return sum(n > 1 for n in shape) > 1 and points <= prod(shape)


def uneven(reading: Reading) -> int:
    """Return how many samples are left out because the arrays of a sweep differ in length."""
    axis = reading.axis
    if axis is None or axis.energy.ndim == 1:
        return 0
    events = _events(reading.stream, axis, reading.roles)
    return sum(common(energy, columns.values())[1] for energy, columns in events)


def without_energy(reading: Reading) -> int:
    """Return how many events before the first and after the last energy have none."""
    axis = reading.axis
    if axis is None or axis.energy.ndim != 1:
        return 0
    known = np.flatnonzero(np.isfinite(axis.energy))
    return int(known[0] + axis.energy.size - 1 - known[-1]) if known.size else 0


def _used(stream: Stream, axis: Axis, roles: Roles) -> dict[str, Array]:
    used = {key: stream.columns[key] for key in roles.keys}
    return {key: c for key, c in used.items() if not is_spectrum(c, axis.energy)}


def _events(stream: Stream, axis: Axis, roles: Roles) -> Iterator[tuple[Array, dict[str, Array]]]:
    """Yield the energies and the channels of each event that holds arrays."""
    columns = _used(stream, axis, roles)
    for i, energy in enumerate(axis.energy):
        yield energy, _of_event(columns, i, energy)


def _places(reading: Reading, context: Context) -> list[NDArray[np.intp]]:
    """Return the sweeps of places between which other motors moved, [] if none did."""
    axis, motors = reading.axis, context.start.get("motors")
    if axis is None or not isinstance(motors, list | tuple) or len(motors) < 2:
        return []
    positions = [
        column for motor in map(str, motors) for column in _positions(reading.stream, motor, axis)
    ]
    return by_places(axis.energy, split(axis.energy), positions) if positions else []


def _positions(stream: Stream, motor: str, axis: Axis) -> list[Array]:
    """Return where a motor was at each point, as the stream has it; nothing of the energy's own."""
    keys = [motor]
    for descriptor in stream.descriptors:
        owned = (descriptor.get("object_keys") or {}).get(motor)
        keys += owned if isinstance(owned, list) else []
    if axis.key in keys:
        return []
    found = [stream.columns[key] for key in keys if key in stream.columns]
    return [c for c in found if c.shape == axis.energy.shape and c.dtype.kind in "fiu"][:1]


def mixes_places(channels: tuple[Channels, ...], context: Context) -> bool:
    """Whether a sweep is made of several places of a map that cannot be told apart."""
    shape = _shape(context)
    several = sum(n > 1 for n in shape) > 1
    return several and any(
        sweep.energy.size <= prod(shape) and in_stairs(sweep.energy) for sweep in channels
    )


def _shape(context: Context) -> tuple[int, ...]:
    """Return the points along each motor of a grid scan; () if it is none."""
    shape, motors = context.start.get("shape"), context.start.get("motors")
    if not isinstance(shape, list | tuple) or not isinstance(motors, list | tuple):
        return ()
    if len(shape) != len(motors) or not all(isinstance(n, int) for n in shape):
        return ()
    return tuple(shape)


def _grid(energy: Array, context: Context) -> list[NDArray[np.intp]]:
    """Return the sweeps of a grid scan whose slow axis is the energy, [] if it is none."""
    shape = context.start.get("shape")
    if not isinstance(shape, list | tuple) or not all(isinstance(n, int) for n in shape):
        return []
    snaking = context.start.get("snaking")
    turns = isinstance(snaking, list | tuple) and len(snaking) == len(shape) and bool(snaking[-1])
    # list_grid_scan writes no `snaking`, but its argument as text
    turns = turns or (snaking is None and str(context.start.get("snake_axes")) == "True")
    return by_grid(energy, shape, snaking=turns)


def _of_event(columns: Mapping[str, Array], i: int, energy: Array) -> dict[str, Array]:
    """Return the arrays of one event, the points along their last axis."""
    found = {}
    for key, column in columns.items():
        value = column[i]
        off = [abs(n - energy.size) for n in value.shape]
        across = value.ndim == 2 and off[0] < off[1]
        found[key] = value.T if across else value
    return found


def _channels(
    energy: Array, columns: Mapping[str, Array], roles: Roles, piece: NDArray[np.intp]
) -> Channels:
    """Return the points `piece` of every channel in use.

    Columns have the points along their last axis; a further axis holds the elements of a detector
    or, for an ionisation chamber, the samples of a waveform, of which the mean is taken.
    """

    def single(key: str | None) -> Array | None:
        column = columns.get(key) if key is not None else None
        if column is None:
            return None
        return _taken(column if column.ndim == 1 else _mean_of_samples(column), piece)

    elements = [
        _taken(element, piece)
        for key in roles.fluorescence
        if key in columns
        for element in np.atleast_2d(columns[key])
    ]
    return Channels(
        energy=energy,
        i0=single(roles.i0),
        it=single(roles.it),
        ir=single(roles.ir),
        fluorescence=np.array(elements) if elements else None,
        mu=single(roles.mu),
    )


def _mean_of_samples(column: Array) -> Array:
    """Return the mean over the first axis; infinite where the samples are beyond all measure."""
    with np.errstate(over="ignore", invalid="ignore"):  # no reading of a detector, whatever it is
        return np.asarray(column.mean(axis=0))


def _taken(column: Array, piece: NDArray[np.intp]) -> Array:
    """Return the points `piece`, NaN where the column is shorter than the energy."""
    if piece.size and piece[-1] < len(column):
        return column[piece]
    padded = np.full(int(piece.max(initial=-1)) + 1, np.nan)
    padded[: len(column)] = column[: len(padded)]
    return padded[piece]


def dark(record: RunRecord, reading: Reading, context: Context) -> dict[str, float]:
    """Return dark counts per point by role: configured, of a 'dark' stream, or announced."""
    found = _announced_dark(reading.roles, context)
    for name, stream in record.streams.items():
        if "dark" in name.lower():
            found.update(_measured_dark(stream, reading.roles))
    return {**found, **context.config.dark}


def _measured_dark(stream: Stream, roles: Roles) -> dict[str, float]:
    found = {}
    for role, keys in _keys_by_role(roles).items():
        values = [stream.columns[key].ravel() for key in keys if key in stream.columns]
        finite = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.zeros(0)
        if finite.size:
            found[role] = float(finite.mean())
    return found


def _announced_dark(roles: Roles, context: Context) -> dict[str, float]:
    """Return those of the start document: {'dark': {'i0': 12.0}}, 'dark_i0', 'i0_dark', …."""
    found: dict[str, float] = {}
    for role, keys in _keys_by_role(roles).items():
        for name in (role, *keys):
            low = name.lower()
            for path in (
                f"dark.{low}",
                f"darks.{low}",
                f"dark_counts.{low}",
                f"dark_{low}",
                f"{low}_dark",
            ):
                value = context.leaves.get(path)
                if isinstance(value, int | float) and np.isfinite(value):
                    found.setdefault(role, float(value))
    return found


def _keys_by_role(roles: Roles) -> dict[str, tuple[str, ...]]:
    single = {"i0": roles.i0, "it": roles.it, "ir": roles.ir}
    found = {role: (key,) for role, key in single.items() if key is not None}
    return {**found, "fluorescence": roles.fluorescence} if roles.fluorescence else dict(found)
