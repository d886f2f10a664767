"""The evidence for and against a run of points being a glitch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.reduction.glitch_candidates import LONGEST, candidates
from xanes_live.reduction.glitch_shapes import Places, against_smooth, misfit, terms

_DIP = 2.0
"""A dip is the gap between two peaks: with smooth flanks it is never as narrow as one peak."""
_RESOLVED = 2.2
"""Distance between the points beside a run, in narrowest physical widths, beyond which sharp but
real structure could hide in the run: its shape proves nothing."""
_SIDE = 4
"""Points on each side that the smooth curve is fitted to."""
_SIGMAS = 7.0
"""Least size of a glitch in standard deviations of the noise around it."""
_LEAST = 0.015
"""Least size of a glitch as a fraction of the edge step; smaller ones change nothing."""
_CLEAN = 8.0
"""Least ratio of a glitch to what the smooth curve misses of the points beside it."""
_CLEAN_WITH_I0 = 4.0
_I0_LEAST = 0.03
"""Least relative size of a simultaneous jump of I0."""
_EVEN = 0.5
"""Least ratio of the smallest to the largest deviation in a run: what is lost is lost at once."""
_BULGE = 0.35
"""Largest bulge of the smooth curve between the points beside a run, relative to the glitch: a
larger one means that the curve does not describe what is there."""
_LARGE = 0.15
"""Size in edge steps from which several bad points near the edge are a dropout."""
_UNEXPLAINED, _SURELY = 0.20, 0.13
"""Least fraction of a glitch that the best physical peak leaves, and the same of a large one that
is far more than what the smooth curve misses beside it: that would miss the tails of a peak."""
_TAILS = 4.0
"""Least ratio of what such a peak leaves to what the smooth curve misses."""
_TOP = 0.3
"""Greatest height of a sharp peak where only oscillations are left, edge steps; what is higher
elsewhere is large."""


@dataclass(frozen=True, slots=True)
class Excursion:
    """A run of points that are not the sample's."""

    start: int
    stop: int
    """One past the last point."""
    size: float
    """Largest deviation from the smooth curve, in edge steps; 0 where it was not measured."""
    dropout: bool
    """Whether the beam or a detector was lost, rather than a point spoiled."""


class Judge:
    """The evidence for and against candidates of one spectrum."""

    def __init__(
        self,
        energy: Array,
        mu: Array,
        noise: Array,
        edge: float | None,
        step: float,
        log_i0: Array | None,
        taken: NDArray[np.bool_],
    ) -> None:
        self.energy, self.mu, self.noise, self.taken = energy, mu, noise, taken
        self.step, self.log_i0 = step, log_i0
        self.trusting = True
        self.suspect = np.zeros(energy.size, dtype=bool)
        self.places = Places(energy, mu, edge, step)

    def best_runs(self, *, trusting: bool) -> list[Excursion]:
        """Judge all candidates and take the clearest of those that overlap.

        Not trusting, single points that stand off are left out of the curve beside a candidate:
        the way to find one glitch beside another.
        """
        self.trusting = trusting
        floor = np.maximum(_SIGMAS * self.noise, _LEAST * self.step)
        off = candidates(self.energy, self.mu, floor, self.taken)
        self.suspect[:] = False
        self.suspect[[start for start, length in off if length == 1]] = True
        judged = [self._verdict(start, length) for start, length in off]
        # a run with one bad point in it stands off too: the shortest explanation is taken
        runs = sorted(
            (j for j in judged if j is not None), key=lambda j: (j[1].stop - j[1].start, -j[0])
        )
        found: list[Excursion] = []
        for _, run in runs:
            if not self.taken[run.start : run.stop].any():
                self.taken[run.start : run.stop] = True
                found.append(run)
        return found

    def crowded(self) -> bool:
        """Whether points that stand off lie so near to each other that they hide each other."""
        at = np.flatnonzero(self.suspect & ~self.taken)
        return bool(at.size > 1 and np.diff(at).min() <= 2 * _SIDE)

    def _verdict(self, start: int, length: int) -> tuple[float, Excursion] | None:
        """Return the run and how clear it is, if it is an excursion."""
        inside = np.arange(start, start + length)
        sides = self._sides(start, start + length)
        if sides.size < 2 * _SIDE - 1:
            return None
        below = bool(self.places.below[inside].all())
        off, missed = against_smooth(self.energy, self.mu, inside, sides, terms(below=below))
        size, noise = float(np.abs(off).max()), float(self.noise[inside].max())
        clear = size / max(noise, missed, 1e-12 * self.step)
        with_i0 = self._i0_jumps(inside, sides)
        if size < max(_SIGMAS * noise, _LEAST * self.step):
            return None
        if clear < (_CLEAN_WITH_I0 if with_i0 else _CLEAN):
            return None
        proven = with_i0 or bool(self.places.impossible[inside].all())
        uneven = float(np.abs(off).min()) < _EVEN * size
        if not proven and (uneven or self._bulge(inside, off) > _BULGE * size):
            return None
        too_high = size > _TOP * self.step and bool(self.places.far[inside].all())
        if not (proven or too_high or self._unphysical(inside, sides, off, missed)):
            return None
        dropout = bool(self.places.near[inside].any()) and length > 1 and size > _LARGE * self.step
        return clear, Excursion(start, start + length, size / self.step, dropout)

    def _bulge(self, inside: NDArray[np.intp], off: Array) -> float:
        """Return how far the smooth curve itself leaves the range of the two points beside it."""
        smooth = self.mu[inside] - off
        beside = self.mu[[inside[0] - 1, inside[-1] + 1]]
        return float(max(smooth.max() - beside.max(), beside.min() - smooth.min()))

    def _i0_jumps(self, inside: NDArray[np.intp], sides: NDArray[np.intp]) -> bool:
        """Whether all points of the run also stand off in the incident intensity."""
        if self.log_i0 is None:
            return False
        off, missed = against_smooth(self.energy, self.log_i0, inside, sides, terms(below=False))
        return bool(np.abs(off).min() > max(_I0_LEAST, _CLEAN * missed))

    def _sides(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return the nearest good points on both sides of a run."""
        reach = 2 * _SIDE + LONGEST
        low = max(0, start - reach)
        doubtful = self.taken if self.trusting else self.taken | self.suspect
        left = np.flatnonzero(~doubtful[low:start])[-_SIDE:] + low
        right = np.flatnonzero(~doubtful[stop : stop + reach])[:_SIDE] + stop
        return np.concatenate((left, right))

    def _unphysical(
        self, inside: NDArray[np.intp], sides: NDArray[np.intp], off: Array, missed: float
    ) -> bool:
        """Whether neither a peak of physical width nor a jump explains the run."""
        narrowest = float(self.places.width[inside].min())
        if self.energy[inside[-1] + 1] - self.energy[inside[0] - 1] > _RESOLVED * narrowest:
            return False
        width = narrowest * (_DIP if float(off.sum()) < 0.0 else 1.0)
        below = bool(self.places.below[inside].all())
        left = misfit(self.energy, self.mu, inside, sides, width, below=below)
        size, noise = float(np.abs(off).max()), float(self.noise[inside].max())
        least = _UNEXPLAINED * size
        if size > _TOP * self.step:
            least = min(least, max(_SURELY * size, _TAILS * missed))
        return left > max(least, 4.0 * noise)
