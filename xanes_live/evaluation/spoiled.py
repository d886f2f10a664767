"""Measured spectra spoiled deliberately, as things go wrong at a beamline.

The structure stays what it was, so whether the prediction is still right is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.ndimage import gaussian_filter1d

from xanes_live.confidence.copies import FWHM_TO_SIGMA
from xanes_live.domain import Array

_SEED = 20


def _shifted(by: float) -> Callable[[Array, Array], Array]:
    def change(energy: Array, mu: Array) -> Array:
        return np.array([np.interp(energy - by, energy, row) for row in mu])

    return change


def _absorbed(inverse_alpha: float) -> Callable[[Array, Array], Array]:
    def change(_: Array, mu: Array) -> Array:
        return mu * (1.0 + inverse_alpha) / (1.0 + inverse_alpha * np.clip(mu, -0.2, None))

    return change


def _noisy(sd: float) -> Callable[[Array, Array], Array]:
    def change(energy: Array, mu: Array) -> Array:
        step = energy[1] - energy[0]
        points = np.random.default_rng(_SEED).standard_normal(mu.shape)
        smooth = gaussian_filter1d(points, 0.25 / step, axis=-1)  # as if sampled every 0.5 eV
        return np.asarray(mu + sd * smooth / smooth.std())

    return change


def _broadened(fwhm: float) -> Callable[[Array, Array], Array]:
    def change(energy: Array, mu: Array) -> Array:
        sigma = fwhm * FWHM_TO_SIGMA / (energy[1] - energy[0])
        return np.asarray(gaussian_filter1d(mu, sigma, axis=-1, mode="nearest"))

    return change


def _scaled(by: float) -> Callable[[Array, Array], Array]:
    return lambda _, mu: mu * by


SPOILED: Mapping[str, Callable[[Array, Array], Array]] = {
    "shifted by +5 eV": _shifted(5.0),
    "shifted by -5 eV": _shifted(-5.0),
    "self-absorbed": _absorbed(1.0),
    "strongly self-absorbed": _absorbed(4.0),
    "noise 3 %": _noisy(0.03),
    "noise 10 %": _noisy(0.10),
    "broadened by 4 eV": _broadened(4.0),
    "edge step 15 % too small": _scaled(1.0 / 0.85),
    "edge step 15 % too large": _scaled(1.0 / 1.15),
}
"""Ways to spoil normalised spectra (n, n_energies) on equally spaced energies, by name."""


def spoiled(energy: Array, mu: Array, name: str) -> Array:
    """Return spectra spoiled in one of the ways of :data:`SPOILED`, shape (n, n_energies)."""
    return SPOILED[name](energy, mu) if len(mu) else mu
