"""Reading sets of computed spectra: of :mod:`xanes_live.theory`, packed ones, the first study's.

G2 and the first-shell distance are always computed from the structures, so that one data set serves
any descriptor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from xanes_live.damage import damage_told
from xanes_live.descriptor import G2Grid
from xanes_live.domain import Array
from xanes_live.ensemble.data import TrainingSet, composition, from_distances
from xanes_live.ensemble.packed import NAMES, PACKED, unpacked
from xanes_live.errors import ConfigurationError, MissingDependencyError, ReadError

FIRST_STUDY = {"energy", "mu", "xyz", "z", "natoms", "emu", *NAMES}
EXPORT = {"energy", "mu", "atom_offset", "atom_number", "atom_position", "fermi", *NAMES}
MEASURED = ("energy", "mu", "g2", "shell", "coordination", "parent", "id")
HDF5 = {"energy", "mu", "atoms", "fermi", "edge_energy", *NAMES}


def read_training_set(path: Path, grid: G2Grid | None = None) -> TrainingSet:
    """Read a data set.

    Parameters
    ----------
    path
        ``.h5`` as ``xanes-live theory`` writes it, ``.npz`` as it exports it with structures or as
        ``xanes-live combine`` packs it, or the ``.npz`` of the first study.
    grid
        Radial functions of the descriptor; by default 50 centres from 0.5 to 5.5 Å.

    Raises
    ------
    ConfigurationError
        If there is no such file.
    ReadError
        If it is of another kind.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such data set")
    grid = grid or G2Grid()
    if path.suffix == ".npz":
        return _read_npz(path, grid)
    if path.suffix in {".h5", ".hdf5"}:
        return _read_hdf5(path, grid)
    raise ReadError(f"{path}: a data set is .npz or .h5")


def read_measured_set(path: Path, grid: G2Grid, form: str | None = None) -> TrainingSet:
    """Read measured spectra of known structure, as :func:`write_measured_set` writes them.

    Parameters
    ----------
    path
        The archive.
    grid
        Radial functions it has to be made for.
    form
        'normalised' or 'flattened': what its spectra have to be; None asks for nothing.

    Raises
    ------
    ConfigurationError
        If there is no such file.
    ReadError
        If it is of another kind or was made for another descriptor or of the other form.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such measured set")
    columns = read_columns(path)
    _need(path, {*MEASURED, "descriptor"}, set(columns))
    if not np.array_equal(columns["descriptor"], _descriptor(grid)):
        raise ReadError(f"{path}: made for other radial functions")
    own = str(columns.get("form", form))
    if form is not None and own != form:
        raise ReadError(f"{path}: holds {own} spectra, the model is given {form} ones")
    n = len(columns["mu"])
    return TrainingSet(
        **{name: columns[name] for name in MEASURED},
        fermi=np.zeros(n),
        ligand=np.full(n, ""),
        source=np.full(n, "measured"),
        measured=np.ones(n, dtype=bool),
        grid=grid,
    )


def write_measured_set(path: Path, data: TrainingSet, form: str) -> None:
    """Write measured spectra, 'normalised' or 'flattened', to be mixed into a training (.npz)."""
    columns = {name: getattr(data, name) for name in MEASURED}
    np.savez_compressed(path, **columns, descriptor=_descriptor(data.grid), form=np.array(form))


def _descriptor(grid: G2Grid) -> Array:
    return np.array([grid.size, grid.r_min, grid.r_max, grid.r_c], dtype=np.float64)


def _read_npz(path: Path, grid: G2Grid) -> TrainingSet:
    columns = read_columns(path, FIRST_STUDY | EXPORT | PACKED)
    with damage_told(path):
        if set(columns) >= FIRST_STUDY:
            return _first_study(columns, grid)
        if set(columns) >= PACKED:
            return _ragged(unpacked(columns), grid)
    _need(path, EXPORT, set(columns))
    return _ragged_of(columns, path, grid)


def read_columns(path: Path, names: set[str] | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of a NumPy archive, or those of some names; ReadError if it is none."""
    if path.is_file() and not is_zipfile(path):
        raise ReadError(f"{path}: not a NumPy archive, or only a part of one")
    with (
        damage_told(path),
        path.open("rb") as opened,
        np.load(opened, allow_pickle=False) as file,
    ):
        return {name: file[name] for name in file if names is None or name in names}


