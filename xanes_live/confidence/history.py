"""What repeats of one sample say about each other: drift, a repeat that disagrees, more repeats.

Pure functions of spectra on one energy grid. A repeat differs from the next by counting noise, by
small changes of scale and energy that every beamline has, and by whatever happens to the sample;
only what is larger than the first two, and goes on in one direction, is called a drift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from scipy.special import stdtr

from xanes_live.confidence.signals import rms
from xanes_live.domain import REPEATABLE, Array, Drift, Outlier

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


@dataclass(frozen=True, slots=True)
class Stack:
    """Repeats on one grid, in the order they were taken."""

    energy: Array
    """eV, shape (n_points,), strictly increasing."""
    mu: Array
    """Flattened μ, shape (n, n_points)."""
    noise: Array
    """Point-to-point noise of each, edge steps, shape (n,)."""
    e0: float
    """Edge energy of the first, eV."""
    wobble: Array | None = None
    """What noise does to the normalisation of each, edge steps, shape (n,); None: nothing. All
    points of a spectrum share it, so that no mean over points makes it smaller."""

    @property
    def wobbles(self) -> Array:
        """`wobble`, zeros where there is none, shape (n,)."""
        return np.zeros(len(self.mu)) if self.wobble is None else self.wobble

    def without(self, position: int) -> Stack:
        """Return the others."""
        return self.take([i for i in range(len(self.mu)) if i != position])

    def take(self, rows: Sequence[int]) -> Stack:
        """Return these."""
        kept = list(rows)
        return Stack(self.energy, self.mu[kept], self.noise[kept], self.e0, self.wobbles[kept])


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a spectrum that may drift."""

    name: str
    unit: str
    of: Callable[[Stack], tuple[Array, float]]
    """Its values, shape (n,), and their standard deviation by noise."""
    repeatable: float
    """Scatter of good repeats beyond noise."""
    harmless: float
    """Change that does no harm to a merge."""


def _by_noise(stack: Stack, points: float, wobbles: float = 1.0) -> float:
    """Return the standard deviation of a mean over `points`, edge steps.

    Noise gets less in a mean, what it does to the normalisation does not: of that the mean takes
    `wobbles`.
    """
    noise, wobble = float(np.median(stack.noise)), float(np.median(stack.wobbles))
    return float(np.hypot(noise / np.sqrt(points), wobbles * wobble))


def _edge_position(stack: Stack) -> tuple[Array, float]:
    """Return where each spectrum first reaches half the edge step, eV."""
    near = (stack.energy > stack.e0 - 25.0) & (stack.energy < stack.e0 + 25.0)
    x, mu = stack.energy[near], stack.mu[:, near]
    values = np.full(len(mu), np.nan)
    steep = 0.1
    for row, y in enumerate(mu if x.size > 1 else ()):
        k = int(np.argmax(y >= 0.5))
        if k > 0:
            rise = max(float(y[k] - y[k - 1]), 1e-6)
            values[row] = x[k - 1] + (0.5 - y[k - 1]) / rise * (x[k] - x[k - 1])
            steep = rise / float(x[k] - x[k - 1])
    return values, _by_noise(stack, 1.0, 0.5) / steep


def _white_line(stack: Stack) -> tuple[Array, float]:
    """Return the height of each at the place where the mean of all is highest, edge steps."""
    near = np.flatnonzero((stack.energy > stack.e0 - 5.0) & (stack.energy < stack.e0 + 30.0))
    if near.size < 5:
        return np.full(len(stack.mu), np.nan), 1.0
    top = near[int(np.argmax(stack.mu[:, near].mean(axis=0)))]
    part = slice(max(top - 2, 0), top + 3)
    return stack.mu[:, part].mean(axis=1), _by_noise(stack, 5.0)


def _pre_edge(stack: Stack) -> tuple[Array, float]:
    """Return the mean of μ where a pre-edge peak may be, edge steps."""
    half = float(np.median(_edge_position(stack)[0]))
    near = (stack.energy > half - 14.0) & (stack.energy < half - 4.0)
    if near.sum() < 3:
        return np.full(len(stack.mu), np.nan), 1.0
    return stack.mu[:, near].mean(axis=1), _by_noise(stack, float(near.sum()))


