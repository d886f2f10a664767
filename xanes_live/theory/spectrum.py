"""Structure → spectrum: what the rest of the package is for."""

# ruff: noqa: N815 (the unit is part of a field's name, and eV is written eV)

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from xanes_live.ensemble.device import choose_device
from xanes_live.errors import ConfigurationError, TheoryError
from xanes_live.theory.arguments import (
    check_edge,
    check_edge_among,
    check_energies,
    check_fermi,
    check_order,
    check_radii,
    check_reach,
    check_site,
)
from xanes_live.theory.cluster import BOHR, HARTREE, Cluster, lmax_of, make_cluster
from xanes_live.theory.contour import cut
from xanes_live.theory.feff_input import ScfSettings
from xanes_live.theory.feff_output import Phases, PotentialSummary
from xanes_live.theory.feff_run import FermiModel, run_feff, run_feff_scf
from xanes_live.theory.harmonics import Array
from xanes_live.theory.mesh import Sampled, feff_mesh, fine_mesh
from xanes_live.theory.scattering import Problem, absorber_traces

Complex = NDArray[np.complex128]
Mesh = Literal["auto", "feff", "fine", "fast"]
CLUSTER = 7.5
"""Å, of the cluster a crystal is represented by, as in the FEFF10 runs compared with."""
DENSE = 0.1
"""eV between nodes of the contour integral on our own meshes."""
OUTPUT = 0.2
"""eV between points of the spectrum before it is interpolated to the energies asked for."""
RISING = 24
"""Nodes of the contour integral on the way up from the Fermi level."""
BEYOND = 1.0
"""eV energies may lie beyond the end of the mesh, whose last step need not be whole."""
SAME = 0.02
"""eV; energies this close to FEFF's own are meant to be those."""
FAST_STEPS = ((0.8, 12.0), (1.2, 24.0), (1.8, 40.0), (3.0, 58.0), (4.0, np.inf))
"""Steps (eV) of the fast mesh and how far above the Fermi level each is taken."""
USUAL_END, USUAL_TOP = 4.0, 60.655
"""End of FEFF's usual mesh, 1/Å, and its last point above the Fermi level, eV."""


@dataclass(frozen=True, slots=True)
class TheorySpectrum:
    """A computed spectrum; energies in eV."""

    energy_eV: Array
    """Photon energy, shape (n,)."""
    mu: Array
    """Absorption, 1 at 50 eV above the Fermi level for the free atom; shape (n,)."""
    mu0: Array
    """The same without neighbours scattering (embedded atom), shape (n,)."""
    fermi_eV: float
    """Fermi level on the scale of `energy_eV`."""
    fermi_potential_eV: float
    """Fermi level on the scale of the potentials."""
    vint_eV: float
    """Interstitial potential."""
    gamma_eV: float
    """Core-hole width, full width at half maximum."""
    overlapped_fermi_eV: float
    """Fermi level FEFF's potentials gave, on their scale, before any prediction replaced it."""
    settings: dict[str, str | float | None] = field(default_factory=dict)
    """What it was computed with."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A structure with its potentials, ready for multiple scattering."""

    cluster: Cluster
    phases: Phases
    summary: PotentialSummary
    sampled: Sampled
    problem: Problem
    settings: dict[str, str | float | None]


