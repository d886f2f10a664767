"""A compact training set out of a data set, readable with NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from xanes_live.descriptor.g2 import G2Grid, g2_from_distances
from xanes_live.errors import ConfigurationError
from xanes_live.theory.store import (
    LACKING,
    NUMBERS,
    TEXT,
    Record,
    known_ids,
    offsets,
    opened,
    read_journal,
)
from xanes_live.whole import written_whole

_KINDS = {None: "", True: "self-consistent ", False: "cheap "}


def records(path: Path) -> Iterator[Record]:
    """Yield every computed record of a data set, those still in its journal included."""
    seen: set[str] = set()
    if path.exists():
        with opened(path) as file:
            yield from _stored(file, seen)
    for record in read_journal(path):
        if record["ok"] and record["id"] not in seen:
            seen.add(record["id"])
            yield record


def _stored(file: h5py.File, seen: set[str]) -> Iterator[Record]:
    text = {name: file[name].asstr()[()] for name in TEXT}
    unknown = {name: np.full(len(text["id"]), value) for name, value in LACKING.items()}
    numbers = unknown | {name: file[name][()] for name in NUMBERS if name in file}
    offset = offsets(file)
    for start in range(0, len(text["id"]), 256):
        stop = min(start + 256, len(text["id"]))
        mu, mu0 = file["mu"][start:stop], file["mu0"][start:stop]
        atoms = slice(int(offset[start]), int(offset[stop]))
        z, xyz = file["atoms/number"][atoms], file["atoms/position"][atoms]
        for i in range(start, stop):
            part = slice(int(offset[i] - offset[start]), int(offset[i + 1] - offset[start]))
            seen.add(str(text["id"][i]))
            yield {
                **{name: str(column[i]) for name, column in text.items()},
                **{name: column[i] for name, column in numbers.items()},
                "mu": mu[i - start],
                "mu0": mu0[i - start],
                "numbers": z[part],
                "positions": xyz[part],
            }


def export_npz(
    h5: Path,
    npz: Path,
    *,
    grid: G2Grid | None = None,
    structure: bool = False,
    scf: bool | None = None,
) -> int:
    """Write spectra, G2 and columns of a data set that may still be growing.

    Parameters
    ----------
    h5
        The data set; its journal is read as well.
    npz
        File to write: `energy` (eV, n_energy), `mu` (float16, n × n_energy), `r` (Å, n_g2), `eta`,
        `g2` (float32, n × n_g2), the columns of the data set, and with `structure` the ragged
        `atom_offset`, `atom_number`, `atom_position` (float16) of neighbours within 6 Å.
    grid
        The G2 functions; by default 50 centres from 0.5 to 5.5 Å.
    structure
        Write neighbours too.
    scf
        Only self-consistent (True) or only cheap (False) spectra.

    Returns
    -------
    int
        Number of spectra written.

    Raises
    ------
    ConfigurationError
        If there is no such data set, it holds no spectrum, or it is of several edges.
    ReadError
        If it is none.
    """
    rows, columns = spectra(h5, scf)
    grid = grid or G2Grid()
    columns["mu"] = columns["mu"].astype(np.float16)
    columns["r"], columns["eta"] = grid.radius, np.array(grid.eta)
    g2 = [g2_from_distances(_distances(r), r["numbers"][1:], grid) for r in rows]
    columns["g2"] = np.array(g2, dtype=np.float32)
    if structure:
        columns |= neighbours(rows)
        columns["atom_position"] = columns["atom_position"].astype(np.float16)
    with written_whole(npz) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **columns)
    return len(rows)


def spectra(h5: Path, scf: bool | None = None) -> tuple[list[Record], dict[str, np.ndarray]]:
    """Return the records of a data set, and of all of them energies (eV), μ (float32), columns.

    Parameters
    ----------
    h5
        The data set; its journal is read as well.
    scf
        Only self-consistent (True) or only cheap (False) spectra.

    Raises
    ------
    ConfigurationError
        If there is no such data set, it holds no spectrum, or it is of several edges.
    ReadError
        If it is none.
    """
    if not h5.is_file():
        raise ConfigurationError(f"{h5}: no such data set")
    rows = [r for r in records(h5) if scf is None or bool(r["scf"]) is scf]
    if not rows:
        raise ConfigurationError(f"{h5}: holds no {_KINDS[scf]}spectrum{_and_failed(h5)}")
    columns: dict[str, np.ndarray] = {
        name: np.array([r[name] for r in rows], dtype=str) for name in TEXT
    }
    columns |= {name: np.array([r[name] for r in rows], dtype=float) for name in NUMBERS}
    edges = columns["edge_energy"]
    if np.ptp(edges) > 0:
        raise ConfigurationError(f"{h5}: holds spectra of several edges; a training set is of one")
    with opened(h5) as file:
        columns["energy"] = file["energy"][()] + edges[0]
    columns["mu"] = np.array([r["mu"] for r in rows], dtype=np.float32)
    return rows, columns


def _and_failed(h5: Path) -> str:
    failed = len(known_ids(h5)[1])
    return f"; {failed} failed, its failed/reason says why" if failed else ""


def _distances(record: Record) -> np.ndarray:
    """Distances of the neighbours, Å; the absorber is atom 0 at the origin."""
    return np.asarray(np.linalg.norm(record["positions"][1:].astype(float), axis=1))


def neighbours(rows: list[Record]) -> dict[str, np.ndarray]:
    """Return the ragged `atom_offset`, `atom_number` and `atom_position` (Å) within 6 Å."""
    near = [np.linalg.norm(r["positions"], axis=1) < 6.0 for r in rows]
    return {
        "atom_offset": np.concatenate([[0], np.cumsum([n.sum() for n in near])]).astype(np.int64),
        "atom_number": np.concatenate([r["numbers"][n] for r, n in zip(rows, near, strict=True)]),
        "atom_position": np.concatenate(
            [r["positions"][n] for r, n in zip(rows, near, strict=True)]
        ),
    }
