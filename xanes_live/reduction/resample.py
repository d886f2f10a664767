"""NormalisedSpectrum → ModelInput: the spectrum on the model's own energies.

Where the data are denser than the grid they are averaged over each cell of it, which keeps their
statistics and lets no noise fold back; where they are coarser they are interpolated by monotone
cubics (Fritsch & Butland, *SIAM J. Sci. Stat. Comput.* 5, 300 (1984)), which never overshoot. On
computed Fe K edges sampled every 0.5 eV these err by 0.0005 rms, straight lines by 0.0013 and
splines by 0.0002, but splines ring by up to 0.03 beside steps and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import BEYOND_SCAN, Array, ModelInput, NormalisedSpectrum
from xanes_live.flags import make
from xanes_live.reduction.cubics import MonotoneCubics

Form = Literal["normalised", "flattened"]
_MARGIN = 4
"""Points kept outside the grid: the slopes of the cubics need one."""
_END = 0.5


class Resampled(NamedTuple):
    """Result of :func:`resample_array`."""

    mu: Array
    """shape (..., n_grid)."""
    covered: NDArray[np.bool_]
    """False where there are no data, shape (n_grid,)."""


def resample_array(
    energy: Array,
    mu: Array,
    grid: Array,
    *,
    below: float = 0.0,
    above: Array | float = 1.0,
) -> Resampled:
    """Bring one or many spectra from one energy grid to another.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        shape (n_points,) or (n_spectra, n_points), finite.
    grid
        eV, shape (n_grid,), strictly increasing.
    below
        Value taken below the data.
    above
        What spectra tend to above the data, one value or one for each grid point, of all spectra
        or of each; the last measured value goes over into it within some 10 eV.

    Returns
    -------
    Resampled
        Values, and where they are measured. Half a cell beyond the data counts as measured.

    Raises
    ------
    ValueError
        With fewer than two points, or if energies do not increase or a value is not finite.
    """
    if energy.size < 2:
        raise ValueError(f"resampling needs at least 2 points, not {energy.size}")
    edges = _cell_edges(grid)
    covered = (edges[1:] >= energy[0]) & (edges[:-1] <= energy[-1])
    out = np.full((*mu.shape[:-1], grid.size), below)
    if covered.any():
        out[..., covered] = _measured(energy, mu, grid[covered], edges, covered)
    beyond = ~covered & (grid > energy[-1])
    if beyond.any():
        trend = np.broadcast_to(above, out.shape)[..., beyond]
        out[..., beyond] = _continued(energy, mu, grid[beyond], trend)
    return Resampled(out, covered)


def _cell_edges(grid: Array) -> Array:
    """Return the limits of the cells around grid points, shape (n_grid + 1,)."""
    if grid.size == 1:
        return np.array([grid[0] - 0.5, grid[0] + 0.5])
    middle = 0.5 * (grid[1:] + grid[:-1])
    first, last = grid[0] - (middle[0] - grid[0]), grid[-1] + (grid[-1] - middle[-1])
    return np.concatenate(([first], middle, [last]))


def _measured(
    energy: Array, mu: Array, grid: Array, edges: Array, covered: NDArray[np.bool_]
) -> Array:
    """Average or interpolate, whichever the density of the data asks for."""
    first = max(0, int(np.searchsorted(energy, grid[0])) - _MARGIN)
    last = int(np.searchsorted(energy, grid[-1])) + _MARGIN
    x, y = energy[first:last], mu[..., first:last]
    inside = np.clip(grid, x[0], x[-1])
    if x.size < 3:
        return np.stack([np.interp(inside, x, row) for row in np.atleast_2d(y)]).reshape(
            *mu.shape[:-1], grid.size
        )
    curve = MonotoneCubics(x, y)
    values = curve(inside)
    low, high = edges[:-1][covered], edges[1:][covered]
    dense = np.searchsorted(x, high) - np.searchsorted(x, low) >= 2
    if dense.any():
        low, high = np.maximum(low[dense], x[0]), np.minimum(high[dense], x[-1])
        values[..., dense] = curve.mean(low, high)
    return values


def _continued(energy: Array, mu: Array, grid: Array, trend: Array) -> Array:
    """Let the mean of the last half electronvolt go over into the trend."""
    end = mu[..., energy >= energy[-1] - _END].mean(axis=-1)[..., None]
    weight = np.exp(-(grid - energy[-1]) / BEYOND_SCAN)
    return np.asarray(trend + (end - trend) * weight, dtype=np.float64)


def resample(
    normalised: NormalisedSpectrum, grid: Array, form: str, needed: float | None = None
) -> ModelInput:
    """Return a spectrum on a model's energies.

    Parameters
    ----------
    normalised
        The spectrum.
    grid
        The model's energies, eV, shape (n_grid,), strictly increasing.
    form
        'normalised' or 'flattened': which curve the model was trained on.
    needed
        Energy up to which the grid has to be covered, eV; None for all of it.

    Returns
    -------
    ModelInput
        0 below the data, above them what tends to the post-edge; flagged where what is needed is
        not covered.

    Raises
    ------
    ValueError
        If `form` is neither of the two.
    """
    found = _resampled((normalised,), grid, form)
    return _checked(Resampled(found.mu[0], found.covered), grid, needed)


def resample_alike(spectra: Sequence[NormalisedSpectrum], grid: Array, form: str) -> Array:
    """Return spectra that were measured on the same energies on a model's, all at once.

    Parameters
    ----------
    spectra
        At least one.
    grid, form
        As for :func:`resample`.

    Returns
    -------
    Array
        Shape (n_spectra, n_grid).
    """
    return _resampled(spectra, grid, form).mu


def resample_wide(
    normalised: NormalisedSpectrum,
    wide: Array,
    grid: Array,
    inner: slice,
    form: str,
    needed: float | None = None,
) -> tuple[ModelInput, Array]:
    """Return a spectrum on a model's energies and on a grid that continues them to both sides.

    Parameters
    ----------
    normalised, grid, form, needed
        As for :func:`resample`.
    wide
        The longer grid, eV, shape (n_wide,).
    inner
        Which part of it is `grid`.

    Returns
    -------
    ModelInput
        As of :func:`resample`: only `grid` has to be covered.
    Array
        μ on `wide`, shape (n_wide,).
    """
    (mu,), covered = _resampled((normalised,), wide, form)
    return _checked(Resampled(mu[inner], covered[inner]), grid, needed), mu


def _resampled(spectra: Sequence[NormalisedSpectrum], grid: Array, form: str) -> Resampled:
    energy = spectra[0].energy
    if form == "flattened":
        return resample_array(energy, np.stack([s.flattened for s in spectra]), grid)
    if form == "normalised":
        trend = np.stack([_post_edge_trend(s, grid) for s in spectra])
        return resample_array(energy, np.stack([s.normalised for s in spectra]), grid, above=trend)
    raise ValueError(f"form must be 'normalised' or 'flattened', not {form!r}")


def _checked(found: Resampled, grid: Array, needed: float | None) -> ModelInput:
    """Return resampled values, flagged where what is needed of the grid is not covered."""
    mu, covered = found
    wanted = slice(None) if needed is None else grid <= needed
    if covered[wanted].all():
        return ModelInput(grid, mu, covered)
    missing = 100.0 * float(np.mean(~covered[wanted]))
    last = grid[wanted][-1]
    flag = make("grid_not_covered", low=grid[0], high=last, missing=missing)
    return ModelInput(grid, mu, covered, (flag,))


def _post_edge_trend(normalised: NormalisedSpectrum, grid: Array) -> Array:
    """Continue the straight end of the normalised post-edge polynomial to the grid."""
    rise = (normalised.post_edge - normalised.pre_edge) / normalised.edge_step
    slope = (rise[-1] - rise[-2]) / (normalised.energy[-1] - normalised.energy[-2])
    return np.asarray(rise[-1] + slope * (grid - normalised.energy[-1]), dtype=np.float64)
