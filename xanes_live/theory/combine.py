"""Several data sets as one, each spectrum once.

Sets are HDF5 files of :mod:`xanes_live.theory`, their NumPy exports with structures, packed ones,
or the archive of the first study, whose names are translated into ours. What an earlier set holds
is not taken again from a later one, which is to mean the same structure by the same id; a site to
which an atom is nearer than any bond is not taken at all. All spectra come onto the energies of the
first, held at the ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.damage import damage_told
from xanes_live.descriptor.shell import LIGANDS
from xanes_live.domain import Array
from xanes_live.ensemble.data_files import EXPORT, by_distance, read_columns
from xanes_live.ensemble.packed import PACKED, unpacked, write_packed
from xanes_live.errors import ConfigurationError, ReadError, TheoryError
from xanes_live.theory.cluster import make_cluster
from xanes_live.theory.export import neighbours, spectra
from xanes_live.theory.store import known_ids
from xanes_live.theory.structures import CUT

if TYPE_CHECKING:
    from xanes_live.theory.tasks import Task

HDF5 = {".h5", ".hdf5"}
Columns = dict[str, NDArray[Any]]
PER_SPECTRUM = ("mu", "fermi", "parent", "source", "id")
ATOMS = ("atom_offset", "atom_number", "atom_distance")
FIRST_STUDY = {"energy", "mu", "xyz", "z", "natoms", "emu", "formula", "parent", "source", "id"}
NEAREST, NEAREST_METAL = 1.5, 1.9
"""Å; a site with a ligand, or another metal, nearer than this is a mistake in a structure file or
stands for disorder, and its spectrum for nothing."""
COMPARED, REACH = 12, 5.0
"""So many nearest neighbours, those within so many Å, tell one structure from another."""
SAME = 0.05
"""Å; half precision makes less of a difference, distorting otherwise nearly always more."""
_MIXED_UP = (
    "different structures called {}: distorted otherwise (--seed, --strain, --displacement), or of "
    "two structure files of one name. Leave one of the sets out, or rename the structure file and "
    "compute one of them again"
)
_SOURCES = {"amcsd": "mineral", "kulik": "octahedral", "kulik2": "octahedral", "tmqm": "tmqm"}
_FILES = {"kulik": "kulik_octahedral_Fe_manybody", "kulik2": "kulik_dfa_recommender_Fe"}


def combine(sets: Sequence[Path], output: Path) -> tuple[dict[str, int], list[str]]:
    """Pack the spectra of several data sets into one ``.npz``.

    Parameters
    ----------
    sets
        The first decides on the energies.
    output
        Archive that :func:`xanes_live.ensemble.data_files.read_training_set` reads.

    Returns
    -------
    tuple
        Number of spectra by source, and the ids of those left out for an atom too near.

    Raises
    ------
    ConfigurationError
        If there is no set, one is missing or empty, or one is of another edge.
    ReadError
        If one is of another kind, or two hold different structures under one id.
    """
    if not sets:
        raise ConfigurationError("no data set to combine")
    whole = _read(sets[0])
    origin = dict.fromkeys(whole["id"].tolist(), sets[0])
    for path in sets[1:]:
        more = _read(path)
        _refuse_elsewhere(whole, more, path)
        _refuse_others_of_one_id(whole, more, path, origin)
        origin = dict.fromkeys(more["id"].tolist(), path) | origin
        whole = _joined(whole, more)
    broken = _broken(whole)
    left_out = whole["id"][broken].tolist()
    whole = _taken(whole, np.flatnonzero(~broken))
    write_packed(output, whole)
    names, counts = np.unique(whole["source"], return_counts=True)
    return {str(n): int(c) for n, c in zip(names, counts, strict=True)}, left_out


class Elsewhere:
    """What other data sets hold and need not be computed again."""

    def __init__(self, sets: Sequence[Path]) -> None:
        """Read the ids of some data sets; raises as :func:`combine` does."""
        self._by_set = {path: frozenset(_ids(path)) for path in sets}
        self._around: dict[Path, dict[str, Array]] = {}

    @property
    def ids(self) -> frozenset[str]:
        """Of all their spectra."""
        return frozenset().union(*self._by_set.values())

    def checked(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yield tasks on; ReadError where a set means another structure by the id of one."""
        for task in tasks:
            for path in (p for p, ids in self._by_set.items() if task.id in ids):
                away = np.abs(_around(task) - self._known(path)[task.id])
                if (away > SAME).any():  # NaN: cannot be computed now, and so not mixed up
                    raise ReadError(
                        f"{path} and what is to be computed are {_MIXED_UP.format(task.id)}"
                    )
            yield task

    def _known(self, path: Path) -> dict[str, Array]:
        if path not in self._around:
            held = _read(path)
            ids, rows = held["id"].tolist(), np.arange(len(held["id"]))
            self._around[path] = dict(zip(ids, _nearest(held, rows), strict=True))
        return self._around[path]