def compute_xanes(
    atoms: Atoms,
    absorber: int,
    edge: str = "K",
    *,
    scf_radius: float | None,
    fms_radius: float = 6.0,
    energies: Array | None = None,
    device: str = "auto",
    fermi: float | FermiModel | None = None,
    mesh: Mesh = "auto",
    double: bool = False,
) -> TheorySpectrum:
    """Compute the X-ray absorption near-edge spectrum of one atom.

    Parameters
    ----------
    atoms
        Molecule or crystal.
    absorber
        Index of the absorbing atom.
    edge
        A K edge: 'K'.
    scf_radius
        Å, radius of the self-consistent cycle: 5 suits molecules, 3.6 most crystals. None overlaps
        free atoms, which is some fifty times as quick and puts the Fermi level 12 to 21 eV too
        high, unless `fermi` says where it is.
    fms_radius
        Å, radius of full multiple scattering, up to 15.
    energies
        Photon energies, eV, shape (n,); None gives FEFF's own mesh, as far as `mesh` reaches.
    device
        'cpu', 'cuda', …; 'auto' takes a GPU when there is one.
    fermi
        Fermi level on the scale of the potentials (eV), or a function that predicts it: see
        :func:`xanes_live.theory.fermi.fermi_model`. Only without `scf_radius`, which finds it.
    mesh
        Where scattering is computed: on FEFF's mesh, every 0.5 eV ('fine', good to 1×10⁻⁴) or with
        steps growing from 0.8 to 4 eV ('fast', 5×10⁻⁴). 'auto': FEFF's if `energies` are its
        points or None, else fine.
    double
        complex128 matrices.

    Raises
    ------
    ConfigurationError
        For arguments that cannot be meant: no `ase.Atoms`, another edge than a K edge, an unknown
        mesh, an absorber that is not in the structure or is hydrogen or helium, radii that are no
        lengths, energies that are none, do not reach the edge or lie beyond what FEFF8L's mesh
        reaches.
    MissingDependencyError
        Without FEFF8L.
    TheoryError
        If a stage fails; says which and why.
    """
    device = str(choose_device(device, torch.complex64))
    prepared = prepare(
        atoms,
        absorber,
        edge,
        scf_radius=scf_radius,
        fms_radius=fms_radius,
        energies=energies,
        fermi=fermi,
        mesh=mesh,
    )
    return finish([prepared], energies, device=device, double=double)[0]


def compute_many(
    structures: Sequence[tuple[Atoms, int]],
    edge: str = "K",
    *,
    scf_radius: float | None,
    fms_radius: float = 6.0,
    energies: Array | None = None,
    device: str = "auto",
    fermi: float | FermiModel | None = None,
    mesh: Mesh = "auto",
) -> list[TheorySpectrum]:
    """:func:`compute_xanes` of several absorbers; scattering is solved together on a GPU."""
    device = str(choose_device(device, torch.complex64))
    prepared = [
        prepare(
            atoms,
            absorber,
            edge,
            scf_radius=scf_radius,
            fms_radius=fms_radius,
            energies=energies,
            fermi=fermi,
            mesh=mesh,
        )
        for atoms, absorber in structures
    ]
    return finish(prepared, energies, device=device)


def prepare(
    atoms: Atoms,
    absorber: int,
    edge: str = "K",
    *,
    scf_radius: float | None,
    fms_radius: float = 6.0,
    energies: Array | None = None,
    fermi: float | FermiModel | None = None,
    mesh: Mesh = "auto",
    solid: bool | None = None,
    cluster_radius: float = CLUSTER,
) -> Prepared:
    """Run FEFF8L for one absorber; parameters as :func:`compute_xanes`, and two more.

    `solid` says whether a non-periodic structure is cut from a solid; None finds out. A crystal
    gives its atoms within `cluster_radius` (Å) to the potentials; the proportion of elements in it
    moves the interstitial potential by 0.1 to 0.2 eV.
    """
    if mesh not in get_args(Mesh):
        raise ConfigurationError(f"no mesh {mesh!r}; there are {', '.join(get_args(Mesh))}")
    edge = check_edge(edge)
    check_site(atoms, absorber)
    check_radii(scf_radius, fms_radius)
    check_energies(energies)
    check_fermi(fermi, scf_radius)
    check_order(atoms)
    cluster = make_cluster(atoms, absorber, max(cluster_radius, fms_radius), solid=solid)
    if len(cluster.numbers) == 1:
        raise TheoryError(
            "geometry",
            "the absorber has no neighbour, which FEFF needs for the interstitial potential; mu0 "
            "of any structure is the curve of the atom",
        )
    check_reach(cluster, fms_radius)
    used: ScfSettings | None = None
    kmax = _mesh_end(energies, mesh)
    if scf_radius is None:
        phases, summary = run_feff(cluster, edge, fermi=fermi, kmax=kmax)
    else:
        phases, summary, used = run_feff_scf(cluster, edge, ScfSettings(scf_radius), kmax=kmax)
    sampled = _sample(phases, mesh, energies)
    settings: dict[str, str | float | None] = {
        "edge": edge,
        "fms_radius": fms_radius,
        "scf": used.card(solid=cluster.solid) if used else None,
        "mesh": mesh,
    }
    problem = scattering_problem(cluster, sampled, fms_radius)
    return Prepared(cluster, phases, summary, sampled, problem, settings)


