"""The edge energy e0: where μ(E) rises fastest, found as larch and Athena's users know it.

The definition is that of ``larch.xafs.find_e0`` (M. Newville, *J. Phys. Conf. Ser.* 430, 012007
(2013)): the point of largest dμ/dE whose two neighbours are steep as well, found first on the raw
derivative and then, within 75 points of it, on one smoothed by a Lorentzian about as wide as the
energy step. Numbers, windows and thresholds are kept so that clean spectra give the same point.
All functions take one spectrum or many on one energy grid.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy import fft
from scipy.fft import next_fast_len

from xanes_live.domain import Array

MIN_POINTS = 10
"""Fewer points than this have no inner derivative to choose from."""
_REACH = 75
"""Points kept on either side of the first guess for the smoothed search."""
_STEEP = 0.60
"""Fraction of the derivative's range above which a point counts as steep."""
_FLAT = 1e-9
"""Relative spread of μ below which it is constant: there is no edge to find."""
_PAD = 5
"""Points added on either side of the uniform grid used for smoothing."""


def find_e0(energy: Array, mu: Array) -> Array:
    """Return the edge energy of one or many spectra.

    Parameters
    ----------
    energy
        eV, shape (n_points,). One spectrum may come in any order and with non-finite values, which
        are left out; for many spectra energies must increase and everything must be finite.
    mu
        shape (n_points,) or (n_spectra, n_points).

    Returns
    -------
    Array
        e0, eV, shape () or (n_spectra,). NaN where there are fewer than ten points or μ is
        constant; whether a number found really is an absorption edge is decided by
        :func:`xanes_live.reduction.locate.locate_edge`.
    """
    if mu.ndim == 1:
        good = np.isfinite(energy) & np.isfinite(mu)
        energy, mu = energy[good], mu[good]
        if energy.size and np.any(np.diff(energy) <= 0):
            energy, first = np.unique(energy, return_index=True)
            mu = mu[first]
    if energy.size < MIN_POINTS:
        return np.full(mu.shape[:-1], np.nan)
    e0 = _search(energy, np.atleast_2d(mu))
    return e0.reshape(mu.shape[:-1])


def _search(energy: Array, mu: Array) -> Array:
    """Run both passes; shape (n_spectra,)."""
    n = energy.size
    # the reference implementation leaves out the last point of whatever it is given
    rough = _steepest(slope(energy[:-1], mu[:, :-1]))
    step = _energy_step(energy[:-1])
    e0 = np.empty(len(mu))
    for index in np.unique(rough) if len(rough) > 1 else rough:
        rows = np.flatnonzero(rough == index)
        guess, start, stop = (
            float(energy[index]),
            max(3, index - _REACH),
            min(index + _REACH, n - 3),
        )
        if index < 0.05 * n:  # the first points often are bad
            guess, start, stop = float(energy.mean()), max(3, index - 20), n - 3
        width = 0.5 * sum(min(max(w, 0.01), 1.0) for w in (step, guess / 25_000.0))
        e0[rows] = _refine(energy, mu[rows], start, stop, width, guess)
    e0[np.ptp(mu, axis=1) <= _FLAT * np.abs(mu).max(axis=1)] = np.nan
    return e0


def _refine(energy: Array, mu: Array, start: int, stop: int, width: float, guess: float) -> Array:
    """Return e0 from the smoothed derivative of points start … stop − 2."""
    part = energy[start : stop - 1]
    if part.size < MIN_POINTS - 2:
        return np.full(len(mu), guess)
    smooth = lorentzian_smooth(part, slope(part, mu[:, start : stop - 1]), width)
    best = _steepest(smooth)
    return np.where(best < 1, energy[start + 2], part[best])


def slope(energy: Array, mu: Array) -> Array:
    """Return dμ/dE as the ratio of central differences by index.

    Parameters
    ----------
    energy
        eV, shape (n_points,), increasing.
    mu
        shape (n_spectra, n_points).
    """
    return _differences(mu) / _differences(energy)


