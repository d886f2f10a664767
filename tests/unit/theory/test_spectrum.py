from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from xanes_live.errors import ConfigurationError, MissingDependencyError, TheoryError
from xanes_live.theory import feff_run, spectrum
from xanes_live.theory.cluster import make_cluster
from xanes_live.theory.feff_input import ScfSettings
from xanes_live.theory.feff_output import read_phases, read_pot
from xanes_live.theory.fermi import fermi_model, fit_ridge
from xanes_live.theory.spectrum import compute_many, compute_xanes


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


def atoms_of(case: dict) -> Atoms:
    return Atoms(case["numbers"], case["positions_A"])


@pytest.fixture
def replayed(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FEFF8L's recorded output instead of the program."""

    def run_feff(*args, **options):
        return read_phases(recorded), read_pot(recorded / "pot.pad")

    monkeypatch.setattr(spectrum, "run_feff", run_feff)


def test_recorded_potentials_give_the_feff10_spectrum(cases: dict, replayed: None) -> None:
    case = cases["FeCO5"]
    ours = compute_xanes(atoms_of(case), 0, scf_radius=None)
    np.testing.assert_allclose(ours.energy_eV, case["energy_eV"], atol=0.01)
    assert rms(ours.mu, case["mu"]) < 2e-4
    assert rms(ours.mu0, case["mu0"]) < 2e-4
    at = compute_xanes(atoms_of(case), 0, scf_radius=None, energies=np.array(case["energy_eV"]))
    assert rms(at.mu, case["mu"]) < 2e-4


def test_meshes_agree(cases: dict, replayed: None) -> None:
    atoms, energies = atoms_of(cases["FeCO5"]), np.arange(7100, 7165, 0.4)
    fine = compute_xanes(atoms, 0, scf_radius=None, energies=energies)
    fast = compute_xanes(atoms, 0, scf_radius=None, energies=energies, mesh="fast")
    own = compute_xanes(atoms, 0, scf_radius=None, energies=energies, mesh="feff")
    assert rms(fine.mu, fast.mu) < 1e-3
    assert 1e-4 < rms(fine.mu, own.mu) < 5e-3  # FEFF's mesh is coarse
    assert fine.mu[0] < 0.02
    assert fine.settings["mesh"] == "auto"


def test_double_precision_changes_nothing(cases: dict, replayed: None) -> None:
    atoms = atoms_of(cases["FeCO5"])
    single = compute_xanes(atoms, 0, scf_radius=None)
    double = compute_xanes(atoms, 0, scf_radius=None, double=True)
    assert np.abs(single.mu - double.mu).max() < 1e-5


def test_scattering_radius_of_the_absorber_alone_leaves_the_atom(
    cases: dict, replayed: None
) -> None:
    ours = compute_xanes(atoms_of(cases["FeCO5"]), 0, scf_radius=None, fms_radius=1.0)
    np.testing.assert_array_equal(ours.mu, ours.mu0)


@pytest.mark.parametrize("name", ["FeCO5", "ferrocene"])
def test_feff10_with_overlapped_potentials(cases: dict, name: str, feff: None) -> None:
    ours = compute_xanes(atoms_of(cases[name]), 0, scf_radius=None)
    assert rms(ours.mu, cases[name]["mu"]) < 2e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FeO", "FeS2", "FeCO5-scf", "ferrocene-scf"])
def test_feff10_with_crystals_and_self_consistency(cases: dict, name: str, feff: None) -> None:
    case = cases[name]
    ours = compute_xanes(atoms_of(case), 0, scf_radius=case["scf_radius"])
    assert rms(ours.mu, case["mu"]) < 5e-4


@pytest.mark.slow
def test_periodic_crystal_against_feff10(cases: dict, feff: None) -> None:
    ours = compute_xanes(bulk("FeO", "rocksalt", a=4.307), 0, scf_radius=None)
    assert rms(ours.mu, cases["FeO"]["mu"]) < 5e-4


def test_turning_moving_and_renumbering(cases: dict, feff: None) -> None:
    atoms = atoms_of(cases["FeCO5"])
    atoms.positions += np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    before = compute_xanes(atoms, 0, scf_radius=None)
    order = np.random.default_rng(1).permutation(len(atoms))
    moved = atoms[order]
    moved.rotate(77, (1, -2, 0.5))
    moved.positions += [3.0, -20.0, 7.0]
    after = compute_xanes(moved, int(np.flatnonzero(order == 0)[0]), scf_radius=None)
    assert np.abs(before.mu - after.mu).max() < 1e-5


def test_periodic_crystal_is_its_cluster(feff: None) -> None:
    crystal = bulk("TiC", "rocksalt", a=4.33)
    cluster = make_cluster(crystal, 0, 7.5)
    free = Atoms(cluster.numbers, cluster.positions)
    periodic, cut = compute_many([(crystal, 0), (free, 0)], scf_radius=None, fms_radius=3.2)
    assert np.abs(periodic.mu - cut.mu).max() < 1e-6
    assert periodic.fermi_eV == pytest.approx(4966, abs=15)  # Ti K


def test_predicted_fermi_level_keeps_the_photon_scale(cases: dict, feff: None) -> None:
    """Against the self-consistent run: without the prediction the difference is 0.4."""
    case = cases["FeCO5-scf"]
    cheap = compute_xanes(atoms_of(case), 0, scf_radius=None, fermi=fermi_model())
    assert cheap.overlapped_fermi_eV - cheap.fermi_potential_eV > 12
    assert cheap.fermi_eV == pytest.approx(case["energy_eV"][10], abs=0.01)
    assert rms(cheap.mu, case["mu"]) < 0.05


def test_ridge_recovers_a_line() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 3)) * [1, 10, 0]
    fitted = fit_ridge(rows, rows @ [2.0, -0.3, 0.0] + 5, penalty=1e-6)
    np.testing.assert_allclose(fitted["slope"], [2.0, -0.3, 0.0], atol=1e-6)
    assert fitted["offset"] == pytest.approx(5)


