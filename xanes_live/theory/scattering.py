"""Full multiple scattering: the absorber's part of (1 − G₀t)⁻¹G₀ over a cluster.

With real harmonics the free propagator between sites i and j, R = R_i − R_j, ρ = kR, is

    G₀(iL, jL') = 4πi Σ_L'' i^{l'−l+l''} h_l''(ρ) Y_L''(R̂) C(L, L', L'')

(C: Gaunt coefficients), complex-symmetric in (iL, jL'); t_l = e^{iδ_l} sin δ_l is diagonal.
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
from torch.nn.functional import pad

from xanes_live.errors import TheoryError
from xanes_live.theory.harmonics import Array, gaunt, real_harmonics, wave_coefficients

Complex = NDArray[np.complex128]
AT_ONCE = 4
"""Energies a CPU builds matrices for together: each angular factor is read once for them."""
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
        start = 0
        groups = [order[:1], *_runs(order[1:], problem.lmax)]
        for sites in groups:
            ell = int(problem.lmax[sites[0]])
            stop = start + len(sites) * (ell + 1) ** 2
            self._classes.append((sites, ell, slice(start, stop)))
            start = stop
        self.size = start
        self._blocks = [
            self._block(a, b) for i, a in enumerate(self._classes) for b in self._classes[: i + 1]
        ]
        self._site, self._ell = self._labels()
        self._buffer: torch.Tensor | None = None

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
        """Return the lower triangle of −M = −t^½ G₀ t^½; what is above it means nothing.

        The memory is used again by the next call.

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
        if self._buffer is None or len(self._buffer) < len(k) or self._buffer.dtype != ctype:
            shape = (len(k), self.size, self.size)
            self._buffer = torch.empty(shape, dtype=ctype, device=self.device)
        out = self._buffer[: len(k)]
        root = np.sqrt(self.problem.t[chosen][:, self._site, self._ell])
        phase = np.array([1, 1j, -1, -1j])[self._ell % 4]
        left = torch.as_tensor(-root / phase, device=self.device).to(ctype)[:, :, None]
        right = torch.as_tensor(root * phase, device=self.device).to(ctype)[:, None, :]
        for block in self._blocks:
            part = out[:, block.rows, block.columns]
            self._fill(part, block, k)
            part *= left[:, block.rows]
            part *= right[:, :, block.columns]
        return out

    def _fill(self, part: torch.Tensor, block: _Block, k: torch.Tensor) -> None:
        na, nb, la, lb = block.shape
        waves = torch.view_as_real(_waves(k, block.distance, block.ell)).flatten(2)
        values = torch.bmm(block.angular, waves.to(self.dtype))
        values = torch.view_as_complex(values.view(na, nb, la, lb, len(k), 2))
        part.view(len(k), na, la, nb, lb).copy_(values.permute(4, 0, 2, 1, 3))


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
    problem: Problem, *, device: torch.device | str = "cpu", double: bool = False
) -> Complex:
    """Return ⅓ Tr_{l=1} [(1 − G₀t)⁻¹G₀]₀₀ at each energy of one cluster.

    Parameters
    ----------
    problem
        The cluster.
    device
        Where matrices are built and, on CUDA, solved.
    double
        complex128 instead of complex64.

    Returns
    -------
    Complex
        Shape (n_energies,).

    Raises
    ------
    TheoryError
        If a matrix is singular or the result is not finite.
    """
    return absorber_traces([problem], device=device, double=double)[0]


def absorber_traces(
    problems: Sequence[Problem],
    *,
    device: torch.device | str = "cpu",
    double: bool = False,
    together: bool | None = None,
    memory: float = 8e9,
) -> list[Complex]:
    """Return :func:`absorber_trace` of several clusters.

    Parameters
    ----------
    problems
        The clusters.
    device, double
        As in :func:`absorber_trace`.
    together
        Solve energies and clusters of similar size in common batches, as a GPU wants it, instead of
        one matrix at a time, as a CPU wants it; None decides by the device.
    memory
        Bytes the matrices of one batch may take.
    """
    device = torch.device(device)
    dtype = torch.float64 if double else torch.float32
    batched = device.type == "cuda" if together is None else together
    solve = _together if batched else _one_by_one
    out = [np.zeros(len(p.k), dtype=complex) for p in problems]
    real = [i for i, p in enumerate(problems) if len(p.positions) > 1]
    for group in _similar([problems[i].size for i in real]):
        chosen = [real[j] for j in group]
        traces = solve([problems[i] for i in chosen], device, dtype, memory)
        for i, trace in zip(chosen, traces, strict=True):
            out[i] = trace / problems[i].t[:, 0, 1]
    if not all(np.isfinite(trace).all() for trace in out):
        raise TheoryError("scattering", "the result is not finite")
    return out