def _mesh_end(energies: Array | None, mesh: Mesh) -> Callable[[PotentialSummary], float]:
    """Choose the end of FEFF's mesh: its usual one, or 3 eV beyond the last energy asked for."""

    def end(summary: PotentialSummary) -> float:
        if energies is None:
            return USUAL_END
        check_edge_among(energies, summary.emu)
        if mesh == "feff":
            return USUAL_END
        need = float(np.max(energies)) - summary.emu
        if mesh == "auto" and abs(need - USUAL_TOP) < SAME:
            return USUAL_END
        return max(USUAL_END, float(np.ceil(np.sqrt(max(0.0, need + 3.0) / 3.81) * 10)) / 10 + 0.1)

    return end


def scattering_problem(cluster: Cluster, sampled: Sampled, fms_radius: float) -> Problem:
    """Return the multiple-scattering problem of the sites within `fms_radius`, Å."""
    sites = cluster.within(fms_radius)
    potential = cluster.potential[sites]
    lmax = np.array([lmax_of(int(z)) for z in cluster.numbers[sites]])
    t = np.zeros((len(sampled.k), len(sites), int(lmax.max()) + 1), dtype=complex)
    for index, number in enumerate(cluster.species):
        channels = lmax_of(number) + 1
        if np.any(potential == index):
            t[:, potential == index, :channels] = sampled.t[index][:, None, :channels]
    return Problem(cluster.positions[sites] / BOHR, lmax, sampled.k, t)


def finish(
    prepared: Sequence[Prepared],
    energies: Array | None,
    *,
    device: str = "auto",
    double: bool = False,
) -> list[TheorySpectrum]:
    """Multiple scattering and the Fermi cut of prepared structures."""
    device = str(choose_device(device, torch.complex64))
    traces = absorber_traces([p.problem for p in prepared], device=device, double=double)
    return [_assemble(p, trace, energies) for p, trace in zip(prepared, traces, strict=True)]


def _sample(phases: Phases, mesh: Mesh, energies: Array | None) -> Sampled:
    if mesh == "auto":
        on_mesh = energies is None or _coincide(np.asarray(energies), feff_energies(phases))
        mesh = "feff" if on_mesh else "fine"
    if mesh == "feff":
        return feff_mesh(phases)
    top = (phases.energy[phases.n_real - 1].real - phases.fermi) * HARTREE
    if mesh == "fine":
        return fine_mesh(phases, _steps(top, ((0.5, np.inf),)), np.linspace(0, 0.9, 7))
    width = min(1.0, phases.energy[0].imag * HARTREE / 0.65)  # narrower levels, finer steps
    steps = [(size * width, stop) for size, stop in FAST_STEPS]
    return fine_mesh(phases, _steps(top, steps), np.array([0.0, 0.3, 0.65]))


def _coincide(wanted: Array, own: Array) -> bool:
    """Whether all energies are points of FEFF's mesh, apart from the last digits of its edge."""
    return bool(np.abs(own[:, None] - wanted).min(axis=0).max() < SAME)


