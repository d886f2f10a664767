"""Where computed spectra are kept: a journal that survives a kill, and self-describing HDF5.

Every finished record is appended to ``<file>.journal`` (length, checksum, msgpack) and synced; a
record cut short by a kill is dropped when read, all before it are kept. :func:`consolidate` moves
the journal into the HDF5 file by writing a copy and replacing the file in one step.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np

from xanes_live.damage import damage_told
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.whole import written_whole

Record = dict[str, Any]
"""One result: 'id', 'ok', then either 'error' or columns and arrays."""
TEXT = ("id", "parent", "source", "name", "kind", "element", "formula")
NUMBERS: dict[str, str] = {
    "site": "index of the absorber in its structure",
    "multiplicity": "equivalent sites in the cell",
    "strain": "factor on all distances",
    "displacement": "rms length of the random displacements, Å",
    "ox": "oxidation state, -9 if unknown",
    "spin": "spin multiplicity 2S+1, -9 if unknown",
    "edge_energy": "tabulated edge, eV; photon energy = edge_energy + energy",
    "fermi": "Fermi level on the photon scale, eV",
    "fermi_potential": "Fermi level used, scale of the potentials, eV",
    "fermi_overlapped": "Fermi level of the potentials as FEFF found them, eV",
    "vint": "interstitial potential, eV",
    "gamma": "core-hole width (FWHM), eV",
    "scf": "1 if self-consistent, 0 if overlapped with a predicted Fermi level",
    "seconds": "wall time it took",
    "solid": "1 if computed as a solid, 0 if as a molecule, -1 if unknown",
}
LACKING = {"solid": -1.0}
"""Columns that sets made earlier lack, and what stands for them."""
CURVES = ("mu", "mu0")
BLOCK = 256
GROWING: dict[str, Any] = {"maxshape": (None,), "chunks": (BLOCK,), "fletcher32": True}
"""Of columns of numbers: checked when read, as compressed ones are anyhow."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Give a data set open for reading; ReadError if it is none, or damaged."""
    if path.is_file() and not h5py.is_hdf5(path):
        raise ReadError(f"{path}: no HDF5 file")
    with damage_told(path), h5py.File(path, "r") as file:
        if "settings" not in file.attrs or "id" not in file:
            raise ReadError(f"{path}: not written by xanes-live theory")
        yield file


def offsets(file: h5py.File) -> np.ndarray:
    """Return where the atoms of each site begin, and the end; ValueError if that cannot be."""
    offset: np.ndarray = file["atoms/offset"][()]
    ends = len(file["id"]) + 1, len(file["atoms/number"]), len(file["atoms/position"])
    if (len(offset), int(offset[0]), *offset[-1:], *offset[-1:]) != (ends[0], 0, *ends[1:]):
        raise ValueError("its spectra and its atoms do not belong together")
    if (np.diff(offset) < 1).any():
        raise ValueError("a site has no atom")
    return offset


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Keep other processes from writing the data set `path` meanwhile.

    Raises
    ------
    ConfigurationError
        If one is writing it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".lock")
    with beside.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{path}: another xanes-live theory is writing it; two would lose spectra. Wait "
                "for its end, or give another output file"
            ) from None
        except OSError:  # a file system without locks
            pass
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)


def journal_path(path: Path) -> Path:
    """Return the journal that belongs to a data set."""
    return path.with_name(path.name + ".journal")


def append(path: Path, record: Record) -> None:
    """Append one record to the journal of data set `path` and sync it to disk."""
    body = msgpack.packb(record, default=_pack)
    journal = journal_path(path)
    try:
        with journal.open("ab") as file:
            file.write(struct.pack("<II", len(body), zlib.crc32(body)) + body)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full disk does not say where
        raise OSError(error.errno, error.strerror, str(journal)) from None