def _around(task: Task) -> Array:
    """Return what :func:`_nearest` does of a task's structure; NaN where it cannot be computed."""
    try:
        cluster = make_cluster(task.atoms, task.absorber, CUT, solid=task.solid)
    except TheoryError:
        return np.full(COMPARED, np.nan)
    return _first(np.linalg.norm(cluster.positions, axis=1))


def _ids(path: Path) -> Iterable[str]:
    if path.suffix in HDF5 and path.exists():
        return known_ids(path)[0]  # faster than to read it all
    return map(str, _read(path)["id"])


def _read(path: Path) -> Columns:
    if not path.exists():
        raise ConfigurationError(f"{path}: no such data set")
    if path.suffix in HDF5:
        rows, own = spectra(path)  # in single precision, which an export halves
        return _ours(own | neighbours(rows))
    columns = read_columns(path)
    with damage_told(path):
        if set(columns) >= PACKED:
            return unpacked(columns)
        if set(columns) >= FIRST_STUDY:
            return _first_study(columns)
        if set(columns) >= EXPORT:
            return _ours(columns)
    raise ReadError(f"{path}: lacks {', '.join(sorted(EXPORT - set(columns)))}")


def _ours(columns: Columns) -> Columns:
    return by_distance({name: columns[name] for name in sorted(EXPORT)})


def _refuse_elsewhere(whole: Columns, more: Columns, path: Path) -> None:
    """Raise ConfigurationError where two sets have few energies in common: of another edge."""
    first, other = whole["energy"], more["energy"]
    if ((first >= other[0]) & (first <= other[-1])).mean() < 0.5:
        raise ConfigurationError(
            f"{path}: {other[0]:.0f} to {other[-1]:.0f} eV, the first set {first[0]:.0f} to "
            f"{first[-1]:.0f} eV; one training set is of one edge"
        )


def _refuse_others_of_one_id(
    whole: Columns, more: Columns, path: Path, origin: Mapping[str, Path]
) -> None:
    """Raise ReadError where two sets mean different structures by one id: one would be lost."""
    names, ours, theirs = np.intersect1d(whole["id"], more["id"], return_indices=True)
    away = np.abs(_nearest(whole, ours) - _nearest(more, theirs)).max(axis=1)
    others = [str(name) for name in names[away > SAME]]
    if others:
        many = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise ReadError(f"{path} and {origin[others[0]]} hold {_MIXED_UP.format(others[0] + many)}")


