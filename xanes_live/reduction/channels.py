"""Scan → Spectrum: from detector readings to one clean μ(E) a sweep.

Order of work: energies are put in order, channels read and judged, the signal chosen, impossible
and spoiled points found and taken out. Everything that was wrong ends up as a flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Array, Channels, Flag, Mode, Scan, Spectrum, Unusable
from xanes_live.flags import make
from xanes_live.median import median
from xanes_live.reduction.absorption import against_transmission
from xanes_live.reduction.choice import choose
from xanes_live.reduction.glitches import Excursion, find_excursions
from xanes_live.reduction.locate import expected_energy
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.signals import NAMES, Readings, Signal, read_channels, signals
from xanes_live.reduction.steps import find_jump
from xanes_live.reduction.sweep import Order, put_in_order

MIN_POINTS = 10
"""Sweeps of fewer points are not spectra."""
_NEAR = (-30.0, 70.0)
"""Where lost points spoil the XANES, eV relative to the edge."""
_MANY_LOST = 0.1
"""Fraction of the points whose loss spoils a spectrum wherever it is."""
_FEW_INVALID = 0.02
"""Fraction of invalid readings up to which dropping them is worth no warning."""
_BY_CHANCE = 0.1
"""Number of gaps of one length, expected of readings lost at random, that are no loss of beam."""
_FEW_MISSING = 0.02
"""Fraction of the announced points that may be missing."""
_EXPLAIN = {"scan_aborted", "scan_failed", "no_stop", "data_missing", "data_truncated"}
"""Flags of a run that already say why points are missing."""
_OVER_I0 = {Mode.TRANSMISSION, Mode.FLUORESCENCE}
"""Modes in which μ is made of I0."""
_REFERENCE_GAPS = 0.05
"""Fraction of invalid points up to which the reference is interpolated."""


def spectra_from_scan(
    scan: Scan, beamline: BeamlineConfig, reduction: ReductionConfig
) -> tuple[Spectrum | Unusable, ...]:
    """Reduce all sweeps of a scan to μ(E).

    Parameters
    ----------
    scan
        One run; its own flags are not repeated.
    beamline
        Dark counts, saturation levels, mode, excluded elements.
    reduction
        Whether glitches are removed or only reported.

    Returns
    -------
    tuple
        One entry a sweep, in order: the spectrum, or why there is none.
    """
    return tuple(
        _reduce(index, sweep, scan, beamline, reduction) for index, sweep in enumerate(scan.sweeps)
    )


def _reduce(
    index: int,
    sweep: Channels,
    scan: Scan,
    beamline: BeamlineConfig,
    reduction: ReductionConfig,
) -> Spectrum | Unusable:
    order = put_in_order(sweep.energy)
    flags = (*_count_flags(scan, sweep.energy.size), *_order_flags(order))
    if order.energy.size < MIN_POINTS:
        return Unusable(index, (*flags, make("too_few_points", count=order.energy.size, where="")))
    readings = read_channels(sweep, order, scan, beamline)
    found = signals(readings)
    choice = choose(found, readings, scan, beamline)
    flags = (*flags, *choice.flags)
    if choice.signal is None:
        return Unusable(index, flags)
    signal = choice.signal
    cleaned = _clean(readings, signal, scan, remove=reduction.deglitch)
    damped = against_transmission(readings, signal)
    flags = (*flags, *cleaned.flags, *(damped or ()))
    energy = readings.energy[cleaned.kept]
    if energy.size < MIN_POINTS:
        return Unusable(index, (*flags, make("too_few_points", count=energy.size, where="")))
    mu = signal.mu[cleaned.kept]
    noise = float(noise_level(energy, mu, cleaned.edge))
    i0 = _kept(readings.counts.get("i0"), cleaned.kept)
    flags = (*flags, *_jump_flags(energy, mu, i0, signal.mode, cleaned.edge, noise))
    return Spectrum(
        energy=energy,
        mu=mu,
        mode=signal.mode,
        element=scan.element,
        edge=scan.edge,
        index=index,
        reference=_reference(found, readings.energy, signal.mode, cleaned.kept),
        i0=i0,
        noise=noise if np.isfinite(noise) else None,
        quality=readings.quality,
        e0_announced=scan.e0_announced,
        compared=damped is not None,
        flags=flags,
    )


def _count_flags(scan: Scan, points: int) -> tuple[Flag, ...]:
    """Compare the points of a scan with those its start document announced."""
    announced = scan.metadata.get("num_points")
    if not isinstance(announced, int) or len(scan.sweeps) != 1:
        return ()
    if points >= (1.0 - _FEW_MISSING) * announced or _EXPLAIN & {f.code for f in scan.flags}:
        return ()
    return (make("scan_incomplete", points=points, announced=announced),)


def _order_flags(order: Order) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    if order.dropped:
        flags.append(make("points_dropped", count=order.dropped, reason="no valid energy"))
    if order.rearranged:
        flags.append(make("not_sorted"))
    if order.merged:
        reason = "averaged with others of the same energy"
        count = order.picked.size - order.energy.size
        flags.append(make("points_dropped", count=count, reason=reason))
    return tuple(flags)


@dataclass(frozen=True, slots=True)
class _Cleaned:
    """Which points are kept and what was wrong with the others."""

    kept: NDArray[np.bool_]
    edge: float | None
    """Where the edge is expected, eV."""
    flags: tuple[Flag, ...]


def _clean(readings: Readings, signal: Signal, scan: Scan, *, remove: bool) -> _Cleaned:
    """Find invalid and spoiled points of a signal."""
    energy, valid = readings.energy, signal.valid
    edge = _edge(energy, scan)
    e, mu = energy[valid], signal.mu[valid]
    counters = {role: values[valid] for role, values in signal.counters.items()}
    spoiled = find_excursions(e, mu, edge=edge, step=_rough_step(e, mu, edge), counters=counters)
    where = np.flatnonzero(valid)
    bad = np.zeros(energy.size, dtype=bool)
    for run in spoiled:
        bad[where[run.start : run.stop]] = True
    gaps = _gaps(valid)
    flags = (
        *_invalid_flags(signal, valid),
        *_loss_flags(energy, [where[r.start : r.stop] for r in spoiled if r.dropout] + gaps, edge),
        *_glitch_flags(e, [r for r in spoiled if not r.dropout], removed=remove),
    )
    return _Cleaned(valid & ~bad if remove else valid, edge, flags)


def _edge(energy: Array, scan: Scan) -> float | None:
    expected = expected_energy(scan.element, scan.edge, scan.e0_announced)
    if expected is None or not energy[0] < expected < energy[-1]:
        return None
    return expected


def _rough_step(energy: Array, mu: Array, edge: float | None) -> float:
    """Return the height of the edge to a factor of two, as the scale for glitches."""
    if edge is not None:
        below = mu[(energy > edge - 60.0) & (energy < edge - 10.0)]
        above = mu[(energy > edge + 20.0) & (energy < edge + 80.0)]
        if below.size >= 2 and above.size >= 2:
            return abs(float(median(above) - median(below)))
    low, high = np.percentile(mu, (10.0, 90.0))
    return float(high - low)


def _gaps(valid: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return runs of two or more invalid points between valid ones.

    None that are no longer than readings lost here and there make by chance.
    """
    inner = np.flatnonzero(valid)
    if inner.size in {0, valid.size}:
        return []
    share = 1.0 - inner.size / valid.size
    by_chance = np.log(_BY_CHANCE / inner.size) / np.log(share)
    wide = np.flatnonzero(np.diff(inner) - 1 > max(1.0, by_chance))
    return [np.arange(inner[k] + 1, inner[k + 1]) for k in wide]


