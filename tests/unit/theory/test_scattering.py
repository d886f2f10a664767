from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y, spherical_jn, spherical_yn

from xanes_live.errors import TheoryError
from xanes_live.theory.scattering import Problem, absorber_trace, absorber_traces


def hankel(ell: int, z: complex) -> complex:
    return complex(spherical_jn(ell, z) + 1j * spherical_yn(ell, z))


def problem(seed: int, n: int = 5, n_energies: int = 2) -> Problem:
    rng = np.random.default_rng(seed)
    grid = rng.permutation(np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3), -1).reshape(-1, 3))
    grid = grid[(grid != 0).any(1)][: n - 1]
    positions = np.vstack([[0, 0, 0], grid * 4.0 + rng.normal(0, 0.3, grid.shape)])
    lmax = np.array([3, *rng.integers(1, 4, n - 1)])
    k = rng.uniform(0.8, 2.5, n_energies) + 1j * rng.uniform(0.02, 0.2, n_energies)
    shift = rng.uniform(-1, 1, (n_energies, n, 4)) + 1j * rng.uniform(0, 0.2, (n_energies, n, 4))
    return Problem(positions, lmax, k, np.exp(1j * shift) * np.sin(shift))


def dense_trace(p: Problem, e: int) -> complex:
    """The same by complex harmonics, quadrature for their products, and a general solver."""
    nodes, weights = np.polynomial.legendre.leggauss(14)
    phi = 2 * np.pi * np.arange(28) / 28
    theta, phi = (g.ravel() for g in np.meshgrid(np.arccos(nodes), phi, indexing="ij"))
    area = np.repeat(weights, 28) * 2 * np.pi / 28
    labels = [(ell, m) for ell in range(7) for m in range(-ell, ell + 1)]
    y = np.array([sph_harm_y(ell, m, theta, phi) for ell, m in labels])
    integral = np.einsum("ag,bg,cg,g->abc", y[:16].conj(), y[:16], y, area, optimize=True)
    order = [(i, ell, m) for i, top in enumerate(p.lmax) for ell, m in labels if ell <= top]
    g0 = np.zeros((len(order), len(order)), dtype=complex)
    for row, (i, la, ma) in enumerate(order):
        for column, (j, lb, mb) in enumerate(order):
            if i == j:
                continue
            v = p.positions[i] - p.positions[j]
            r = np.linalg.norm(v)
            angles = (np.arccos(v[2] / r), np.arctan2(v[1], v[0]))
            for ell in range(abs(la - lb), la + lb + 1, 2):
                m = ma - mb
                if abs(m) > ell:
                    continue
                # Y_L''(R̂)* with ∫ Y_L* Y_L' Y_L'' … : the index that survives is m = ma − mb
                c = integral[la * la + la + ma, lb * lb + lb + mb, ell * ell + ell + m]
                wave = 1j ** (lb - la + ell) * hankel(ell, p.k[e] * r)
                g0[row, column] += 4j * np.pi * wave * c * np.conj(sph_harm_y(ell, m, *angles))
    t = np.array([p.t[e, i, ell] for i, ell, _ in order])
    x = np.linalg.solve(np.eye(len(order)) - g0 * t, g0)
    return complex(np.trace(x[1:4, 1:4]) / 3)


def test_against_complex_harmonics_and_a_general_solver() -> None:
    p = problem(3, n=4)
    ours = absorber_trace(p, double=True)
    np.testing.assert_allclose(ours, [dense_trace(p, 0), dense_trace(p, 1)], rtol=1e-9)


def test_two_atoms_by_hand() -> None:
    """p wave of the absorber, s wave of one neighbour: g = i√3 h₁(kR), X = g² t_s/(1 − g² t_s t_p).

    All other amplitudes vanish, so that only the p orbital along the bond scatters.
    """
    k, r, tp, ts = 1.3 + 0.1j, 4.0, 0.3 + 0.2j, -0.4 + 0.3j
    t = np.zeros((1, 2, 3), dtype=complex)
    t[0, 0, 1], t[0, 1, 0] = tp, ts
    direction = np.array([0.6, 0.0, 0.8])
    positions = np.array([[0, 0, 0], direction * r])
    p = Problem(positions, np.array([2, 1]), np.array([k]), t)
    g = 1j * np.sqrt(3) * hankel(1, k * r)
    expected = g * g * ts / (1 - g * g * ts * tp) / 3
    np.testing.assert_allclose(absorber_trace(p, double=True), [expected], rtol=1e-10)


def test_free_atom_limit() -> None:
    near, far = problem(5), problem(5)
    alone = Problem(near.positions[:1], near.lmax[:1], near.k, near.t[:, :1])
    assert np.abs(absorber_trace(alone)).max() == 0
    far = Problem(near.positions * 40, near.lmax, near.k, near.t)
    assert np.abs(absorber_trace(far)).max() < 1e-4 * np.abs(absorber_trace(near)).max()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), turn=st.integers(0, 1000))
def test_turning_and_renumbering_change_nothing(seed: int, turn: int) -> None:
    p = problem(seed)
    rotation = Rotation.random(rng=np.random.default_rng(turn)).as_matrix()
    order = np.r_[0, 1 + np.random.default_rng(turn).permutation(len(p.lmax) - 1)]
    turned = Problem((p.positions @ rotation.T)[order], p.lmax[order], p.k, p.t[:, order])
    before, after = absorber_trace(p, double=True), absorber_trace(turned, double=True)
    np.testing.assert_allclose(after, before, rtol=1e-8)


def test_single_precision_is_enough() -> None:
    p = problem(8, n=20)
    exact = absorber_trace(p, double=True)
    np.testing.assert_allclose(absorber_trace(p), exact, atol=2e-5 * np.abs(exact).max())


def test_batches_of_unequal_clusters_are_solved_as_one_by_one() -> None:
    several = [problem(1, n=6), problem(2, n=7, n_energies=3), problem(3, n=18), problem(4, n=6)]
    alone = absorber_traces(several, double=True, together=False)
    for memory in (8e9, 1e6):
        batched = absorber_traces(several, double=True, together=True, memory=memory)
        for one, other in zip(alone, batched, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees_with_cpu() -> None:
    several = [problem(1, n=20), problem(2, n=22)]
    for cpu, gpu in zip(
        absorber_traces(several), absorber_traces(several, device="cuda"), strict=True
    ):
        np.testing.assert_allclose(gpu, cpu, atol=2e-5 * np.abs(cpu).max())


def test_nonsense_is_refused() -> None:
    p = problem(1)
    bad = Problem(p.positions, p.lmax, p.k, np.full_like(p.t, np.nan))
    with pytest.raises(TheoryError, match="scattering"):
        absorber_trace(bad)