def test_program_failures_carry_its_words(feff: None) -> None:
    apart = Atoms("FeO", [[0, 0, 0], [0, 0, 30.0]])
    with pytest.raises(TheoryError, match=r"feff8l_pot.*interstitial"):
        compute_xanes(apart, 0, scf_radius=None)


def test_every_rung_of_the_ladder_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[ScfSettings] = []

    def fail(cluster, edge, *, scf, **options):
        tried.append(scf)
        raise TheoryError("feff8l_pot", "no convergence")

    monkeypatch.setattr(feff_run, "run_feff", fail)
    with pytest.raises(TheoryError, match="self-consistency") as raised:
        feff_run.run_feff_scf(make_cluster(bulk("Fe"), 0), "K", ScfSettings(4.0))
    assert [(s.mixing, s.radius) for s in tried] == [(1, 4.0), (5, 4.0), (5, 6.0), (10, 4.0)]
    assert raised.value.reason.count("no convergence") == 4


def test_exit_status_0_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorded: Path
) -> None:
    """pot may end well without having done its work."""
    for name in feff_run.PROGRAMS:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncp '{recorded}/xsph.json' . \n")
        program.chmod(0o755)
    monkeypatch.setattr(feff_run, "feff_directory", lambda: tmp_path)
    with pytest.raises(TheoryError, match="feff8l_pot"):
        feff_run.run_feff(make_cluster(bulk("Fe"), 0))


def test_missing_xraylarch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    feff_run.feff_directory.cache_clear()
    monkeypatch.setattr(feff_run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"xanes-live\[theory\]"):
        feff_run.feff_directory()


