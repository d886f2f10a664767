"""Real spherical harmonics, exact Gaunt coefficients and outgoing waves.

All that :mod:`xanes_live.theory.scattering` needs of angular-momentum algebra, from the
definitions: nothing here depends on the structure's elements or energies.
"""

from __future__ import annotations

from functools import cache
from math import factorial, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def real_harmonics(directions: Array, lmax: int) -> Array:
    """Return orthonormal real spherical harmonics Y_lm, ordered (l, m = −l…l).

    m > 0 goes with cos mφ, m < 0 with sin |m|φ, without Condon–Shortley phase.

    Parameters
    ----------
    directions
        Unit vectors, shape (..., 3).
    lmax
        Largest l.

    Returns
    -------
    Array
        Shape (..., (lmax + 1)²).

    Notes
    -----
    sin^m θ · e^{imφ} is (x + iy)^m, so that nothing is singular at the poles; the rest follows the
    usual three-term recurrence of the associated Legendre functions (DLMF 14.10.3).
    """
    directions = np.asarray(directions, dtype=float)
    x, y, z = np.moveaxis(directions, -1, 0)
    out = np.empty((*directions.shape[:-1], (lmax + 1) ** 2))
    plane, pmm = np.ones_like(x) + 0j, 1.0
    for m in range(lmax + 1):
        if m:
            plane, pmm = plane * (x + 1j * y), pmm * (2 * m - 1)
        below, p = np.zeros_like(z), np.full_like(z, pmm)
        for ell in range(m, lmax + 1):
            norm = sqrt((2 * ell + 1) / (4 * pi) * factorial(ell - m) / factorial(ell + m))
            centre = ell * ell + ell
            if m == 0:
                out[..., centre] = norm * p
            else:
                out[..., centre + m] = sqrt(2) * norm * p * plane.real
                out[..., centre - m] = sqrt(2) * norm * p * plane.imag
            below, p = p, ((2 * ell + 1) * z * p - (ell + m) * below) / (ell + 1 - m)
    return out


@cache
def gaunt(lmax: int) -> Array:
    """Return ∫ Y_L Y_L' Y_L'' dΩ of real harmonics for l, l' ≤ `lmax` and l'' ≤ 2 `lmax`.

    Returns
    -------
    Array
        Shape ((lmax+1)², (lmax+1)², (2·lmax+1)²).

    Notes
    -----
    The integrand is a polynomial of degree 4·lmax, so that Gauss–Legendre nodes in cos θ and equal
    steps in φ integrate it exactly; what is left is rounding, and values at its level are set to 0.
    """
    n = 2 * lmax + 1
    nodes, weights = np.polynomial.legendre.leggauss(n)
    phi = 2 * pi * np.arange(2 * n) / (2 * n)
    sine = np.sqrt(1 - nodes**2)[:, None]
    grid = np.stack(
        np.broadcast_arrays(sine * np.cos(phi), sine * np.sin(phi), nodes[:, None]), axis=-1
    )
    y = real_harmonics(grid.reshape(-1, 3), 2 * lmax)
    area = np.repeat(weights * 2 * pi / (2 * n), 2 * n)
    small = y[:, : (lmax + 1) ** 2]
    table = np.einsum("g,ga,gb,gc->abc", area, small, small, y, optimize=True)
    table[np.abs(table) < 1e-12] = 0.0
    table.setflags(write=False)
    return np.asarray(table)


@cache
def wave_coefficients(lmax: int) -> Array:
    """Return a[l, s] with i^{l+1} h_l(ρ) = e^{iρ}/ρ · Σ_s a[l, s] (i/ρ)^s.

    The finite sum of the spherical Hankel function of the first kind (DLMF 10.49.6):
    a[l, s] = (l + s)! / (2^s s! (l − s)!).

    Returns
    -------
    Array
        Shape (lmax + 1, lmax + 1), zero for s > l.
    """
    table = np.zeros((lmax + 1, lmax + 1))
    for ell in range(lmax + 1):
        for s in range(ell + 1):
            table[ell, s] = factorial(ell + s) / (2**s * factorial(s) * factorial(ell - s))
    table.setflags(write=False)
    return table
