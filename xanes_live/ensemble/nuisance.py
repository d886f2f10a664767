"""What a measured spectrum may differ by from the one its structure gives, fitted and taken out.

G2 fixes neither the energy scale nor the edge step of a measurement. Before two spectra are
compared, the returned one is therefore shifted, stretched, broadened and scaled to fit the
measured one, within the widths that are usual; what is left is structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xanes_live.domain import Array

NAMES = ("offset", "step", "slope", "shift", "stretch", "broadening", "far_broadening")
"""The parameters, in the order of the columns."""
WARP = slice(3, 5)
"""Shift and stretch, which are not linear: what moves along the energies."""
WIDTH: Mapping[str, float] = {
    "offset": 0.02,
    "step": 0.06,
    "slope": 0.03,
    "shift": 3.0,
    "stretch": 0.08,
    "broadening": 1.0,
    "far_broadening": 8.0,
}
"""Standard deviation each is expected to have: in units of the edge step, relative, per 50 eV,
eV, relative, and half a Gaussian's variance in eV² at all energies and far above the edge."""
MISFIT, ALIKE = 0.03, 2.5
"""What they are weighed against: the usual difference that none of them explains, and the energies
within which it is one and the same, eV: 475 points of 47.5 eV hold about 20 independent numbers."""
STEPS = 3
"""Gauss-Newton steps: more change the median size of a residual by 1 %."""
LARGEST = 1.0
"""Largest change of shift and stretch in one step, in units of their widths."""
FARTHEST = 2.5
"""Largest shift and stretch, in units of their widths."""
CHUNK = 256
"""Spectra fitted at a time: bounds memory."""


class Nuisance:
    """The fit, for one pair of energy grids.

    Parameters
    ----------
    energy
        Energies of measured spectra, eV, equally spaced, shape (n_grid,).
    wide
        Energies of returned spectra, eV, the same spacing and reaching further, (n_wide,).
    pivot
        Energy that a stretch leaves where it is, eV.
    rise
        Energy above the pivot within which the far broadening rises, eV.
    width
        Width of each parameter.
    """

    def __init__(
        self,
        energy: Array,
        wide: Array,
        pivot: float,
        rise: float,
        width: Mapping[str, float] = WIDTH,
    ) -> None:
        self.energy, self.wide, self.pivot, self.rise = energy, wide, pivot, rise
        self.width = dict(width)
        above = np.clip(energy - pivot, 0, None)
        self._scale = np.array([self.width[name] for name in NAMES])[:, None]
        lever = energy - pivot
        ramps = np.stack((above / 50.0, lever, 1.0 - np.exp(-above / rise)))
        self._ramps = ramps * self._scale[2::2]
        """What slope, stretch and far broadening have beyond the parameter before each."""
        self._step = float(wide[1] - wide[0])
        self._start, self._lever = (energy - wide[0]) / self._step, lever / self._step
        self._prior = MISFIT**2 * max(ALIKE / self._step, 1.0) * np.eye(len(NAMES))
        """What draws the parameters to zero: points closer than that repeat each other."""

    def describe(self) -> dict[str, Any]:
        """Return the settings as TOML types."""
        return {"pivot": self.pivot, "rise": self.rise, "width": self.width}

    def fit(self, mu: Array, returned: Array) -> tuple[Array, Array]:
        """Fit returned spectra to measured ones.

        Parameters
        ----------
        mu
            Measured, on `energy`, shape (n, n_grid).
        returned
            Returned by the forward network, on `wide`, shape (n, n_wide).

        Returns
        -------
        tuple of Array
            Fitted spectra on `energy`, shape (n, n_grid), and the parameters in units of their
            widths, shape (n, 7), in the order of `NAMES`.
        """
        parts = [
            self._fit(mu[start : start + CHUNK], returned[start : start + CHUNK])
            for start in range(0, max(len(mu), 1), CHUNK)
        ]
        if len(parts) == 1:
            return parts[0]
        fitted, parameters = zip(*parts, strict=True)
        return np.concatenate(fitted), np.concatenate(parameters)

    def _fit(self, mu: Array, returned: Array) -> tuple[Array, Array]:
        curves = _derivatives(returned, self._step)
        parameters = np.zeros((len(mu), len(NAMES)))
        scale = parameters[:, WARP]
        for _ in range(STEPS):
            warped, columns = self._columns(curves, parameters)
            change = _solved(columns, mu - warped, self._prior, scale)[:, WARP]
            scale += _bounded(change, LARGEST)
            _bounded(scale, FARTHEST)
        warped, columns = self._columns(curves, parameters)
        columns[:, WARP] = 0.0  # done: the rest is linear
        parameters += _solved(columns, mu - warped, self._prior)
        return warped + (parameters[:, None] @ columns)[:, 0], parameters

    def _columns(self, curves: Array, parameters: Array) -> tuple[Array, Array]:
        """Return warped spectra (n, n_grid) and what each parameter adds, (n, 7, n_grid)."""
        warped = self._warped(curves, parameters)
        columns = np.empty((curves.shape[1], len(NAMES), len(self.energy)))
        columns[:, 0] = self._scale[0]
        for_each = warped.transpose(1, 0, 2)
        np.multiply(for_each, self._scale[1::2], out=columns[:, 1::2])
        np.multiply(for_each, self._ramps, out=columns[:, 2::2])
        return warped[0], columns

    def _warped(self, curves: Array, parameters: Array) -> Array:
        """Return spectra and their derivatives at shifted and stretched energies, (3, n, n_grid).

        Linear between the points of `wide`, held at its ends.
        """
        n_wide = curves.shape[2]
        shift, stretch = parameters[:, WARP].T * self._scale[WARP]
        at = stretch[:, None] * self._lever
        at += shift[:, None] / self._step
        at += self._start
        np.maximum(at, 0.0, out=at)
        np.minimum(at, n_wide - 1.001, out=at)
        low = at.astype(np.intp)
        share = at - low
        low += n_wide * np.arange(len(low))[:, None]
        flat = curves.reshape(3, -1)
        left = np.take(flat, low, axis=1)  # quicker than indexing
        result: Array = np.take(flat, low + 1, axis=1)
        result -= left
        result *= share
        result += left
        return result


def _derivatives(curves: Array, step: float) -> Array:
    """Return spectra, first and second derivative in eV⁻¹ and eV⁻², shape (3, n, n_wide)."""
    result = np.zeros((3, *curves.shape))
    result[0] = curves
    np.subtract(curves[:, 2:], curves[:, :-2], out=result[1, :, 1:-1])
    result[1] /= 2.0 * step
    np.subtract(result[1, :, 2:], result[1, :, :-2], out=result[2, :, 1:-1])
    result[2] /= 2.0 * step
    return result


def _bounded(values: Array, limit: float) -> Array:
    """Cut values to ±limit in place (np.clip is several times slower for a few numbers)."""
    np.maximum(values, -limit, out=values)
    return np.minimum(values, limit, out=values)


def _solved(columns: Array, difference: Array, prior: Array, start: Array | None = None) -> Array:
    """Return the parameters of least squares, drawn to zero by their widths, shape (n, 7).

    Those of the energy scale are changes from `start`, (n, 2), and drawn to zero with it.
    """
    turned = columns.transpose(0, 2, 1)
    normal = columns @ turned + prior
    right = (columns @ difference[..., None])[..., 0]
    if start is not None:
        right[:, WARP] -= start @ prior[WARP, WARP]
    parameters = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(parameters, dtype=np.float64)
