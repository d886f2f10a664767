from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.neighborlist import neighbor_list

from xanes_live.errors import TheoryError
from xanes_live.theory.cluster import lmax_of, make_cluster


def skewed() -> Atoms:
    cell = [[3.0, 0.0, 0.0], [1.9, 2.8, 0.0], [-1.1, 0.7, 4.0]]
    scaled = [[0.02, 0.98, 0.5], [0.5, 0.4, 0.05]]
    return Atoms("FeO", scaled_positions=scaled, cell=cell, pbc=True)


@pytest.mark.parametrize("atoms", [skewed(), bulk("Fe"), fcc111("Ni", (2, 2, 2), vacuum=5.0)])
def test_images_are_those_of_ase(atoms: Atoms) -> None:
    cluster = make_cluster(atoms, 0, 7.0)
    i, d = neighbor_list("id", atoms, 7.0)
    ours = np.sort(np.linalg.norm(cluster.positions[1:], axis=1))
    np.testing.assert_allclose(ours, np.sort(d[i == 0]), atol=1e-9)
    assert cluster.solid


def test_order_does_not_depend_on_numbering_or_orientation() -> None:
    atoms = bulk("FeO", "rocksalt", a=4.307).repeat(2)
    atoms.positions += np.random.default_rng(1).normal(0, 0.05, atoms.positions.shape)
    first = make_cluster(atoms, 0)
    order = np.random.default_rng(2).permutation(len(atoms))
    moved = atoms[order]
    moved.rotate(33, (1, 2, 3), rotate_cell=True)
    moved.positions += [1.0, -2.0, 0.3]
    second = make_cluster(moved, int(np.flatnonzero(order == 0)[0]))
    np.testing.assert_array_equal(first.numbers, second.numbers)
    pairs = [
        np.linalg.norm(c.positions[:, None] - c.positions[None], axis=2) for c in (first, second)
    ]
    np.testing.assert_allclose(pairs[0], pairs[1], atol=1e-7)


def test_potentials_are_one_for_each_element_and_the_absorber() -> None:
    cluster = make_cluster(bulk("FeO", "rocksalt", a=4.307), 0, 5.0)
    assert cluster.species == (26, 8, 26)
    assert cluster.potential[0] == 0
    assert set(cluster.potential[1:][cluster.numbers[1:] == 26]) == {2}
    assert [lmax_of(z) for z in (1, 8, 20, 26)] == [1, 2, 2, 3]


def test_a_piece_of_a_solid_is_told_from_a_molecule() -> None:
    piece = make_cluster(bulk("FeO", "rocksalt", a=4.307), 0, 7.8)
    assert make_cluster(Atoms(piece.numbers, piece.positions), 0).solid
    assert not make_cluster(Atoms("FeOO", [[0, 0, 0], [0, 0, 2], [0, 2, 0]]), 0).solid


def test_sites_on_top_of_each_other_are_refused() -> None:
    with pytest.raises(TheoryError, match="geometry"):
        make_cluster(Atoms("FeO", [[0, 0, 0], [0, 0, 0.1]]), 0)
    many = Atoms("FeHHeLiBeBCNOFNeNa", np.arange(36).reshape(12, 3))
    with pytest.raises(TheoryError, match="elements"):
        make_cluster(many, 0)


def test_a_slab_may_have_no_third_vector() -> None:
    slab = Atoms("NiO", [(0, 0, 0), (1.5, 1.5, 1.2)], cell=[3, 3, 0], pbc=(True, True, False))
    whole = slab.copy()
    whole.cell[2, 2] = 40.0
    np.testing.assert_allclose(
        make_cluster(slab, 0).positions, make_cluster(whole, 0).positions, atol=1e-9
    )


def test_neighbours_on_top_of_each_other_are_refused():
    atoms = Atoms("FeO3", [[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 2.05, 0]])
    with pytest.raises(TheoryError, match=r"two sites 0\.05 Å apart"):
        make_cluster(atoms, 0)
    assert len(make_cluster(atoms[:3], 0).numbers) == 3
