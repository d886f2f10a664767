"""Merging repeats of one sample into one spectrum with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.domain import REPEATABLE, Array, NormalisedSpectrum
from xanes_live.median import median
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.resample import resample_array
from xanes_live.reduction.standard_error import standard_error

ALIKE = 1.6
"""Noise is known from a few dozen points: repeats whose noise is not further than this factor from
the usual count alike."""
NEAR = (-30.0, 80.0)
"""Where the structure is that steps must be fine for, eV from e0."""
QUIET = frozenset({"channel_frozen", "channel_saturated"})
"""Flags of spectra with less noise than a good one has."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Mean of several spectra, each weighted by what its noise makes it worth."""

    energy: Array
    """eV, shape (n_points,)."""
    normalised: Array
    """Mean, shape (n_points,)."""
    flattened: Array
    sigma: Array
    """Standard error of `normalised`, edge steps, shape (n_points,): from the weighted scatter of
    the repeats over neighbouring points, and from their noise where they are few."""
    spread: Array
    """Standard deviation of a repeat as good as the usual one, shape (n_points,)."""
    count: int
    """How many were merged."""
    share: Array
    """Weight of each, shape (count,), adding up to 1."""


@dataclass(frozen=True, slots=True)
class Stacked:
    """Several spectra on one grid."""

    energy: Array
    """eV, shape (n_points,)."""
    normalised: Array
    """shape (n_spectra, n_points)."""
    flattened: Array
    """shape (n_spectra, n_points)."""


def stack(spectra: Sequence[NormalisedSpectrum]) -> Stacked:
    """Bring spectra to the energies of the finest that all of them cover.

    Parameters
    ----------
    spectra
        At least one; each is taken to the energies of the one with the most points near the edge,
        the first of those where several have as many.

    Raises
    ------
    ValueError
        If there are none, or they have fewer than two energies in common.
    """
    return _on_energies(spectra, _common(spectra)[-1])


def _common(spectra: Sequence[NormalisedSpectrum]) -> list[Array]:
    """Return the energies of each that all of them cover, from the coarsest to the finest.

    Errors are those of :func:`stack`.
    """
    if not spectra:
        raise ValueError("nothing to merge")
    low = max(float(s.energy[0]) for s in spectra)
    high = min(float(s.energy[-1]) for s in spectra)
    inside = [s.energy[(s.energy >= low) & (s.energy <= high)] for s in spectra]
    near = spectra[0].e0 + np.array(NEAR)
    # the first of equals comes last
    order = sorted(
        (i for i, energy in enumerate(inside) if energy.size > 1),
        key=lambda i: (_within(inside[i], near), inside[i].size, -i),
    )
    if not order:
        raise ValueError("the spectra have no energies in common")
    return [inside[i] for i in order]


def _within(energy: Array, limits: Array) -> int:
    return int(np.count_nonzero((energy > limits[0]) & (energy < limits[1])))


def _on_energies(spectra: Sequence[NormalisedSpectrum], energy: Array) -> Stacked:
    """Take spectra to these energies, averaged where they are denser, else interpolated."""
    return Stacked(
        energy,
        np.stack([_on(s.energy, s.normalised, energy) for s in spectra]),
        np.stack([_on(s.energy, s.flattened, energy) for s in spectra]),
    )


def merge(spectra: Sequence[NormalisedSpectrum]) -> Merged:
    """Average normalised spectra on the energies of the finest that all of them cover.

    The mean is weighted by 1/(noise² + :data:`REPEATABLE`²), so that a noisy repeat does not spoil
    the others; the noise is that on the coarsest energies, since interpolated points have less than
    was measured. One whose detector hangs or is clipped is quiet for that reason and counts as much
    as the noisiest. σ² = Σ w² (μ − mean)²/(1 − w) is unbiased for weights w that fit the noise, and
    the usual standard error for equal ones; :func:`standard_error` makes of it one that a few
    repeats can bear out.

    Parameters and errors are those of :func:`stack`.
    """
    energies = _common(spectra)
    found = _on_energies(spectra, energies[-1])
    count = len(spectra)
    share = _shares(_on_energies(spectra, energies[0]), spectra)
    mean = share @ found.normalised
    if count > 1:
        squares = (found.normalised - mean) ** 2
        seen = np.sqrt((share**2 / (1.0 - share)) @ squares)
    else:
        seen = np.zeros(found.energy.size)
    sigma = standard_error(seen, share, spectra)
    return Merged(
        energy=found.energy,
        normalised=mean,
        flattened=share @ found.flattened,
        sigma=sigma,
        spread=sigma * np.sqrt(count),
        count=count,
        share=share,
    )


def _shares(stacked: Stacked, spectra: Sequence[NormalisedSpectrum]) -> Array:
    """Return the weights of the mean, adding up to 1; equal where the noise cannot be told."""
    e0 = spectra[0].e0 if np.isfinite(spectra[0].e0) else None
    noise = noise_level(stacked.energy, stacked.normalised, e0)
    if not np.isfinite(noise).all():
        return np.full(noise.size, 1.0 / noise.size)
    quiet = np.array([any(flag.code in QUIET for flag in s.flags) for s in spectra])
    noise, usual = np.where(quiet, noise.max(), noise), float(median(noise))
    alike = (noise < ALIKE * usual) & (noise > usual / ALIKE)
    noise = np.where(alike, usual, noise)
    weight = 1.0 / (noise**2 + REPEATABLE**2)
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def _on(energy: Array, mu: Array, grid: Array) -> Array:
    if np.array_equal(energy, grid):
        return mu
    return resample_array(energy, mu, grid).mu