def _shape(stack: Stack) -> tuple[Array, float]:
    """Return how much each has of what the repeats differ in most, edge steps (rms).

    The first principal component does not know the order of the repeats, so that its rank
    correlation with it is a fair test.
    """
    if len(stack.mu) < 4:
        return np.full(len(stack.mu), np.nan), 1.0
    near = (stack.energy > stack.e0 - 20.0) & (stack.energy < stack.e0 + 60.0)
    centred = stack.mu[:, near] - stack.mu[:, near].mean(axis=0)
    if near.sum() < 5:
        return np.full(len(stack.mu), np.nan), 1.0
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    n, points = centred.shape
    # largest singular value of noise alone (Marčenko & Pastur), shared by n repeats
    of_noise = float(np.median(stack.noise)) * (1.0 + np.sqrt(n / points)) / np.sqrt(n)
    of_both = np.hypot(of_noise, _SHARED * float(np.median(stack.wobbles)))
    return u[:, 0] * s[0] / np.sqrt(points), float(of_both)


MEASURES = (
    Measure("the edge position", "eV", _edge_position, 0.04, 0.1),
    Measure("the white line", "edge steps", _white_line, 0.005, 0.02),
    Measure("the pre-edge", "edge steps", _pre_edge, 0.003, 0.01),
    Measure("the shape", "edge steps (rms)", _shape, 0.004, 0.01),
)


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


def outlier(stack: Stack, trend: Drift | None = None) -> Outlier | None:
    """Return the repeat that does not agree with the others; None if all agree.

    Parameters
    ----------
    stack
        Repeats; of fewer than three none can be told to be the wrong one.
    trend
        A drift found before, which is taken out first: its ends are not outliers.
    """
    if len(stack.mu) < 3:
        return None
    mu, expected = _comparable(stack)
    if trend is not None:
        mu = _without_trend(mu)
    distances = _from_others(mu)
    worst = int(np.argmax(distances))
    usual = float(np.median(_from_others(np.delete(mu, worst, axis=0))))
    least = float(_between(expected)[worst])
    return _judged(worst, float(distances[worst]), max(usual, least))


def scatter(stack: Stack) -> float | None:
    """Return how many times more than noise explains the repeats differ; None if they do not.

    Where none is odd, since half of them are of another kind, or each is, or there are but two.

    Parameters
    ----------
    stack
        Repeats without odd ones and without a drift.
    """
    if len(stack.mu) < 2:
        return None
    mu, expected = _comparable(stack)
    if len(mu) == 2:
        usual = float(np.sqrt((expected**2).sum()))
        two = _judged(1, float(rms(mu[1] - mu[0])), usual)
        return None if two is None else two.times
    distances = _from_others(mu)
    times = distances / _between(expected)
    apart = (times > _OUTLYING) & (distances > _MATTERS)
    return float(np.median(times[apart])) if apart.sum() > 1 else None


def _comparable(stack: Stack) -> tuple[Array, Array]:
    """Return spectra near the edge, normalised alike and smoothed, and the scatter of each."""
    near = (stack.energy > stack.e0 - 30.0) & (stack.energy < stack.e0 + 80.0)
    near = near if near.sum() >= 2 * _WIDTH else np.ones_like(near)
    mu, width = _smooth(_normalised_alike(stack.energy[near], stack.mu[:, near], stack.e0))
    noise = np.sqrt(stack.noise**2 / width + REPEATABLE**2 + (_SHARED * stack.wobbles) ** 2)
    return mu, noise


def _between(expected: Array) -> Array:
    """Return the distances from the median of the others that scatter alone makes."""
    return np.asarray(expected * np.sqrt(1.0 + 1.6 / (len(expected) - 1)))


def _judged(position: int, distance: float, usual: float) -> Outlier | None:
    disagrees = distance > max(_OUTLYING * usual, _MATTERS)
    return Outlier(position, distance / usual) if disagrees else None


