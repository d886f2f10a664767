"""Full multiple scattering: the absorber's part of (1 − G₀t)⁻¹G₀ over a cluster.

With real harmonics the free propagator between sites i and j, R = R_i − R_j, ρ = kR, is

    G₀(iL, jL') = 4πi Σ_L'' i^{l'−l+l''} h_l''(ρ) Y_L''(R̂) C(L, L', L'')

(C: Gaunt coefficients), which is complex-symmetric in (iL, jL'); t_l = e^{iδ_l} sin δ_l is diagonal.
Dipole transitions from an s level need the l = 1 part of the absorber's block alone, so that
M = t^½ G₀ t^½ is factorised once an energy and solved for three columns:
[(1 − G₀t)⁻¹G₀]₀₀ = t₀^{−½} [(1 − M)⁻¹M]₀₀ t₀^{−½}.

Source: Rehr & Albers, Rev. Mod. Phys. 72, 621 (2000), sections III and IV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from xanes_live.errors import TheoryError
from xanes_live.theory.harmonics import Array, gaunt, real_harmonics, wave_coefficients

Complex = NDArray[np.complex128]
GROUP = 16
"""Sites handled together: blocks above the diagonal, which symmetry gives, are left out."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One cluster at the energies of one spectrum; the absorber is site 0, at the origin."""

    positions: Array
    """Bohr, shape (n_sites, 3)."""
    lmax: NDArray[np.int_]
    """Largest l of each site, shape (n_sites,)."""
    k: Complex
    """Wave number, 1/bohr, shape (n_energies,)."""
    t: Complex
    """Scattering amplitudes t_l, shape (n_energies, n_sites, max(lmax) + 1)."""

    @property
    def size(self) -> int:
        """Order of the matrix."""
        return int(((self.lmax + 1) ** 2).sum())


@dataclass(frozen=True, slots=True)
class _Block:
    """All pairs of sites of two classes (a class: at most `GROUP` sites of one lmax)."""

    rows: slice
    columns: slice
    ell: int
    """Number of l'' values."""
    distance: torch.Tensor
    """Bohr, shape (n_a·n_b,); 1 where the sites coincide."""
    angular: torch.Tensor
    """4π Σ_m'' C Y, zero where the sites coincide; shape (n_a·n_b, La·Lb, ell)."""
    shape: tuple[int, int, int, int]
    """(n_a, n_b, La, Lb)."""


class Propagator:
    """What of G₀ does not depend on energy, for one cluster.

    Parameters
    ----------
    problem
        The cluster.
    device
        Where the matrices are built.
    dtype
        ``torch.float32`` (complex64 matrices) or ``torch.float64``.
    """

    def __init__(self, problem: Problem, device: torch.device, dtype: torch.dtype) -> None:
        self.problem, self.device, self.dtype = problem, device, dtype
        # The absorber goes first, so that its columns are 0..; others by class.
        order = np.concatenate([[0], 1 + np.argsort(problem.lmax[1:], kind="stable")])
        self._classes: list[tuple[NDArray[np.int_], int, slice]] = []
        start, first = 0, 0
        groups = [order[:1], *_runs(order[1:], problem.lmax)]
        for sites in groups:
            ell = int(problem.lmax[sites[0]])
            stop = start + len(sites) * (ell + 1) ** 2
            self._classes.append((sites, ell, slice(start, stop)))
            start, first = stop, first + len(sites)
        self.size = start
        self._blocks = [
            self._block(a, b) for i, a in enumerate(self._classes) for b in self._classes[: i + 1]
        ]
        self._site, self._ell = self._labels()

    def _block(
        self, a: tuple[NDArray[np.int_], int, slice], b: tuple[NDArray[np.int_], int, slice]
    ) -> _Block:
        (sites_a, la, rows), (sites_b, lb, columns) = a, b
        vectors = self.problem.positions[sites_a][:, None] - self.problem.positions[sites_b][None]
        vectors = vectors.reshape(-1, 3)
        distance = np.linalg.norm(vectors, axis=1)
        same = distance < 1e-6
        distance[same] = 1.0
        angular = _angular(vectors / distance[:, None], la, lb)
        angular[same] = 0.0
        return _Block(
            rows,
            columns,
            la + lb + 1,
            torch.as_tensor(distance, device=self.device, dtype=torch.float64),
            torch.as_tensor(angular, device=self.device, dtype=self.dtype),
            (len(sites_a), len(sites_b), (la + 1) ** 2, (lb + 1) ** 2),
        )

    def _labels(self) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        site, ell = [], []
        for sites, lmax, _ in self._classes:
            shell = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
            site.append(np.repeat(sites, len(shell)))
            ell.append(np.tile(shell, len(sites)))
        return np.concatenate(site), np.concatenate(ell)

    def matrices(self, chosen: slice) -> torch.Tensor:
        """Return the lower triangle of M = t^½ G₀ t^½ (upper blocks left zero).

        Parameters
        ----------
        chosen
            Which energies.

        Returns
        -------
        torch.Tensor
            Complex, shape (n_chosen, size, size).
        """
        k = torch.as_tensor(self.problem.k[chosen], device=self.device)
        ctype = torch.complex64 if self.dtype == torch.float32 else torch.complex128
        out = torch.zeros((len(k), self.size, self.size), dtype=ctype, device=self.device)
        for block in self._blocks:
            self._fill(out, block, k)
        root = np.sqrt(self.problem.t[chosen][:, self._site, self._ell])
        phase = np.array([1, 1j, -1, -1j])[self._ell % 4]
        out *= torch.as_tensor(root / phase, device=self.device).to(ctype)[:, :, None]
        out *= torch.as_tensor(root * phase, device=self.device).to(ctype)[:, None, :]
        return out

    def _fill(self, out: torch.Tensor, block: _Block, k: torch.Tensor) -> None:
        na, nb, la, lb = block.shape
        waves = torch.view_as_real(_waves(k, block.distance, block.ell)).flatten(2)
        values = torch.bmm(block.angular, waves.to(self.dtype))
        values = torch.view_as_complex(values.view(na, nb, la, lb, len(k), 2))
        target = out[:, block.rows, block.columns].view(len(k), na, la, nb, lb)
        target.copy_(values.permute(4, 0, 2, 1, 3))


