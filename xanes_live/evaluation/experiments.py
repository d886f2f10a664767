"""Experiments on spectra: what happens to a prediction when one thing is changed.

Each takes spectra on energies wider and finer than the model's, changes them, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xanes_live.domain import Array

Predict = Callable[[Array], tuple[Array, Array]]
"""Spectra on the model's grid (n, n_grid) → G2 (n, n_g2) and first-shell distance (n,)."""

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))


def shifted(energy: Array, spectra: Array, grid: Array, shift: float) -> Array:
    """Return spectra on `grid` after moving them by `shift` eV, shape (n, n_grid)."""
    return np.array([np.interp(grid - shift, energy, row) for row in spectra])


def broadened(energy: Array, spectra: Array, grid: Array, fwhm: float) -> Array:
    """Return spectra on `grid` after convolution with a Gaussian of `fwhm` eV."""
    if fwhm > 0:
        step = energy[1] - energy[0]
        half = int(np.ceil(3.0 * fwhm / step))
        x = np.arange(-half, half + 1) * step
        kernel = np.exp(-0.5 * (x * FWHM / fwhm) ** 2)
        kernel /= kernel.sum()
        padded = np.pad(spectra, ((0, 0), (half, half)), mode="edge")
        spectra = np.array([np.convolve(row, kernel, mode="valid") for row in padded])
    return shifted(energy, spectra, grid, 0.0)


def edge_energy(energy: Array, spectra: Array) -> Array:
    """Return the energy of the steepest rise of each spectrum, eV, shape (n,)."""
    return np.asarray(energy[np.argmax(np.gradient(spectra, energy, axis=1), axis=1)])


def stretched(energy: Array, spectra: Array, grid: Array, factor: float) -> Array:
    """Return spectra on `grid` with all distances above the edge multiplied by `factor`."""
    e0 = edge_energy(energy, spectra)
    return np.array(
        [
            np.interp(np.where(grid > e, e + (grid - e) / factor, grid), energy, row)
            for e, row in zip(e0, spectra, strict=True)
        ]
    )


def pre_edge_scaled(energy: Array, spectra: Array, grid: Array, factor: float) -> Array:
    """Return spectra on `grid` with everything more than 4 eV below the edge multiplied."""
    e0 = edge_energy(energy, spectra)
    plain = shifted(energy, spectra, grid, 0.0)
    return np.asarray(plain * np.where(grid < e0[:, None] - 4.0, factor, 1.0))


def response(predict: Predict, changed: Sequence[Array], reference: Array) -> tuple[Array, Array]:
    """Return how far G2 and the first shell move, for each change and spectrum.

    Parameters
    ----------
    predict
        The ensemble.
    changed
        For each size of the change, spectra on the model's grid, (n, n_grid).
    reference
        The unchanged spectra.

    Returns
    -------
    tuple
        Root mean square change of G2 and signed change of the distance (Å), both of shape
        (n_changes, n).
    """
    g2, shell = predict(reference)
    moved = [predict(spectra) for spectra in changed]
    return (
        np.array([np.sqrt(((m - g2) ** 2).mean(axis=1)) for m, _ in moved]),
        np.array([r - shell for _, r in moved]),
    )


def natoli(predict: Predict, energy: Array, spectra: Array, grid: Array) -> dict[str, list[float]]:
    """Test Natoli's rule: distances go with one over the square root of the energies.

    Returns
    -------
    dict
        ``factor`` by which the energies above the edge were stretched, ``expected`` relative
        change of the distance, 1/√factor − 1, and ``found``, the median over spectra.
    """
    factors = np.linspace(0.9, 1.1, 9)
    reference = shifted(energy, spectra, grid, 0.0)
    _, shell = predict(reference)
    found = []
    for factor in factors:
        _, moved = predict(stretched(energy, spectra, grid, float(factor)))
        found.append(float(np.nanmedian((moved - shell) / shell)))
    return {
        "factor": factors.tolist(),
        "expected": (1.0 / np.sqrt(factors) - 1.0).tolist(),
        "found": found,
    }