def _similar(sizes: Sequence[int], spread: float = 1.15) -> list[list[int]]:
    """Group indices so that the largest of a group is at most `spread` times the smallest."""
    groups: list[list[int]] = []
    for i in np.argsort(sizes):
        if groups and sizes[i] <= spread * sizes[groups[-1][0]]:
            groups[-1].append(int(i))
        else:
            groups.append([int(i)])
    return groups


def _one_by_one(
    problems: Sequence[Problem], device: torch.device, dtype: torch.dtype, memory: float
) -> list[Complex]:
    del memory  # a few matrices at a time
    traces = []
    for problem in problems:
        propagator = Propagator(problem, device, dtype)
        lots = (
            propagator.matrices(slice(i, i + AT_ONCE)) for i in range(0, len(problem.k), AT_ONCE)
        )
        traces.append(np.array([_solve_symmetric(m) for lot in lots for m in lot]))
    return traces


def _together(
    problems: Sequence[Problem], device: torch.device, dtype: torch.dtype, memory: float
) -> list[Complex]:
    """Batches over energies and clusters, smaller matrices padded with an identity."""
    order = max(p.size for p in problems)
    item = 16 if dtype == torch.float64 else 8
    # three copies: the matrices, both triangles filled in, the solver's own
    chunk = max(1, int(memory / (3 * item * order**2 * len(problems))))
    propagators = [Propagator(p, device, dtype) for p in problems]
    count = max(len(p.k) for p in problems)
    parts: list[list[Complex]] = [[] for _ in problems]
    for start in range(0, count, chunk):
        lots = [p.matrices(slice(start, start + chunk)) for p in propagators]
        padded = [pad(m, (0, order - m.shape[-1], 0, order - m.shape[-1])) for m in lots]
        answers = torch.split(_solve_general(torch.cat(padded)), [len(m) for m in lots])
        for part, answer in zip(parts, answers, strict=True):
            part.append(answer.cpu().numpy().astype(complex))
    return [np.concatenate(part) for part in parts]


def _solve_general(matrices: torch.Tensor) -> torch.Tensor:
    """⅓ Σ_m [(1 − M)⁻¹M] over the absorber's l = 1 columns from lower triangles of −M."""
    lower = matrices.tril(-1)
    identity = torch.eye(matrices.shape[-1], device=matrices.device, dtype=matrices.dtype)
    columns = -lower[:, :, 1:4]  # the absorber's own block is zero, so these are whole columns
    answer = torch.linalg.solve(identity + lower + lower.mT, columns)
    block: torch.Tensor = answer[:, 1:4].diagonal(dim1=1, dim2=2)
    return block.mean(1)


def _solve_symmetric(matrix: torch.Tensor) -> complex:
    """One energy on the CPU by LAPACK's complex-symmetric factorisation.

    Half the work of a general solver, and free of PyTorch's batched CPU solvers, which are wrong
    with more than one thread (pytorch issues 142815, 141358).
    """
    a = matrix.numpy()
    columns = -a[:, 1:4]
    np.fill_diagonal(a, 1.0)
    factorise, solve = get_lapack_funcs(("sytrf", "sytrs"), (a,))
    # a C-ordered lower triangle is a Fortran-ordered upper one: no copy. Sysv would do both steps
    # in one, but reorder the whole factor in between, which for three columns does not pay
    factor, pivots, info = factorise(a.T, lower=0, lwork=64 * len(a), overwrite_a=1)
    if info:
        raise TheoryError("scattering", f"singular matrix (LAPACK info {info})")
    x, _ = solve(factor, pivots, columns, lower=0)
    return complex(np.trace(x[1:4]) / 3)
