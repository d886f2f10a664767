"""Two data sets as one."""

import numpy as np
import pytest

from xanes_live.ensemble.data_files import read_training_set
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.theory import store
from xanes_live.theory.combine import Elsewhere, combine
from xanes_live.theory.tasks import Settings

ENERGY = np.arange(7090.0, 7200.1, 0.5)


def ours(path, names, first=2.0):
    n = len(names)
    xyz = np.zeros((n, 3, 3))
    xyz[:, 1, 0], xyz[:, 2, 1] = first + 0.1 * np.arange(n), 3.5
    np.savez(
        path, energy=ENERGY, mu=np.tile(np.linspace(0, 1, ENERGY.size), (n, 1)), id=np.array(names),
        parent=np.array([f"amcsd:FeO{k + 1}" for k in range(n)]), source=np.full(n, "mineral"),
        fermi=np.full(n, 7116.0), atom_offset=3 * np.arange(n + 1),
        atom_number=np.tile([26, 8, 16], n), atom_position=xyz.reshape(-1, 3),
    )  # fmt: skip
    return path


def theirs(path):
    xyz = np.full((4, 5, 3), 9.9)
    xyz[:, 0] = 0.0
    xyz[:, 1] = [2.2, 0, 0]
    xyz[0, 1:3] = [[2.0, 0, 0], [0, 3.5, 0]]  # what ours() makes of the same site
    z = np.tile([26, 16, 0, 0, 0], (4, 1))
    z[0, 1:3] = [8, 16]
    np.savez(
        path, energy=np.arange(7100.0, 7176.1, 1.0), mu=np.full((4, 77), 0.5, dtype=np.float16),
        xyz=xyz, z=z, natoms=np.array([3, 2, 2, 2]),
        emu=np.full(4, 7115.0), formula=np.array(["Fe O", "Fe S2", "", ""]),
        source=np.array(["amcsd", "amcsd", "kulik", "tmqm"]),
        id=np.array(["amcsd7_s0", "amcsd8_s1", "fe_2_x", "ABCDEF"]),
        parent=np.array(["amcsd:Wustite", "amcsd:Pyrite", "kulik:x_y", "tmqm:ABCDEF"]),
    )  # fmt: skip
    return path


def test_each_spectrum_once_under_our_names(tmp_path):
    first = ours(tmp_path / "ours.npz", ["amcsd:7:s0", "amcsd:9:s0"])
    counts, left_out = combine([first, theirs(tmp_path / "first.npz")], tmp_path / "both.npz")
    assert left_out == []
    assert counts == {"first-mineral": 1, "first-octahedral": 1, "first-tmqm": 1, "mineral": 2}
    both = read_training_set(tmp_path / "both.npz")
    names = ["amcsd:7:s0", "amcsd:9:s0", "amcsd:8:s1", "kulik_octahedral_Fe_manybody:fe_2_x:s0"]
    assert both.id.tolist() == [*names, "tmqm:ABCDEF:s0"]
    assert both.named(["{FeS2}"]).tolist() == [False, False, True, False, False]
    assert both.parent[3] == "ligands:x_y"
    assert both.shell == pytest.approx([2.0, 2.1, 2.2, 2.2, 2.2], abs=1e-3)
    assert both.ligand.tolist() == ["O", "O", "S", "S", "S"]
    assert np.array_equal(both.energy, ENERGY)
    assert np.allclose(both.mu[2:], 0.5)  # held where the second set has no energies
    assert both.fermi.tolist() == [7116.0, 7116.0, 7115.0, 7115.0, 7115.0]


def test_nothing_new_adds_nothing(tmp_path):
    first = ours(tmp_path / "ours.npz", ["a", "b"])
    assert combine([first, first], tmp_path / "new folder" / "both.npz") == ({"mineral": 2}, [])


def test_a_site_with_an_atom_too_near_is_left_out_and_named(tmp_path):
    near = ours(tmp_path / "near.npz", ["oxygen at 1.45 Å", "at 1.55 Å"], first=1.45)
    with np.load(ours(tmp_path / "iron.npz", ["iron at 1.82 Å", "at 1.92 Å"], 1.82)) as file:
        columns = dict(file)
    columns["atom_number"] = np.tile([26, 26, 16], 2)
    np.savez(tmp_path / "iron.npz", **columns)
    with np.load(ours(tmp_path / "hydride.npz", ["hydrogen at 1.4 Å"], 1.4)) as file:
        columns = dict(file)
    columns["atom_number"] = np.array([26, 1, 16])
    np.savez(tmp_path / "hydride.npz", **columns)
    sets = [near, tmp_path / "iron.npz", tmp_path / "hydride.npz"]
    counts, left_out = combine(sets, tmp_path / "all.npz")
    assert left_out == ["oxygen at 1.45 Å", "iron at 1.82 Å"]
    assert counts == {"mineral": 3}
    kept = read_training_set(tmp_path / "all.npz")
    assert kept.id.tolist() == ["at 1.55 Å", "at 1.92 Å", "hydrogen at 1.4 Å"]
    assert kept.shell == pytest.approx([1.55, 1.92, 3.5], abs=1e-3)


