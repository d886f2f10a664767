from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from xanes_live.theory.contour import cut, cut_matrix

GAMMA = 0.65


def test_cut_is_the_broadened_part_above_the_fermi_level() -> None:
    """F = background + poles below the axis, integrated along the real axis for comparison."""
    poles = [(3.0 - 0.8j, 1.2), (-1.0 - 0.5j, 0.7), (12.0 - 1.5j, 2.0)]

    def function(z: np.ndarray | complex) -> np.ndarray | complex:
        # a background that has fallen off where the path ends
        return 1j * 40.0 / (z + 40.0j) + sum(-w / (z - p) for p, w in poles)

    up = 1j * np.linspace(0, GAMMA, 40)[:-1]
    across = np.linspace(0, 400, 8001)
    nodes = np.concatenate([up, across + 1j * GAMMA])
    energies = np.concatenate([[-8.0, -1.0, -0.05], across[[0, 1, 20, 60, 240, 800]]])
    ours = (cut_matrix(energies, nodes, len(up)) @ function(nodes)).imag

    def integrand(e: float, omega: float) -> float:
        return function(e).imag * GAMMA / np.pi / ((e - omega) ** 2 + GAMMA**2)

    points = [2.0, 3.0, 4.0, 12.0]
    expected = [
        quad(integrand, 0, 400, args=(w,), points=[*points, max(w, 0.01)], limit=800)[0]
        for w in energies
    ]
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_a_constant_gives_the_arctan() -> None:
    nodes = np.concatenate([1j * np.linspace(0, GAMMA, 5)[:-1], np.arange(50) + 1j * GAMMA])
    energies = np.array([-3.0, 0.0, 5.0, 20.0])
    ours = cut(energies, nodes, np.full(len(nodes), 2j), 4)
    np.testing.assert_allclose(ours, 2 * (0.5 + np.arctan(energies / GAMMA) / np.pi), rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_several_spectra_at_once(shape: tuple[int, ...]) -> None:
    nodes = np.concatenate([1j * np.linspace(0, GAMMA, 5)[:-1], np.arange(9) + 1j * GAMMA])
    values = np.random.default_rng(0).normal(size=(*shape, len(nodes))) + 0j
    assert cut(np.array([-1.0, 2.0]), nodes, values, 4).shape == (*shape, 2)
