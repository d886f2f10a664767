"""One spectrum of a data set: what is to be computed, and computing it in a worker process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from ase import Atoms

from xanes_live.edges import edge_energy
from xanes_live.errors import TheoryError
from xanes_live.theory.cluster import make_cluster
from xanes_live.theory.fermi import fermi_model
from xanes_live.theory.harmonics import Array
from xanes_live.theory.spectrum import finish, prepare
from xanes_live.theory.store import Record
from xanes_live.theory.structures import CUT


@dataclass(frozen=True, slots=True)
class Settings:
    """What all spectra of one data set have in common."""

    edge: str = "K"
    mode: Literal["cheap", "scf"] = "cheap"
    """Overlapped potentials with a predicted Fermi level, or self-consistent ones."""
    fms_radius: float = 6.0
    mesh: Literal["fine", "fast"] = "fast"
    low: float = -22.0
    high: float = 88.0
    step: float = 0.2
    """Energies stored, eV relative to the tabulated edge."""
    fermi: Mapping[str, Any] | None = None
    """Prediction of the Fermi level for cheap spectra; None: the shipped one."""

    def energy(self) -> Array:
        """Return the energies stored, eV relative to the edge."""
        count = round((self.high - self.low) / self.step) + 1
        return np.linspace(self.low, self.low + (count - 1) * self.step, count)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form kept with the data."""
        return {k: v for k, v in asdict(self).items() if k != "fermi" or v is not None}


@dataclass(frozen=True, slots=True)
class Task:
    """One absorber of one structure."""

    id: str
    atoms: Atoms
    absorber: int
    solid: bool | None
    meta: dict[str, Any] = field(default_factory=dict)
    """Columns known beforehand: parent, source, name, kind, …"""


def scf_radius(atoms: Atoms, absorber: int, solid: bool | None) -> float:
    """Return the radius of the self-consistent cycle, Å.

    5 for molecules; for crystals 3.6 or what it takes to hold one atom of each element, up to 5.5.
    """
    cluster = make_cluster(atoms, absorber, CUT, solid=solid)
    if not cluster.solid:
        return 5.0
    distance = np.linalg.norm(cluster.positions, axis=1)
    reach = [distance[cluster.potential == i].min() for i in range(1, len(cluster.species))]
    return float(min(5.5, max([3.6, *(r + 0.05 for r in reach)])))


def run_task(task: Task, settings: Settings) -> Record:
    """Compute one spectrum; a failure becomes a record with its reason.

    PyTorch's batched CPU solvers are wrong with more than one thread, and processes are what uses
    the cores here: one thread.
    """
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        record = _compute(task, settings)
    except TheoryError as error:
        return {"id": task.id, "ok": False, "error": str(error)}
    except (ValueError, TypeError, ArithmeticError, LookupError, RuntimeError) as error:
        return {"id": task.id, "ok": False, "error": f"{type(error).__name__}: {error}"}
    record["seconds"] = time.perf_counter() - start
    return record


def _compute(task: Task, settings: Settings) -> Record:
    element = task.atoms.symbols[task.absorber]
    edge = edge_energy(element, settings.edge)
    energies = edge + settings.energy()
    scf = settings.mode == "scf"
    prepared = prepare(
        task.atoms,
        task.absorber,
        settings.edge,
        scf_radius=scf_radius(task.atoms, task.absorber, task.solid) if scf else None,
        fms_radius=settings.fms_radius,
        energies=energies,
        fermi=None if scf else fermi_model(settings.fermi),
        mesh=settings.mesh,
        solid=task.solid,
        cluster_radius=CUT,  # distorted copies are cut out with it, and E_F was fitted with it
    )
    spectrum = finish([prepared], energies)[0]
    _check(spectrum.mu)
    return {
        "site": task.absorber,
        "multiplicity": 1,
        "strain": 1.0,
        "displacement": 0.0,
        "ox": -9,
        "spin": -9,
        **task.meta,
        "id": task.id,
        "ok": True,
        "element": element,
        "edge_energy": edge,
        "fermi": spectrum.fermi_eV,
        "fermi_potential": spectrum.fermi_potential_eV,
        "fermi_overlapped": spectrum.overlapped_fermi_eV,
        "vint": spectrum.vint_eV,
        "gamma": spectrum.gamma_eV,
        "scf": int(scf),
        "solid": int(prepared.cluster.solid),
        "mu": spectrum.mu.astype(np.float32),
        "mu0": spectrum.mu0.astype(np.float32),
        "numbers": prepared.cluster.numbers.astype(np.uint8),
        "positions": prepared.cluster.positions.astype(np.float32),
    }


def _check(mu: Array) -> None:
    """Refuse what cannot be a spectrum: overlapping spheres make such."""
    if not np.isfinite(mu).all() or mu.min() < -0.05 or mu.max() > 8.0:
        raise TheoryError("spectrum", f"μ from {mu.min():.2f} to {mu.max():.2f}")