def _from_others(mu: Array) -> Array:
    """Return the distance of each from the median of the others (rms), shape (n,)."""
    others = np.stack([np.median(np.delete(mu, i, axis=0), axis=0) for i in range(len(mu))])
    return np.asarray(np.sqrt(((mu - others) ** 2).mean(axis=1)))


def _normalised_alike(energy: Array, mu: Array, e0: float) -> Array:
    """Scale and tilt each spectrum to fit the median of all best.

    Scans over other ranges are normalised a little differently: the edge step and the slope of the
    post-edge differ by some per cent, which is no disagreement of the sample's.
    """
    median = np.median(mu, axis=0)
    tilt = median * (energy - e0) / 50.0
    wanted = mu @ np.stack([median, tilt], axis=1)
    products = np.array([[median @ median, median @ tilt], [median @ tilt, tilt @ tilt]])
    shares = np.linalg.pinv(products) @ wanted.T
    shares[0] -= 1.0
    return np.asarray(mu - np.outer(shares[0], median) - np.outer(shares[1], tilt))


def _smooth(mu: Array) -> tuple[Array, int]:
    """Return running means and their width: samples differ over some eV, noise from point to point.

    Shape (n, n_points) → (n, n_points − width + 1).
    """
    width = min(_WIDTH, mu.shape[1])
    windows = np.lib.stride_tricks.sliding_window_view(mu, width, axis=1)
    return np.asarray(windows.mean(axis=2)), width


def _without_trend(mu: Array) -> Array:
    """Take out a linear trend, found by the median of the differences of neighbours."""
    slope = np.median([after - before for before, after in pairwise(mu)], axis=0)
    return np.asarray(mu - np.arange(len(mu))[:, None] * slope)


def draws(sigma: Array, count: int, seed: int = 0) -> Array:
    """Return pairs of opposite noise, shape (2 count, n_points): first all +, then all −.

    Parameters
    ----------
    sigma
        Standard deviation of each point, shape (n_points,).
    count
        How many pairs.
    seed
        The same seed gives the same noise, so that a replay gives the same numbers.
    """
    half = np.random.default_rng(seed).standard_normal((count, sigma.size)) * sigma
    return np.concatenate((half, -half))


def noise_of_distance(distances: Array) -> float:
    """Return the standard deviation of the distance by noise, Å.

    Parameters
    ----------
    distances
        First-shell distances predicted with the noise of :func:`draws` added, shape (2 count,).
        Pairs of opposite noise leave what is linear in it, not what any noise does.
    """
    count = distances.size // 2
    half = 0.5 * (distances[:count] - distances[count:])
    half = half[np.isfinite(half)]
    return float(rms(half)) if half.size else float("nan")


_Width = TypeVar("_Width", float, Array)


def with_noise(half_width: _Width, by_noise: _Width) -> _Width:
    """Return the half-width of a 95 % interval with noise of this standard deviation added, Å."""
    wider: _Width = np.hypot(half_width, 1.96 * by_noise)
    return wider


def narrower_by(half_width: float, by_noise: float, n: int) -> float:
    """Return by how much one more repeat narrows the half-width of the 95 % interval, Å.

    Noise of the merge of n repeats adds to what the model does not know, (Δ/2)² = m² + (1.96 s)²;
    with another repeat s shrinks by √(n/(n + 1)).

    Parameters
    ----------
    half_width
        Of the prediction of the merge, Å, without its noise.
    by_noise
        Standard deviation s of the distance by the noise of the merge, Å.
    n
        How many were merged.
    """
    then = with_noise(half_width, by_noise * float(np.sqrt(n / (n + 1.0))))
    return with_noise(half_width, by_noise) - then


def smooth_sigma(sigma: Array, width: int = 15) -> Array:
    """Return the running root-mean-square of σ: from a few repeats it is known in the mean only."""
    if sigma.size < 3:
        return sigma
    width = min(width, sigma.size - 1 + sigma.size % 2)
    padded = np.pad(sigma**2, width // 2, mode="reflect")
    mean = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    return np.asarray(np.sqrt(mean[: sigma.size]), dtype=np.float64)
