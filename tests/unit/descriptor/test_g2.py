import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from xanes_live.descriptor import G2Grid, g2, g2_from_distances, neighbours


def brute_force(atoms, absorber, r_c=6.0, size=50, r_min=0.0, r_max=6.0, images=3):
    """G2 by explicit loops over atoms, images and functions, straight from the formula."""
    centres = [r_min + 0.5 + k * (r_max - r_min - 1.0) / (size - 1) for k in range(size)]
    eta = 1.0 / (2.0 * (centres[1] - centres[0]) ** 2)
    values = [0.0] * size
    ranges = [range(-images, images + 1) if periodic else (0,) for periodic in atoms.pbc]
    for shift in itertools.product(*ranges):
        for j, number in enumerate(atoms.numbers):
            if j == absorber and shift == (0, 0, 0):
                continue
            where = atoms.positions[j] + np.array(shift) @ atoms.cell.array
            r = math.dist(where, atoms.positions[absorber])
            if r >= r_c:
                continue
            weight = 0.1 * number * 0.5 * (math.cos(math.pi * r / r_c) + 1.0)
            for k, centre in enumerate(centres):
                values[k] += weight * math.exp(-eta * (r - centre) ** 2)
    return np.array(values)


def octahedron(symbol, r):
    arms = r * np.concatenate([np.eye(3), -np.eye(3)])
    return Atoms("Fe" + symbol * 6, positions=np.concatenate([np.zeros((1, 3)), arms]))


def test_default_grid_is_the_published_one():
    grid = G2Grid()
    assert grid.radius[[0, -1]] == pytest.approx([0.5, 5.5])
    assert grid.spacing == pytest.approx(0.102, abs=5e-4)
    assert grid.eta == pytest.approx(48.0, abs=0.05)
    assert G2Grid(r_min=1.0).eta == pytest.approx(75.0, abs=0.1)


@pytest.mark.parametrize(
    ("symbol", "r", "height"), [("O", 2.00, 3.44), ("N", 1.95, 3.13), ("S", 2.30, 6.11)]
)
def test_heights_of_octahedra(symbol, r, height):
    # heights worked out by hand for six neighbours at r on the nearest centre
    assert g2(octahedron(symbol, r), 0).max() == pytest.approx(height, abs=0.01)


def test_one_neighbour_by_hand():
    # one carbon on a centre: 0.1·6·½(cos(π/2) + 1) = 0.3; a spacing further on times e^(-1/2)
    grid = G2Grid(size=6, r_min=0.0, r_max=6.0)  # centres 0.5, 1.5, … 5.5
    values = g2_from_distances([3.0], [6], G2Grid(size=11))
    assert G2Grid(size=11).radius[5] == pytest.approx(3.0)
    assert values[5] == pytest.approx(0.3)
    assert values[6] == pytest.approx(0.3 * math.exp(-0.5))
    assert grid.eta == pytest.approx(0.5)


@pytest.mark.parametrize(
    "atoms",
    [
        octahedron("O", 2.1),
        bulk("Fe", "bcc", a=2.8665),
        bulk("FeO", "rocksalt", a=4.31, cubic=True),
        Atoms("FeO", positions=[[0, 0, 0], [0.1, 0.2, 1.9]], cell=[3, 4, 5], pbc=[1, 0, 1]),
    ],
    ids=["molecule", "bcc", "rocksalt", "slab"],
)
def test_against_explicit_loops(atoms):
    np.testing.assert_allclose(g2(atoms, 0), brute_force(atoms, 0, images=4), atol=1e-12)


def test_absorber_may_be_any_atom_and_counts_from_the_end():
    atoms = octahedron("O", 2.1)
    np.testing.assert_allclose(g2(atoms, 3), brute_force(atoms, 3), atol=1e-12)
    np.testing.assert_array_equal(g2(atoms, -1), g2(atoms, 6))
    with pytest.raises(IndexError):
        g2(atoms, 7)


def test_neighbours_of_bcc_iron():
    a = 2.8665
    r, z = neighbours(bulk("Fe", "bcc", a=a), 0, 3.0)
    np.testing.assert_allclose(r, [a * math.sqrt(3) / 2] * 8 + [a] * 6)
    assert set(z) == {26}


@given(
    st.lists(st.floats(0.8, 7.0), min_size=1, max_size=12),
    st.floats(-np.pi, np.pi),
    st.integers(0, 2**31),
)
def test_invariances(distances, angle, seed):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(len(distances), 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions = np.concatenate([np.zeros((1, 3)), directions * np.array(distances)[:, None]])
    numbers = rng.integers(1, 60, len(distances))
    atoms = Atoms([26, *numbers], positions=positions)
    expected = g2_from_distances(distances, numbers)
    turned = atoms.copy()
    turned.rotate(angle * 180 / np.pi, (1, 2, 3))
    turned.translate((3.0, -1.0, 0.5))
    order = np.concatenate([[0], 1 + rng.permutation(len(numbers))])
    np.testing.assert_allclose(g2(turned[order], 0), expected, atol=1e-9)


def test_padding_counts_for_nothing_and_batches_agree():
    padded = g2_from_distances([[2.0, 2.5, np.nan], [1.9, np.inf, np.nan]], [[8, 16, 0], [7, 1, 1]])
    np.testing.assert_allclose(padded[0], g2_from_distances([2.0, 2.5], [8, 16]))
    np.testing.assert_allclose(padded[1], g2_from_distances([1.9], [7]))


def test_nothing_beyond_the_cut_off():
    assert not g2_from_distances([6.0, 6.5], [26, 26]).any()


@pytest.mark.parametrize(("size", "r_min", "r_max"), [(1, 0, 6), (50, 5, 6), (50, 6, 0)])
def test_grid_without_spacing_is_refused(size, r_min, r_max):
    with pytest.raises(ValueError, match="not a G2 grid"):
        G2Grid(size=size, r_min=r_min, r_max=r_max)