def _runs(sites: NDArray[np.int_], lmax: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    if not len(sites):
        return []
    kinds = np.split(sites, np.flatnonzero(np.diff(lmax[sites])) + 1)
    return [part for kind in kinds for part in np.array_split(kind, -(-len(kind) // GROUP))]


def _angular(directions: Array, la: int, lb: int) -> Array:
    """4π Σ_m'' C(L, L', L'') Y_L''(R̂), shape (n, La·Lb, la+lb+1)."""
    top = la + lb
    table = gaunt(max(la, lb))[: (la + 1) ** 2, : (lb + 1) ** 2]
    y = real_harmonics(directions, top)
    out = np.empty((len(directions), table.shape[0] * table.shape[1], top + 1))
    for ell in range(top + 1):
        part = slice(ell * ell, (ell + 1) ** 2)
        out[:, :, ell] = 4 * pi * y[:, part] @ table[:, :, part].reshape(-1, 2 * ell + 1).T
    return out


def _waves(k: torch.Tensor, distance: torch.Tensor, count: int) -> torch.Tensor:
    """i^{l+1} h_l(kR) for l < `count`, complex, shape (n_pairs, count, n_energies)."""
    rho = distance[:, None] * k
    inverse = 1j / rho
    powers = [torch.exp(1j * rho) / rho]
    for _ in range(count - 1):
        powers.append(powers[-1] * inverse)
    table = torch.as_tensor(wave_coefficients(count - 1).copy(), device=k.device)
    return torch.einsum("ls,pse->ple", table.to(rho.dtype), torch.stack(powers, 1))


def absorber_trace(
    problem: Problem,
    *,
    device: torch.device | str = "cpu",
    double: bool = False,
    memory: float = 4e9,
) -> Complex:
    """Return ⅓ Tr_{l=1} [(1 − G₀t)⁻¹G₀]₀₀ at each energy.

    Parameters
    ----------
    problem
        The cluster.
    device
        Where matrices are built and, on CUDA, solved.
    double
        complex128 instead of complex64.
    memory
        Bytes the matrices solved together may take on a GPU.

    Returns
    -------
    Complex
        Shape (n_energies,).

    Raises
    ------
    TheoryError
        If a matrix is singular or the result is not finite.
    """
    device = torch.device(device)
    dtype = torch.float64 if double else torch.float32
    if len(problem.positions) == 1:
        return np.zeros(len(problem.k), dtype=complex)
    propagator = Propagator(problem, device, dtype)
    # one energy at a time stays in the CPU's cache; a GPU wants many
    chunk = max(1, int(memory / (propagator.size**2 * 16))) if device.type == "cuda" else 1
    parts = []
    for start in range(0, len(problem.k), chunk):
        chosen = slice(start, start + chunk)
        parts.append(_solve(propagator.matrices(chosen)))
    trace = np.concatenate(parts) / problem.t[:, 0, 1]
    if not np.isfinite(trace).all():
        raise TheoryError("scattering", "the result is not finite")
    return np.asarray(trace)


def _solve(matrices: torch.Tensor) -> Complex:
    """⅓ Σ_m [(1 − M)⁻¹M] over the absorber's l = 1 columns, from lower triangles."""
    columns = matrices[:, :, 1:4].clone()
    columns[:, 1:4, :] = 0
    # rows above the columns' own block: by symmetry
    columns[:, 0, :] = 0
    identity = torch.eye(matrices.shape[-1], device=matrices.device, dtype=matrices.dtype)
    if matrices.is_cuda:
        full = matrices.tril(-1)
        full = identity - full - full.mT
        answer = torch.linalg.solve(full, columns)
        return np.asarray(answer[:, 1:4].diagonal(dim1=1, dim2=2).mean(1).cpu(), dtype=complex)
    return np.array([_solve_symmetric(m, c) for m, c in zip(matrices, columns, strict=True)])


def _solve_symmetric(matrix: torch.Tensor, columns: torch.Tensor) -> complex:
    """One energy on the CPU by LAPACK's complex-symmetric factorisation.

    Half the work of a general solver, and free of PyTorch's batched CPU solvers, which are wrong
    with more than one thread (pytorch issues 142815, 141358).
    """
    a = matrix.neg_().numpy()
    np.fill_diagonal(a, 1.0)
    (sysv,) = get_lapack_funcs(("sysv",), (a,))
    # a C-ordered lower triangle is a Fortran-ordered upper one: no copy
    _, _, x, info = sysv(a.T, columns.numpy(), lwork=64 * len(a), lower=0, overwrite_a=1)
    if info:
        raise TheoryError("scattering", f"singular matrix (LAPACK info {info})")
    return complex(np.trace(x[1:4]) / 3)


def absorber_traces(
    problems: Sequence[Problem], *, device: torch.device | str = "cpu", double: bool = False
) -> list[Complex]:
    """:func:`absorber_trace` for several clusters."""
    return [absorber_trace(p, device=device, double=double) for p in problems]
