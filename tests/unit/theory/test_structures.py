from __future__ import annotations

import itertools
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal

from xanes_live.errors import ConfigurationError
from xanes_live.theory import structures as make
from xanes_live.theory.sizes import METALLIC, longer, wider

PYRITE = crystal(
    ["Fe", "S"],
    [(0, 0, 0), (0.3848, 0.3848, 0.3848)],
    spacegroup=205,
    cellpar=[5.417] * 3 + [90] * 3,
)
MAGNETITE = crystal(
    ["Fe", "Fe", "O"],
    [(0.125, 0.125, 0.125), (0.5, 0.5, 0.5), (0.2549, 0.2549, 0.2549)],
    spacegroup=227,
    setting=2,
    cellpar=[8.396] * 3 + [90] * 3,
)


def first_distances(atoms: Atoms) -> np.ndarray:
    return np.linalg.norm(atoms.positions[make.first_shell(atoms.positions)], axis=1)


def test_inequivalent_sites_with_their_multiplicity() -> None:
    assert make.inequivalent_sites(PYRITE, "Fe") == [(0, 4)]
    assert sorted(count for _, count in make.inequivalent_sites(MAGNETITE, "Fe")) == [8, 16]
    assert make.inequivalent_sites(PYRITE, "Mn") == []


def test_molecules_name_their_absorber_or_have_all() -> None:
    two = Atoms("FeOFe", np.eye(3) * 3)
    assert make.inequivalent_sites(two, "Fe") == [(0, 1), (2, 1)]
    two.info["absorber"] = 2
    assert make.inequivalent_sites(two, "Fe") == [(2, 1)]


def test_distorted_copies_have_the_strain_and_displacement_asked_for() -> None:
    cluster = make.cut_out(PYRITE, 0)
    rng = np.random.default_rng(0)
    copy = make.distorted(cluster, 1.04, 0.06, rng)
    moved = copy.positions - cluster.positions * 1.04
    assert np.sqrt((moved**2).sum(1).mean()) == pytest.approx(0.06, rel=0.15)
    np.testing.assert_array_equal(copy.numbers, cluster.numbers)


def test_iron_takes_a_magnesium_site_with_its_own_distance() -> None:
    spinel = crystal(
        ["Mg", "Al", "O"],
        [(0.125, 0.125, 0.125), (0.5, 0.5, 0.5), (0.2624, 0.2624, 0.2624)],
        spacegroup=227,
        setting=2,
        cellpar=[8.083] * 3 + [90] * 3,
    )
    before = make.cut_out(spinel, 0)
    new = make.substituted(before, "Fe", np.random.default_rng(3))
    assert new is not None
    assert new.symbols[0] == "Fe"
    shell = first_distances(new)
    assert len(shell) == 4
    low, high = make.TARGETS["O", 4]
    assert low <= shell.mean() <= high
    assert np.ptp(shell) < 1e-9
    beyond = np.delete(np.arange(len(new)), [0, *make.first_shell(new.positions)])
    np.testing.assert_allclose(new.positions[beyond], before.positions[beyond])


def test_metals_and_large_moves_are_no_substitution() -> None:
    rng = np.random.default_rng(0)
    assert make.substituted(make.cut_out(bulk("Al"), 0), "Fe", rng) is None
    far = make.cut_out(bulk("BaO", "rocksalt", a=5.9), 0)
    assert make.substituted(far, "Fe", rng) is None


@pytest.mark.parametrize(("keep", "angles"), [(5, [90, 180]), (4, [90, 180])])
def test_vacancies_leave_a_pyramid_or_a_plane(keep: int, angles: list[float]) -> None:
    oxide = make.cut_out(bulk("FeO", "rocksalt", a=4.307), 0)
    new = make.with_vacancies(oxide, keep, np.random.default_rng(0))
    assert new is not None
    shell = make.first_shell(new.positions)
    assert len(shell) == keep
    unit = new.positions[shell] / np.linalg.norm(new.positions[shell], axis=1, keepdims=True)
    cosine = np.round(unit @ unit.T, 6)
    found = np.unique(np.round(np.degrees(np.arccos(cosine[np.triu_indices(keep, 1)]))))
    np.testing.assert_allclose(found, angles)
    rank = np.linalg.matrix_rank(unit, tol=1e-6)
    assert rank == (3 if keep == 5 else 2)