def _nearest(columns: Columns, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distances of the nearest neighbours of some sites, Å, (n, COMPARED).

    REACH stands for every one further away: sets end at different distances.
    """
    offset, distance = columns["atom_offset"], columns["atom_distance"]
    found = [_first(distance[offset[i] : offset[i + 1]]) for i in rows]
    return np.array(found).reshape(-1, COMPARED)


def _first(distance: Array) -> Array:
    """Return the nearest of the distances from one absorber, (COMPARED,), its own 0 left out."""
    found = np.sort(distance)[1 : COMPARED + 1]  # but for the absorber
    return np.pad(np.minimum(found, REACH), (0, COMPARED - len(found)), constant_values=REACH)


def _broken(columns: Columns) -> NDArray[np.bool_]:
    """Tell which sites have an atom nearer than any bond is long."""
    offset, number = columns["atom_offset"], columns["atom_number"]
    least = np.where(np.isin(number, list(LIGANDS.values())), NEAREST, NEAREST_METAL)
    near = (number > 1) & (columns["atom_distance"] < least)
    near[offset[:-1]] = False  # the absorber itself
    site = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    return np.bincount(site[near], minlength=len(offset) - 1) > 0


def _taken(columns: Columns, rows: NDArray[np.int64]) -> Columns:
    """Return some of the spectra of a set."""
    offset = columns["atom_offset"]
    none = np.zeros(0, dtype=np.int64)
    atoms = np.concatenate([none, *(np.arange(offset[i], offset[i + 1]) for i in rows)])
    return (
        {"energy": columns["energy"]}
        | {name: columns[name][rows] for name in PER_SPECTRUM}
        | {name: columns[name][atoms] for name in ATOMS[1:]}
        | {"atom_offset": np.concatenate([[0], np.cumsum(np.diff(offset)[rows])])}
    )


def _joined(whole: Columns, more: Columns) -> Columns:
    """Return both, without what is in both."""
    more = _taken(more, np.flatnonzero(~np.isin(more["id"], whole["id"])))
    mu = [np.interp(whole["energy"], more["energy"], row.astype(float)) for row in more["mu"]]
    spectra = np.array(mu, dtype=whole["mu"].dtype).reshape(-1, whole["energy"].size)
    joined = {
        name: np.concatenate([whole[name], more[name].astype(whole[name].dtype, copy=False)])
        for name in ATOMS[1:]
    } | {name: np.concatenate([whole[name], more[name]]) for name in PER_SPECTRUM[1:]}
    return joined | {
        "energy": whole["energy"],
        "mu": np.concatenate([whole["mu"], spectra]),
        "atom_offset": np.concatenate(
            [whole["atom_offset"], whole["atom_offset"][-1] + more["atom_offset"][1:]]
        ),
    }


def _first_study(columns: Columns) -> Columns:
    """Give the first study's archive the names and the layout of ours."""
    counts = columns["natoms"]
    real = np.arange(columns["z"].shape[1]) < counts[:, None]  # the rest is padding
    source = columns["source"]
    named = [
        _named(str(s), str(i), str(p), str(f))
        for s, i, p, f in zip(
            source, columns["id"], columns["parent"], columns["formula"], strict=True
        )
    ]
    return by_distance({
        "energy": columns["energy"], "mu": columns["mu"], "fermi": columns["emu"],
        "id": np.array([name for name, _ in named]),
        "parent": np.array([parent for _, parent in named]),
        "source": np.array([f"first-{_SOURCES.get(str(s), str(s))}" for s in source]),
        "atom_offset": np.concatenate([[0], np.cumsum(counts)]),
        "atom_number": columns["z"][real], "atom_position": columns["xyz"][real],
    })  # fmt: skip


def _named(source: str, name: str, parent: str, formula: str) -> tuple[str, str]:
    """Return our id and parent of a spectrum of the first study."""
    if source == "amcsd":
        found = re.fullmatch(r"amcsd(\d+)_s(\d+)(.*)", name)
        ours = f"amcsd:{found[1]}:s{found[2]}{found[3]}" if found else f"first:{name}"
        return ours, f"amcsd:{formula.replace(' ', '')}"
    if source == "kulik":
        return f"{_FILES[source]}:{name}:s0", f"ligands:{parent.partition(':')[2]}"
    return f"{_FILES.get(source, source)}:{name}:s0", parent
