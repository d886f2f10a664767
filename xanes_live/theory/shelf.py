"""The structures of a recipe's files, each file read once, and in which order they are taken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io
import numpy as np
from ase import Atoms

from xanes_live.errors import ConfigurationError
from xanes_live.theory.names import key_of, labels_of, name_of

if TYPE_CHECKING:
    from xanes_live.theory.recipe import Recipe, Source


@dataclass(frozen=True, slots=True)
class Found:
    """One structure of a file."""

    key: str
    """Its id."""
    shared: str
    """The same, without what tells it from others of one name in its file."""
    atoms: Atoms


@dataclass
class Shelf:
    """Reads structures when they are asked for."""

    recipe: Recipe
    directory: Path
    _files: dict[str, list[Found]] = field(default_factory=dict)
    _sources: dict[int, list[Found]] = field(default_factory=dict)
    _keys: dict[int, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse files whose structures could not be told apart; ConfigurationError."""
        self._labels = labels_of(f for source in self.recipe.everything for f in source.files)

    def structures(self, source: Source) -> list[Found]:
        """Return the structures of all files of a source, shuffled, names taking turns.

        Raises
        ------
        ConfigurationError
            If a file cannot be read, or two hold different structures of one number.
        """
        found = self._of(source)
        order = np.random.default_rng([self.recipe.seed, 0]).permutation(len(found))
        turn: Counter[str] = Counter()
        ranked: list[tuple[int, int, Found]] = []
        for i in order:
            name = name_of(found[i].atoms) or found[i].key
            turn[name] += 1
            ranked.append((turn[name], len(ranked), found[i]))
        return [item for _, _, item in sorted(ranked, key=lambda r: r[:2])]

    def again(self, source: Source, key: str | None, copy: int = 0) -> str:
        """Return the end of the id of a task: a number where earlier sources make one like it.

        Earlier in the recipe, not in time: the shares and the sources chosen make no difference.
        `key` is None for what is made of no file.
        """
        earlier = 0
        for other in self.recipe.everything:
            if other is source:
                break
            alike = other.kind == source.kind and copy < other.copies
            earlier += alike and (key is None or key in self._names(other))
        return f"#{earlier + 1}" if earlier else ""

    def _names(self, source: Source) -> frozenset[str]:
        if id(source) not in self._keys:
            self._keys[id(source)] = frozenset(found.key for found in self._of(source))
        return self._keys[id(source)]

    def _of(self, source: Source) -> list[Found]:
        if id(source) not in self._sources:
            self._sources[id(source)] = self._collected(source)
        return self._sources[id(source)]

    def _collected(self, source: Source) -> list[Found]:
        """Return what is in the files of a source, a structure that several hold once."""
        first: dict[str, tuple[str, Found]] = {}
        for file in dict.fromkeys(source.files):
            for found in self._file(file):
                other, held = first.setdefault(found.key, (file, found))
                if held is not found and held.atoms != found.atoms:
                    raise ConfigurationError(
                        f"{other} and {file} hold different structures called {found.key}: leave "
                        "one of the files out, or change the number in one of them"
                    )
        return [found for _, found in first.values()]

    def _file(self, file: str) -> list[Found]:
        if file not in self._files:
            frames, times = _frames(self.directory / file), Counter[str]()
            self._files[file] = []
            for index, atoms in enumerate(frames):
                shared = key_of(atoms, self._labels[file], index)
                times[shared] += 1
                key = shared if times[shared] == 1 else f"{shared}#{times[shared]}"
                self._files[file].append(Found(key, shared, atoms))
        return self._files[file]


def _frames(path: Path) -> list[Atoms]:
    """Return every structure in a file."""
    try:
        frames: list[Atoms] = ase.io.read(path, index=":")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # noqa: BLE001 - ASE's readers fail in many ways on a bad file
        reason = str(error) or type(error).__name__
        raise ConfigurationError(f"{path}: no structure that ASE reads ({reason})") from None
    return frames