def test_a_cube_leaves_a_tetrahedron() -> None:
    cesium = make.cut_out(
        crystal(["Fe", "O"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=221,
                cellpar=[2.6] * 3 + [90] * 3), 0, 3.5,
    )  # fmt: skip
    assert len(make.first_shell(cesium.positions, gap=0.3)) == 8
    gone = make._to_remove(
        cesium.positions[make.first_shell(cesium.positions, gap=0.3)], 4, np.random.default_rng(1)
    )
    assert gone is not None
    left = np.delete(cesium.positions[make.first_shell(cesium.positions, gap=0.3)], gone, axis=0)
    unit = left / np.linalg.norm(left, axis=1, keepdims=True)
    np.testing.assert_allclose((unit @ unit.T)[np.triu_indices(4, 1)], -1 / 3, atol=1e-9)


def test_made_metals_hold_the_absorber_and_differ() -> None:
    found = list(itertools.islice(make.alloys("Fe", np.random.default_rng(0)), 24))
    assert all("Fe" in crystal.symbols for _, crystal in found)
    assert len({name for name, _ in found}) > 8


def test_the_metals_of_iron_are_drawn_as_they_always_were() -> None:
    expected = [
        ("Fe-bcc", 24.347), ("Fe-fcc", 42.671), ("Fe-hcp", 18.936), ("FeV-B2", 29.043),
        ("Fe3V-L12", 49.917), ("FeS-rocksalt", 137.768), ("FeO-zincblende", 105.206),
        ("FeAs-B8", 61.845), ("Fe-bcc", 25.936), ("Fe-fcc", 39.713), ("Fe-hcp", 23.529),
        ("FeTi-B2", 25.999), ("Fe3Ti-L12", 46.265), ("FeS-rocksalt", 125.853),
        ("FeN-zincblende", 76.750), ("FeS-B8", 66.327),
    ]  # fmt: skip
    drawn = make.alloys("Fe", np.random.default_rng(0))
    for (name, volume), (found, metal) in zip(expected, drawn, strict=False):
        assert found == name
        assert metal.cell.volume == pytest.approx(volume, abs=1e-3)


@pytest.mark.parametrize("element", ["Cu", "Zn"])
def test_alloys_of_another_element_are_with_iron_too_and_not_with_itself(element: str) -> None:
    found = list(itertools.islice(make.alloys(element, np.random.default_rng(0)), 800))
    partners = {name[len(element) : -3] for name, _ in found if name.endswith("-B2")}
    assert "Fe" in partners
    assert element not in partners
    assert all(len(set(c.symbols)) == 2 for name, c in found if name.endswith(("-B2", "-L12")))


def nearest(crystal: Atoms) -> float:
    return float(crystal.repeat(3).get_all_distances(mic=True)[0, 1:].min())


@pytest.mark.parametrize("element", ["Ti", "Mn", "Ni", "Zn"])
def test_made_metals_of_another_element_have_its_size(element: str) -> None:
    pairs = zip(
        itertools.islice(make.alloys("Fe", np.random.default_rng(1)), 32),
        itertools.islice(make.alloys(element, np.random.default_rng(1)), 32),
        strict=True,
    )
    for (name, iron), (_, other) in pairs:
        if set(iron.symbols) & make.NONMETALS:
            assert nearest(other) - nearest(iron) == pytest.approx(longer(element), abs=1e-6), name
        else:
            assert nearest(other) / nearest(iron) == pytest.approx(wider(element)), name


@pytest.mark.parametrize("element", ["Ti", "V", "Cr", "Co", "Ni", "Cu", "Zn"])
def test_metallic_radii_are_those_of_the_metals(element: str) -> None:
    metal = bulk(element)
    neighbours = np.sort(metal.repeat(5).get_all_distances(mic=True)[0])[1:13]
    radius = neighbours.mean() / 2  # eight-fold ones: eight near, four further
    assert METALLIC[element] == pytest.approx(radius, rel=0.06)


def test_bonds_of_nickel_are_shorter_than_those_of_iron() -> None:
    # FeO 2.165 and NiO 2.089 Å, MnO 2.222 Å
    assert longer("Ni") == pytest.approx(2.089 - 2.165, abs=0.02)
    assert longer("Fe") == 0.0
    assert wider("Fe") == 1.0
    with pytest.raises(ConfigurationError, match="not of Mo"):
        longer("Mo")


def test_first_shell_ends_at_the_gap() -> None:
    assert len(make.first_shell(molecule("CH4").positions)) == 4


def test_a_crystal_may_name_its_absorber_too() -> None:
    rocksalt = bulk("FeO", "rocksalt", a=4.3, cubic=True)
    iron = [i for i, symbol in enumerate(rocksalt.symbols) if symbol == "Fe"]
    rocksalt.info["absorber"] = iron[2]
    assert make.inequivalent_sites(rocksalt, "Fe") == [(iron[2], 4)]
    rocksalt.info["absorber"] = np.array([iron[1], iron[3]])
    assert make.inequivalent_sites(rocksalt, "Fe") == [(iron[1], 4), (iron[3], 4)]


def test_a_file_may_choose_several_absorbers(tmp_path: Path) -> None:
    (tmp_path / "three.xyz").write_text(
        '4\nabsorber="0 2" Properties=species:S:1:pos:R:3\nFe 0 0 0\nO 0 0 2\nFe 0 0 4\nFe 0 4 4\n'
    )
    assert make.inequivalent_sites(ase.io.read(tmp_path / "three.xyz"), "Fe") == [(0, 1), (2, 1)]


@pytest.mark.parametrize("named", ["Fe", 8, -2, 1.5, True, [0, 8]])
def test_an_absorber_that_is_no_atom_is_refused(named: object) -> None:
    rocksalt = bulk("FeO", "rocksalt", a=4.3, cubic=True)
    rocksalt.info["absorber"] = named
    with pytest.raises(ConfigurationError, match=re.escape(f"absorber={named} is to be the index")):
        make.inequivalent_sites(rocksalt, "Fe")