def _invalid_flags(signal: Signal, valid: NDArray[np.bool_]) -> tuple[Flag, ...]:
    count = int(np.sum(~valid))
    if count == 0:
        return ()
    if count <= _FEW_INVALID * valid.size:
        return (make("points_dropped", count=count, reason="invalid readings"),)
    invalid = {
        role: int(np.sum(~(np.isfinite(values) & (values > 0))))
        for role, values in signal.counters.items()
    } or {"mu": count}
    worst = max(invalid, key=lambda role: invalid[role])
    return (make("channel_invalid", channel=NAMES[worst], count=max(count, 1)),)


def _loss_flags(
    energy: Array, losses: list[NDArray[np.intp]], edge: float | None
) -> tuple[Flag, ...]:
    """Flag lost points where they spoil the spectrum, else mention them."""
    flags: list[Flag] = []
    for lost in losses:
        at = energy[lost] - (edge if edge is not None else energy[lost[0]])
        near = bool(np.any((at > _NEAR[0]) & (at < _NEAR[1])))
        if near or lost.size > _MANY_LOST * energy.size:
            flags.append(make("dropout", energy=float(energy[lost[0]]), count=lost.size))
        else:
            flags.append(make("points_dropped", count=lost.size, reason="intensity was lost"))
    return tuple(flags)


def _glitch_flags(energy: Array, glitches: list[Excursion], *, removed: bool) -> tuple[Flag, ...]:
    if not glitches:
        return ()
    largest = max(glitches, key=lambda run: run.size)
    count = sum(run.stop - run.start for run in glitches)
    code = "glitch" if removed else "glitch_kept"
    return (make(code, count=count, energy=float(energy[largest.start])),)


def _jump_flags(
    energy: Array, mu: Array, i0: Array | None, mode: Mode, edge: float | None, noise: float
) -> tuple[Flag, ...]:
    """Flag a jump of μ to another level, on the scale of the edge step without it."""
    found = find_jump(
        energy,
        mu,
        mode=mode,
        edge=edge,
        step=_rough_step(energy, mu, edge),
        noise=noise,
        i0=i0 if mode in _OVER_I0 else None,
    )
    if found is None:
        return ()
    at, jump = found
    step = _rough_step(energy, mu - jump * (energy >= at), edge)
    return (make("signal_steps", energy=at, size=jump / step),) if step > 0 else ()


def _reference(
    found: Mapping[Mode, Signal], energy: Array, mode: Mode, kept: NDArray[np.bool_]
) -> Array | None:
    """Return μ(E) of the foil at the points that are kept, if there is one."""
    if mode is Mode.REFERENCE:
        return None
    foil = found.get(Mode.REFERENCE)
    if foil is None:
        return None
    valid, mu = foil.valid[kept], foil.mu[kept]
    if valid.sum() < MIN_POINTS or np.mean(~valid) > _REFERENCE_GAPS:
        return None
    energy = energy[kept]
    return mu if valid.all() else np.interp(energy, energy[valid], mu[valid])


def _kept(values: Array | None, kept: NDArray[np.bool_]) -> Array | None:
    return None if values is None else np.ascontiguousarray(values[kept])