def _differences(values: Array) -> Array:
    """Return central differences by index, to one side at the ends, as ``np.gradient`` does."""
    found = np.empty(values.shape)
    np.subtract(values[..., 2:], values[..., :-2], out=found[..., 1:-1])
    found[..., 1:-1] *= 0.5
    found[..., 0] = values[..., 1] - values[..., 0]
    found[..., -1] = values[..., -1] - values[..., -2]
    return found


def _steepest(slopes: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return the index of the steepest point between steep neighbours; 0 where there is none."""
    n = slopes.shape[1]
    skirt = max(3, int(0.02 * n))
    inner = slopes[:, skirt:-skirt]
    low = inner.min(axis=1, keepdims=True)
    spread = np.maximum(1e-10, inner.max(axis=1, keepdims=True) - low)
    relative = (slopes - low) / spread
    steep = _steep_points(relative, _STEEP if n > 20 else 0.5 * _STEEP)
    candidate = np.zeros_like(steep)
    candidate[:, 1:-1] = steep[:, 1:-1] & steep[:, :-2] & steep[:, 2:]
    candidate[:, :skirt] = False
    candidate[:, n - skirt + 1 :] = False
    return np.asarray(np.argmax(np.where(candidate, relative, 0.0), axis=1), dtype=np.intp)


def _steep_points(
    relative: Array, threshold: float
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Mark the steep points, lowering the threshold twice where there are fewer than three."""
    steep = relative > threshold
    few = np.flatnonzero(steep.sum(axis=1) < 3)
    for row in few:
        for factor in (0.5, 0.25):
            steep[row] = relative[row] > factor * threshold
            if steep[row].sum() > 3:
                break
        if steep[row].sum() < 3:
            steep[row] = True
    return steep


def _energy_step(energy: Array) -> float:
    """Return the mean of the ten smallest energy steps but the smallest hundredth, eV.

    With fewer than 100 points 1 eV is returned, as the reference implementation effectively does.
    """
    skip = int(0.01 * energy.size)
    if skip == 0:
        return 1.0
    steps = np.sort(np.diff(energy[:-1][skip:-skip]))
    return float(steps[skip : skip + 10].mean()) if steps.size > skip else 1.0


def lorentzian_smooth(energy: Array, values: Array, width: float) -> Array:
    """Convolve `values` with a Lorentzian on a uniform grid.

    Parameters
    ----------
    energy
        eV, shape (n_points,), increasing.
    values
        shape (n_spectra, n_points).
    width
        Half width at half maximum of the Lorentzian and step of the uniform grid, eV.

    Returns
    -------
    Array
        shape (n_spectra, n_points). Beyond its ends the function is continued by its mirror image.
    """
    low = width * int((energy[0] - _PAD * width) / width)
    high = width * int((energy[-1] + _PAD * width) / width)
    n = min(1 + int((high - low + 0.1 * width) / width), 50 * energy.size)
    grid = np.linspace(low, high, n)
    uniform = _interpolate(energy, values, grid)
    mirrored = np.concatenate((uniform[:, :0:-1], uniform, uniform[:, ::-1]), axis=1)
    length = next_fast_len(3 * n - 1, real=True)
    spectrum = fft.rfft(mirrored, length, axis=1) * _kernel(n, length)
    smooth = fft.irfft(spectrum, length, axis=1)[:, 2 * n - 1 : 3 * n - 1]
    return _interpolate(grid, smooth, energy)


@lru_cache(maxsize=64)
def _kernel(n: int, length: int) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    """Return the Fourier transform of a Lorentzian one point wide in a window of 2 n points."""
    window = 1.0 / (1.0 + (np.arange(2 * n) - n) ** 2.0)
    transform = fft.rfft(window / window.sum(), length)
    transform.setflags(write=False)
    return np.asarray(transform)


def _interpolate(x: Array, y: Array, new: Array) -> Array:
    """Interpolate rows of `y` linearly, holding the end values outside."""
    left = np.minimum(np.maximum(np.searchsorted(x, new), 1), x.size - 1) - 1
    start = x[left]
    weight = np.minimum(np.maximum((new - start) / (x[left + 1] - start), 0.0), 1.0)
    value = y[:, left]
    return np.asarray(value + (y[:, left + 1] - value) * weight, dtype=np.float64)
