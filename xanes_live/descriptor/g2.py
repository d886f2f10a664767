r"""Two-body radial functions G2 of the weighted atom-centred symmetry functions (wACSF).

.. math::
    G^2_k = \sum_{j \ne \text{absorber}} w Z_j\, e^{-\eta (r_j - \mu_k)^2}\,
            \tfrac12\left(\cos\frac{\pi r_j}{r_c} + 1\right), \qquad r_j < r_c

in the "shifted" scheme: centres μ_k equally spaced between r_min + ½ and r_max − ½ Å and
η = 1/(2 Δμ²), so that a neighbour's Gaussian is one grid spacing wide. Number, element and disorder
of the neighbours are confounded in a height of G2: it is not a coordination number.

Sources: Gastegger et al., J. Chem. Phys. 148, 241709 (2018), eq. 5 (wACSF); David et al., Digital
Discovery 2, 1461 (2023) for its use here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xanes_live.domain import Array

if TYPE_CHECKING:
    from ase import Atoms

Z_WEIGHT = 0.1
"""Weight of a neighbour per unit of its atomic number."""
MARGIN = 0.5
"""Distance of the first and last centre from r_min and r_max, Å."""


@dataclass(frozen=True)
class G2Grid:
    """Centres and widths of the radial functions.

    Attributes
    ----------
    size
        Number of functions.
    r_min, r_max
        Bounds of the grid, Å; the centres lie half an ångström inside.
    r_c
        Radius at which the cut-off function reaches zero, Å.
    """

    size: int = 50
    r_min: float = 0.0
    r_max: float = 6.0
    r_c: float = 6.0

    def __post_init__(self) -> None:
        """Refuse a grid without a spacing."""
        if self.size < 2 or self.r_max - self.r_min <= 2 * MARGIN:
            raise ValueError(f"not a G2 grid: {self.size} points in {self.r_min}–{self.r_max} Å")

    @cached_property
    def radius(self) -> Array:
        """Centres μ_k, Å, shape (size,)."""
        return np.linspace(self.r_min + MARGIN, self.r_max - MARGIN, self.size)

    @property
    def spacing(self) -> float:
        """Distance Δμ between centres, Å."""
        return (self.r_max - self.r_min - 2 * MARGIN) / (self.size - 1)

    @property
    def eta(self) -> float:
        """Width parameter η = 1/(2 Δμ²), Å⁻²."""
        return 1.0 / (2.0 * self.spacing**2)


def cutoff(r: ArrayLike, r_c: float) -> Array:
    """Return ½(cos(π r/r_c) + 1) below `r_c` and 0 from there on; any shape, Å."""
    r = np.asarray(r, dtype=np.float64)
    return np.where(r < r_c, 0.5 * (np.cos(np.pi * r / r_c) + 1.0), 0.0)


def g2_from_distances(
    distances: ArrayLike, numbers: ArrayLike, grid: G2Grid | None = None
) -> Array:
    """Return G2 for neighbours at known distances.

    Parameters
    ----------
    distances
        Distances from the absorber, Å, shape (..., n_neighbours). NaN and infinity stand for
        "no atom", so that structures of different size fit into one padded array.
    numbers
        Atomic numbers, broadcastable to `distances`.
    grid
        The radial functions; by default 50 centres from 0.5 to 5.5 Å.

    Returns
    -------
    Array
        Shape (..., grid.size), in units of 0.1 Z.
    """
    grid = grid or G2Grid()
    r = np.asarray(distances, dtype=np.float64)
    r = np.where(np.isfinite(r), r, 2 * grid.r_c)
    weight = Z_WEIGHT * np.asarray(numbers, dtype=np.float64) * cutoff(r, grid.r_c)
    gauss = np.exp(-grid.eta * (r[..., None, :] - grid.radius[:, None]) ** 2)
    values: Array = np.einsum("...kj,...j->...k", gauss, np.broadcast_to(weight, r.shape))
    return values


def neighbours(atoms: Atoms, absorber: int, r_c: float) -> tuple[Array, NDArray[np.int64]]:
    """Return distances (Å) and atomic numbers of everything within `r_c` of one atom.

    Periodic images are counted along the periodic directions of `atoms`, those of the absorber
    included. Sorted by distance; both of shape (n_neighbours,).

    Raises
    ------
    IndexError
        If there is no atom `absorber`.
    """
    from ase.neighborlist import neighbor_list  # noqa: PLC0415 - the live path needs no ase

    if not -len(atoms) <= absorber < len(atoms):
        raise IndexError(f"absorber {absorber} of {len(atoms)} atoms")
    absorber %= len(atoms)
    # Radii that are zero but for the absorber's make ASE list the pairs of the absorber only.
    radii = np.zeros(len(atoms))
    radii[absorber] = r_c
    first, second, distance = neighbor_list("ijd", atoms, radii)
    chosen = (first == absorber) & (distance < r_c)
    order = np.argsort(distance[chosen], kind="stable")
    numbers = np.asarray(atoms.numbers, dtype=np.int64)[second[chosen]]
    return distance[chosen][order], numbers[order]


def g2(atoms: Atoms, absorber: int, grid: G2Grid | None = None) -> Array:
    """Return G2 of one atom of a molecule or crystal, shape (grid.size,).

    Parameters
    ----------
    atoms
        Molecule, crystal or anything in between; periodic directions as in ``atoms.pbc``.
    absorber
        Index of the absorbing atom.
    grid
        The radial functions; by default 50 centres from 0.5 to 5.5 Å.

    Raises
    ------
    IndexError
        If there is no atom `absorber`.
    """
    grid = grid or G2Grid()
    distances, numbers = neighbours(atoms, absorber, grid.r_c)
    return g2_from_distances(distances, numbers, grid)
