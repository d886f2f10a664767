"""Repeats of one sample that do not agree with the others, or with each other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import stdtr

from xanes_live.confidence.signals import rms
from xanes_live.confidence.stacked import Stack
from xanes_live.domain import REPEATABLE, SHARED, Array, Drift, Outlier

_WIDTH = 7
"""Points over which spectra are averaged before they are compared with each other."""
_OUTLYING = 3.5
"""Distance from the others, relative to what is usual among them, from which one disagrees."""
_MATTERS = 0.02
"""Least root-mean-square disagreement that matters, edge steps: two laboratories' good spectra of
one compound differ by as much."""
_GOES_ON = 0.05
"""Chance that repeats after an odd first one go on away from it by accident."""
_PRIOR, _SCATTER = 4.0, 0.5
"""Degrees of freedom that the scatter expected of them counts for, and its share of `REPEATABLE`:
good repeats scatter in any one direction by half as much as in all."""


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


def goes_on(stack: Stack) -> bool:
    """Whether the repeats after the first move on away from it, as damage does that saturates.

    A spoiled first repeat does not know the order of the others. What is followed over them is the
    share that they have of their difference from the first.

    Parameters
    ----------
    stack
        Repeats of which the first is odd; of fewer than four it cannot be told.
    """
    if len(stack.mu) < 4:
        return False
    mu, _ = _comparable(stack)
    away = np.median(mu[1:], axis=0) - mu[0]
    shares = mu[1:] @ away / (away @ away)
    n = shares.size
    order = np.arange(n) - 0.5 * (n - 1)
    slope = float(order @ shares) / float(order @ order)
    left = shares - shares.mean() - slope * order
    noise = float(np.median(stack.noise)) / np.sqrt(away.size)
    expected = (noise**2 + (_SCATTER * REPEATABLE) ** 2) / float((away**2).mean())
    variance = (_PRIOR * expected + float(left @ left)) / (_PRIOR + n - 2)
    t = slope / np.sqrt(variance / float(order @ order))
    return float(stdtr(_PRIOR + n - 2, -t)) < _GOES_ON


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
    noise = np.sqrt(stack.noise**2 / width + REPEATABLE**2 + (SHARED * stack.wobbles) ** 2)
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