def test_what_cannot_be_combined_is_said(tmp_path):
    with pytest.raises(ConfigurationError, match="no data set"):
        combine([], tmp_path / "both.npz")
    with pytest.raises(ConfigurationError, match=r"missing\.npz: no such data set"):
        combine([tmp_path / "missing.npz"], tmp_path / "both.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ReadError, match="lacks atom_number"):
        combine([tmp_path / "other.npz"], tmp_path / "both.npz")
    for name in ("text.npz", "text.h5"):
        (tmp_path / name).write_text("no archive")
        with pytest.raises(ReadError, match=name):
            combine([tmp_path / name], tmp_path / "both.npz")


def test_spectra_of_another_edge_are_not_joined(tmp_path):
    first = ours(tmp_path / "ours.npz", ["a"])
    with np.load(ours(tmp_path / "other.npz", ["b"])) as file:
        columns = dict(file)
    np.savez(tmp_path / "ni.npz", **columns | {"energy": columns["energy"] + 1221.0})
    with pytest.raises(ConfigurationError, match="one edge"):
        combine([first, tmp_path / "ni.npz"], tmp_path / "both.npz")


def test_what_was_combined_can_be_combined_again(tmp_path):
    first = ours(tmp_path / "ours.npz", ["amcsd:7:s0", "amcsd:9:s0"])
    combine([first], tmp_path / "packed.npz")
    combine([tmp_path / "packed.npz", theirs(tmp_path / "first.npz")], tmp_path / "both.npz")
    both = read_training_set(tmp_path / "both.npz")
    assert both.shell == pytest.approx([2.0, 2.1, 2.2, 2.2, 2.2], abs=1e-3)
    assert Elsewhere([first, tmp_path / "both.npz"]).ids == set(both.id)


def computed(path, positions, mu):
    """A data set as xanes-live theory writes it, with one spectrum."""
    store.create(path, Settings().energy(), {"settings": Settings().as_dict()})
    curves = dict.fromkeys(store.CURVES, np.asarray(mu, dtype="f4"))
    row = dict.fromkeys(store.NUMBERS, 0.0) | dict.fromkeys(store.TEXT, "") | curves
    row |= {"id": "a", "ok": True, "edge_energy": 7112.0, "numbers": np.array([26, 8, 8], "u1")}
    store.append(path, row | {"positions": np.asarray(positions, "f4")})
    store.consolidate(path)
    return path


def test_what_was_computed_is_packed_as_exactly_as_it_can_be(tmp_path):
    far = [[0, 0, 0], [2.0313, 0, 0], [0, 4.7519, 2.1011]]
    mu = np.linspace(0, 1.4142, len(Settings().energy()))
    combine([computed(tmp_path / "d.h5", far, mu)], tmp_path / "packed.npz")
    found = read_training_set(tmp_path / "packed.npz")
    assert np.abs(found.mu[0] - mu).max() < 2.6e-4
    assert found.shell == pytest.approx([2.0313], abs=2.6e-4)
    with np.load(tmp_path / "packed.npz") as file:
        unit = float(file["distance_unit"])
        distance = unit * file["distance_step"].sum()
    assert distance == pytest.approx(np.hypot(4.7519, 2.1011), abs=2.6e-4)


def test_a_set_without_a_spectrum_cannot_be_combined(tmp_path):
    path = tmp_path / "d.h5"
    store.create(path, Settings().energy(), {"settings": Settings().as_dict()})
    store.append(path, {"id": "a", "ok": False, "error": "pot: no"})
    with pytest.raises(ConfigurationError, match="holds no spectrum; 1 failed"):
        combine([path], tmp_path / "packed.npz")
    assert Elsewhere([path]).ids == set()


def test_different_structures_of_one_id_are_not_taken_for_one(tmp_path):
    first = ours(tmp_path / "first.npz", ["a", "b", "c"])
    other = ours(tmp_path / "other.npz", ["d", "b", "c"], first=2.1)
    again = ours(tmp_path / "again.npz", ["a", "c"], first=2.04)  # b was at 2.1, c is at 2.14 Å
    with pytest.raises(
        ReadError, match=r"other\.npz and .*first\.npz hold .* called b and 1 more: "
    ):
        combine([first, other], tmp_path / "both.npz")
    with pytest.raises(ReadError, match=r"again\.npz and .*first\.npz hold .* called c: .*rename"):
        combine([first, first, again], tmp_path / "both.npz")
    assert not (tmp_path / "both.npz").exists()
    near = ours(tmp_path / "near.npz", ["a", "b"], first=2.04)
    assert combine([first, near], tmp_path / "both.npz")[0] == {"mineral": 3}


def test_a_neighbour_more_is_another_structure(tmp_path):
    first, more = ours(tmp_path / "first.npz", ["a"]), tmp_path / "more.npz"
    with np.load(first) as file:
        columns = dict(file)
    columns["atom_number"] = np.array([26, 8, 16, 8])
    columns["atom_offset"] = np.array([0, 4])
    positions = np.array([[0, 0, 0], [2.0, 0, 0], [0, 3.5, 0], [0, 0, 5.2]])
    np.savez(more, **columns | {"atom_position": positions})
    combine([first, more], tmp_path / "both.npz")  # data sets may end at different distances
    positions[-1, -1] = 4.0
    np.savez(more, **columns | {"atom_position": positions})
    with pytest.raises(ReadError, match="different structures called a:"):
        combine([first, more], tmp_path / "both.npz")
