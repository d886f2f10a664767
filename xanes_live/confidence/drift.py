"""What goes on in one direction over the repeats of a sample, or changes at once.

Pure functions of spectra on one energy grid. A repeat differs from the next by counting noise, by
small changes of scale and energy that every beamline has, and by whatever happens to the sample;
only what is larger than the first two, and goes on in one direction, is called a drift.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import stdtr

from xanes_live.confidence.measures import MEASURES, Measure
from xanes_live.confidence.stacked import Stack
from xanes_live.domain import Array, Drift

SIGNIFICANT, _LONG = (0.01, 0.002), 5
"""Chance of a drift in repeats that do not drift, all measures together: of so many repeats or
fewer, and of more. A series is judged anew with every repeat, and what is told stays told: at these
levels under 1 % of steady series are ever told to drift (``docs/explanation/confidence.md``)."""
MONOTONIC = 0.8
"""Least rank correlation with the order of the repeats."""
_PRIOR = 4.0
"""Degrees of freedom that the scatter expected of repeats counts for, beside the scatter seen: two
or three repeats cannot tell their own scatter (moderated t: G. K. Smyth, *Stat. Appl. Genet. Mol.
Biol.* 3, 3 (2004))."""
_OF_ODD = 0.01
"""Chance of a change after first repeats that are odd."""
_PLACES = 3
"""As many independent places of a step as any number: neighbouring ones share most repeats."""
_MOVED = 3.0
"""How far one before a step is from the first to have moved, expected standard deviations. Of
simulated series of eight that step by 15 or 30 % of the way to another compound after the fourth,
all four are kept in 92 % (83 % with 2, 97 % with 5). Where the third and fourth are 40 and 80 % on
the way already, the third is kept in 27 % (17 %, 43 %) and the fourth in 2 % (2 %, 3 %)."""


def drift(stack: Stack) -> Drift | None:
    """Return the most certain drift of a series of repeats; None if nothing drifts.

    What an earlier part of the series told stays told while later repeats do not refute it by
    going back: a change that saturates has less and less of a slope the longer it is looked at.

    Parameters
    ----------
    stack
        At least three repeats in the order they were taken.
    """
    for n in range(len(stack.mu), 2, -1):
        found = _within(stack.take(range(n)))
        if found is not None and n == len(stack.mu):
            return found
        if found is not None:
            return _since(stack, found, n)
    return None


def _within(stack: Stack) -> Drift | None:
    """Return the most certain drift or step of all repeats."""
    found = []
    for measure in MEASURES:
        values, by_noise = measure.of(stack)
        if np.isfinite(values).all():
            found += [_slope(measure, values, by_noise), _best_step(measure, values, by_noise)]
    return min((d for d in found if d is not None), key=lambda d: d.chance, default=None)


def _since(stack: Stack, found: Drift, n: int) -> Drift | None:
    """Return a drift of the first n as it is now; None if the later repeats went back half-way."""
    measure = next(m for m in MEASURES if m.name == found.measure)
    values, _ = measure.of(stack)
    values = values - values[: found.keep].mean()
    then, later = float(values[found.keep : n].mean()), float(values[n:].mean())
    if not later * np.sign(then) > 0.5 * abs(then):
        return None
    now = float(values[found.keep :].mean())
    return replace(found, change=abs(now) * float(np.sign(found.change)))


def from_first(stack: Stack, found: Drift) -> Drift:
    """Return a drift of the repeats after the first as one of all, of which the first is kept.

    Parameters
    ----------
    stack
        All repeats. The first is unlike the others, which drift.
    found
        Their drift: the first took the largest change with it.
    """
    measure = next(m for m in MEASURES if m.name == found.measure)
    values, _ = measure.of(stack)
    order = np.arange(values.size - 1) - 0.5 * (values.size - 2)
    slope = float(order @ values[1:]) / float(order @ order)
    change = float(values[1:].mean()) + slope * float(order[-1]) - float(values[0])
    # a first one that is odd for another reason may lie on the other side of the drift
    on_the_way = change * slope > 0.0 and abs(change) > abs(found.change)
    change = abs(change) * float(np.sign(found.change)) if on_the_way else found.change
    return replace(found, change=change, keep=1)


def _slope(measure: Measure, values: Array, by_noise: float) -> Drift | None:
    """Return the drift of values that go on in one direction."""
    n = values.size
    if abs(rank_correlation(values)) < MONOTONIC:
        return None
    order = np.arange(n) - 0.5 * (n - 1)
    slope = float(order @ values) / float(order @ order)
    left = values - values.mean() - slope * order
    expected = by_noise**2 + measure.repeatable**2
    variance = (_PRIOR * expected + float(left @ left)) / (_PRIOR + n - 2)
    t = abs(slope) / np.sqrt(variance / float(order @ order))
    chance = min(1.0, 2.0 * float(stdtr(_PRIOR + n - 2, -t)) * len(MEASURES))
    change = slope * (n - 1)
    if chance > significant(n) or abs(change) < measure.harmless:
        return None
    keep = 1 + int(measure.harmless / abs(slope))
    return Drift(measure.name, measure.unit, change, chance, min(keep, n - 1))


def _best_step(measure: Measure, values: Array, by_noise: float) -> Drift | None:
    """Return the clearest change at once with two repeats or more on either side of it.

    One repeat that is unlike all others is an odd one.
    """
    n = values.size
    if n < 5:  # two and two of four are as often unlike by accident
        return None
    before = np.arange(2, n - 1)
    after = n - before
    sums = np.cumsum(values)[before - 1]
    rest = values.sum() - sums
    within = float(values @ values) - sums**2 / before - rest**2 / after
    expected = by_noise**2 + measure.repeatable**2
    degrees = _PRIOR + n - 2
    variance = (_PRIOR * expected + np.maximum(within, 0.0)) / degrees
    changes = rest / after - sums / before
    t = np.abs(changes) / np.sqrt(variance * (1.0 / before + 1.0 / after))
    best = int(np.argmax(t))
    tests = len(MEASURES) * min(_PLACES, n - 3)
    chance = min(1.0, 2.0 * float(stdtr(degrees, -t[best])) * tests)
    change = float(changes[best])
    if chance > significant(n) or abs(change) < measure.harmless:
        return None
    keep = _unmoved(measure, values[: before[best]], expected)
    return Drift(measure.name, measure.unit, change, chance, keep)


def _unmoved(measure: Measure, before: Array, expected: float) -> int:
    """Return how many of those before a step are like the first: others are on the way already."""
    moved = np.abs(before - before[0]) > max(measure.harmless, _MOVED * np.sqrt(expected))
    return int(np.argmax(moved)) if moved.any() else before.size


def step_after(stack: Stack, first: int) -> Drift | None:
    """Return the most certain change between the first repeats and all later ones; None if none.

    A change that is over at once, or saturates, has no slope. That the first ones are odd has been
    found before, so that less is asked of it than of a drift.

    Parameters
    ----------
    stack
        Repeats in the order they were taken.
    first
        How many of them are before the change, fewer than all.
    """
    found = [d for d in (_step_of(stack, measure, first) for measure in MEASURES) if d is not None]
    return min(found, key=lambda d: d.chance, default=None)


def _step_of(stack: Stack, measure: Measure, first: int) -> Drift | None:
    values, by_noise = measure.of(stack)
    if not np.isfinite(values).all():
        return None
    n, before, after = values.size, values[:first], values[first:]
    change = float(after.mean() - before.mean())
    # those before may be on the way already: the scatter is that of the settled ones
    degrees = _PRIOR + after.size - 1
    expected = by_noise**2 + measure.repeatable**2
    variance = (_PRIOR * expected + float(after.var()) * after.size) / degrees
    t = abs(change) / np.sqrt(variance * (1.0 / before.size + 1.0 / after.size))
    # any of the n - 1 places might have been found, but that after the first is one of its own
    tests = len(MEASURES) * (n - 1 if first > 1 else 1)
    chance = min(1.0, 2.0 * float(stdtr(degrees, -t)) * tests)
    if chance > _OF_ODD or abs(change) < measure.harmless:
        return None
    keep = _unmoved(measure, before, expected)
    return Drift(measure.name, measure.unit, change, chance, keep)


def significant(n: int) -> float:
    """Return the chance below which a drift of n repeats is told."""
    return SIGNIFICANT[n > _LONG]


def rank_correlation(values: Array) -> float:
    """Return Spearman's correlation of values with their order; 0 if they are all equal."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    if np.ptp(values) == 0.0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(values.size))[0, 1])
