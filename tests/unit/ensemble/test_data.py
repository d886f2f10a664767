import numpy as np
import pytest
from ase import Atoms

from xanes_live.descriptor import G2Grid, g2
from xanes_live.ensemble.data import folds_by_parent, split_by_parent
from xanes_live.ensemble.data_files import (
    read_measured_set,
    read_training_set,
    write_measured_set,
)
from xanes_live.errors import ConfigurationError, ReadError

ENERGY = np.arange(7100.0, 7176.1, 0.5)


def structures(n=5):
    rng = np.random.default_rng(3)
    for k in range(n):
        size = 4 + k
        positions = np.concatenate([np.zeros((1, 3)), rng.uniform(-4.0, 4.0, (size, 3))])
        yield Atoms([26, *rng.integers(1, 30, size)], positions=positions)


def spectra(n=5):
    return np.random.default_rng(4).uniform(0, 1.5, (n, len(ENERGY))).astype(np.float32)


def columns(n=5):
    return {
        "parent": np.array([f"p{k // 2}" for k in range(n)]),
        "source": np.array(["mineral"] * n),
        "id": np.array([f"s{k}" for k in range(n)]),
    }


def first_study(path):
    atoms = list(structures())
    xyz, z = np.full((5, 9, 3), 7.7), np.zeros((5, 9), dtype=np.uint8)
    for k, a in enumerate(atoms):
        xyz[k, : len(a)], z[k, : len(a)] = a.positions, a.numbers
    natoms = np.array([len(a) for a in atoms])
    np.savez(
        path, energy=ENERGY, mu=spectra(), xyz=xyz, z=z, natoms=natoms, emu=np.arange(5.0) + 7115,
        **columns(),
    )  # fmt: skip


def export(path):
    atoms = list(structures())
    np.savez(
        path,
        energy=ENERGY,
        mu=spectra(),
        fermi=np.arange(5.0) + 7115,
        atom_offset=np.concatenate([[0], np.cumsum([len(a) for a in atoms])]),
        atom_number=np.concatenate([a.numbers for a in atoms]).astype(np.uint8),
        # wherever the absorber is
        atom_position=np.concatenate([a.positions + np.array([1.0, 2.0, 3.0]) for a in atoms]),
        **columns(),
    )


def hdf5(path):
    from xanes_live.theory import store

    store.create(path, ENERGY - 7112.0, {"settings": {}})
    for k, (a, mu) in enumerate(zip(structures(), spectra(), strict=True)):
        numbers = dict.fromkeys(store.NUMBERS, 0.0)
        numbers |= {"edge_energy": 7112.0, "fermi": 7115.0 + k}
        text = dict.fromkeys(store.TEXT, "") | {n: str(v[k]) for n, v in columns().items()}
        record = {**text, **numbers, "ok": True, "mu": mu, "mu0": mu, "numbers": a.numbers,
                  "positions": a.positions}  # fmt: skip
        store.append(path, record)
    store.consolidate(path)


@pytest.mark.parametrize(
    ("write", "name"), [(first_study, "a.npz"), (export, "b.npz"), (hdf5, "c.h5")]
)
def test_every_format_gives_the_same(tmp_path, write, name):
    write(tmp_path / name)
    data = read_training_set(tmp_path / name, G2Grid(size=30))
    np.testing.assert_allclose(data.energy, ENERGY)
    np.testing.assert_array_equal(data.mu, spectra())
    np.testing.assert_allclose(data.fermi, np.arange(5.0) + 7115)
    assert list(data.parent) == ["p0", "p0", "p1", "p1", "p2"]
    for row, atoms in zip(data.g2, structures(), strict=True):
        np.testing.assert_allclose(row, g2(atoms, 0, G2Grid(size=30)), atol=1e-5)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(ConfigurationError, match="no such data set"):
        read_training_set(tmp_path / "none.npz")
    (tmp_path / "text.csv").write_text("1,2")
    with pytest.raises(ReadError, match=r"is .npz or .h5"):
        read_training_set(tmp_path / "text.csv")
    np.savez(tmp_path / "some.npz", energy=ENERGY)
    with pytest.raises(ReadError, match="lacks atom_number"):
        read_training_set(tmp_path / "some.npz")
    (tmp_path / "no.h5").write_bytes(b"no")
    with pytest.raises(ReadError, match=r"no\.h5"):
        read_training_set(tmp_path / "no.h5")


def test_measured_spectra_of_another_form_are_refused(tmp_path, toy_set):
    write_measured_set(tmp_path / "m.npz", toy_set, "normalised")
    assert len(read_measured_set(tmp_path / "m.npz", toy_set.grid, "normalised")) == len(toy_set)
    with pytest.raises(ReadError, match="normalised spectra, the model is given flattened"):
        read_measured_set(tmp_path / "m.npz", toy_set.grid, "flattened")


def test_what_is_no_archive_is_named(tmp_path):
    (tmp_path / "set.npz").write_bytes(b"something else")
    for read in (read_training_set, read_measured_set):
        with pytest.raises(ReadError, match=r"set\.npz"):
            read(tmp_path / "set.npz", G2Grid())


def test_no_parent_is_on_both_sides(toy_set):
    train, held = split_by_parent(toy_set, 0.3, seed=1)
    assert np.all(train ^ held)
    assert 0.2 < held.mean() <= 0.3
    assert not set(toy_set.parent[train]) & set(toy_set.parent[held])
    fold = folds_by_parent(toy_set, 5, seed=1)
    assert set(fold) == set(range(5))
    for parent in set(toy_set.parent):
        assert len(set(fold[toy_set.parent == parent])) == 1


def test_leaving_out_by_name(toy_set):
    rest = toy_set.without(["P7", "p12"])
    assert len(rest) == len(toy_set) - 4
    assert not {"p7", "p12"} & set(rest.parent)
    assert len(toy_set.without([])) == len(toy_set)


def test_within_and_joined(toy_set):
    part = toy_set.within(7110.0, 7150.0)
    assert part.energy[0] >= 7110.0
    assert part.mu.shape == (90, len(part.energy))
    assert len(toy_set.joined(toy_set)) == 180
    with pytest.raises(ValueError, match="different energies"):
        toy_set.joined(part)


def test_a_compound_is_found_by_its_composition_however_its_formula_is_written(tmp_path):
    path = tmp_path / "data.npz"
    export(path)
    with np.load(path) as file:
        content = dict(file)
    content["parent"] = np.array(
        ["amcsd:NaFeSi2O6", "amcsd:Si2FeNaO6", "amcsd:Fe2Si2O6", "alloy:Fe-bcc", "amcsd:Fe(OH)3"]
    )
    np.savez(path, **content)
    data = read_training_set(path)
    assert data.parent[0] == data.parent[1]  # never on both sides of a split
    assert data.named(["{FeNaSi2O6}"]).tolist() == [True, True, False, False, False]
    assert data.named(["{FeSiO3}"]).tolist() == [False, False, True, False, False]  # reduced
    assert data.named(["{FeO3H3}", "alloy:fe-"]).tolist() == [False, False, False, True, True]
    assert data.named(["{Fe}"]).tolist() == [False] * 5


def test_spectra_that_wait_in_a_journal_are_not_passed_over_in_silence(tmp_path):
    hdf5(tmp_path / "c.h5")
    journal = tmp_path / "c.h5.journal"
    journal.write_bytes(b"")
    assert len(read_training_set(tmp_path / "c.h5"))
    journal.write_bytes(b"a record")
    with pytest.raises(ReadError, match=r"still in c\.h5\.journal: .*xanes-live combine"):
        read_training_set(tmp_path / "c.h5")
