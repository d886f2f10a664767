"""Which data keys of a stream are I0, It, Ir and fluorescence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xanes_live.documents.absorber import expected_energies
from xanes_live.documents.axes import Axis, owner_of
from xanes_live.documents.context import Context
from xanes_live.documents.contrast import contrast, transmission, yield_
from xanes_live.documents.lengths import reach
from xanes_live.documents.names import channel_points, family, is_reading, words
from xanes_live.documents.run import Stream
from xanes_live.documents.units import unit_of
from xanes_live.domain import Array

MAX_ELEMENTS = 512
"""More values a point than this are a spectrum of a detector's own, not elements of a detector."""
_MAX_GUESSED = 8
_CLEAR_EDGE = 8.0
"""Contrast from which a signal of unknown name is believed to be absorption."""
_CLEARLY = 2.0
"""How many times more contrast another choice must show to be preferred."""
_CALM = 0.3
"""Part of the contrast of the clearest signal up to which another may be the incident beam."""
_SERIES = re.compile(r"_(?:ic|ion|ionch|chamber|ion_chamber|ionchamber|ion_chamber_ch|i)_?(\d)_")


@dataclass(frozen=True, slots=True)
class Roles:
    """Data keys by role."""

    i0: str | None = None
    it: str | None = None
    ir: str | None = None
    fluorescence: tuple[str, ...] = ()
    mu: str | None = None
    guessed: bool = False
    """Names did not tell; the data did."""

    @property
    def complete(self) -> bool:
        """Whether μ(E) can be worked out."""
        return self.mu is not None or (
            self.i0 is not None and (self.it is not None or bool(self.fluorescence))
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys in use."""
        single = (self.i0, self.it, self.ir, self.mu)
        return (*(key for key in single if key is not None), *self.fluorescence)


def find_roles(stream: Stream, axis: Axis, context: Context) -> Roles:
    """Return which key plays which role, from configuration, names, and at last the data."""
    roles = _find(stream, axis, context, loose=False)
    if roles.complete or axis.energy.ndim == 1:
        return roles
    # what is as long as the energy is preferred to what is nearly so, such as a detector's spectra
    uneven = _find(stream, axis, context, loose=True)
    return uneven if uneven.complete else roles


def _find(stream: Stream, axis: Axis, context: Context, *, loose: bool) -> Roles:
    usable = [
        key
        for key, column in stream.columns.items()
        if key != axis.key
        and fits(column, axis.energy, loose=loose)
        and not _is_energy(stream, key)
    ]
    may_be = {key for key in usable if not is_spectrum(stream.columns[key], axis.energy)}
    roles = _configured(_by_name(stream, axis, context, usable), may_be, context)
    if roles.complete:
        return replace(roles, mu=None) if roles.i0 is not None else roles
    return _by_data(stream, axis, context, usable, roles)


def fits(column: Array, energy: Array, *, loose: bool = False) -> bool:
    """Whether `column` holds one reading, or one for each detector element, at each energy.

    Parameters
    ----------
    column, energy
        One row an event.
    loose
        Whether arrays may be a few per cent shorter or longer than the energies.
    """
    if column.shape[:1] != energy.shape[:1]:
        return False
    if energy.ndim == 1:
        return column.ndim <= 2
    points = energy.shape[1]
    return column.ndim in (2, 3) and any(
        abs(n - points) <= reach(points, loose=loose) for n in column.shape[1:]
    )


def _is_energy(stream: Stream, key: str) -> bool:
    return unit_of(stream.data_key(key).get("units")) in ("eV", "keV")


def _configured(found: Roles, usable: Collection[str], context: Context) -> Roles:
    """Let the configuration win: what it names is used, or missing if it was not recorded."""
    config = context.config

    def key_of(configured: str | None, recognised: str | None) -> str | None:
        if configured is None:
            return recognised
        return configured if configured in usable else None

    fluorescence = found.fluorescence
    if config.fluorescence:
        fluorescence = tuple(key for key in config.fluorescence if key in usable)
    i0 = key_of(config.i0, found.i0)
    it, ir = key_of(config.it, found.it), key_of(config.ir, found.ir)
    taken = {key for key in (config.i0, config.it, config.ir) if key is not None}
    return Roles(
        i0=i0 if config.i0 or i0 not in taken else None,
        it=it if config.it or it not in taken else None,
        ir=ir if config.ir or ir not in taken else None,
        fluorescence=tuple(k for k in fluorescence if config.fluorescence or k not in taken),
        mu=found.mu,
    )


def _by_name(stream: Stream, axis: Axis, context: Context, usable: Sequence[str]) -> Roles:
    best: dict[str, list[tuple[float, str]]] = {}
    for key in usable:
        points = channel_points(key, owner_of(stream, key), context.element)
        if points:
            role = max(points, key=points.__getitem__)
            best.setdefault(role, []).append((points[role], key))
    first = {
        role: max(found, key=lambda item: item[0])[1]
        for role, found in best.items()
        if role != "fluorescence"
    }
    roles = Roles(i0=first.get("i0"), it=first.get("it"), ir=first.get("ir"), mu=first.get("mu"))
    roles = _numbered_chambers(usable, roles)
    families = _families(best.get("fluorescence", []))
    return replace(roles, fluorescence=_best_family(families, stream, axis, context, roles.i0))


def _numbered_chambers(usable: Sequence[str], roles: Roles) -> Roles:
    """Take chambers numbered from 1 in the order of the beam, where none is numbered 0."""
    if roles.i0 is not None:
        return roles
    readings = [key for key in usable if is_reading(key)]
    numbers = {int(m[1]): key for key in readings if (m := _SERIES.search(words(key)))}
    if len(numbers) < 2 or 0 in numbers:
        return roles
    ordered = [numbers[n] for n in sorted(numbers)] + [None]
    return replace(roles, i0=ordered[0], it=ordered[1], ir=ordered[2])


def _families(found: Sequence[tuple[float, str]]) -> list[tuple[float, tuple[str, ...]]]:
    """Group fluorescence keys into detectors, each with the points of its best key."""
    groups: dict[str, list[tuple[float, str]]] = {}
    for points, key in found:
        groups.setdefault(family(key), []).append((points, key))
    return [
        (max(p for p, _ in group), _one_region(tuple(key for _, key in group)))
        for group in groups.values()
    ]


def _one_region(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Keep one region of interest of each element where both are numbered in the names."""
    numbers = {key: tuple(int(n) for n in re.findall(r"\d+", key)) for key in keys}
    roi = {key: re.search(r"roi_?(\d+)", key, re.IGNORECASE) for key in keys}
    regions = {int(m[1]) for m in roi.values() if m is not None}
    elements = {n[0] for n in numbers.values() if n}
    if len(regions) > 1 and len(elements) > 1:
        first = min(regions)
        keys = tuple(key for key in keys if (m := roi[key]) is not None and int(m[1]) == first)
    return tuple(sorted(keys, key=lambda key: numbers[key]))


def _best_family(
    families: Sequence[tuple[float, tuple[str, ...]]],
    stream: Stream,
    axis: Axis,
    context: Context,
    i0: str | None,
) -> tuple[str, ...]:
    """Choose among detectors the one that shows the edge best; by name if that cannot be told."""
    edges = expected_energies(axis.energy, context)

    def shown(keys: tuple[str, ...]) -> float:
        signal = sum(per_point(stream.columns[key], axis.energy) for key in keys)
        reference = stream.columns.get(i0) if i0 else None
        if reference is None or axis.energy.ndim != 1:
            return 0.0
        ratio = yield_(per_point(reference, axis.energy), np.asarray(signal))
        return max((contrast(axis.energy, ratio, edge) for edge in edges), default=0.0)

    if len(families) < 2:
        return families[0][1] if families else ()
    return max(families, key=lambda f: (round(shown(f[1]) / 3.0), f[0], len(f[1])))[1]


def per_point(column: Array, energy: Array) -> Array:
    """Return one reading a point: the elements of a detector added up, waveforms averaged.

    Parameters
    ----------
    column
        shape (n_points,) or (n_points, n_values), for `energy` of shape (n_points,).
    """
    if column.ndim == energy.ndim or energy.ndim != 1:
        return column
    return np.asarray(np.nanmean(np.nan_to_num(column), axis=tuple(range(1, column.ndim))))


def is_spectrum(column: Array, energy: Array) -> bool:
    """Whether a column holds a detector's own spectra, whose regions nobody has named."""
    if energy.ndim == 1:
        return column.ndim > 1 and column.shape[1] > MAX_ELEMENTS
    return column.ndim > 2 and max(column.shape[1:]) * min(column.shape[1:]) > 4096 * MAX_ELEMENTS


def _by_data(
    stream: Stream, axis: Axis, context: Context, usable: Sequence[str], roles: Roles
) -> Roles:
    """Fill in what the names leave open with the keys that show an edge best."""
    if axis.energy.ndim != 1 or (context.config.i0 is not None and roles.i0 is None):
        return roles
    free = [key for key in usable if key not in roles.keys and _may_be_signal(stream, key)]
    keys = [key for key in usable if key in roles.keys or key in free[:_MAX_GUESSED]]
    best, found = _CLEAR_EDGE * (1.0 if context.announced or context.edge_energy else 3.0), roles
    for edge in expected_energies(axis.energy, context):
        for guess in _guesses(_alone(stream, axis, keys, edge), roles):
            shown = contrast(axis.energy, _mu(stream, axis, guess), edge)
            # the beam passes the detectors in their order: a later pair has to be clearly better
            if shown > (best if found is roles else _CLEARLY * best):
                best, found = shown, guess
    return found


def shows_edge(stream: Stream, axis: Axis, roles: Roles, context: Context) -> bool:
    """Tell whether channels rise at an edge, so clearly that nothing else would do."""
    signal = stream.columns[roles.mu] if roles.mu is not None else _mu(stream, axis, roles)
    if signal.shape != axis.energy.shape:
        return False
    edges = expected_energies(axis.energy, context)
    return any(contrast(axis.energy, signal, edge) > _CLEAR_EDGE for edge in edges)


def _alone(stream: Stream, axis: Axis, keys: Sequence[str], edge: float) -> dict[str, float]:
    """Return how clearly each signal by itself rises (+) or falls (−) at an edge.

    The incident beam does neither, the transmitted beam falls, fluorescence rises.
    """
    ones = np.ones(axis.energy.shape)
    columns = {key: per_point(stream.columns[key], axis.energy) for key in keys}
    return {
        key: contrast(axis.energy, transmission(column, ones), edge)
        for key, column in columns.items()
    }


def _may_be_signal(stream: Stream, key: str) -> bool:
    """Whether a key without a telling name may be a detector, and neither setting nor position."""
    column = stream.columns[key]
    if column.ndim != 1 or not np.ptp(np.nan_to_num(column)) > 0:
        return False
    angle = unit_of(stream.data_key(key).get("units")) in ("deg", "rad", "mdeg", "mrad")
    return is_reading(key) and not angle


def _guesses(own: Mapping[str, float], roles: Roles) -> Iterator[Roles]:
    """Yield every way to fill the open roles that agrees with what each signal does by itself."""
    signals = [roles.it] if roles.it else list(roles.fluorescence[:1]) or list(own)
    for a in [roles.i0] if roles.i0 else _incident(own):
        for b in signals:
            if b is None or a is None or a == b or not abs(own.get(b, 0.0)) > abs(own.get(a, 0.0)):
                continue
            if roles.it or roles.fluorescence:
                yield replace(roles, i0=a, guessed=True)
            elif own[b] < 0:
                yield replace(roles, i0=a, it=b, guessed=True)
            else:
                yield replace(roles, i0=a, fluorescence=(b,), guessed=True)


def _incident(own: Mapping[str, float]) -> list[str]:
    """Return what may be the incident beam: it shows no edge, or falls less than what is behind it.

    What rises is fluorescence, which over transmission shows the edge best of all.
    """
    sizes = [abs(shown) for shown in own.values()] or [0.0]
    calm = _CALM * max(sizes)
    fallen = max(calm, _CLEARLY * min(sizes))
    return [key for key, shown in own.items() if -fallen <= shown <= calm]


def _mu(stream: Stream, axis: Axis, roles: Roles) -> Array:
    """Return μ(E) as far as its contrast matters."""

    def column(key: str | None) -> Array:
        return per_point(stream.columns[str(key)], axis.energy)

    if roles.it is not None:
        return transmission(column(roles.i0), column(roles.it))
    return yield_(column(roles.i0), column(roles.fluorescence[0]))
