"""Repeats of one sample on one energy grid, as they are compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.domain import Array


@dataclass(frozen=True, slots=True)
class Stack:
    """Repeats on one grid, in the order they were taken."""

    energy: Array
    """eV, shape (n_points,), strictly increasing."""
    mu: Array
    """Flattened μ, shape (n, n_points)."""
    noise: Array
    """Point-to-point noise of each, edge steps, shape (n,)."""
    e0: float
    """Edge energy of the first, eV."""
    wobble: Array | None = None
    """What noise does to the normalisation of each, edge steps, shape (n,); None: nothing. All
    points of a spectrum share it, so that no mean over points makes it smaller."""

    @property
    def wobbles(self) -> Array:
        """`wobble`, zeros where there is none, shape (n,)."""
        return np.zeros(len(self.mu)) if self.wobble is None else self.wobble

    def without(self, position: int) -> Stack:
        """Return the others."""
        return self.take([i for i in range(len(self.mu)) if i != position])

    def take(self, rows: Sequence[int]) -> Stack:
        """Return these."""
        kept = list(rows)
        return Stack(self.energy, self.mu[kept], self.noise[kept], self.e0, self.wobbles[kept])
