"""Merging repeats of one sample into one spectrum with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.domain import REPEATABLE, Array, NormalisedSpectrum
from xanes_live.median import median
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.resample import resample_array


@dataclass(frozen=True, slots=True)
class Merged:
    """Mean of several spectra, each weighted by what its noise makes it worth."""

    energy: Array
    """eV, shape (n_points,)."""
    normalised: Array
    """Mean, shape (n_points,)."""
    flattened: Array
    sigma: Array
    """Standard error of `normalised`, shape (n_points,), from the weighted scatter of the repeats;
    from their noise where there is only one."""
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
    """Bring spectra to the energies of the first that all of them cover.

    Parameters
    ----------
    spectra
        At least one; each is taken to the first one's energies, averaged where it is denser.

    Raises
    ------
    ValueError
        If there are none, or they have fewer than two energies in common.
    """
    if not spectra:
        raise ValueError("nothing to merge")
    low = max(float(s.energy[0]) for s in spectra)
    high = min(float(s.energy[-1]) for s in spectra)
    energy = spectra[0].energy
    energy = energy[(energy >= low) & (energy <= high)]
    if energy.size < 2:
        raise ValueError("the spectra have no energies in common")
    return Stacked(
        energy,
        np.stack([_on(s.energy, s.normalised, energy) for s in spectra]),
        np.stack([_on(s.energy, s.flattened, energy) for s in spectra]),
    )


def merge(spectra: Sequence[NormalisedSpectrum]) -> Merged:
    """Average normalised spectra on the energies of the first that all of them cover.

    The mean is weighted by 1/(noise² + :data:`REPEATABLE`²), so that a noisy repeat does not spoil
    the others; its standard error follows from the weighted scatter. None counts for more than the
    usual one: quieter than the others is what a detector is that hangs.

    Parameters and errors are those of :func:`stack`.
    """
    found = stack(spectra)
    count = len(spectra)
    share = _shares(found, spectra[0].e0)
    mean = share @ found.normalised
    if count > 1:
        scatter = share @ (found.normalised - mean) ** 2
        spread = np.sqrt(scatter * count / (count - 1.0))
    else:
        noise = (spectra[0].spectrum.noise or 0.0) / spectra[0].edge_step
        spread = np.full(found.energy.size, noise)
    return Merged(
        energy=found.energy,
        normalised=mean,
        flattened=share @ found.flattened,
        sigma=spread / np.sqrt(count),
        spread=spread,
        count=count,
        share=share,
    )


def _shares(stacked: Stacked, e0: float) -> Array:
    """Return the weights of the mean, adding up to 1; equal where the noise cannot be told."""
    noise = noise_level(stacked.energy, stacked.normalised, e0 if np.isfinite(e0) else None)
    if not np.isfinite(noise).all():
        return np.full(noise.size, 1.0 / noise.size)
    weight = 1.0 / (np.maximum(noise, median(noise)) ** 2 + REPEATABLE**2)
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def _on(energy: Array, mu: Array, grid: Array) -> Array:
    if np.array_equal(energy, grid):
        return mu
    return resample_array(energy, mu, grid).mu
