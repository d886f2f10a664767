from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from xanes_live.damage import damage_told
from xanes_live.descriptor.g2 import g2_from_distances
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.theory import store
from xanes_live.theory.combine import Elsewhere, combine
from xanes_live.theory.export import export_npz, records
from xanes_live.theory.tasks import Settings


def record(name: str, n: int = 3) -> store.Record:
    energy = Settings().energy()
    return {
        **dict.fromkeys(store.TEXT, "x"),
        **dict.fromkeys(store.NUMBERS, 0.0),
        "id": name,
        "ok": True,
        "edge_energy": 7112.0,
        "mu": np.linspace(0, 1, len(energy), dtype=np.float32) + len(name),
        "mu0": np.ones(len(energy), dtype=np.float32),
        "numbers": np.array([26, 8, 8][:n], dtype=np.uint8),
        "positions": np.array([[0, 0, 0], [0, 0, 2.0], [0, 2.1, 0]][:n], dtype=np.float32),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.h5"
    store.create(path, Settings().energy(), {"settings": Settings().as_dict(), "title": "t"})
    return path


def test_energies_are_7090_to_7200_for_iron() -> None:
    energy = 7112 + Settings().energy()
    assert (energy[0], round(energy[-1], 6), len(energy)) == (7090, 7200, 551)


def test_a_record_cut_short_is_dropped_and_those_before_kept(path: Path) -> None:
    for name in ("a", "b", "c"):
        store.append(path, record(name))
    journal = store.journal_path(path)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-100])
    assert [r["id"] for r in store.read_journal(path)] == ["a", "b"]
    store.trim_journal(path)
    store.append(path, record("d"))
    assert [r["id"] for r in store.read_journal(path)] == ["a", "b", "d"]


def test_damage_in_a_record_is_noticed(path: Path) -> None:
    store.append(path, record("a"))
    journal = store.journal_path(path)
    damaged = bytearray(journal.read_bytes())
    damaged[200] ^= 0xFF
    journal.write_bytes(bytes(damaged))
    assert list(store.read_journal(path)) == []


def test_consolidated_file_says_what_it_holds(path: Path) -> None:
    store.append(path, record("a"))
    store.append(path, {"id": "bad", "ok": False, "error": "pot: no"})
    store.append(path, record("bb", n=2))
    store.append(path, record("a"))  # written twice, kept once
    assert store.consolidate(path) == 3
    assert not store.journal_path(path).exists()
    assert store.consolidate(path) == 0
    store.append(path, record("ccc"))
    assert store.known_ids(path) == ({"a", "bb", "ccc"}, {"bad"})
    with h5py.File(path) as file:
        assert file["energy"].attrs["units"].startswith("eV")
        assert file["failed/reason"].asstr()[0] == "pot: no"
        assert file["mu"].chunks is not None
        np.testing.assert_array_equal(file["atoms/offset"], [0, 3, 5])
        np.testing.assert_allclose(file["mu"][1], record("bb")["mu"])
        assert all("meaning" in file[name].attrs for name in store.NUMBERS)
    both = list(records(path))
    assert [r["id"] for r in both] == ["a", "bb", "ccc"]
    np.testing.assert_array_equal(both[1]["positions"], record("bb", n=2)["positions"])
    np.testing.assert_allclose(both[1]["mu"], record("bb")["mu"])


@pytest.mark.parametrize("between", [store.consolidate, lambda path: 0])
def test_what_failed_and_is_computed_later_is_kept(path: Path, between) -> None:
    store.append(path, {"id": "a", "ok": False, "error": "pot: no"})
    store.append(path, {"id": "b", "ok": False, "error": "pot: no"})
    between(path)
    store.append(path, record("a"))
    store.append(path, {"id": "b", "ok": False, "error": "xsph: no"})
    assert store.known_ids(path) == ({"a"}, {"b"})
    store.consolidate(path)
    assert store.known_ids(path) == ({"a"}, {"b"})
    assert [r["id"] for r in records(path)] == ["a"]
    with h5py.File(path) as file:
        assert list(file["failed/reason"].asstr()[()]) == ["xsph: no"]


def test_a_set_made_before_a_column_was_kept_is_gone_on_with(path: Path) -> None:
    old = {name: value for name, value in record("a").items() if name != "solid"}
    store.append(path, record("b"))
    store.consolidate(path)
    with h5py.File(path, "r+") as file:
        del file["solid"]
    store.append(path, old)
    assert [r["solid"] for r in records(path)] == [-1, -1]
    store.append(path, record("c") | {"solid": 1})
    assert export_npz(path, path.with_suffix(".npz")) == 3
    store.consolidate(path)
    assert [r["solid"] for r in records(path)] == [-1, -1, 1]


def test_other_settings_are_refused(path: Path) -> None:
    other = {"settings": Settings(mode="scf").as_dict()}
    with pytest.raises(ConfigurationError, match="scf"):
        store.create(path, Settings().energy(), other)


