"""Quality of single detector channels, in the words of NSLS-II ISS."""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array, Flag, Quality
from xanes_live.flags import make
from xanes_live.median import median
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.runs import runs

INVALID = 0.10
"""Fraction of impossible readings from which a channel is called invalid."""
_PLATEAU = 5
"""Points in a row at exactly the highest reading that mean clipping."""
_CLIPPABLE = 1000.0
"""Highest readings below this repeat by chance in counted data."""
_FROZEN = 8
"""Points in a row with one reading from which a channel hangs."""
_REPEATS = 0.05
"""Share of equal neighbours from which equal readings say nothing: few counts, or few digits."""
_DIGITS = 20.0
"""Smallest steps in a reading below which it repeats because its digits are so coarse."""
_NOTHING = 0.03
"""Fraction of high readings, of the 95th percentile, below which the lowest is that of nothing to
count."""
_WHITE = 1.4
"""Von Neumann's ratio from which readings are noise: it is 2 for noise, near 0 for structure."""


def channel_quality(readings: Array, saturated: float = 0.0) -> Quality:
    """Judge one channel.

    Parameters
    ----------
    readings
        Counts after dark subtraction, shape (n_points,).
    saturated
        From :func:`saturated_fraction` of the counts as read.
    """
    read = np.isfinite(readings)
    good = read & (readings > 0)
    if good.sum() < 0.5 * read.sum():  # of what was read: what was not says nothing of the beam
        return Quality.LOW_AMPLITUDE
    if good.sum() < max((1.0 - INVALID) * good.size, 1.0):
        return Quality.INVALID_VALUES
    if saturated > 0.0:
        return Quality.SATURATED
    level = float(median(readings[good]))
    spread = float(median(np.abs(np.diff(readings[good])))) if good.sum() > 2 else 0.0
    weak = spread > 0.5 * level and not follows_energy(readings[good])
    return Quality.LOW_AMPLITUDE if weak else Quality.GOOD


def saturated_fraction(raw: Array, saturation: float | None = None) -> float:
    """Return the fraction of points at saturation.

    Without a known level, points count that stay at exactly the channel's highest reading for five
    points or more, unless the channel is constant throughout.
    """
    finite = raw[np.isfinite(raw)]
    if finite.size == 0:
        return 0.0
    if saturation is not None:
        return float(np.mean(finite >= saturation))
    top = float(finite.max())
    if top < _CLIPPABLE or top == float(finite.min()):
        return 0.0
    highest = raw == top
    if np.count_nonzero(highest) < _PLATEAU:
        return 0.0
    lengths = [run.stop - run.start for run in runs(highest)]
    clipped: int = sum(length for length in lengths if length >= _PLATEAU)
    return clipped / raw.size


def frozen(readings: Array, *, clips: bool = True) -> tuple[slice, ...]:
    """Return the runs of points at which a channel hangs, giving one reading.

    A channel that rests at its lowest reading, near zero or from the first point or to the last,
    has nothing to count; at its highest it is clipped or counts to a preset; one that never changes
    was set so, or written so.

    Parameters
    ----------
    readings
        Counts after dark subtraction, shape (n_points,).
    clips
        Whether a run at the highest reading is clipping; μ is not a reading and has no highest.
    """
    steps = np.abs(np.diff(readings))
    same = [slice(run.start, run.stop + 1) for run in runs(steps == 0.0)]
    same = [run for run in same if run.stop - run.start >= _FROZEN]
    if not same:
        return ()
    hung = np.zeros(readings.size, dtype=bool)
    for run in same:
        hung[run] = True
    others, moves = readings[~hung], steps[steps > 0.0]
    if others.size < _FROZEN or not moves.size:
        return ()
    by_chance = np.sum((steps == 0.0) & ~(hung[1:] & hung[:-1]))
    if by_chance > _REPEATS * others.size:
        return ()
    low, high = np.nanmin(others), np.nanmax(others) if clips else np.inf
    nothing = _NOTHING * float(np.nanpercentile(others, 95.0))
    least = max(0.0, _DIGITS * float(moves.min()))
    return tuple(
        run
        for run in same
        if least < readings[run.start] < high
        and not (readings[run.start] <= low and _rests(run, readings, nothing))
    )


