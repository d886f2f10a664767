"""Linear interpolation at the same places again and again: found once for each pair of grids.

Every scan is looked at in about twenty shifts and warps of its energy scale, and all scans of a
service lie on one grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array


@dataclass(frozen=True)
class Grid:
    """Equally spaced energies; equal and of one hash where ends and size are: a key of caches."""

    first: float
    last: float
    size: int
    energy: Array = field(compare=False)
    """eV, shape (size,)."""

    @classmethod
    def of(cls, energy: Array) -> Grid:
        """Name some energies."""
        return cls(float(energy[0]), float(energy[-1]), energy.size, energy)


class Places(NamedTuple):
    """Where energies lie between the points of an equally spaced grid."""

    low: NDArray[np.intp]
    """The point below each, shape (...)."""
    part: Array
    """Distance from it in units of the spacing, shape (...)."""

    @classmethod
    def on(cls, grid: Array, energy: Array) -> Places:
        """Find energies (...) on a grid; those beyond its ends are brought there."""
        at = np.clip((energy - grid[0]) / (grid[1] - grid[0]), 0.0, grid.size - 1.001)
        low = at.astype(np.intp)
        return cls(low, at - low)

    def of(self, mu: Array) -> Array:
        """Return spectra (n, n_grid) at these places, shape (n, ...)."""
        left = np.take(mu, self.low, axis=1)
        right = np.take(mu, self.low + 1, axis=1)
        right -= left
        right *= self.part
        right += left
        return right
