"""Multiple scattering at the energies of one spectrum, beside a general solver one by one."""

from __future__ import annotations

import numpy as np
import torch

from xanes_live.bench.rows import Row
from xanes_live.bench.timing import in_turns
from xanes_live.theory.scattering import Complex, Problem, Propagator, absorber_traces

SITES, LMAX, CLUSTERS = 20, 3, 2


def problem(seed: int, energies: int) -> Problem:
    """Return a made-up cluster of the density of an oxide."""
    rng = np.random.default_rng(seed)
    axis = np.arange(-2, 3)
    grid = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3).astype(float)
    near = grid[np.argsort(np.linalg.norm(grid, axis=1), kind="stable")][:SITES]
    positions = 4.0 * near + np.r_[np.zeros((1, 3)), rng.normal(0, 0.2, (SITES - 1, 3))]
    k = np.linspace(0.8, 2.0, energies) + 0.05j
    shift = rng.uniform(-1, 1, (SITES, LMAX + 1)) * np.ones((energies, 1, 1)) + 0.05j
    t: Complex = (np.exp(1j * shift) * np.sin(shift)).astype(np.complex128)
    return Problem(positions, np.full(SITES, LMAX), k.astype(np.complex128), t)


def plain_traces(given: Problem) -> Complex:
    """Return what :func:`absorber_traces` does, by numpy's general solver, an energy at a time."""
    propagator = Propagator(given, torch.device("cpu"), torch.float32)
    traces = []
    for e in range(len(given.k)):
        lower = np.tril(propagator.matrices(slice(e, e + 1))[0].numpy(), -1)
        columns = -lower[:, 1:4]
        whole = np.eye(len(lower), dtype=lower.dtype) + lower + lower.T
        answer = np.linalg.solve(whole, columns)
        traces.append(np.trace(answer[1:4]) / 3 / given.t[e, 0, 1])
    return np.array(traces)


def scattering(device: torch.device, budget_s: float, energies: int = 4) -> Row:
    """Measure two clusters of 20 sites (order 320) on the device."""
    problems = [problem(seed, energies) for seed in range(CLUSTERS)]
    works = {
        "ours": lambda: absorber_traces(problems, device=device),
        "plain": lambda: [plain_traces(p) for p in problems],
    }
    found = in_turns(works, budget_s)
    name = f"scattering, {CLUSTERS * energies} matrices of order {problems[0].size}, plain: numpy"
    return Row("scattering", name, CLUSTERS * energies, found["ours"], found["plain"])
