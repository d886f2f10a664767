"""The Fermi level's cut of a broadened spectrum, by integration in the complex plane.

What is wanted is the part of the core-hole Lorentzian (half width Γ) that lies above E_F:

    σ(ω) = ∫_{E_F}^∞ dE Im F(E) · (Γ/π) / ((E − ω)² + Γ²)

with F analytic above the real axis, where computing it near real energies would need an infinite
cluster. So the path goes up from E_F to E_F + iΓ and on parallel to the real axis; with a
constant f taken out of F, whose integral is an arctan, the pole at ω + iΓ on the path is harmless:

    σ = Im[ f·(½ + arctan((ω − E_F)/Γ)/π) + (1/2πi) ∫ (F − f) (1/(z−ω−iΓ) − 1/(z−ω+iΓ)) dz ].

f = F(ω + iΓ) above the Fermi level, else F(E_F + iΓ). F is taken as linear between nodes, so that
each piece has a closed form, and the result is a matrix times F. Beyond the last node F − f is left
out, as FEFF does. (A plain arctan cut is wrong by 3 to 4 %.)

Source: Ankudinov, Ravel, Rehr & Conradson, Phys. Rev. B 58, 7565 (1998), section II.
"""

from __future__ import annotations

from functools import lru_cache
from math import pi

import numpy as np
from numpy.typing import NDArray

from xanes_live.theory.harmonics import Array

Complex = NDArray[np.complex128]


def cut_matrix(energies: Array, nodes: Complex, corner: int) -> Complex:
    """Return K with σ = Im(K @ F(nodes)).

    Parameters
    ----------
    energies
        ω − E_F, eV, shape (m,). Those above the Fermi level must be among the nodes
        `corner`… .
    nodes
        z − E_F along the path, eV, shape (n,): straight up to `nodes[corner]` = iΓ, then at
        constant height.
    corner
        Index of iΓ in `nodes`.

    Returns
    -------
    Complex
        Shape (m, n).
    """
    gamma = float(nodes[corner].imag)
    rows = np.arange(len(energies))
    own = corner + np.searchsorted(nodes[corner:].real, energies - 1e-9)
    own = np.where(energies > 0, np.minimum(own, len(nodes) - 1), corner)
    kernel = _hat_integrals(np.asarray(energies + 1j * gamma), nodes)
    kernel -= _hat_integrals(np.asarray(energies - 1j * gamma), nodes)
    kernel /= 2j * pi
    step = 0.5 + np.arctan(energies / gamma) / pi
    constant = step - kernel.sum(axis=1)
    kernel[rows, own] += constant
    return kernel


def _hat_integrals(poles: Complex, nodes: Complex) -> Complex:
    """∫ hat_j(z) / (z − p) dz for each pole p and node j; a pole on a node gets weight 0 there.

    That weight multiplies F − f, which vanishes at the pole.
    """
    left, right = nodes[:-1], nodes[1:]
    from_left, from_right = left - poles[:, None], right - poles[:, None]
    touching = (np.abs(from_left) < 1e-9) | (np.abs(from_right) < 1e-9)
    safe_left = np.where(touching, 1.0, from_left)
    log = np.where(touching, 0.0, np.log(np.where(touching, 1.0, from_right) / safe_left))
    # On a piece, F = F_l + (F_r − F_l)(z − l)/(r − l).
    share = 1.0 - from_left * log / (right - left)
    out = np.zeros((len(poles), len(nodes)), dtype=complex)
    out[:, 1:] += share
    out[:, :-1] += log - share
    return out


@lru_cache(maxsize=8)
def _cached(energies: bytes, nodes: bytes, corner: int) -> Complex:
    return cut_matrix(np.frombuffer(energies), np.frombuffer(nodes, dtype=complex), corner)


def cut(energies: Array, nodes: Complex, values: Complex, corner: int) -> Array:
    """Return σ(ω); arguments as in :func:`cut_matrix`, `values` = F at the nodes, (..., n).

    The matrix is kept for further spectra on the same mesh.
    """
    matrix = _cached(
        np.ascontiguousarray(energies, dtype=float).tobytes(),
        np.ascontiguousarray(nodes, dtype=complex).tobytes(),
        corner,
    )
    return np.asarray((values @ matrix.T).imag)