def test_export_reads_file_and_journal_and_needs_numpy_only(path: Path) -> None:
    store.append(path, record("a"))
    store.consolidate(path)
    store.append(path, record("bb") | {"scf": 1})
    target = path.with_suffix(".npz")
    assert export_npz(path, target, structure=True) == 2
    with np.load(target, allow_pickle=False) as data:
        assert data["mu"].dtype == np.float16
        assert data["energy"][0] == 7090
        assert list(data["id"]) == ["a", "bb"]
        expected = g2_from_distances([2.0, 2.1], [8, 8])
        np.testing.assert_allclose(data["g2"][0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(data["atom_offset"], [0, 3, 6])
    assert export_npz(path, target, scf=True) == 1


def test_what_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for name, says in (("text.h5", "no HDF5"), ("other.h5", "not written by")):
        with pytest.raises(ReadError, match=says):
            store.create(tmp_path / name, np.arange(3.0), {"settings": {}})
        with pytest.raises(ReadError, match=says):
            store.known_ids(tmp_path / name)


def test_a_file_of_another_element_is_not_gone_on_with(path, tmp_path):
    given = {"settings": Settings().as_dict()}
    nickel = tmp_path / "ni.h5"
    store.create(nickel, Settings().energy(), given | {"element": "Ni"})
    store.create(nickel, Settings().energy(), given | {"element": "Ni"})
    store.create(path, Settings().energy(), given | {"element": "Cu"})  # this one does not say
    with pytest.raises(ConfigurationError, match="holds spectra of Ni, asked for is Cu"):
        store.create(nickel, Settings().energy(), given | {"element": "Cu"})


def test_spectra_of_two_edges_are_not_exported(path):
    store.append(path, record("a"))
    store.append(path, record("b") | {"edge_energy": 8333.0})
    with pytest.raises(ConfigurationError, match="several edges"):
        export_npz(path, path.with_suffix(".npz"))


def test_a_set_without_a_spectrum_is_not_exported(path):
    store.append(path, {"id": "a", "ok": False, "error": "pot: no"})
    store.consolidate(path)
    for structure in (False, True):
        with pytest.raises(ConfigurationError, match="holds no spectrum; 1 failed"):
            export_npz(path, path.with_suffix(".npz"), structure=structure)
    store.append(path, record("b"))
    with pytest.raises(ConfigurationError, match="holds no self-consistent spectrum"):
        export_npz(path, path.with_suffix(".npz"), scf=True)
    assert not path.with_suffix(".npz").exists()


def test_two_that_write_one_data_set_are_kept_apart(path: Path) -> None:
    with (
        store.writing(path),
        pytest.raises(ConfigurationError, match="another xanes-live theory"),
        store.writing(path),
    ):
        pytest.fail("both write")
    with store.writing(path):
        pass  # the first has ended


def test_a_full_disk_says_where(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failed:
        store.append(path, record("a"))
    assert failed.value.filename == str(store.journal_path(path))


def test_another_prediction_of_the_fermi_level_is_named_not_written_out(tmp_path: Path) -> None:
    made = {"settings": Settings(fermi={"element": "Fe", "a": [1.0] * 99}).as_dict()}
    store.create(tmp_path / "f.h5", Settings().energy(), made)
    with pytest.raises(ConfigurationError, match="made with another fermi than") as refused:
        store.create(tmp_path / "f.h5", Settings().energy(), {"settings": Settings().as_dict()})
    assert len(str(refused.value)) < 250


READERS = {
    "combine": lambda p: combine([p], p.with_name("all.npz")),
    "known": lambda p: Elsewhere([p]),
    "train": read_training_set,
    "export": lambda p: export_npz(p, p.with_name("out.npz"), structure=True),
    "theory": store.consolidate,
}


def overwritten(path: Path, at: int, number: int = 64) -> None:
    with path.open("rb+") as file:
        file.seek(at)
        file.write(b"\x5a" * number)


def where(path: Path, name: str) -> int:
    """Where the first chunk of a column is in the file."""
    with h5py.File(path) as file:
        return int(file[name].id.get_chunk_info(0).byte_offset)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("damage", ["cut short", "no names", "no index"])
def test_a_damaged_set_is_said_to_be_damaged(path: Path, reader: str, damage: str) -> None:
    names = [f"a{i}" for i in range(70)]
    for name in names:
        store.append(path, record(name))
    store.consolidate(path)
    content = path.read_bytes()
    if damage == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "no names":
        overwritten(path, where(path, "id"), 16)
    else:
        for at in (i for i in range(len(content) - 4) if content[i : i + 4] in {b"SNOD", b"HEAP"}):
            overwritten(path, at)
    store.append(path, record("new"))
    journal = store.journal_path(path)
    kept = journal.read_bytes()
    if reader == "train":
        journal.rename(path.with_name("aside"))
    with pytest.raises(ReadError, match=r"data\.h5: damaged, it cannot be read"):
        READERS[reader](path)
    assert reader == "train" or journal.read_bytes() == kept
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize("column", ["mu", "fermi", "atoms/offset", "atoms/position"])
def test_numbers_that_a_disk_has_changed_are_not_believed(path: Path, column: str) -> None:
    for name in ("a", "b"):
        store.append(path, record(name))
    store.consolidate(path)
    overwritten(path, where(path, column) + 8, 8)
    with pytest.raises(ReadError, match="damaged"):
        combine([path], path.with_name("all.npz"))


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_damaged_archive_is_said_to_be_damaged(path: Path, share: float) -> None:
    store.append(path, record("a"))
    packed = path.with_name("all.npz")
    combine([path], packed)
    overwritten(packed, int(0.3 * packed.stat().st_size))
    for read in (read_training_set, lambda p: combine([p], p.with_name("more.npz"))):
        with pytest.raises(ReadError, match=r"all\.npz: damaged"):
            read(packed)
    packed.write_bytes(packed.read_bytes()[: int(share * packed.stat().st_size)])
    with pytest.raises(ReadError, match="only a part of one"):
        read_training_set(packed)


def test_what_the_file_system_says_is_no_damage(path: Path) -> None:
    with pytest.raises(OSError, match="disk is on fire"), damage_told(path):
        raise OSError(errno.EIO, "disk is on fire")
