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

import numpy as np

from xanes_live.domain import Array
from xanes_live.median import median
from xanes_live.reduction.glitch_judge import Excursion, Judge
from xanes_live.reduction.losses import losses, spikes, sunken
from xanes_live.reduction.noise import MEDIAN_TO_SIGMA, cubic_residuals

__all__ = ["Excursion", "find_excursions"]

_LEAST_POINTS = 10
"""Of a spectrum in which a glitch can be told from what is beside it."""


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
    if energy.size < _LEAST_POINTS or not step > 0:
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
    judge = Judge(energy, mu, noise, edge, step, logarithm, taken)
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
    starts = np.arange(0, residual.size - width + 1, max(1, width // 4))
    level = MEDIAN_TO_SIGMA * median(residual[starts[:, None] + np.arange(width)])
    centres = starts + 2 + width // 2
    return np.asarray(np.interp(np.arange(energy.size), centres, level), dtype=np.float64)
