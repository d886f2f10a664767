"""Sets of computed spectra to learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.descriptor import (
    G2Grid,
    coordination,
    g2_from_distances,
    ligand,
    shell_distance,
)
from xanes_live.domain import Array
from xanes_live.errors import ConfigurationError


@dataclass(frozen=True)
class TrainingSet:
    """Spectra with the structure each belongs to; all arrays share the first axis."""

    energy: Array
    """Equally spaced energies, eV, shape (n_energies,)."""
    mu: NDArray[np.float32]
    """Normalised μ, shape (n, n_energies)."""
    g2: Array
    """G2 of the structures, shape (n, n_g2)."""
    shell: Array
    """Mean distance of the first shell, Å, shape (n,)."""
    coordination: Array
    """Neighbours in the first shell, shape (n,); NaN where unknown."""
    ligand: NDArray[np.str_]
    """Commonest element of the first shell, shape (n,); '' where unknown."""
    fermi: Array
    """Computed Fermi energy, eV, shape (n,)."""
    parent: NDArray[np.str_]
    """Name of the structure a spectrum derives from: what must never be split, shape (n,)."""
    source: NDArray[np.str_]
    """Which collection of structures, shape (n,)."""
    id: NDArray[np.str_]
    measured: NDArray[np.bool_]
    """Whether a spectrum was measured instead of computed, shape (n,)."""
    grid: G2Grid

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.mu)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> TrainingSet:
        """Return the spectra selected by a mask or by indices."""
        return replace(
            self,
            mu=self.mu[chosen],
            g2=self.g2[chosen],
            shell=self.shell[chosen],
            coordination=self.coordination[chosen],
            ligand=self.ligand[chosen],
            fermi=self.fermi[chosen],
            parent=self.parent[chosen],
            source=self.source[chosen],
            id=self.id[chosen],
            measured=self.measured[chosen],
        )

    def joined(self, other: TrainingSet) -> TrainingSet:
        """Return both sets as one; ValueError if their energies or grids differ."""
        if self.grid != other.grid or not np.array_equal(self.energy, other.energy):
            raise ValueError("the sets have different energies or radial functions")
        both: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in (
                "mu",
                "g2",
                "shell",
                "coordination",
                "ligand",
                "fermi",
                "parent",
                "source",
                "id",
                "measured",
            )
        }
        return replace(self, **both)

    def within(self, low: float, high: float) -> TrainingSet:
        """Return the set with the energies from `low` to `high` eV only."""
        kept = (self.energy >= low) & (self.energy <= high)
        return replace(self, energy=self.energy[kept], mu=self.mu[:, kept])

    def on(self, energy: Array) -> TrainingSet:
        """Return the set on other energies, eV, linearly interpolated and held at the ends."""
        mu = np.array([np.interp(energy, self.energy, row) for row in self.mu], dtype=np.float32)
        return replace(self, energy=energy, mu=mu.reshape(-1, len(energy)))

    def must_cover(self, low: float, high: float, path: Path) -> None:
        """Raise ConfigurationError, naming the file, if the spectra end before low or high, eV."""
        first, last = float(self.energy[0]), float(self.energy[-1])
        if first > low or last < high:
            raise ConfigurationError(
                f"{path}: spectra from {first:g} to {last:g} eV do not cover a model from "
                f"{low:g} to {high:g} eV"
            )

    def named(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Return which spectra have a parent whose name contains one of `words` (any case).

        A word in braces is a composition: ``{CaFeSi2O6}`` names every parent called by a formula
        of these elements in these ratios, in whatever order it is written.
        """
        names, which = np.unique(self.parent, return_inverse=True)
        composed = [composition(str(name).rpartition(":")[2]) for name in names]
        hit = np.zeros(len(names), dtype=bool)
        for word in words:
            if word.startswith("{"):
                wanted = composition(word.strip("{}"))
                hit |= np.array([c is not None and c == wanted for c in composed])
            else:
                hit |= np.char.find(np.char.lower(names), word.lower()) >= 0
        return np.asarray(hit[which])

    def without(self, words: Sequence[str]) -> TrainingSet:
        """Return the set without the spectra that :meth:`named` finds."""
        return self.take(~self.named(words))


_MEASURED = "measured:"


def measured_parents(compounds: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the parents of measured spectra of these compounds, shape (n,)."""
    return np.char.add(_MEASURED, compounds)


def measured_compound(parent: str) -> str | None:
    """Return the compound a parent of :func:`measured_parents` stands for; None for any other."""
    return parent.removeprefix(_MEASURED) if parent.startswith(_MEASURED) else None


@lru_cache(maxsize=65_536)
def composition(formula: str) -> str | None:
    """Return a formula in one agreed way of writing, ratios reduced; None if it is none."""
    from ase.formula import Formula  # noqa: PLC0415 - training only, and slow to import

    try:
        reduced: str = Formula(formula.replace(" ", "")).reduce()[0].format("hill")
    except ValueError:
        return None
    return reduced


def split_by_parent(
    data: TrainingSet, fraction: float, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks (training, held out); all spectra of one parent are on one side."""
    names, which = np.unique(data.parent, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    share = np.cumsum(np.bincount(which)[order])
    held = np.isin(which, order[share <= fraction * len(data)])
    return ~held, held


def folds_by_parent(data: TrainingSet, n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (0 … n_folds − 1) of each spectrum, whole parents together, shape (n,)."""
    names, which = np.unique(data.parent, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return (rank % n_folds)[which]


def file_hash(path: Path) -> str:
    """Return the sha256 of a file in hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def from_distances(
    energy: Array,
    mu: NDArray[np.floating],
    distances: Array,
    numbers: NDArray[np.int64],
    fermi: Array,
    names: tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.str_]],
    grid: G2Grid,
) -> TrainingSet:
    """Make a set from neighbours' distances, (n, n_neighbours) padded with NaN.

    `fermi` are Fermi energies in eV; `names` are parent, source and id of each spectrum.
    """
    parent, source, id_ = names
    return TrainingSet(
        energy=np.asarray(energy, dtype=np.float64),
        mu=np.asarray(mu, dtype=np.float32),
        g2=g2_from_distances(distances, numbers, grid),
        shell=shell_distance(distances, numbers),
        coordination=coordination(distances, numbers).astype(np.float64),
        ligand=ligand(distances, numbers),
        fermi=np.asarray(fermi, dtype=np.float64),
        parent=parent,
        source=source,
        id=id_,
        measured=np.zeros(len(mu), dtype=bool),
        grid=grid,
    )
