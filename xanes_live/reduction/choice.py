"""Which signal of a sweep is predicted from: the configured one, the announced one, the better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xanes_live.config import BeamlineConfig
from xanes_live.domain import Array, Flag, Mode, Quality, Scan
from xanes_live.flags import make
from xanes_live.median import median
from xanes_live.reduction.edge import find_e0
from xanes_live.reduction.locate import expected_energy, locate_edge, rise_at
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.quality import follows_energy
from xanes_live.reduction.signals import NAMES, USES, Readings, Signal

_AUTOMATIC = (Mode.GIVEN, Mode.TRANSMISSION, Mode.FLUORESCENCE)
"""Modes considered unless another is asked for, in order of preference."""
_LEAST_POINTS = 10
_SPIKES = 7
"""Points of the running median; it takes out runs of three."""
_FAR = 12.0
"""Distance from the running median, in medians of that distance, from which a reading is a spike:
eight standard deviations of noise."""
_CLEAR = 50.0
"""Edge step over noise from which transmission needs no comparison: it has no self-absorption."""
_THICK = 0.05
"""Edge step from which a sample is thick enough for transmission to be trusted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The signal chosen, or None with the reason among the flags."""

    signal: Signal | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True, slots=True)
class _Merit:
    """What a signal has to show."""

    step: float
    """Height of the announced edge, 0 where there is none."""
    to_noise: float
    """Its ratio to the noise."""


def choose(
    found: Mapping[Mode, Signal], readings: Readings, scan: Scan, beamline: BeamlineConfig
) -> Choice:
    """Choose among the signals of a sweep.

    Parameters
    ----------
    found
        From :func:`xanes_live.reduction.signals.signals`.
    readings
        The channels they were made from.
    scan
        Announces element, edge and perhaps a mode; the announced signal is taken if it shows the
        edge.
    beamline
        Perhaps configures a mode, which then is the only one considered.
    """
    reaches = _reaches(readings.energy, scan)
    if beamline.mode is not None:
        return _only(beamline.mode, found, readings, reaches=reaches)
    wanted = (*_AUTOMATIC, Mode.REFERENCE) if scan.mode is Mode.REFERENCE else _AUTOMATIC
    candidates = {mode: found[mode] for mode in wanted if mode in found}
    if not candidates:
        return _nothing(found, readings, reaches=reaches)
    best = _best(candidates, readings, scan, reaches=reaches)
    choice = _used(found[best], readings, reaches=reaches)
    if scan.mode is None or scan.mode is best:
        return choice
    reason = _why_missing(scan.mode, readings)
    if scan.mode in found:
        reason = _why_dead(found[scan.mode], readings, reaches=reaches) or "it shows no edge"
    flag = make("mode_changed", announced=scan.mode, reason=reason, used=best)
    return Choice(choice.signal, (*choice.flags, flag))


def _why_missing(mode: Mode, readings: Readings) -> str:
    """Return why there is no signal of a mode: its channels were not recorded, or are of no use."""
    lost = tuple(role for role in USES[mode] if role not in readings.counts)
    notes = _notes(lost, readings)
    return notes[-1].message if notes else "it was not recorded"


def _reaches(energy: Array, scan: Scan) -> bool:
    """Whether the sweep goes past the announced edge, so that the signals must show it."""
    expected = expected_energy(scan.element, scan.edge, scan.e0_announced)
    return expected is None or float(energy[-1]) > expected + 30.0


def _best(
    candidates: Mapping[Mode, Signal], readings: Readings, scan: Scan, *, reaches: bool
) -> Mode:
    """Return the announced mode if it shows the edge, else the better of those that do."""
    preferred = sorted(candidates, key=lambda mode: mode is not scan.mode)
    if len(preferred) == 1:
        return preferred[0]
    merits: dict[Mode, _Merit] = {}
    for mode in preferred:
        merits[mode] = _merit(readings.energy, candidates[mode], scan)
        if merits[mode].step > 0 and mode in {scan.mode, Mode.GIVEN}:
            return mode
    showing = [mode for mode in preferred if merits[mode].step > 0]
    if not showing:
        alive = [
            mode for mode in preferred if not _why_dead(candidates[mode], readings, reaches=reaches)
        ]
        return (alive or preferred)[0]
    transmission = merits.get(Mode.TRANSMISSION, _Merit(0.0, 0.0))
    if transmission.step >= _THICK and transmission.to_noise >= _CLEAR:
        return Mode.TRANSMISSION
    return max(showing, key=lambda mode: merits[mode].to_noise)


def _merit(energy: Array, signal: Signal, scan: Scan) -> _Merit:
    good = signal.valid
    if good.sum() < _LEAST_POINTS:
        return _Merit(0.0, 0.0)
    e, raw = energy[good], signal.mu[good]
    mu = _without_spikes(raw)
    guess = float(find_e0(e, mu))
    e0 = locate_edge(e, mu, guess, scan.element, scan.edge, scan.e0_announced).e0
    if not np.isfinite(e0):
        return _Merit(0.0, 0.0)
    step = rise_at(e, mu, e0).step
    return _Merit(step, step / max(float(noise_level(e, raw, e0)), 1e-6 * step))


def _without_spikes(mu: Array) -> Array:
    """Return the running median, so that spoiled points do not decide between signals."""
    half = _SPIKES // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mu, half, mode="edge"), _SPIKES)
    return median(windows)


def _only(mode: Mode, found: Mapping[Mode, Signal], readings: Readings, *, reaches: bool) -> Choice:
    if mode in found:
        return _used(found[mode], readings, reaches=reaches)
    missing = [NAMES[role] for role in USES[mode] if role not in readings.counts]
    notes = _notes(USES[mode], readings)
    if notes:
        return Choice(None, (make("detector_dead", reason=notes[-1].message), *notes))
    reason = f"{mode} is configured, but {' and '.join(missing)} was not recorded"
    return Choice(None, (make("channels_unknown", reason=reason),))


def _used(signal: Signal, readings: Readings, *, reaches: bool) -> Choice:
    notes = _notes(USES[signal.mode], readings)
    reason = _why_dead(signal, readings, reaches=reaches)
    if reason:
        return Choice(None, (make("detector_dead", reason=reason), *notes))
    return Choice(signal, notes)


def _nothing(found: Mapping[Mode, Signal], readings: Readings, *, reaches: bool) -> Choice:
    """Say why there is no μ(E) at all; a scan of nothing but a foil is taken as that."""
    if Mode.REFERENCE in found:
        return _used(found[Mode.REFERENCE], readings, reaches=reaches)
    notes = _notes(("i0", "it", "fluorescence"), readings)
    if notes:
        return Choice(None, (make("detector_dead", reason=notes[-1].message), *notes))
    recorded = ", ".join(NAMES[role] for role in readings.counts) or "nothing"
    reason = f"neither μ, nor I0 with It or fluorescence; recorded is {recorded}"
    return Choice(None, (make("channels_unknown", reason=reason),))


def _notes(roles: tuple[str, ...], readings: Readings) -> tuple[Flag, ...]:
    return tuple(flag for role in roles for flag in readings.flags.get(role, ()))


def _why_dead(signal: Signal, readings: Readings, *, reaches: bool) -> str:
    """Return in words what is wrong with the detectors of a signal, '' if they work."""
    for role, counts in signal.counters.items():
        reason = _why_silent(role, counts, readings.quality.get(role))
        if reason:
            return f"{NAMES[role]} {reason}"
        # a scan that stops before the edge may well be flat
        if reaches and role != "i0" and not any(map(_follows, (counts, signal.mu))):
            return f"{NAMES[role]} does not follow the energy"
    if signal.valid.sum() < max(_LEAST_POINTS, 0.25 * signal.valid.size):
        return f"only {int(signal.valid.sum())} of {signal.valid.size} points are valid"
    return "" if np.ptp(signal.mu[signal.valid]) > 0 else "the signal is constant"


def _follows(readings: Array) -> bool:
    """Whether readings follow the energy, but for spikes, which hide an edge beneath them."""
    return follows_energy(readings) or follows_energy(_cut(readings))


def _cut(readings: Array) -> Array:
    """Return finite readings, those that stand far off their running median brought back to it.

    Noise stays noise, which the running median itself would smooth.
    """
    finite = readings[np.isfinite(readings)]
    if finite.size < _LEAST_POINTS:
        return finite
    level = _without_spikes(finite)
    off = np.abs(finite - level)
    return np.where(off > _FAR * float(median(off)), level, finite)


def _why_silent(role: str, counts: Array, quality: Quality | None) -> str:
    finite = counts[np.isfinite(counts)]
    if finite.size == 0 or not np.any(finite > 0):
        return "reads nothing"
    if quality is Quality.LOW_AMPLITUDE:
        return "is at the level of its dark current"
    # a constant I0 is what a simulation or a corrected file has; a constant signal is dead
    return "is constant" if role != "i0" and np.ptp(finite) == 0 else ""