def _steps(top: float, segments: Sequence[tuple[float, float]]) -> Array:
    """Energies from 0 with steps (size, up to), the last a multiple of `DENSE` below `top`."""
    out = [0.0]
    for step, stop in segments:
        while out[-1] < stop - 1e-9 and out[-1] + step < top:
            out.append(out[-1] + step)
    return np.round(np.array(out) / DENSE) * DENSE


def feff_energies(phases: Phases) -> Array:
    """Photon energies of FEFF's own mesh, eV."""
    along = phases.energy[: phases.n_real].real
    return np.asarray((along - phases.fermi + phases.emu) * HARTREE)


def _assemble(prepared: Prepared, trace: Complex, energies: Array | None) -> TheorySpectrum:
    phases, sampled = prepared.phases, prepared.sampled
    scattered = sampled.atomic - sampled.norm * sampled.matrix_element / 3 * trace
    fermi = phases.emu * HARTREE
    own = feff_energies(phases)
    native = bool(len(sampled.path) - sampled.corner == phases.n_real - phases.fermi_index)
    work = _output_grid(sampled, energies, fermi)
    if native:  # above the Fermi level only at nodes, below it anywhere
        work = np.concatenate(
            [
                np.union1d(work[work < 0], own[own < fermi - 1e-6] - fermi),
                sampled.path.real[sampled.corner :],
            ]
        )
    height = sampled.path[sampled.corner].imag
    step = np.interp(50.0, sampled.path.real[sampled.corner :], sampled.norm[sampled.corner :])
    curves = []
    for values in (scattered, sampled.atomic):
        path, corner = sampled.path, sampled.corner
        if not native:
            path, corner, values = _densify(sampled, values)  # noqa: PLW2901
        curves.append(cut(work, path, values, corner) / step)
    # the fast mesh ends up to a step before FEFF's
    reached = own[own - fermi <= work[-1] + BEYOND]
    wanted = reached if energies is None else np.asarray(energies, dtype=float)
    at = wanted - fermi
    if native and _coincide(wanted, own):
        at = own[np.abs(own[:, None] - wanted).argmin(axis=0)] - fermi
    if at.max() > work[-1] + BEYOND:
        raise ConfigurationError(
            f"energies up to {wanted.max():.0f} eV asked for, up to {work[-1] + fermi:.0f} eV "
            "they can be computed"
        )
    mu, mu0 = (CubicSpline(work, curve)(at) for curve in curves)
    return TheorySpectrum(
        energy_eV=wanted,
        mu=mu,
        mu0=mu0,
        fermi_eV=fermi,
        fermi_potential_eV=phases.fermi * HARTREE,
        vint_eV=phases.vint * HARTREE,
        gamma_eV=2 * height,
        overlapped_fermi_eV=prepared.summary.fermi,
        settings=prepared.settings,
    )


def _output_grid(sampled: Sampled, energies: Array | None, fermi: float) -> Array:
    """ω − E_F every `OUTPUT` eV over what is asked for, within the mesh; whole steps of 2 eV."""
    top = float(sampled.path[-1].real)
    low = -12.0
    if energies is not None:
        low = min(low, 2 * np.floor((np.min(energies) - fermi) / 2) - 2)
    return np.asarray(np.arange(round(low / OUTPUT), int(top / OUTPUT + 1e-6) + 1) * OUTPUT)


def _densify(sampled: Sampled, values: Complex) -> tuple[Complex, int, Complex]:
    """Spline F onto the nodes of the contour integral."""
    corner = sampled.corner
    gamma = sampled.path[corner].imag
    along = sampled.path[corner:].real
    height = sampled.path[: corner + 1].imag
    up = np.linspace(0, gamma, RISING + 1)[:-1]
    across = np.arange(round(along[-1] / DENSE) + 1) * DENSE
    path = np.concatenate([1j * up, across + 1j * gamma])
    rising = CubicSpline(height, values[: corner + 1])(np.maximum(up, height[0]))
    return path, RISING, np.concatenate([rising, CubicSpline(along, values[corner:])(across)])
