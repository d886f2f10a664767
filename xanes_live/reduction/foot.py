"""The foot of an edge: μ above its baseline up to half height, and where it begins.

Noise can make absorption seem to begin a few eV too late, where one point falls back to the
baseline, or too early, where the baseline is too low. How far it can be off is therefore kept for
every point, so that a caller can ask for the beginning with the doubt on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.median import median

_BASELINE = (-35.0, -15.0)
"""Where the local baseline is fitted, eV relative to half height."""
_SPAN = 8.0
"""Least distance of its first and last point, eV."""
_SLOPE_FROM = 15
"""Points from which the local baseline has a slope; with fewer, one bad point would make it."""
_OF_MEDIAN = np.pi / 2.0
"""Variance of a median relative to that of a mean."""
_STAYS = (2.0, 0.7)
"""Range over which μ stays above this fraction of the level once it has begun, eV."""
_SMOOTH = 1.5
"""Range of the running mean taken before, eV."""
_COARSE = 2.5
"""Step over which it cannot be told where absorption begins, eV."""
_FEWEST = 3
"""Points that must be above it in a row, whatever their distance."""


@dataclass(frozen=True, slots=True)
class Foot:
    """μ above the baseline, all arrays of shape (n_points,)."""

    energy: Array
    """eV, from the beginning of the baseline on."""
    height: Array
    """Running mean of μ above the baseline, edge steps."""
    error: Array
    """What noise does to it, baseline included, relative to the noise of one measured point."""
    half: int
    """Number of points up to and with half height."""

    def begins(self, level: float, extra: float = 0.0) -> float:
        """Return where μ rises above the baseline for good, eV; NaN where it cannot be told.

        Parameters
        ----------
        level
            Height that counts as begun, edge steps.
        extra
            Noise of one point to be added to μ before, edge steps; less than 0 to take it away.
        """
        x, y = self.energy, self.height + extra * self.error
        for j in np.flatnonzero((y[: self.half - 1] < level) & (y[1 : self.half] >= level)):
            last = max(int(np.searchsorted(x, x[j] + _STAYS[0], side="right")), j + 1 + _FEWEST)
            if np.all(y[j + 1 : last] >= _STAYS[1] * level):
                if x[j + 1] - x[j] > _COARSE:
                    return float("nan")
                return float(x[j] + (level - y[j]) / (y[j + 1] - y[j]) * (x[j + 1] - x[j]))
        return float("nan")


def find_foot(energy: Array, mu: Array) -> Foot | None:
    """Return the foot of the edge; None where μ does not rise or has no baseline before.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        Normalised μ, shape (n_points,).
    """
    rise = first_above(energy, mu, 0.5)
    if rise is None:
        return None
    place, half = rise
    mean, count = running_mean(energy, mu, _SMOOTH)
    start, middle = np.searchsorted(energy, (place + _BASELINE[0], place + _BASELINE[1]))
    below = energy[start:middle]
    if below.size < 3 or below[-1] - below[0] < _SPAN:
        return None
    x = energy[start:]
    line, variance = _baseline(below - place, mean[start:middle], x - place)
    error = np.sqrt(variance + 1.0 / count[start:])
    return Foot(x, mean[start:] - line, error, half - int(start))


def first_above(energy: Array, mu: Array, level: float) -> tuple[float, int] | None:
    """Return where μ first reaches `level` for good, eV, and how many points there are up to then.

    None where it never does, or from the start. Single spoiled points do not count.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        Normalised μ, shape (n_points,).
    level
        Edge steps.
    """
    above = mu >= level
    steady = np.flatnonzero(above[:-2] & above[1:-1] & above[2:])
    if not steady.size or steady[0] < 4:
        return None
    k = int(steady[0])
    share = (level - mu[k - 1]) / max(mu[k] - mu[k - 1], 1e-12)
    return float(energy[k - 1] + share * (energy[k] - energy[k - 1])), k + 1


def running_mean(energy: Array, mu: Array, width: float) -> tuple[Array, Array]:
    """Return the mean of μ over `width` eV around each point, and the number of points in it.

    As many points are taken on both sides, so that a slope stays where it is.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        Shape (n_points,) or (n_spectra, n_points).
    width
        eV.
    """
    return mean_within(mu, *around(energy, width))


def around(energy: Array, width: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the last of the points within `width` / 2 eV of each, (n_points,)."""
    first = np.searchsorted(energy, energy - width / 2)
    return first, np.searchsorted(energy, energy + width / 2, side="right") - 1


def mean_within(mu: Array, first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[Array, Array]:
    """Return :func:`running_mean` over the points from :func:`around`."""
    size = mu.shape[-1]
    total = np.zeros((*mu.shape[:-1], size + 1))
    np.cumsum(mu, axis=-1, out=total[..., 1:])
    here = np.arange(size)
    reach = np.minimum(here - first, last - here)
    count = 2 * reach + 1
    mean = (total[..., here + reach + 1] - total[..., here - reach]) / count
    return mean, count.astype(np.float64)


def _baseline(x: Array, y: Array, at: Array) -> tuple[Array, Array]:
    """Return the line through the medians of both halves, and its variance in those of a point.

    One glitch among the points does nothing to it.
    """
    if x.size < _SLOPE_FROM:
        return np.full(at.size, float(median(y))), np.full(at.size, _OF_MEDIAN / x.size)
    middle = float(median(x))
    left = x < middle
    run = float(median(x[~left]) - median(x[left]))
    slope = float(median(y[~left]) - median(y[left])) / run
    line = slope * at + float(median(y - slope * x))
    return line, _OF_MEDIAN / x.size * (1.0 + (2.0 * (at - middle) / run) ** 2)