@pytest.mark.parametrize("given", [{"edge": "L3"}, {"edge": "M5"}, {"mesh": "coarse"}])
def test_what_is_not_computed_is_refused(given: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given.values()))):
        compute_xanes(bulk("NiO", "rocksalt", a=4.18), 0, scf_radius=None, **given)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"absorber": 7}, "3 atoms"),
        ({"absorber": -1}, "3 atoms"),
        ({"absorber": 0.0}, "index"),
        ({"fms_radius": -1.0}, "lengths"),
        ({"scf_radius": 0.0}, "lengths"),
        ({"energies": np.array([])}, "one number or more"),
        ({"energies": np.zeros((2, 2))}, "one dimension"),
        ({"energies": np.array([7112.0, np.nan])}, "finite"),
        ({"energies": np.array([7112.0 + 1j])}, "real"),
        ({"absorber": "Fe"}, "index"),
        ({"edge": None}, "only K edges"),
        ({"fms_radius": "6"}, "lengths"),
        ({"fms_radius": float("inf")}, "lengths"),
        ({"fms_radius": 100.0}, "up to 15"),
        ({"scf_radius": "5"}, "lengths"),
        ({"scf_radius": float("nan")}, "lengths"),
        ({"fermi": float("nan")}, "a number, eV, or a function"),
        ({"fermi": "cheap"}, "a number, eV, or a function"),
        ({"fermi": -5.0, "scf_radius": 5.0}, "scf_radius=None"),
        ({"absorber": 2}, "is H, which has no core electron"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, says):
    given = {"absorber": 0, "scf_radius": None} | changes
    with pytest.raises(ConfigurationError, match=says):
        compute_xanes(Atoms("FeOH", [[0, 0, 0], [0, 0, 2.0], [0, 0, 3.0]]), **given)


@pytest.mark.parametrize("atoms", ["FeO.cif", None, [bulk("Fe")]])
def test_what_is_no_structure_is_refused(atoms):
    with pytest.raises(ConfigurationError, match=r"ase\.Atoms .* ase\.io\.read"):
        compute_xanes(atoms, 0, scf_radius=None)


@pytest.mark.parametrize(
    ("atoms", "says"),
    [
        (Atoms("FeO", [[0, 0, 0], [np.nan, 0, 2.0]]), "finite"),
        (Atoms("FeX", [[0, 0, 0], [0, 0, 2.0]]), "site 1 is a dummy"),
        (Atoms("FeO", [[0, 0, 0], [0, 0, 2.0]], pbc=True), "no cell vector"),
    ],
)
def test_a_structure_that_cannot_be_is_refused_in_words(atoms, says):
    with pytest.raises(TheoryError, match=says):
        compute_xanes(atoms, 0, scf_radius=None)


def test_scattering_further_out_than_atoms_are_taken_is_refused():
    with pytest.raises(ConfigurationError, match=r"1000 atoms that FEFF8L takes: give less than"):
        compute_xanes(bulk("Ni"), 0, scf_radius=None, fms_radius=15.0)


@pytest.mark.parametrize("energies", [[7.1, 7.2], [4960.0, 5040.0]])
def test_energies_of_another_edge_or_in_kev_are_refused(energies, feff):
    with pytest.raises(ConfigurationError, match="the edge is at 71"):
        compute_xanes(Atoms("FeO", [[0, 0, 0], [0, 0, 1.7]]), 0, scf_radius=None, energies=energies)


def test_energies_below_the_edge_may_be_asked_for(cases: dict, feff: None) -> None:
    atoms = Atoms("FeO", [[0, 0, 0], [0, 0, 1.7]])
    below = compute_xanes(atoms, 0, scf_radius=None, energies=np.array([7090.0, 7100.0]))
    assert np.all(np.abs(below.mu) < 0.1)


def test_energies_beyond_the_mesh_are_refused_and_not_extrapolated(feff):
    atoms = Atoms("FeO4", [[0, 0, 0], [2, 0, 0], [-2, 0, 0], [0, 2, 0], [0, -2, 0]])
    with pytest.raises(ConfigurationError, match="can be computed"):
        compute_xanes(atoms, 0, scf_radius=None, energies=np.arange(7100.0, 7700.0, 2.0))


def test_an_atom_alone_and_a_device_that_is_not_there_are_refused():
    with pytest.raises(TheoryError, match="no neighbour"):
        compute_xanes(Atoms("Fe", [[0, 0, 0]]), 0, scf_radius=None, device="cpu")
    with pytest.raises(ConfigurationError, match="device 'gpu' cannot be used"):
        compute_xanes(bulk("Fe"), 0, scf_radius=None, device="gpu")


def test_the_fast_mesh_gives_what_it_reaches(cases: dict, replayed: None) -> None:
    atoms = atoms_of(cases["FeCO5"])
    fast, own = (compute_xanes(atoms, 0, scf_radius=None, mesh=mesh) for mesh in ("fast", "feff"))
    assert 0 < own.energy_eV.size - fast.energy_eV.size < 4
    assert rms(fast.mu, own.mu[: fast.mu.size]) < 5e-3
