"""How far a merge of repeats may be off at each point, as far as a few repeats can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xanes_live.domain import SHARED, Array, NormalisedSpectrum
from xanes_live.reduction.uncertainty import step_noise

_PRIOR = 2.0
"""Degrees of freedom that the scatter expected of repeats counts for, beside the scatter seen
(moderated t: G. K. Smyth, *Stat. Appl. Genet. Mol. Biol.* 3, 3 (2004)). So many make ±1.96 σ hold
95 % of the points of two repeats; with 4 it is 96 %, without 87 % (``confidence.md``)."""
_RANGES = ("pre1", "pre2", "norm1", "norm2", "nnorm")


def standard_error(seen: Array, share: Array, spectra: Sequence[NormalisedSpectrum]) -> Array:
    """Return the standard error of a merge, edge steps, shape (n_points,).

    Two or three repeats are alike at single points, and a little everywhere, by accident. So the
    scatter seen is averaged over neighbouring points, and where it is below what the noise of the
    repeats makes it is raised towards that: the more so the fewer they are, and never lowered.

    Parameters
    ----------
    seen
        Standard error by the scatter of the repeats, point by point, shape (n_points,).
    share
        Weight of each repeat in the mean, shape (n,), adding up to 1.
    spectra
        The repeats, n of them. One alone has no scatter: its error is what its noise makes.
    """
    pooled = smooth_sigma(seen) ** 2
    expected = float(share**2 @ np.array([by_noise(s) for s in spectra]) ** 2)
    weight = _PRIOR / (_PRIOR + len(spectra) - 1.0)
    return np.asarray(np.sqrt(pooled + weight * np.maximum(expected - pooled, 0.0)))


def by_noise(spectrum: NormalisedSpectrum) -> float:
    """Return the error of a point by noise and by what noise does to the edge step, edge steps.

    Zero where the noise is not known, without the edge step's where the ranges are not.
    """
    noise = (spectrum.spectrum.noise or 0.0) / spectrum.edge_step
    if not all(name in spectrum.ranges for name in _RANGES):
        return noise
    wobble = step_noise(spectrum.energy - spectrum.e0, spectrum.ranges, noise)
    return float(np.hypot(noise, SHARED * wobble))


def smooth_sigma(sigma: Array, width: int = 15) -> Array:
    """Return the running root-mean-square of σ: from a few repeats it is known in the mean only."""
    if sigma.size < 3:
        return sigma
    width = min(width, sigma.size - 1 + sigma.size % 2)
    padded = np.pad(sigma**2, width // 2, mode="reflect")
    mean = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    return np.asarray(np.sqrt(mean[: sigma.size]), dtype=np.float64)