def _pack(value: object) -> object:
    if isinstance(value, np.ndarray):
        return {"_": value.dtype.str, "s": list(value.shape), "b": value.tobytes()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot store {type(value).__name__}")


def _unpack(value: dict[str, Any]) -> object:
    if "_" in value:
        return np.frombuffer(value["b"], dtype=np.dtype(value["_"])).reshape(value["s"])
    return value


def read_journal(path: Path) -> Iterator[Record]:
    """Yield the journal's complete records."""
    journal = journal_path(path)
    if not journal.exists():
        return
    with journal.open("rb") as file:
        while len(head := file.read(8)) == 8:
            length, checksum = struct.unpack("<II", head)
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                return
            yield LACKING | msgpack.unpackb(body, object_hook=_unpack)


def trim_journal(path: Path) -> None:
    """Cut an incomplete last record off, so that new ones can follow."""
    journal = journal_path(path)
    if not journal.exists():
        return
    good = 0
    with journal.open("rb+") as file:
        while len(head := file.read(8)) == 8:
            length, checksum = struct.unpack("<II", head)
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                break
            good = file.tell()
        file.truncate(good)


def create(path: Path, energy: np.ndarray, attributes: Mapping[str, Any]) -> None:
    """Create an empty data set, or check that an existing one was made with the same settings.

    Parameters
    ----------
    path
        HDF5 file.
    energy
        eV relative to the tabulated edge, shape (n_energy,).
    attributes
        Settings, software and so on; 'settings' must agree when the file exists, and 'element' if
        both have it.

    Raises
    ------
    ConfigurationError
        If the file was made with other settings or for another element.
    ReadError
        If it is no data set.
    """
    settings = json.dumps(attributes["settings"], sort_keys=True)
    if path.exists():
        _check_same(path, settings, attributes.get("element"))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, h5py.File(part, "w") as file:
        for key, value in attributes.items():
            file.attrs[key] = settings if key == "settings" else value
        file["energy"] = energy
        file["energy"].attrs["units"] = "eV relative to edge_energy"
        _make_columns(file, len(energy))


def _check_same(path: Path, settings: str, element: str | None) -> None:
    """Refuse to go on with a file that was made for something else."""
    with opened(path) as file:
        if file.attrs["settings"] != settings:
            raise ConfigurationError(f"{path} was made {_other(file.attrs['settings'], settings)}")
        held = file.attrs.get("element", element)  # older files do not say
    if element is not None and held != element:
        raise ConfigurationError(
            f"{path} holds spectra of {held}, asked for is {element}: give another output file"
        )


def _other(made: str, asked: str) -> str:
    """Say in which settings two runs differ, both JSON; a model is named, not written out."""
    held, wanted = json.loads(made), json.loads(asked)
    differ = [name for name in sorted({*held, *wanted}) if held.get(name) != wanted.get(name)]
    told = []
    for name in differ:
        values = (held.get(name), wanted.get(name))
        plain = not any(isinstance(value, (dict, list)) for value in values)
        told.append(
            f"with {name} = {values[0]}, asked for is {values[1]}"
            if plain
            else f"with another {name} than is asked for"
        )
    return "; ".join(told) + ": give another output file, or the options it was made with"


def _make_columns(file: h5py.File, n_energy: int) -> None:
    text = h5py.string_dtype()
    for name in (*TEXT, "failed/id", "failed/reason"):
        file.create_dataset(name, (0,), maxshape=(None,), chunks=(BLOCK,), dtype=text)
    for name in NUMBERS:
        _make_number(file, name, np.zeros(0))
    for name in CURVES:
        curve = file.create_dataset(
            name,
            (0, n_energy),
            maxshape=(None, n_energy),
            chunks=(64, n_energy),
            dtype="f4",
            compression="gzip",
            shuffle=True,
        )
        curve.attrs["meaning"] = "1 at 50 eV above the Fermi level for the free atom"
    atoms = file.create_group("atoms")
    atoms.attrs["meaning"] = "site i has atoms offset[i]:offset[i+1], the absorber first; Å"
    atoms.create_dataset("offset", data=np.zeros(1, "i8"), **GROWING)
    for name, width, kind in (("number", (), "u1"), ("position", (3,), "f4")):
        atoms.create_dataset(
            name,
            (0, *width),
            maxshape=(None, *width),
            chunks=(8192, *width),
            dtype=kind,
            compression="gzip",
            shuffle=True,
        )


def _make_number(file: h5py.File, name: str, values: np.ndarray) -> None:
    column = file.create_dataset(name, data=values, dtype="f8", **GROWING)
    column.attrs["meaning"] = NUMBERS[name]


def _extend(dataset: h5py.Dataset, values: Sequence[object] | np.ndarray) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _write(file: h5py.File, records: list[Record]) -> None:
    for name in TEXT:
        _extend(file[name], [r[name] for r in records])
    for name in NUMBERS:
        _extend(file[name], [float(r[name]) for r in records])
    for name in CURVES:
        _extend(file[name], np.stack([r[name] for r in records]))
    last = int(file["atoms/offset"][-1])
    _extend(file["atoms/offset"], last + np.cumsum([len(r["numbers"]) for r in records]))
    _extend(file["atoms/number"], np.concatenate([r["numbers"] for r in records]))
    _extend(file["atoms/position"], np.concatenate([r["positions"] for r in records]))


def _write_failed(file: h5py.File, failed: Mapping[str, str]) -> None:
    """Make `failed`, id and reason, what the file says has failed."""
    for name, values in (("failed/id", list(failed)), ("failed/reason", list(failed.values()))):
        file[name].resize(len(values), axis=0)
        file[name][...] = values


def consolidate(path: Path) -> int:
    """Move the journal into the HDF5 file; returns how many records were moved."""
    if not journal_path(path).exists():
        return 0
    with written_whole(path) as part:
        shutil.copyfile(path, part)
        with damage_told(path), h5py.File(part, "r+") as file:
            count = _take_in(file, read_journal(path))
    journal_path(path).unlink()
    return count


def _take_in(file: h5py.File, journal: Iterator[Record]) -> int:
    """Write records, each once; what failed and was computed later has not failed."""
    done = set(_texts(file["id"]))
    for name in LACKING.keys() - file.keys():
        _make_number(file, name, np.full(len(file["id"]), LACKING[name]))
    failed = dict(zip(_texts(file["failed/id"]), _texts(file["failed/reason"]), strict=True))
    before, count = dict(failed), 0
    block: list[Record] = []
    for record in journal:
        if not record["ok"]:
            failed[record["id"]] = record["error"]
        elif record["id"] not in done:
            done.add(record["id"])
            block.append(record)
        if len(block) == BLOCK:
            _write(file, block)
            count, block = count + len(block), []
    if block:
        _write(file, block)
    failed = {name: reason for name, reason in failed.items() if name not in done}
    _write_failed(file, failed)
    return count + len(block) + len(failed.keys() - before.keys())


def _texts(dataset: h5py.Dataset) -> list[str]:
    return [str(t) for t in dataset.asstr()[()]]


def known_ids(path: Path) -> tuple[set[str], set[str]]:
    """Ids of computed records and of those that only failed, in file and journal."""
    done: set[str] = set()
    failed: set[str] = set()
    if path.exists():
        with opened(path) as file:
            done.update(_texts(file["id"]))
            failed.update(_texts(file["failed/id"]))
    for record in read_journal(path):
        (done if record["ok"] else failed).add(record["id"])
    return done, failed - done


def geometries(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return atomic numbers (n,) and positions (n, 3) in Å, the absorber first, by id."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if path.exists():
        with opened(path) as file:
            offset = offsets(file)
            number, position = file["atoms/number"][()], file["atoms/position"][()]
            for name, start, stop in zip(_texts(file["id"]), offset, offset[1:], strict=False):
                found[name] = number[start:stop], position[start:stop]
    for record in read_journal(path):
        if record["ok"]:
            found.setdefault(record["id"], (record["numbers"], record["positions"]))
    return found
