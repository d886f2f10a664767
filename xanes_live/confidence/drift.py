"""What goes on in one direction over the repeats of a sample, or changes at once.

Pure functions of spectra on one energy grid. A repeat differs from the next by counting noise, by
small changes of scale and energy that every beamline has, and by whatever happens to the sample;
only what is larger than the first two, and goes on in one direction, is called a drift.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr

from xanes_live.confidence.measures import MEASURES, Measure
from xanes_live.confidence.stacked import Stack
from xanes_live.domain import Array, Drift

SIGNIFICANT = 0.01
"""Chance of a drift in repeats that do not drift, all measures together."""
MONOTONIC = 0.8
"""Least rank correlation with the order of the repeats."""
_PRIOR = 4.0
"""Degrees of freedom that the scatter expected of repeats counts for, beside the scatter seen: two
or three repeats cannot tell their own scatter (moderated t: G. K. Smyth, *Stat. Appl. Genet. Mol.
Biol.* 3, 3 (2004))."""
_WIDTH = 7
"""Points over which spectra are averaged before they are compared with each other."""
_OUTLYING = 3.5
"""Distance from the others, relative to what is usual among them, from which one disagrees."""
_MATTERS = 0.02
"""Least root-mean-square disagreement that matters, edge steps: two laboratories' good spectra of
one compound differ by as much."""
_SHARED = 0.6
"""Root-mean-square over the XANES of what an error of the edge step does to a spectrum, relative to
it: measured spectra were given noise, normalised and compared."""
MONOTONIC = 0.8
"""Least rank correlation with the order of the repeats."""
_PRIOR = 4.0
"""Degrees of freedom that the scatter expected of repeats counts for, beside the scatter seen: two
or three repeats cannot tell their own scatter (moderated t: G. K. Smyth, *Stat. Appl. Genet. Mol.
Biol.* 3, 3 (2004))."""
_WIDTH = 7
"""Points over which spectra are averaged before they are compared with each other."""
_OUTLYING = 3.5
"""Distance from the others, relative to what is usual among them, from which one disagrees."""
_MATTERS = 0.02
"""Least root-mean-square disagreement that matters, edge steps: two laboratories' good spectra of
one compound differ by as much."""
_SHARED = 0.6
"""Root-mean-square over the XANES of what an error of the edge step does to a spectrum, relative to
it: measured spectra were given noise, normalised and compared."""
_PRIOR = 4.0
"""Degrees of freedom that the scatter expected of repeats counts for, beside the scatter seen: two
or three repeats cannot tell their own scatter (moderated t: G. K. Smyth, *Stat. Appl. Genet. Mol.
Biol.* 3, 3 (2004))."""
_WIDTH = 7
"""Points over which spectra are averaged before they are compared with each other."""
_OUTLYING = 3.5
"""Distance from the others, relative to what is usual among them, from which one disagrees."""
_MATTERS = 0.02
"""Least root-mean-square disagreement that matters, edge steps: two laboratories' good spectra of
one compound differ by as much."""
_SHARED = 0.6
"""Root-mean-square over the XANES of what an error of the edge step does to a spectrum, relative to
it: measured spectra were given noise, normalised and compared."""


def drift(stack: Stack) -> Drift | None:
    """Return the most certain drift of a series of repeats; None if nothing drifts.

    Parameters
    ----------
    stack
        At least three repeats in the order they were taken.
    """
    if len(stack.mu) < 3:
        return None
    found = [d for d in (_drift_of(stack, measure) for measure in MEASURES) if d is not None]
    return min(found, key=lambda d: d.chance, default=None)


def _drift_of(stack: Stack, measure: Measure) -> Drift | None:
    values, by_noise = measure.of(stack)
    n = values.size
    if not np.isfinite(values).all() or abs(rank_correlation(values)) < MONOTONIC:
        return None
    order = np.arange(n) - 0.5 * (n - 1)
    slope = float(order @ values) / float(order @ order)
    left = values - values.mean() - slope * order
    expected = by_noise**2 + measure.repeatable**2
    variance = (_PRIOR * expected + float(left @ left)) / (_PRIOR + n - 2)
    t = abs(slope) / np.sqrt(variance / float(order @ order))
    chance = min(1.0, 2.0 * float(stdtr(_PRIOR + n - 2, -t)) * len(MEASURES))
    change = slope * (n - 1)
    if chance > SIGNIFICANT or abs(change) < measure.harmless:
        return None
    keep = 1 + int(measure.harmless / abs(slope))
    return Drift(measure.name, measure.unit, change, chance, min(keep, n - 1))


def step_after(stack: Stack, first: int) -> Drift | None:
    """Return the most certain change between the first repeats and all later ones; None if none.

    A change that is over at once, or saturates, has no slope.

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
    # any of the n - 1 places might have been found
    tests = len(MEASURES) * (n - 1)
    chance = min(1.0, 2.0 * float(stdtr(degrees, -t)) * tests)
    if chance > SIGNIFICANT or abs(change) < measure.harmless:
        return None
    moved = np.abs(before - before[0]) > max(measure.harmless, 3.0 * np.sqrt(expected))
    keep = int(np.argmax(moved)) if moved.any() else first
    return Drift(measure.name, measure.unit, change, chance, keep)


def rank_correlation(values: Array) -> float:
    """Return Spearman's correlation of values with their order; 0 if they are all equal."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    if np.ptp(values) == 0.0:
        return 0.0
    return float(np.corrcoef(ranks, np.arange(values.size))[0, 1])
