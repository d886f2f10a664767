"""Merging repeats of one sample into one spectrum with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.domain import Array, NormalisedSpectrum
from xanes_live.reduction.resample import resample_array

REPEATABLE = 0.004
"""Scatter of one repeat beyond its counting noise, edge steps: scale and slope of
normalisation. Without it the quietest would be all of a merge."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Mean of several spectra, each weighted by what its noise makes it worth."""

    energy: Array
    """eV, shape (n_points,)."""
    normalised: Array
    """Mean, shape (n_points,)."""
    flattened: Array
    sigma: Array
    """Standard error of `normalised`, shape (n_points,), from the scatter of the repeats
    (ddof = 1); from their noise where there is only one."""
    spread: Array
    """Standard deviation of a repeat as good as the usual one, shape (n_points,)."""
    count: int
    """How many were merged."""


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
    the others; its standard error follows from the weighted scatter.

    Parameters and errors are those of :func:`stack`.
    """
    found = stack(spectra)
    count = len(spectra)
    share = _shares(spectra)
    mean = share @ found.normalised
    if count > 1:
        scatter = share @ (found.normalised - mean) ** 2
        spread = np.sqrt(scatter * count / (count - 1.0))
    else:
        spread = np.full(found.energy.size, _noise(spectra[0]) or 0.0)
    return Merged(
        energy=found.energy,
        normalised=mean,
        flattened=share @ found.flattened,
        sigma=spread / np.sqrt(count),
        spread=spread,
        count=count,
    )


def _shares(spectra: Sequence[NormalisedSpectrum]) -> Array:
    """Return the weights of the mean, adding up to 1; equal where a noise is not known."""
    noise = [_noise(spectrum) for spectrum in spectra]
    known = [value for value in noise if value is not None]
    if len(known) < len(noise):
        return np.full(len(noise), 1.0 / len(noise))
    weight = 1.0 / (np.square(known) + REPEATABLE**2)
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def _noise(spectrum: NormalisedSpectrum) -> float | None:
    """Return the point-to-point noise, edge steps."""
    noise = spectrum.spectrum.noise
    return None if noise is None else noise / spectrum.edge_step


def _on(energy: Array, mu: Array, grid: Array) -> Array:
    if np.array_equal(energy, grid):
        return mu
    return resample_array(energy, mu, grid).mu
