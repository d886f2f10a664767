"""Loss of intensity, told from the counters themselves: it goes at once and comes back at once.

So do spikes of a counter, the other way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.median import median
from xanes_live.reduction.noise import MEDIAN_TO_SIGMA
from xanes_live.reduction.runs import runs

_LOST = 0.5
"""Ratio of neighbouring I0 readings that counts as lost intensity."""
_DIMMED = 0.7
"""Ratio of the readings of a run to those beside it that counts as lost, if it is no shape."""
_BEGINS = 0.8
"""Ratio of neighbouring readings at which such a run may begin, its first point half lost."""
_WEAK = 0.15
"""Relative scatter of a counter from which its zeros are counting noise."""
_CERTAIN = 6.0
"""Least fall in standard deviations of the counter's noise: where little is counted, as below the
edge in fluorescence, noise alone halves a reading."""
_FEWEST = 4
"""Positive readings without which there is nothing to lose; points of the shortest dimmed run."""
_LONGEST = 0.1
"""Longest dimmed run, and longest run of spikes, as a fraction of the points."""
_SIDE = 3
"""Points on each side of a dimmed run that have to be calm."""
_STAYS = 5
"""Readings by which a counter has come back to stay."""
_EVEN, _CALM = 0.75, 0.3
"""Least depth of a point of a dimmed run relative to its deepest, and how far points beside it may
be from the line that joins the sides, relative to the run. A Gaussian of which n ≥ 4 points are as
even has points beside it that stand off more: the ratio of the logarithms of the two numbers is
above ((n + 1)/(n − 1))²."""
_FLAT, _STILL = 0.85, 0.2
"""The same where a point on either side is left out: it is above ((n + 3)/(n − 1))²."""
_DARK = 0.05
"""Ratio of readings below which there is too little left to measure μ."""
_ROUGHER = 3.0
"""Ratio of the roughness of μ within a run to that of all of it from which it is not measured."""
_SMOOTH = 0.015
"""Jump of μ, relative to its range, that changes nothing; below it a loss is no loss of μ."""


def losses(counters: Mapping[str, Array], mu: Array) -> list[slice]:
    """Return runs of points at which a counter's intensity is lost and comes back.

    Parameters
    ----------
    counters
        Detector readings by role, each shape (n_points,).
    mu
        What was computed from them, shape (n_points,): where it shows nothing of a loss that left
        enough to measure, nothing is lost.
    """
    lost = np.zeros(mu.size, dtype=bool)
    for role, readings in counters.items():
        for run in _lost_runs(readings, _LOST if role == "i0" else _LOST * _LOST):
            if not _harmless(run, readings, mu):
                lost[run] = True
    return runs(lost)


def sunken(mu: Array, step: float) -> list[slice]:
    """Return runs of a few points at which μ itself is lost, in files without counters.

    They are told as those of a counter are; a ratio of 0.7 there is 0.36 edge steps here.
    """
    in_steps = np.clip((mu - float(median(mu))) / step, -20.0, 20.0)
    return _dimmed(np.exp(in_steps), 0.0)


def spikes(counters: Mapping[str, Array], mu: Array, taken: NDArray[np.bool_]) -> list[slice]:
    """Return runs of up to three points at which a counter of the beam reads far too much.

    Parameters
    ----------
    counters
        As for :func:`losses`. Those that read more together were counted for longer; fluorescence
        alone does so at sharp lines.
    mu
        What was computed from them, shape (n_points,): where it shows nothing, nothing is spoiled.
    taken
        Points that are lost, shape (n_points,): what is left between two losses is no spike.
    """
    found = np.zeros(mu.size, dtype=bool)
    for role in counters.keys() - {"fluorescence"}:
        readings, ratio = counters[role], _LOST if role == "i0" else _LOST * _LOST
        if not np.any(ratio * readings[1:] > readings[:-1]):
            continue
        others = [values for other, values in counters.items() if other != role]
        for length in range(1, min(_SIDE, mu.size - 2) + 1):
            factor = _raised(readings, length)
            alone = [_raised(values, length) < 0.5 * factor for values in others]
            high = np.logical_and.reduce([factor * ratio > 1.0, *alone])
            for start in (np.flatnonzero(high) + 1).tolist():
                run = slice(start, start + length)
                lost = taken[start - 1 : start + length + 1].any()
                found[run] |= not (lost or _harmless(run, readings, mu))
    return runs(found)


def _raised(readings: Array, length: int) -> Array:
    """Return by what factor runs read more than the points beside them, 0 where those read nothing.

    Shape (n_points − length − 1,): runs that begin at point 1, 2, ….
    """
    windows = np.lib.stride_tricks.sliding_window_view(readings, length + 2)
    beside = np.maximum(windows[:, 0], windows[:, -1])
    return np.where(beside > 0.0, windows[:, 1:-1].min(axis=1) / np.where(beside > 0, beside, 1), 0)


def _lost_runs(readings: Array, ratio: float) -> list[slice]:
    """Return runs that are lost by `ratio`, and those that are dimmed for a short while."""
    positive = readings[readings > 0]
    if positive.size < _FEWEST:
        return []
    scatter = MEDIAN_TO_SIGMA * float(median(np.abs(np.diff(positive))))
    if scatter > _WEAK * float(median(positive)):
        return []
    peak = float(np.sort(positive)[positive.size * 19 // 20])  # spikes are higher
    level = np.maximum(readings, 1e-9 * peak)
    certain = _CERTAIN * scatter / np.sqrt(2.0)  # of differences of two
    dark = _dark_start(level, peak, certain)
    found = dark + _abrupt(level, ratio, certain, dark[0].stop if dark else 0)
    dimmed = _dimmed(level, certain)
    return found + [run for run in dimmed if not any(_overlap(run, other) for other in found)]


def _overlap(one: slice, other: slice) -> bool:
    return bool(one.start < other.stop and other.start < one.stop)


def _falls(level: Array, ratio: float, certain: float) -> list[int]:
    """Return the points that read less than `ratio` of the one before, beyond noise."""
    fallen = (level[1:] < ratio * level[:-1]) & (level[:-1] - level[1:] > certain)
    found: list[int] = (np.flatnonzero(fallen) + 1).tolist()
    return found


def _abrupt(level: Array, ratio: float, certain: float, end: int) -> list[slice]:
    """Return runs after `end` entered and left in one step by `ratio`, or reaching the end."""
    n, found = level.size, list[slice]()
    for start in _falls(level, ratio, certain):
        if start < end:
            continue
        before = level[start - 1]
        back = np.flatnonzero(level[start:] > ratio * before)
        stop = int(start + back[0]) if back.size else n
        if _ends_a_spike(level, start, stop, ratio, end):
            continue
        abrupt = stop == n or level[stop] * ratio > level[stop - 1]
        if abrupt and (stop == n or stop - start <= n // 3):
            found.append(slice(start, stop))
            end = stop
    return found


def _ends_a_spike(level: Array, start: int, stop: int, ratio: float, end: int) -> bool:
    """Whether readings fall back at `start` from where they had jumped up a few points before.

    The jump up is no spike where it ends the loss before, at `end`, nor where readings come back
    at `stop` to stay.
    """
    first = max(end, start - max(_SIDE, round(_LONGEST * level.size)))
    raised = np.flatnonzero(level[first : start - 1] < ratio * level[first + 1 : start])
    if not raised.size:
        return False
    if stop < level.size and median(level[stop : stop + _STAYS]) > ratio * level[start - 1]:
        return False
    foot = level[first + raised[-1]]
    return bool(ratio * foot < level[start] < foot / ratio)


def _dimmed(level: Array, certain: float) -> list[slice]:
    """Return runs of a few points or more that lie under both sides by much the same factor.

    Entered and left at once, even within and with both sides calm, they have the shape of no line.
    """
    falls = _falls(level, _BEGINS, certain)
    if not falls:
        return []
    n, log = level.size, np.log(level)
    longest = max(2 * _FEWEST, round(_LONGEST * n))
    rises = n - np.array(_falls(level[::-1], _BEGINS, certain)[::-1], dtype=np.intp)
    found = list[slice]()
    for start in falls:
        if start < (found[-1].stop if found else 0):
            continue
        stops = rises[(rises >= start + _FEWEST) & (rises <= start + longest)].tolist()
        found += [box for stop in stops if (box := _box(log, start, stop))][:1]
    return found


def _box(log: Array, start: int, stop: int) -> slice | None:
    """Return the run from `start` to `stop` if logarithms are lower there by much the same.

    With the points before and after it, if the loss began and ended within those.
    """
    if _fits(log, start, stop, 0, _EVEN, _CALM):
        return slice(start, stop)
    if _fits(log, start, stop, 1, _FLAT, _STILL):
        return slice(start - 1, stop + 1)
    return None


def _fits(log: Array, start: int, stop: int, gap: int, even: float, calm: float) -> bool:
    """Whether a run is lower than the line through both sides, which begin `gap` points off it."""
    side = gap + _SIDE
    if start < side or stop + side > log.size:
        return False
    part = log[start - side : stop + side]
    low, high = float(median(part[:_SIDE])), float(median(part[-_SIDE:]))
    at = np.arange(part.size) - _SIDE // 2
    under = low + (high - low) * at / (part.size - _SIDE) - part
    inside, beside = under[side:-side], np.concatenate((under[:_SIDE], under[-_SIDE:]))
    depth, deepest = float(median(inside)), float(inside.max())
    alike = float(inside.min()) > even * deepest and float(np.abs(beside).max()) < calm * depth
    return alike and depth > -np.log(_DIMMED)


def _harmless(run: slice, readings: Array, mu: Array) -> bool:
    """Whether enough was left to measure and μ goes on through the run as if nothing had been."""
    outer = readings[max(run.start - _SIDE, 0) : run.start]
    if not outer.size or median(readings[run]) < _DARK * median(outer):
        return False
    low, high = np.percentile(mu, (10.0, 90.0))
    nothing = _SMOOTH * float(high - low)
    rough = np.abs(mu[1:-1] - 0.5 * (mu[:-2] + mu[2:]))
    usual, within = float(median(rough)), rough[run.start : run.stop - 2]
    if within.size and float(median(within)) > max(_ROUGHER * usual, nothing):
        return False
    allowed = max(nothing, _CERTAIN * MEDIAN_TO_SIGMA * usual)
    return all(_jump(mu, at) < allowed for at in (run.start, run.stop) if at < mu.size)


def _jump(mu: Array, at: int) -> float:
    """Return how far μ jumps at point `at`, beyond anything it changes from point to point there.

    Not beyond its usual change there: where steps in energy grow, or on an edge, that is exceeded.
    """
    steps = np.diff(mu[max(at - 1 - _SIDE, 0) : at + _SIDE + 1])
    own = min(_SIDE, at - 1)
    others = np.delete(steps, own)
    if not others.size:
        return 0.0
    return abs(float(steps[own] - np.clip(steps[own], others.min(), others.max())))


def _dark_start(level: Array, peak: float, certain: float) -> list[slice]:
    """Return the run of points before a detector was switched on at all."""
    dark = level < 1e-6 * peak
    first = int(np.argmin(dark))
    if not dark[0] or dark.all() or level[first] < certain:
        return []
    return [slice(0, first)]
