"""The recipe of a data set: which structures, in which shares and order.

Every prefix of the work list is a balanced set: sources advance in proportion to their shares, and
within one source structures of different names take turns.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from zlib import crc32

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from xanes_live.edges import edge_energy
from xanes_live.errors import ConfigurationError, TheoryError
from xanes_live.theory import structures as make
from xanes_live.theory.names import name_of, parent_of
from xanes_live.theory.shelf import Found, Shelf
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

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, (low, high), least in (
            ("strain", self.strain, 0.5),
            ("displacement", self.displacement, 0.0),
        ):
            if not least <= low <= high:
                raise ValueError(f"{name}: {low:g} to {high:g} is no range from {least:g} on")
        return self


class Recipe(BaseModel):
    """All sources."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    element: str
    """Absorber."""
    edge: Literal["K"] = "K"
    """Of a K shell alone the final states are the p states that scattering is computed for."""
    seed: int = 1
    source: tuple[Source, ...]
    _whole: tuple[Source, ...] = PrivateAttr(())

    @property
    def everything(self) -> tuple[Source, ...]:
        """All sources, those too that are not to be computed now: ids depend on all of them."""
        return self._whole or self.source

    @model_validator(mode="after")
    def _tabulated(self) -> Self:
        try:
            edge_energy(self.element, self.edge)
        except KeyError:
            raise ValueError(f"no {self.edge} edge of {self.element!r} in the table") from None
        if self.element != self.element.capitalize():
            raise ValueError(f"element: {self.element!r} is written {self.element.capitalize()}")
        return self

    def only(self, names: Iterable[str]) -> Recipe:
        """Return the recipe with the sources of these names alone; ConfigurationError for none."""
        wanted, there = set(names), [source.name for source in self.source]
        missing = sorted(wanted.difference(there))
        if missing:
            raise ConfigurationError(
                f"no source {', '.join(missing)}; there are {', '.join(there)}"
            )
        chosen = tuple(source for source in self.source if source.name in wanted)
        some = self.model_copy(update={"source": chosen})
        some._whole = self.everything  # noqa: SLF001 - of this class
        return some


def parse_recipe(data: dict[str, Any], origin: str = "recipe") -> Recipe:
    """Check `data`; ConfigurationError with one line for each thing that is wrong."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        places = ((".".join(map(str, e["loc"])) or "recipe", e["msg"]) for e in error.errors())
        lines = [f"  {place}: {message}" for place, message in places]
        raise ConfigurationError(f"{origin}:\n" + "\n".join(lines)) from None


def load_recipe(path: Path) -> Recipe:
    """Read a recipe (TOML).

    Raises
    ------
    ConfigurationError
        If it is missing or wrong.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return parse_recipe(data, str(path))


def work_list(recipe: Recipe, directory: Path) -> Iterator[Task]:
    """Yield the tasks, sources in proportion to their shares; the same for the same recipe.

    Parameters
    ----------
    recipe
        The recipe.
    directory
        Where its structure files are.

    Raises
    ------
    ConfigurationError
        If one of them cannot be read, or structures of two could not be told apart.
    """
    shelf = Shelf(recipe, directory)
    queues = [_Queue(shelf, source) for source in recipe.source]
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


def count_at_most(recipe: Recipe, directory: Path) -> int:
    """Return how many tasks :func:`work_list` yields; sites that cannot be made count, too."""
    total, shelf = 0, Shelf(recipe, directory)
    for source in recipe.source:
        if source.kind == "alloys":
            total += source.copies
            continue
        for atoms in (found.atoms for found in shelf.structures(source)):
            if source.kind == "made":
                total += source.copies * any(s in make.CATIONS for s in atoms.symbols)
            elif recipe.element in atoms.symbols:
                sites = source.kind == "sites" and make.inequivalent_sites(atoms, recipe.element)
                total += len(sites) if sites else source.copies
    return total


class _Queue:
    """One source on its way."""

    def __init__(self, shelf: Shelf, source: Source) -> None:
        self.share = source.share / sum(s.share for s in shelf.recipe.source)
        self.given = 0
        self.open = True
        self._tasks = MAKERS[source.kind](shelf, source)

    def take(self) -> Task | None:
        task = next(self._tasks, None)
        self.open, self.given = task is not None, self.given + 1
        return task


UNTOLD = -9
"""Oxidation states and spins of which nothing is known."""


def _meta(found: Found, source: Source, kind: str) -> dict[str, Any]:
    atoms, info = found.atoms, found.atoms.info
    return {
        "parent": parent_of(atoms, found.shared),
        "source": source.name,
        "name": name_of(atoms),
        "kind": kind,
        "formula": str(info.get("formula") or atoms.get_chemical_formula()),
        "ox": _integer(info.get("ox")),
        "spin": _spin(info),
    }


