"""Points that are not the sample: single and few-point glitches, dropouts of the intensity.

A run of one to three points is a glitch when a smooth curve through the points on both sides passes
it by far more than noise, and no peak as broad as physics demands explains it. That width is the
lifetime broadening of the core hole near the edge, and that of EXAFS oscillations away from it, so
that no white line, pre-edge peak or oscillation is ever taken out. Where the incident intensity
jumps at the same points the proof need not be so strict. Longer dropouts are recognised in the
counters themselves: abrupt loss and return of most of the intensity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.median import median
from xanes_live.reduction.losses import losses, spikes, sunken
from xanes_live.reduction.noise import MEDIAN_TO_SIGMA, cubic_residuals

LONGEST = 3
"""Points of the longest run that is judged by its shape."""
NEAR = (-25.0, 70.0)
"""Where peaks may be as sharp as the core hole's lifetime allows, eV relative to the edge."""
_LIFETIME = 1.75e-4
"""Lifetime broadening of a core level over its energy, good to a few tenths for K and L3 edges
between 5 and 20 keV (Krause & Oliver, *J. Phys. Chem. Ref. Data* 8, 329 (1979))."""
_SHARP_TO = 15.0
"""Above this, eV from the edge, features widen with the photoelectron's inelastic losses."""
_BROADENING = 0.06
"""Growth of the narrowest feature, eV per eV: 5 eV at 70 eV, 15 eV at 250 eV."""
_BELOW_WIDTH = 30.0
"""Width of what there may be below the edge: EXAFS of another element, eV."""
_BELOW = -4.0
"""Where sharp structure begins on a calibrated energy scale, eV relative to the tabulated edge."""
_PRE_EDGE = 15.0
"""Where it begins on any scale, eV below where μ stays over half the edge step: pre-edge peaks lie
9 to 12 eV below that, and are 2 eV wide."""
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
_FAR, _PAST = 25.0, 15.0
"""Where only oscillations are left, eV above the tabulated edge and eV above the last point under
half the edge step."""
_TOP = 0.3
"""Greatest height of a sharp peak there, in edge steps; what is higher elsewhere is large."""
_WIDTHS = np.array([1.0, 1.4, 2.0, 3.0])
"""Widths of the peaks that are tried, relative to the narrowest physical one."""


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


def find_excursions(
    energy: Array,
    mu: Array,
    *,
    edge: float | None,
    step: float,
    counters: Mapping[str, Array] | None = None,
) -> tuple[Excursion, ...]:
    """Return all runs of bad points of one spectrum, in order.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        shape (n_points,).
    edge
        Energy of the edge, eV, to a few eV; None treats all of the spectrum as near the edge.
    step
        Edge step, roughly, in units of μ: the scale on which a deviation matters.
    counters
        Detector readings μ was computed from, by role, each shape (n_points,); 'i0' supports a
        doubtful glitch, all of them show longer dropouts.
    """
    if energy.size < 2 * _SIDE + 2 or not step > 0:
        return ()
    counters = counters or {}
    lost = losses(counters, mu) if counters else sunken(mu, step)
    noise = _local_noise(energy, mu)
    found: list[Excursion] = []
    taken = np.zeros(energy.size, dtype=bool)
    for run in lost:
        taken[run] = True
        found.append(Excursion(run.start, run.stop, 0.0, dropout=True))
    for run in spikes(counters, mu, taken):
        taken[run] = True
        size = float(np.abs(mu[run] - mu[run.start - 1]).max()) / step
        found.append(Excursion(run.start, run.stop, size, dropout=False))
    logarithm = None if "i0" not in counters else np.log(np.maximum(counters["i0"], 1e-300))
    judge = _Judge(energy, mu, noise, edge, step, logarithm, taken)
    found += judge.best_runs(trusting=True)
    if len(found) > len(lost):
        found += judge.best_runs(trusting=True)
    if judge.crowded():
        found += judge.best_runs(trusting=False)
    return tuple(sorted(found, key=lambda e: e.start))


