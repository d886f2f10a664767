from __future__ import annotations

import numpy as np
import pytest
from scipy.special import sph_harm_y, spherical_jn, spherical_yn

from xanes_live.theory.harmonics import gaunt, real_harmonics, wave_coefficients


def directions(n: int, seed: int = 0) -> np.ndarray:
    v = np.random.default_rng(seed).normal(size=(n, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_real_harmonics_are_those_of_scipy_combined() -> None:
    v = directions(20)
    theta, phi = np.arccos(v[:, 2]), np.arctan2(v[:, 1], v[:, 0])
    ours = real_harmonics(v, 6)
    for ell in range(7):
        for m in range(ell + 1):
            y = sph_harm_y(ell, m, theta, phi) * (-1) ** m * (np.sqrt(2) if m else 1)
            np.testing.assert_allclose(ours[:, ell * ell + ell + m], y.real, atol=1e-13)
            if m:
                np.testing.assert_allclose(ours[:, ell * ell + ell - m], y.imag, atol=1e-13)


def test_poles_are_regular() -> None:
    pole = real_harmonics(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), 4)
    m0 = [ell * ell + ell for ell in range(5)]
    expected = np.sqrt((2 * np.arange(5) + 1) / (4 * np.pi))
    np.testing.assert_allclose(pole[0, m0], expected)
    assert np.abs(np.delete(pole, m0, axis=1)).max() == 0


@pytest.mark.parametrize("lmax", [1, 2, 3])
def test_gaunt_expands_products(lmax: int) -> None:
    """Y_L Y_L' = Σ C Y_L'' at directions that were no nodes of the quadrature."""
    y = real_harmonics(directions(15, 1), 2 * lmax)
    small = y[:, : (lmax + 1) ** 2]
    product = small[:, :, None] * small[:, None, :]
    np.testing.assert_allclose(np.einsum("abc,gc->gab", gaunt(lmax), y), product, atol=1e-12)


def test_waves_are_spherical_hankel_functions() -> None:
    z = np.array([0.8 + 0.1j, 3.0 + 0.0j, 9.0 + 1.5j])
    for ell in range(7):
        s = np.arange(7)
        ours = np.exp(1j * z) / z * (wave_coefficients(6)[ell] * (1j / z[:, None]) ** s).sum(1)
        hankel = spherical_jn(ell, z) + 1j * spherical_yn(ell, z)
        np.testing.assert_allclose(ours, 1j ** (ell + 1) * hankel, rtol=1e-9)