def _spin(info: Mapping[str, Any]) -> int:
    """Return the spin multiplicity that a file tells, or that of the 2S it tells."""
    if "spinmult" in info:
        return _integer(info["spinmult"])
    twice = _integer(info.get("spin"))
    return UNTOLD if twice == UNTOLD else twice + 1


def _integer(value: object) -> int:
    """Return an integer; :data:`UNTOLD` where a file has none, or means something else by it."""
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return UNTOLD


def _rng(seed: int, text: str) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(text.encode())])


def _sites(shelf: Shelf, source: Source) -> Iterator[Task]:
    for found in shelf.structures(source):
        again = shelf.again(source, found.key)
        for site, count in make.inequivalent_sites(found.atoms, shelf.recipe.element):
            meta = _meta(found, source, "as-is") | {"multiplicity": count, "site": site}
            yield Task(f"{found.key}:s{site}{again}", found.atoms, site, None, meta)


def _cut(atoms: Atoms, site: int) -> Atoms | None:
    """Return the cluster around a site, None if sites overlap there."""
    try:
        return make.cut_out(atoms, site)
    except TheoryError:
        return None


def _impossible(label: str, atoms: Atoms, site: int, element: str, meta: dict[str, Any]) -> Task:
    """Return a task that will fail with the reason, so that it is recorded and others go on."""
    whole = atoms.copy()
    whole.symbols[site] = element
    return Task(label, whole, site, None, meta)


def _distorted(shelf: Shelf, source: Source) -> Iterator[Task]:
    recipe, structures = shelf.recipe, shelf.structures(source)
    for copy in range(source.copies):
        for found in structures:
            label, atoms = f"{found.key}~{copy}", found.atoms
            rng = _rng(recipe.seed, label)
            sites = make.inequivalent_sites(atoms, recipe.element)
            if not sites:
                continue
            site, count = sites[int(rng.integers(len(sites)))]
            solid = bool(np.any(atoms.pbc))
            meta = _meta(found, source, "distorted")
            meta |= {"multiplicity": count, "site": site}
            name = f"{label}:s{site}{shelf.again(source, found.key, copy)}"
            cluster = _cut(atoms, site)
            if cluster is None:
                yield _impossible(name, atoms, site, recipe.element, meta)
                continue
            yield _shaken(name, cluster, solid, meta, source, rng)


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


def _made(shelf: Shelf, source: Source) -> Iterator[Task]:
    recipe, structures = shelf.recipe, shelf.structures(source)
    for copy in range(source.copies):
        for found in structures:
            label, atoms = f"{found.key}*{copy}", found.atoms
            rng = _rng(recipe.seed, label)
            cations = [i for i, s in enumerate(atoms.symbols) if s in make.CATIONS]
            if not cations:
                continue
            site = cations[int(rng.integers(len(cations)))]
            name = f"{label}:s{site}{shelf.again(source, found.key, copy)}"
            cluster = _cut(atoms, site)
            if cluster is None:
                meta = _meta(found, source, "made") | {"site": site, "ox": -9}
                yield _impossible(name, atoms, site, recipe.element, meta)
                continue
            choice = int(rng.integers(5))
            if choice < 3:
                kind, new = "substituted", make.substituted(cluster, recipe.element, rng)
            else:
                kind = "vacancies"
                cluster.symbols[0] = recipe.element
                new = make.with_vacancies(cluster, 4 if choice == 3 else 5, rng)
            if new is None:
                continue
            meta = _meta(found, source, kind) | {"site": site, "ox": -9}
            yield _shaken(name, new, True, meta, source, rng)


def _alloys(shelf: Shelf, source: Source) -> Iterator[Task]:
    element = shelf.recipe.element
    rng = _rng(shelf.recipe.seed, source.name)
    for count, (name, crystal) in enumerate(make.alloys(element, rng)):
        if count == source.copies:
            return
        crystal.info["name"] = name
        site = int(np.flatnonzero(crystal.symbols == element)[0])
        key = f"alloy:{name}"
        meta = _meta(Found(key, key, crystal), source, "alloy") | {"name": name}
        cluster = make.cut_out(crystal, site)
        label = f"{key}:{count}{shelf.again(source, None, count)}"
        yield _shaken(label, cluster, True, meta, source, rng)


MAKERS: dict[str, Callable[[Shelf, Source], Iterator[Task]]] = {
    "sites": _sites,
    "distorted": _distorted,
    "made": _made,
    "alloys": _alloys,
}
