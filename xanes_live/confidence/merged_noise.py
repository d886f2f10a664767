"""What the noise of a merge does to the distance, and what another repeat would do about it."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from xanes_live.confidence.signals import rms
from xanes_live.domain import Array


def draws(sigma: Array, white: float, count: int, seed: int = 0) -> Array:
    """Return pairs of opposite noise, shape (2 count, n_points): first all +, then all −.

    What σ holds beyond counting noise all points have in common: it is mostly the error of the edge
    step. Taken for noise of single points it would move the distance by half as much again as
    merges of simulated repeats do.

    Parameters
    ----------
    sigma
        Standard deviation of each point, edge steps, shape (n_points,).
    white
        The part of it that is another for every point, edge steps.
    count
        How many pairs.
    seed
        The same seed gives the same noise, so that a replay gives the same numbers.
    """
    random = np.random.default_rng(seed)
    single = np.minimum(sigma, white)
    common = np.sqrt(sigma**2 - single**2)
    half = random.standard_normal((count, sigma.size)) * single
    half += random.standard_normal((count, 1)) * common
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
