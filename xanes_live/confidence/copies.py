"""Copies of a spectrum, shifted and broadened, that ride in the same batch as the spectrum itself.

A good prediction hardly moves when the energies are shifted by an electronvolt or two or when the
spectrum is broadened; a bad one does (David et al., *Digital Discovery* 2023, 2, 1461, who propose
the movement as a measure of confidence). Stretching the energies by 5 % was tried as well: how far
that moves the prediction says nothing about its error (AUROC 0.57).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from xanes_live.confidence.places import Grid, Places
from xanes_live.domain import Array

FWHM_TO_SIGMA = 1.0 / np.sqrt(8.0 * np.log(2.0))
MARGIN = 8.0
"""Energies needed beyond the model's grid, eV: the widest broadening's tail, the largest warp."""


@dataclass(frozen=True, slots=True)
class Change:
    """One way to change a spectrum."""

    kind: str
    """'shift' or 'broadening'."""
    value: float
    """Shift of the energies or FWHM of the Gaussian, eV."""


SHIFTS = tuple(Change("shift", v) for v in (-2.0, -1.0, 1.0, 2.0))
BROADENINGS = tuple(Change("broadening", v) for v in (0.5, 1.0, 3.0))
CHANGES = (*SHIFTS, *BROADENINGS)
"""What every spectrum is put through."""


def wide_grid(grid: Array) -> Array:
    """Return `grid` continued by :data:`MARGIN` to both sides at its own spacing."""
    step = (grid[-1] - grid[0]) / (grid.size - 1)
    extra = int(np.ceil(MARGIN / step))
    return np.asarray(grid[0] + step * np.arange(-extra, grid.size + extra))


def centre(wide: Array, grid: Array) -> slice:
    """Return which part of the last axis of a wide spectrum lies on `grid`."""
    extra = (wide.size - grid.size) // 2
    return slice(extra, extra + grid.size)


def copies(wide: Array, mu: Array, grid: Array) -> Array:
    """Return spectra changed in each of the ways of :data:`CHANGES`.

    Parameters
    ----------
    wide
        Equally spaced energies, eV, shape (n_wide,), from :func:`wide_grid`.
    mu
        Normalised μ on `wide`, shape (n, n_wide).
    grid
        The model's energies, eV, shape (n_grid,).

    Returns
    -------
    Array
        Shape (n, len(CHANGES), n_grid).
    """
    inner = centre(wide, grid)
    made = np.empty((len(mu), len(CHANGES), grid.size))
    made[:, : len(SHIFTS)] = _shifted(Grid.of(wide), Grid.of(grid)).of(mu)
    for k, change in enumerate(BROADENINGS, start=len(SHIFTS)):
        sigma = change.value * FWHM_TO_SIGMA / (wide[1] - wide[0])
        wider = gaussian_filter1d(mu, sigma, axis=-1, mode="nearest", truncate=3.0)
        made[:, k] = wider[:, inner]
    return made


@lru_cache(maxsize=8)
def _shifted(wide: Grid, grid: Grid) -> Places:
    return Places.on(wide.energy, np.stack([grid.energy - change.value for change in SHIFTS]))