def _local_noise(energy: Array, mu: Array) -> Array:
    """Return the noise around each point from the 31 residuals nearest to it, shape (n_points,)."""
    residual = np.abs(cubic_residuals(energy, mu))
    width = min(31, residual.size)
    windows = np.lib.stride_tricks.sliding_window_view(residual, width)
    level = MEDIAN_TO_SIGMA * median(windows[:: max(1, width // 4)])
    centres = np.arange(0, residual.size - width + 1, max(1, width // 4)) + 2 + width // 2
    return np.asarray(np.interp(np.arange(energy.size), centres, level), dtype=np.float64)


class _Judge:
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
        x = np.zeros(energy.size) if edge is None else energy - edge
        self.near = (x > NEAR[0]) & (x < NEAR[1])
        sharp = max(0.9, _LIFETIME * (edge if edge is not None else float(energy.mean())))
        above = sharp + np.maximum(x - _SHARP_TO, 0.0) * _BROADENING
        before = np.sort(mu[(x > -40.0) & (x < -10.0)]) if edge is not None else mu[:0]
        level = float(median(before)) if before.size else -np.inf
        # with the edge itself among these points the lower ones are those below it
        half = float(before[before.size // 4]) + 0.5 * step if before.size else -np.inf
        low = x[(x < NEAR[1]) & (mu < half)]
        rise = float(low[-1]) if low.size else NEAR[0] + _PRE_EDGE
        self.below = x < min(_BELOW, rise - _PRE_EDGE)
        self.far = x > max(_FAR, rise + _PAST)
        self.width = np.where(self.below, _BELOW_WIDTH, above)
        self.impossible = (x > 5.0) & (mu < level - _LARGE * step)

    def best_runs(self, *, trusting: bool) -> list[Excursion]:
        """Judge all candidates and take the clearest of those that overlap.

        Not trusting, single points that stand off are left out of the curve beside a candidate:
        the way to find one glitch beside another.
        """
        self.trusting = trusting
        judged = [self._verdict(start, length) for start, length in self._candidates()]
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

    def _candidates(self) -> list[tuple[int, int]]:
        """Return (start, length) of runs that stand off the line between their neighbours."""
        found: list[tuple[int, int]] = []
        self.suspect[:] = False
        floor = np.maximum(_SIGMAS * self.noise, _LEAST * self.step)
        for length in range(1, LONGEST + 1):
            count = self.energy.size - length - 4  # runs that begin at point 2, 3, …
            m = [self.mu[k : k + count] for k in range(length + 4)]
            beside = np.maximum(np.abs(m[1] - m[0]), np.abs(m[-1] - m[-2]))
            off, least = self._off_line(length, count)
            enough = (off > floor[2 : 2 + count]) & (off > 1.5 * beside) & (least > 0.3 * off)
            if self.taken.any():
                windows = np.lib.stride_tricks.sliding_window_view(self.taken, length)
                enough &= ~windows[2 : 2 + count].any(axis=1)
            start = np.flatnonzero(enough) + 2
            found += [(i, length) for i in start.tolist()]
            if length == 1:
                self.suspect[start] = True
        return found

    def _off_line(self, length: int, count: int) -> tuple[Array, Array]:
        """Return the largest and the smallest distance of runs from the line that spans them.

        Of the `count` runs of `length` points that begin at point 2, 3, ….
        """
        e, m = ([v[k : k + count] for k in range(1, length + 3)] for v in (self.energy, self.mu))
        slope = (m[-1] - m[0]) / (e[-1] - e[0])
        largest = smallest = np.abs(m[1] - m[0] - slope * (e[1] - e[0]))
        for k in range(2, length + 1):
            off = np.abs(m[k] - m[0] - slope * (e[k] - e[0]))
            largest, smallest = np.maximum(largest, off), np.minimum(smallest, off)
        return largest, smallest

    def _verdict(self, start: int, length: int) -> tuple[float, Excursion] | None:
        """Return the run and how clear it is, if it is an excursion."""
        inside = np.arange(start, start + length)
        sides = self._sides(start, start + length)
        if sides.size < 2 * _SIDE - 1:
            return None
        below = bool(self.below[inside].all())
        off, missed = self._against_smooth(self.mu, inside, sides, _terms(below=below))
        size, noise = float(np.abs(off).max()), float(self.noise[inside].max())
        clear = size / max(noise, missed, 1e-12 * self.step)
        with_i0 = self._i0_jumps(inside, sides)
        if size < max(_SIGMAS * noise, _LEAST * self.step):
            return None
        if clear < (_CLEAN_WITH_I0 if with_i0 else _CLEAN):
            return None
        proven = with_i0 or bool(self.impossible[inside].all())
        uneven = float(np.abs(off).min()) < _EVEN * size
        if not proven and (uneven or self._bulge(inside, off) > _BULGE * size):
            return None
        too_high = size > _TOP * self.step and bool(self.far[inside].all())
        if not (proven or too_high or self._unphysical(inside, sides, off, missed)):
            return None
        dropout = bool(self.near[inside].any()) and length > 1 and size > _LARGE * self.step
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
        off, missed = self._against_smooth(self.log_i0, inside, sides, _terms(below=False))
        return bool(np.abs(off).min() > max(_I0_LEAST, _CLEAN * missed))

    def _sides(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return the nearest good points on both sides of a run."""
        reach = 2 * _SIDE + LONGEST
        low = max(0, start - reach)
        doubtful = self.taken if self.trusting else self.taken | self.suspect
        left = np.flatnonzero(~doubtful[low:start])[-_SIDE:] + low
        right = np.flatnonzero(~doubtful[stop : stop + reach])[:_SIDE] + stop
        return np.concatenate((left, right))

    def _against_smooth(
        self, values: Array, inside: NDArray[np.intp], sides: NDArray[np.intp], terms: int
    ) -> tuple[Array, float]:
        """Return deviations from the polynomial through the sides, and what it misses of them."""
        centre = float(self.energy[inside].mean())
        scale = float(np.ptp(self.energy[sides]))
        design = np.vander((self.energy[sides] - centre) / scale, terms)
        orthogonal, triangular = np.linalg.qr(design)
        solution = np.linalg.solve(triangular, orthogonal.T @ values[sides])
        missed = values[sides] - design @ solution
        predicted = np.vander((self.energy[inside] - centre) / scale, terms) @ solution
        scatter = float(np.sqrt(missed @ missed / max(sides.size - terms, 1)))
        return values[inside] - predicted, scatter

    def _unphysical(
        self, inside: NDArray[np.intp], sides: NDArray[np.intp], off: Array, missed: float
    ) -> bool:
        """Whether neither a peak of physical width nor a jump explains the run.

        Below the edge there are no jumps: where its wide steps meet narrow ones, a jump and a curve
        explain any spike.
        """
        points = np.sort(np.concatenate((inside, sides)))
        x = self.energy[points] - float(self.energy[inside].mean())
        y = self.mu[points]
        narrowest = float(self.width[inside].min())
        if self.energy[inside[-1] + 1] - self.energy[inside[0] - 1] > _RESOLVED * narrowest:
            return False
        width = narrowest * (_DIP if float(off.sum()) < 0.0 else 1.0)
        reach = 0.5 * float(self.energy[inside[-1]] - self.energy[inside[0]]) + 0.5 * width
        centres, widths = np.meshgrid(np.linspace(-reach, reach, 9), width * _WIDTHS)
        offset = (x - centres.reshape(-1, 1)) / widths.reshape(-1, 1)
        peaks = np.concatenate(
            (np.exp(-4.0 * np.log(2.0) * offset**2), 1.0 / (1.0 + 4.0 * offset**2))
        )
        below = bool(self.below[inside].all())
        jumps = (x > 0.5 * (x[1:] + x[:-1])[:, None]).astype(np.float64)
        shapes = peaks if below else np.concatenate((peaks, jumps))
        smooth = np.vander(x / np.ptp(x), _terms(below=below))
        background = np.broadcast_to(smooth, (len(shapes), *smooth.shape))
        orthogonal, _ = np.linalg.qr(np.concatenate((background, shapes[:, :, None]), axis=2))
        fitted = np.einsum("sij,skj,k->si", orthogonal, orthogonal, y)
        best = float(np.abs(y - fitted).max(axis=1).min())
        size, noise = float(np.abs(off).max()), float(self.noise[inside].max())
        least = _UNEXPLAINED * size
        if size > _TOP * self.step:
            least = min(least, max(_SURELY * size, _TAILS * missed))
        return best > max(least, 4.0 * noise)


def _terms(*, below: bool) -> int:
    """Return how many terms the smooth curve has: μ bends little below the edge."""
    return 3 if below else 4
