"""The numbers of a spectrum that may drift over the repeats of a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xanes_live.confidence.stacked import Stack
from xanes_live.domain import SHARED, Array

_BESIDE = 1.0
"""How far on either side of the crossing the slope of the edge is taken, eV."""


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
    values = np.array([_crossing(x, y) for y in mu])
    # noise makes the rise of one that crosses look steeper: that of the mean is asked
    mean = mu.mean(axis=0)
    place = _crossing(x, mean)
    beside = (
        np.interp([place - _BESIDE, place + _BESIDE], x, mean) if np.isfinite(place) else [0, 0]
    )
    steep = max(float(beside[1] - beside[0]) / (2.0 * _BESIDE), 0.01)
    return values, _by_noise(stack, 1.0, 0.5) / steep


def _crossing(x: Array, y: Array) -> float:
    """Return where a spectrum first reaches half the edge step, eV; NaN if it does not."""
    k = int(np.argmax(y >= 0.5)) if x.size > 1 else 0
    if k == 0:
        return float("nan")
    rise = max(float(y[k] - y[k - 1]), 1e-6)
    return float(x[k - 1] + (0.5 - y[k - 1]) / rise * (x[k] - x[k - 1]))


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
    of_both = np.hypot(of_noise, SHARED * float(np.median(stack.wobbles)))
    return u[:, 0] * s[0] / np.sqrt(points), float(of_both)


MEASURES = (
    Measure("the edge position", "eV", _edge_position, 0.04, 0.1),
    Measure("the white line", "edge steps", _white_line, 0.005, 0.02),
    Measure("the pre-edge", "edge steps", _pre_edge, 0.003, 0.01),
    Measure("the shape", "edge steps (rms)", _shape, 0.004, 0.01),
)
