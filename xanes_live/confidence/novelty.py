"""How far a measured spectrum lies from those the model learnt from, and which are nearest.

The training spectra, as the network was shown them on average, are kept as coordinates along their
principal components. Computed energies are stretched and shifted against measured ones by amounts
that vary from compound to compound, so a measured spectrum is compared in several warps of its
energy scale and the best one counts. Distances are root-mean-square differences of normalised μ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.places import Grid, Places
from xanes_live.domain import Array, Neighbour

STRETCHES = (0.93, 1.0, 1.07)
WARP_SHIFTS = (-3.0, -1.5, 0.0, 1.5, 3.0)
"""Warps of the measured energy scale, relative and in eV."""
PIVOT = 7.5
"""Energy above the first of the grid that a stretch leaves where it is, eV: about the edge."""
NEAREST = 12
"""Spectra asked what they are."""
BLOCK = 64
"""Spectra compared at a time: bounds memory."""
POINTS = 2048
"""Training spectra compared at a time: one spectrum's squares of distances stay in the cache."""


@dataclass(frozen=True)
class Library:
    """The training spectra, made small."""

    mean: Array
    """Mean spectrum, shape (n_grid,)."""
    basis: Array
    """Principal components, orthonormal rows, shape (k, n_grid)."""
    points: NDArray[np.float32]
    """Coordinates of the spectra, shape (n, k)."""
    group: NDArray[np.int64]
    """Which compound each spectrum belongs to, shape (n,)."""
    names: Sequence[str]
    """Compounds by number."""
    r: Array
    """First-shell distance of each, Å, shape (n,)."""
    ligand: NDArray[np.str_]
    """Commonest element of the first shell, shape (n,)."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], words: Mapping[str, Any]) -> Library:
        """Read what a model folder holds; `words` are the lists of names and elements."""
        elements = np.array(words["elements"])
        return cls(
            mean=np.asarray(arrays["mean"], dtype=np.float64),
            basis=np.asarray(arrays["basis"], dtype=np.float64),
            points=np.asarray(arrays["points"], dtype=np.float32),
            group=np.asarray(arrays["group"], dtype=np.int64),
            names=tuple(words["names"]),
            r=np.asarray(arrays["r"], dtype=np.float64),
            ligand=elements[np.asarray(arrays["element"], dtype=np.int64)],
        )

    def look_up(self, wide: Array, mu: Array, grid: Array) -> Found:
        """Find the nearest training spectra of measured ones.

        Parameters
        ----------
        wide
            Energies, eV, shape (n_wide,); see :func:`xanes_live.confidence.copies.wide_grid`.
        mu
            Normalised μ on `wide`, shape (n, n_wide).
        grid
            The model's energies, eV, shape (n_grid,).
        """
        parts = [
            self._look_up(warps(wide, mu[i : i + BLOCK], grid)) for i in range(0, len(mu), BLOCK)
        ]
        return Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _look_up(self, warped: Array) -> tuple[NDArray[np.int64], Array]:
        """Return indices and distances of the nearest; `warped` is (n, n_warps, n_grid)."""
        n, n_warps, n_grid = warped.shape
        flat = warped.reshape(n * n_warps, n_grid) - self.mean
        along = flat @ self.basis.T
        whole = (flat**2).sum(axis=1, keepdims=True)  # also what the components cannot say
        own = np.concatenate((-2.0 * along, whole), axis=1).astype(np.float32)
        best = np.empty((n, len(self.points)), dtype=np.float32)
        for start in range(0, best.shape[1], POINTS):
            part = slice(start, start + POINTS)
            square = own @ self._extended[:, part]
            square.reshape(n, n_warps, -1).min(axis=1, out=best[:, part])
        best += self._norms  # the same for all warps
        count, row = min(NEAREST, best.shape[1]), np.arange(n)[:, None]
        near = np.argpartition(best, count - 1, axis=1)[:, :count]
        near = near[row, np.argsort(best[row, near], axis=1)]
        return near, np.sqrt(np.maximum(best[row, near], 0.0) / n_grid)

    @cached_property
    def _extended(self) -> NDArray[np.float32]:
        """Return the points and a one, shape (k + 1, n): the product then adds what is own."""
        one = np.ones((1, len(self.points)), dtype=np.float32)
        return np.ascontiguousarray(np.concatenate((self.points.T, one)))

    @cached_property
    def _norms(self) -> NDArray[np.float32]:
        return np.asarray((self.points**2).sum(axis=1))

    def describe(self, index: NDArray[np.int64], distance: Array) -> tuple[Neighbour, ...]:
        """Return the nearest compounds by name, each once, nearest first."""
        told: dict[int, Neighbour] = {}
        for i, d in zip(index.tolist(), distance.tolist(), strict=True):
            name = str(self.names[self.group[i]])
            new = Neighbour(name, d, float(self.r[i]), str(self.ligand[i]))
            told.setdefault(int(self.group[i]), new)
        return tuple(told.values())


@dataclass(frozen=True)
class Found:
    """The nearest training spectra of some spectra, nearest first."""

    index: NDArray[np.int64]
    """Shape (n, NEAREST)."""
    distance: Array
    """Root-mean-square difference of normalised μ, shape (n, NEAREST)."""

    @property
    def mean_distance(self) -> Array:
        """Mean distance of the nearest few, shape (n,): less a matter of chance than the first."""
        return np.asarray(self.distance[:, :4].mean(axis=1))

    def opinion(self, values: Array) -> tuple[Array, Array]:
        """Return weighted mean and spread of a quantity of the nearest spectra, each (n,)."""
        weight = self.weight()
        v = values[self.index]
        mean = (weight * v).sum(axis=1)
        return mean, np.sqrt((weight * (v - mean[:, None]) ** 2).sum(axis=1))

    def weight(self) -> Array:
        """Return the weight of each neighbour, rows summing to 1, shape (n, NEAREST)."""
        near = np.maximum(self.distance[:, :1], 1e-6)
        weight = np.exp(-((self.distance / near) ** 2 - 1.0))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def warps(wide: Array, mu: Array, grid: Array) -> Array:
    """Return spectra with their energies stretched and shifted, shape (n, n_warps, n_grid)."""
    return _warped(Grid.of(wide), Grid.of(grid)).of(mu)


@lru_cache(maxsize=8)
def _warped(wide: Grid, grid: Grid) -> Places:
    pivot = grid.first + PIVOT
    warped = [
        pivot + (grid.energy - pivot) * stretch - shift
        for stretch in STRETCHES
        for shift in WARP_SHIFTS
    ]
    return Places.on(wide.energy, np.stack(warped))
