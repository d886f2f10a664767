"""The recipe of a data set: which structures, in which shares and order.

Every prefix of the work list is a balanced set: sources advance in proportion to their shares, and
within one source structures of different names take turns.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import ase.io
import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xanes_live.errors import ConfigurationError
from xanes_live.theory import structures as make
from xanes_live.theory.tasks import Task


class Source(BaseModel):
    """One kind of structures."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    """Recorded with each spectrum."""
    kind: Literal["sites", "distorted", "made", "alloys"] = "sites"
    """As they are; distorted copies; the absorber put on cation sites, with vacancies; metals."""
    share: float = Field(1.0, gt=0)
    """Part of the work, relative to other sources."""
    files: tuple[str, ...] = ()
    """Structure files."""
    copies: int = Field(1, ge=1)
    """Rounds through the structures."""
    strain: tuple[float, float] = (1.0, 1.0)
    """Range of isotropic strain factors."""
    displacement: tuple[float, float] = (0.0, 0.0)
    """Range of rms displacements, Å."""


class Recipe(BaseModel):
    """All sources."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    element: str
    """Absorber."""
    edge: str = "K"
    seed: int = 1
    source: tuple[Source, ...]


def load_recipe(path: Path) -> Recipe:
    """Read a recipe (TOML).

    Raises
    ------
    ConfigurationError
        If it is missing or wrong.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def work_list(recipe: Recipe, directory: Path) -> Iterator[Task]:
    """Yield the tasks, sources in proportion to their shares; the same for the same recipe.

    Parameters
    ----------
    recipe
        The recipe.
    directory
        Where its structure files are.
    """
    queues = [_Queue(recipe, source, directory) for source in recipe.source]
    total = 0
    while any(q.open for q in queues):
        behind = max((q for q in queues if q.open), key=lambda q: q.share * (total + 1) - q.given)
        task = behind.take()
        if task is not None:
            total += 1
            yield task
        else:  # shares of what is left
            left = sum(q.share for q in queues if q.open)
            for q in queues:
                q.share, q.given = q.share / max(left, 1e-12), 0
            total = 0


class _Queue:
    """One source on its way."""

    def __init__(self, recipe: Recipe, source: Source, directory: Path) -> None:
        self.share = source.share / sum(s.share for s in recipe.source)
        self.given = 0
        self.open = True
        self._tasks = MAKERS[source.kind](recipe, source, directory)

    def take(self) -> Task | None:
        task = next(self._tasks, None)
        self.open, self.given = task is not None, self.given + 1
        return task


def _structures(source: Source, directory: Path, seed: int) -> list[tuple[str, Atoms]]:
    """(key, structure) of all files, shuffled, names taking turns."""
    found = []
    for file in source.files:
        path = directory / file
        try:
            frames = ase.io.read(path, index=":")
        except (
            OSError,
            ValueError,
            KeyError,
            IndexError,
            ase.io.formats.UnknownFileTypeError,
        ) as error:
            raise ConfigurationError(f"{path}: {error}") from None
        found += [(_key(atoms, path.stem, i), atoms) for i, atoms in enumerate(frames)]
    order = np.random.default_rng([seed, 0]).permutation(len(found))
    turn: dict[str, int] = {}
    ranked: list[tuple[int, int, tuple[str, Atoms]]] = []
    for i in order:
        name = _name(found[i][1]) or found[i][0]
        turn[name] = turn.get(name, 0) + 1
        ranked.append((turn[name], len(ranked), found[i]))
    return [item for _, _, item in sorted(ranked, key=lambda r: r[:2])]


def _key(atoms: Atoms, stem: str, index: int) -> str:
    info = atoms.info
    if "amcsd" in info:
        return f"amcsd:{info['amcsd']}"
    if "csd" in info:
        return f"tmqm:{info['csd']}"
    return f"{stem}:{info.get('name', index)}"


def _name(atoms: Atoms) -> str:
    return str(atoms.info.get("mineral", atoms.info.get("csd", "")))


def _parent(atoms: Atoms, key: str) -> str:
    """Return what must never be on both sides of a split: one compound, one set of ligands."""
    info = atoms.info
    if "amcsd" in info:
        return f"amcsd:{info.get('formula') or atoms.get_chemical_formula(empirical=True)}".replace(
            " ", ""
        )
    if "csd" in info:
        return f"tmqm:{str(info['csd'])[:6]}"
    if "ox" in info and "spinmult" in info:  # one set of ligands in all its spin states
        return "ligands:" + "_".join(str(info["name"]).split("_")[2:-1])
    return key


def _meta(atoms: Atoms, key: str, source: Source, kind: str) -> dict[str, Any]:
    info = atoms.info
    return {
        "parent": _parent(atoms, key),
        "source": source.name,
        "name": _name(atoms),
        "kind": kind,
        "formula": str(info.get("formula") or atoms.get_chemical_formula()),
        "ox": int(info.get("ox", -9)),
        "spin": int(info.get("spinmult", info.get("spin", -10) + 1 if "spin" in info else -9)),
    }


def _rng(seed: int, text: str) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(text.encode())])


def _sites(recipe: Recipe, source: Source, directory: Path) -> Iterator[Task]:
    for key, atoms in _structures(source, directory, recipe.seed):
        for site, count in make.inequivalent_sites(atoms, recipe.element):
            meta = _meta(atoms, key, source, "as-is") | {"multiplicity": count, "site": site}
            yield Task(f"{key}:s{site}", atoms, site, None, meta)


def _distorted(recipe: Recipe, source: Source, directory: Path) -> Iterator[Task]:
    found = _structures(source, directory, recipe.seed)
    for copy in range(source.copies):
        for key, atoms in found:
            label = f"{key}~{copy}"
            rng = _rng(recipe.seed, label)
            sites = make.inequivalent_sites(atoms, recipe.element)
            if not sites:
                continue
            site, count = sites[int(rng.integers(len(sites)))]
            solid = bool(np.any(atoms.pbc))
            cluster = make.cut_out(atoms, site)
            meta = _meta(atoms, key, source, "distorted")
            meta |= {"multiplicity": count, "site": site}
            yield _shaken(f"{label}:s{site}", cluster, solid, meta, source, rng)


def _shaken(
    label: str,
    cluster: Atoms,
    solid: bool,
    meta: dict[str, Any],
    source: Source,
    rng: np.random.Generator,
) -> Task:
    strain = float(rng.uniform(*source.strain))
    displacement = float(rng.uniform(*source.displacement))
    moved = make.distorted(cluster, strain, displacement, rng)
    meta |= {"strain": strain, "displacement": displacement}
    return Task(label, moved, 0, solid, meta)


def _made(recipe: Recipe, source: Source, directory: Path) -> Iterator[Task]:
    found = _structures(source, directory, recipe.seed)
    for copy in range(source.copies):
        for key, atoms in found:
            label = f"{key}*{copy}"
            rng = _rng(recipe.seed, label)
            cations = [i for i, s in enumerate(atoms.symbols) if s in make.CATIONS]
            if not cations:
                continue
            site = cations[int(rng.integers(len(cations)))]
            cluster = make.cut_out(atoms, site)
            choice = int(rng.integers(5))
            if choice < 3:
                kind, new = "substituted", make.substituted(cluster, recipe.element, rng)
            else:
                kind = "vacancies"
                cluster.symbols[0] = recipe.element
                new = make.with_vacancies(cluster, 4 if choice == 3 else 5, rng)
            if new is None:
                continue
            meta = _meta(atoms, key, source, kind) | {"site": site, "ox": -9}
            yield _shaken(f"{label}:s{site}", new, True, meta, source, rng)


def _alloys(recipe: Recipe, source: Source, directory: Path) -> Iterator[Task]:
    del directory
    rng = _rng(recipe.seed, source.name)
    for count, (name, crystal) in enumerate(make.alloys(recipe.element, rng)):
        if count == source.copies:
            return
        crystal.info["name"] = name
        site = int(np.flatnonzero(crystal.symbols == recipe.element)[0])
        key = f"alloy:{name}"
        meta = _meta(crystal, key, source, "alloy") | {"name": name}
        cluster = make.cut_out(crystal, site)
        yield _shaken(f"{key}:{count}", cluster, True, meta, source, rng)


MAKERS: dict[str, Callable[[Recipe, Source, Path], Iterator[Task]]] = {
    "sites": _sites,
    "distorted": _distorted,
    "made": _made,
    "alloys": _alloys,
}
