"""Monotone cubics through the points of a spectrum, and their integral.

Fritsch & Butland, *SIAM J. Sci. Stat. Comput.* 5, 300 (1984), with the slopes at the ends of
``scipy.interpolate.PchipInterpolator``, whose numbers these are to rounding. That class checks and
rearranges what it is given, which for one spectrum takes four times as long as the arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array


class MonotoneCubics:
    """The curve.

    Parameters
    ----------
    x
        Strictly increasing, shape (n,), n ≥ 3.
    y
        Finite, shape (..., n).

    Raises
    ------
    ValueError
        If they are not.
    """

    def __init__(self, x: Array, y: Array) -> None:
        self.x, step = x, x[1:] - x[:-1]
        if not ((step > 0.0).all() and np.isfinite(y).all()):
            raise ValueError("energies must increase strictly, and all values must be finite")
        secant = (y[..., 1:] - y[..., :-1]) / step
        slope = _slopes(step, secant)
        left, right = slope[..., :-1], slope[..., 1:]
        bend = (left + right - 2.0 * secant) / step
        self._step = step
        self._terms = (y[..., :-1], left, (secant - left) / step - bend, bend / step)
        """Of powers of the distance from the point to the left, each (..., n − 1)."""

    def __call__(self, at: Array) -> Array:
        """Return values at places within `x`, shape (m,) → (..., m)."""
        k = self._interval(at)
        t = at - self.x[k]
        a, b, c, d = (np.take(term, k, axis=-1) for term in self._terms)
        return np.asarray(a + t * (b + t * (c + t * d)))

    def mean(self, low: Array, high: Array) -> Array:
        """Return means between places within `x`, each (m,) → (..., m)."""
        whole = _integral(self._step, *self._terms)
        before = np.zeros((*whole.shape[:-1], self.x.size))
        np.cumsum(whole, axis=-1, out=before[..., 1:])
        ends = []
        for at in (low, high):
            k = self._interval(at)
            part = _integral(at - self.x[k], *(np.take(term, k, axis=-1) for term in self._terms))
            ends.append(np.take(before, k, axis=-1) + part)
        return np.asarray((ends[1] - ends[0]) / (high - low))

    def _interval(self, at: Array) -> NDArray[np.intp]:
        k = np.searchsorted(self.x, at, side="right") - 1
        return np.minimum(k, self.x.size - 2)


def _integral(t: Array, a: Array, b: Array, c: Array, d: Array) -> Array:
    """Return the integral of a cubic from 0 to t."""
    return np.asarray(t * (a + t * (b / 2.0 + t * (c / 3.0 + t * (d / 4.0)))))


def _slopes(step: Array, secant: Array) -> Array:
    """Return the slope at each point: a weighted harmonic mean, 0 at maxima and minima."""
    slope = np.zeros((*secant.shape[:-1], step.size + 1))
    first, second = secant[..., :-1], secant[..., 1:]
    w1, w2 = 2.0 * step[1:] + step[:-1], step[1:] + 2.0 * step[:-1]
    both = first * second
    np.divide((w1 + w2) * both, w1 * second + w2 * first, out=slope[..., 1:-1], where=both > 0.0)
    slope[..., 0] = _end(step[0], step[1], secant[..., 0], secant[..., 1])
    slope[..., -1] = _end(step[-1], step[-2], secant[..., -1], secant[..., -2])
    return slope


def _end(near: float, far: float, secant: Array, next_secant: Array) -> Array:
    """Return the slope at an end: that of the parabola through three points, if it fits."""
    slope = ((2.0 * near + far) * secant - near * next_secant) / (near + far)
    steep = (np.sign(secant) != np.sign(next_secant)) & (np.abs(slope) > 3.0 * np.abs(secant))
    slope = np.where(steep, 3.0 * secant, slope)
    return np.where(np.sign(slope) != np.sign(secant), 0.0, slope)