def _rests(run: slice, readings: Array, nothing: float) -> bool:
    """Whether a channel at its lowest reading counts nothing, rather than hangs amid the scan."""
    return bool(readings[run.start] < nothing or run.start == 0 or run.stop == readings.size)


def follows_energy(readings: Array) -> bool:
    """Whether readings vary from point to point less than over the scan (they are not noise).

    The measure is von Neumann's ratio of the mean square successive difference to the variance.
    """
    finite = readings[np.isfinite(readings)]
    if finite.size < 5:
        return False
    variance = float(finite.var())
    if variance <= 1e-24 * float(np.abs(finite).max()) ** 2:
        return False
    return float(np.mean(np.diff(finite) ** 2)) / variance < _WHITE


def saturated_flag(name: str, readings: Array, fraction: float) -> Flag:
    """Return the flag of a channel that is clipped at `fraction` of its points."""
    highest = float(np.nanmax(readings))
    top = f"{highest:.0f}" if highest >= _CLIPPABLE else f"{highest:.3g}"
    return make("channel_saturated", channel=name, fraction=fraction, top=top)


def quality_flag(name: str, quality: Quality, readings: Array, fraction: float) -> Flag | None:
    """Return the flag for a channel that is not good.

    Parameters
    ----------
    name
        What the operator calls the channel: 'I0', 'It', …
    quality
        From :func:`channel_quality`.
    readings
        Counts after dark subtraction, shape (n_points,).
    fraction
        From :func:`saturated_fraction`.
    """
    if quality is Quality.SATURATED:
        return saturated_flag(name, readings, fraction)
    if quality is Quality.LOW_AMPLITUDE:
        return make("channel_low", channel=name)
    if quality is Quality.INVALID_VALUES:
        bad = int(np.sum(~(np.isfinite(readings) & (readings > 0))))
        return make("channel_invalid", channel=name, count=bad)
    return None


def frozen_flag(
    name: str, energy: Array, readings: Array, quality: Quality, *, clips: bool = True
) -> Flag | None:
    """Return the flag for a channel that hangs; a clipped or dead one is told otherwise.

    Parameters
    ----------
    name
        What the operator calls the channel.
    energy
        eV, shape (n_points,).
    readings
        Counts after dark subtraction, shape (n_points,).
    quality
        From :func:`channel_quality`.
    clips
        As for :func:`frozen`.
    """
    hung = frozen(readings, clips=clips) if quality is Quality.GOOD else ()
    if not hung:
        return None
    longest = max(hung, key=lambda run: run.stop - run.start)
    low, high = float(energy[longest.start]), float(energy[longest.stop - 1])
    count = sum(run.stop - run.start for run in hung)
    return make("channel_frozen", channel=name, count=count, low=low, high=high)


def disagreement(shape: Array, reference: Array, energy: Array) -> float:
    """Return how far one signal is from being proportional to another plus a constant.

    Parameters
    ----------
    shape, reference
        shape (n_points,).
    energy
        eV, shape (n_points,), strictly increasing.

    Returns
    -------
    float
        Root mean square deviation beyond noise over the span of the fit; infinite where the two
        run in opposite directions.
    """
    centred = reference - reference.mean()
    slope = float(centred @ (shape - shape.mean())) / max(float(centred @ centred), 1e-300)
    if slope <= 0.0:
        return float("inf")
    rest = shape - shape.mean() - slope * centred
    noise = float(noise_level(energy, shape))
    beyond = max(float(rest @ rest) / rest.size - 2.0 * noise**2, 0.0)
    return float(np.sqrt(beyond)) / (slope * float(np.ptp(reference)) + 1e-300)
