"""Which signal of a sweep is predicted from: the configured one, the announced one, the better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xanes_live.config import BeamlineConfig
from xanes_live.domain import Flag, Mode, Scan
from xanes_live.flags import make
from xanes_live.reduction.edge import find_e0
from xanes_live.reduction.locate import Rise, locate_edge, rise_at
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.quality import follows_energy
from xanes_live.reduction.signals import NAMES, USES, Readings, Signal

_LEAST_POINTS = 10
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

    rise: Rise | None
    """The announced edge, None where there is none."""
    to_noise: float


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
        Announces element, edge and perhaps a mode.
    beamline
        Perhaps configures a mode, which then is the only one considered.
    """
    if beamline.mode is not None:
        return _only(beamline.mode, found, readings)
    energy = readings.energy
    merits: dict[Mode, _Merit] = {}

    def merit(mode: Mode) -> _Merit:
        if mode not in merits:
            merits[mode] = _merit(energy, found[mode], scan)
        return merits[mode]

    order = [mode for mode in (Mode.GIVEN, Mode.TRANSMISSION, Mode.FLUORESCENCE) if mode in found]
    announced = scan.mode
    if announced is not None and announced in found:
        others = [mode for mode in order if mode is not announced]
        if not others or not _dead(found[announced]) or merit(announced).rise:
            return _used(found[announced], readings)
    if not order:
        return _nothing(found, readings)
    showing = [mode for mode in order if len(order) == 1 or merit(mode).rise is not None]
    if not showing:
        return _used(found[order[0]], readings)
    best = showing[0]
    if len(showing) > 1 and best is not Mode.GIVEN:
        best = _better(merit(Mode.TRANSMISSION), merit(Mode.FLUORESCENCE))
    choice = _used(found[best], readings)
    if announced is None or announced is best:
        return choice
    reason = "it was not recorded" if announced not in found else _why_dead(found[announced])
    flag = make("mode_changed", announced=announced, reason=reason, used=best)
    return Choice(choice.signal, (*choice.flags, flag))


def _better(transmission: _Merit, fluorescence: _Merit) -> Mode:
    thick = transmission.rise is not None and transmission.rise.step >= _THICK
    if (
        thick and transmission.to_noise >= _CLEAR
    ) or transmission.to_noise >= fluorescence.to_noise:
        return Mode.TRANSMISSION
    return Mode.FLUORESCENCE


def _merit(energy: np.ndarray, signal: Signal, scan: Scan) -> _Merit:
    good = signal.valid
    if good.sum() < _LEAST_POINTS:
        return _Merit(None, 0.0)
    e, mu = energy[good], signal.mu[good]
    guess = float(find_e0(e, mu))
    located = locate_edge(e, mu, guess, scan.element, scan.edge, scan.e0_announced)
    if not np.isfinite(located.e0):
        return _Merit(None, 0.0)
    rise = rise_at(e, mu, located.e0)
    noise = max(float(noise_level(e, mu, located.e0)), 1e-6 * abs(rise.step))
    return _Merit(rise, rise.step / noise)


def _only(mode: Mode, found: Mapping[Mode, Signal], readings: Readings) -> Choice:
    if mode in found:
        return _used(found[mode], readings)
    missing = [NAMES[role] for role in USES[mode] if role not in readings.counts]
    notes = _notes(USES[mode], readings)
    if notes:
        return Choice(None, (make("detector_dead", reason=notes[-1].message), *notes))
    reason = f"{mode} is configured, but {' and '.join(missing)} was not recorded"
    return Choice(None, (make("channels_unknown", reason=reason),))


def _used(signal: Signal, readings: Readings) -> Choice:
    notes = _notes(USES[signal.mode], readings)
    if _dead(signal):
        reason = _why_dead(signal)
        return Choice(None, (make("detector_dead", reason=reason), *notes))
    return Choice(signal, notes)


def _nothing(found: Mapping[Mode, Signal], readings: Readings) -> Choice:
    """Say why there is no μ(E) at all; a scan of nothing but a foil is taken as that."""
    if Mode.REFERENCE in found:
        return _used(found[Mode.REFERENCE], readings)
    notes = _notes(("i0", "it", "fluorescence"), readings)
    if notes:
        return Choice(None, (make("detector_dead", reason=notes[-1].message), *notes))
    recorded = ", ".join(NAMES[role] for role in readings.counts) or "nothing"
    reason = f"neither μ, nor I0 with It or fluorescence; recorded is {recorded}"
    return Choice(None, (make("channels_unknown", reason=reason),))


def _notes(roles: tuple[str, ...], readings: Readings) -> tuple[Flag, ...]:
    return tuple(flag for role in roles for flag in readings.flags.get(role, ()))


def _dead(signal: Signal) -> bool:
    return bool(_why_dead(signal))


def _why_dead(signal: Signal) -> str:
    """Return in words what is wrong with the detectors of a signal, '' if they work."""
    for role, counts in signal.counters.items():
        finite = counts[np.isfinite(counts)]
        if finite.size == 0 or not np.any(finite > 0):
            return f"{NAMES[role]} reads nothing"
        # a constant I0 is what a simulation or a corrected file has; a constant signal is dead
        if role != "i0" and not follows_energy(counts) and not follows_energy(signal.mu):
            return f"{NAMES[role]} does not follow the energy"
    if signal.valid.sum() < max(_LEAST_POINTS, 0.25 * signal.valid.size):
        return f"only {int(signal.valid.sum())} of {signal.valid.size} points are valid"
    if not np.ptp(signal.mu[signal.valid]) > 0:
        return "the signal is constant"
    return ""