def _read_hdf5(path: Path, grid: G2Grid) -> TrainingSet:
    try:
        import h5py  # noqa: PLC0415 - only for this format
    except ImportError as error:
        raise MissingDependencyError("h5py", "theory", "Reading HDF5 data sets") from error
    _refuse_journal(path)
    if not h5py.is_hdf5(path):
        raise ReadError(f"{path}: no HDF5 file")
    with damage_told(path), h5py.File(path, "r") as file:
        _need(path, HDF5, set(file))
        columns = {name: file[name].asstr()[()].astype(str) for name in NAMES}
        columns |= {name: file[name][()] for name in ("energy", "mu", "fermi")}
        columns |= {f"atom_{name}": file["atoms"][name][()] for name in file["atoms"]}
        columns["energy"] = columns["energy"] + _one(file["edge_energy"][()], path)
    return _ragged_of(columns, path, grid)


def _ragged_of(columns: dict[str, NDArray[Any]], path: Path, grid: G2Grid) -> TrainingSet:
    """Make a set from columns as they are in a file; ReadError where they do not fit together."""
    with damage_told(path):
        return _ragged(by_distance(columns), grid)


def _refuse_journal(path: Path) -> None:
    """Raise ReadError if spectra of a run that was broken off wait beside the file."""
    journal = path.with_name(path.name + ".journal")
    if journal.exists() and journal.stat().st_size:
        raise ReadError(
            f"{path}: spectra of a run that goes on or was broken off are still in {journal.name}: "
            "run the same xanes-live theory command to its end, or take what there is with "
            f"xanes-live combine {path} -o all.npz"
        )


def _need(path: Path, wanted: set[str], found: set[str]) -> None:
    missing = wanted - found
    if missing:
        raise ReadError(f"{path}: lacks {', '.join(sorted(missing))}")


def _one(edges: Array, path: Path) -> float:
    """Return the edge energy all spectra share, eV."""
    if not len(edges) or np.ptp(edges) > 0:
        raise ReadError(f"{path}: must hold spectra of exactly one edge")
    return float(edges[0])


def _first_study(columns: dict[str, NDArray[Any]], grid: G2Grid) -> TrainingSet:
    xyz = columns["xyz"].astype(np.float64)
    r = np.linalg.norm(xyz - xyz[:, :1], axis=-1)
    r[np.arange(r.shape[1]) >= columns["natoms"][:, None]] = np.nan  # padding
    r[:, 0] = np.nan  # the absorber itself
    return _set(columns, r, columns["z"].astype(np.int64), columns["emu"], grid)


def _ragged(columns: dict[str, NDArray[Any]], grid: G2Grid) -> TrainingSet:
    """Make a set from atoms one site after another, each with its absorber first."""
    offset = columns["atom_offset"]
    counts = np.diff(offset)
    site = np.repeat(np.arange(len(counts)), counts)
    first = offset[:-1][site]
    distance = columns["atom_distance"]
    column = np.arange(len(site)) - first
    near = (column > 0) & (distance < grid.r_c)
    place = _rank_within(site[near], len(counts))
    width = int(place.max(initial=0)) + 1
    r = np.full((len(counts), width), np.nan)
    z = np.zeros((len(counts), width), dtype=np.int64)
    r[site[near], place] = distance[near]
    z[site[near], place] = columns["atom_number"][near]
    return _set(columns, r, z, columns["fermi"], grid)


def by_distance(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Put distances from the absorber, the first atom of each site, in place of positions; Å."""
    kept, offset = columns.copy(), columns["atom_offset"]
    position = kept.pop("atom_position").astype(np.float64)
    first = np.repeat(offset[:-1], np.diff(offset))
    return kept | {"atom_distance": np.linalg.norm(position - position[first], axis=1)}


def _rank_within(group: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
    """Return 0, 1, 2 … within each run of equal values of the sorted `group`."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n_groups))[:-1]])
    rank: NDArray[np.int64] = np.arange(len(group)) - starts[group]
    return rank


def _set(
    columns: dict[str, NDArray[Any]],
    distances: Array,
    numbers: NDArray[np.int64],
    fermi: Array,
    grid: G2Grid,
) -> TrainingSet:
    names = (_agreed(columns["parent"]), columns["source"], columns["id"])
    return from_distances(columns["energy"], columns["mu"], distances, numbers, fermi, names, grid)


def _agreed(parents: NDArray[np.str_]) -> NDArray[np.str_]:
    """Write formulas among the names of crystals in one way, so that twins share one name."""
    names, which = np.unique(parents, return_inverse=True)
    agreed = []
    for name in map(str, names):
        collection, _, formula = name.rpartition(":")
        agreed.append(
            f"{collection}:{composition(formula) or formula}" if collection == "amcsd" else name
        )
    return np.array(agreed)[which]
