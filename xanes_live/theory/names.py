"""What structures are called: by their own file and place in it, whatever else is computed.

A name that depended on its neighbours would change when one more file is given, and the same
spectrum would be computed again or taken for another structure's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ase import Atoms

from xanes_live.errors import ConfigurationError

PLAIN = frozenset((
    "poscar", "contcar", "xdatcar", "outcar", "vasprun", "geometry", "coord", "structure",
    "relaxed", "final", "opt", "optimized", "optimised", "xtbopt",
))  # fmt: skip
"""Names that programs and habits give to every structure alike: the folder tells them apart."""


def label_of(file: str) -> str:
    """Return what structures of a file are called: its stem, with its folder where that is plain.

    Calculations are often kept as one ``POSCAR`` in a folder each.
    """
    path = Path(file)
    folder = path.parent.name
    return f"{folder}/{path.stem}" if folder and path.stem.lower() in PLAIN else path.stem


def labels_of(files: Iterable[str]) -> dict[str, str]:
    """Return the label of each file.

    Raises
    ------
    ConfigurationError
        If two files have one: their structures could not be told apart.
    """
    owner: dict[str, str] = {}
    labels = {file: label_of(file) for file in files}
    for file, label in labels.items():
        other = owner.setdefault(label, file)
        if os.path.normpath(other) != os.path.normpath(file):
            raise ConfigurationError(
                f"structures of {other} and of {file} would both be called {label}: rename one of "
                "the files, or link it to another name (ln -s)"
            )
    return labels


def refuse_earlier_names(files: Iterable[str], held: Iterable[str], where: str) -> None:
    """Raise ConfigurationError where a data set calls structures of a file as was done once.

    Names used to depend on the other files given. What is held under such a name would be computed
    again under the other, and count twice.

    Parameters
    ----------
    files
        Structure files.
    held
        Ids of a data set.
    where
        What it is called.
    """
    labels = {name.partition(":")[0] for name in held}
    for file in files:
        for earlier in sorted(_earlier_labels(file) & labels):
            raise ConfigurationError(
                f"{where} was made by an earlier version, which called structures of {file} "
                f"{earlier}: they are {label_of(file)} now. Compute them into a file of their own"
            )


def _earlier_labels(file: str) -> set[str]:
    """Return every end of a path, with its suffix and without, but for today's label."""
    path = Path(file)
    folders = path.parts[:-1]
    tails = ["/".join(folders[-depth:]) for depth in range(1, len(folders) + 1)]
    names = {path.stem, path.name}
    return (names | {f"{tail}/{n}" for tail in tails for n in names}) - {label_of(file)}


def key_of(atoms: Atoms, label: str, index: int) -> str:
    """Return the id of a structure: its number in a data base, or file and name or place."""
    info = atoms.info
    if "amcsd" in info:
        return f"amcsd:{info['amcsd']}"
    if "csd" in info:
        return f"tmqm:{info['csd']}"
    return f"{label}:{info.get('name', index)}"


def name_of(atoms: Atoms) -> str:
    """Return the name of a compound, '' if its file has none."""
    return str(atoms.info.get("mineral", atoms.info.get("csd", "")))


def parent_of(atoms: Atoms, key: str) -> str:
    """Return what must never be on both sides of a split: one compound, one set of ligands."""
    info: dict[str, Any] = atoms.info
    if "parent" in info:  # whoever made the file knows best
        return str(info["parent"])
    if "amcsd" in info:
        return f"amcsd:{info.get('formula') or atoms.get_chemical_formula(empirical=True)}".replace(
            " ", ""
        )
    if "csd" in info:
        return f"tmqm:{str(info['csd'])[:6]}"
    ligands = str(info.get("name", "")).split("_")[2:-1]
    if "ox" in info and "spinmult" in info and ligands:  # one set of them in all its spin states
        return "ligands:" + "_".join(ligands)
    return key
