"""Merging repeats of one sample into one spectrum with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.domain import Array, NormalisedSpectrum
from xanes_live.reduction.resample import resample_array


@dataclass(frozen=True, slots=True)
class Merged:
    """Mean of several spectra."""

    energy: Array
    """eV, shape (n_points,)."""
    normalised: Array
    """Mean, shape (n_points,)."""
    flattened: Array
    sigma: Array
    """Standard error of `normalised`, shape (n_points,), from the scatter of the repeats
    (ddof = 1); from their noise where there is only one."""
    spread: Array
    """Standard deviation of one repeat, shape (n_points,)."""
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

    Parameters and errors are those of :func:`stack`.
    """
    found = stack(spectra)
    count = len(spectra)
    if count > 1:
        spread = found.normalised.std(axis=0, ddof=1)
    else:
        noise = (spectra[0].spectrum.noise or 0.0) / spectra[0].edge_step
        spread = np.full(found.energy.size, noise)
    return Merged(
        energy=found.energy,
        normalised=found.normalised.mean(axis=0),
        flattened=found.flattened.mean(axis=0),
        sigma=spread / np.sqrt(count),
        spread=spread,
        count=count,
    )


def _on(energy: Array, mu: Array, grid: Array) -> Array:
    if np.array_equal(energy, grid):
        return mu
    return resample_array(energy, mu, grid).mu
