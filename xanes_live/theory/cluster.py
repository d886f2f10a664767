"""The cluster of atoms around one absorber, cut from a molecule or a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from xanes_live.errors import TheoryError
from xanes_live.theory.harmonics import Array

BOHR = 0.529177210903
"""Å."""
HARTREE = 27.211386245988
"""eV."""
TIE = 1e-6
"""Å; sites this close to a cut-off radius count as inside, whatever the rounding."""
OVERLAP = 0.4
"""Å; two sites closer than this cannot both be occupied."""
MAX_ATOMS = 1000
MAX_SPECIES = 10
"""Limits of FEFF8L: atoms, and elements beside the absorber."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Atoms around an absorber, which is site 0 at the origin; others by distance."""

    numbers: NDArray[np.int_]
    """Atomic numbers, shape (n_atoms,)."""
    positions: Array
    """Å, relative to the absorber, shape (n_atoms, 3)."""
    solid: bool
    """Cut from a crystal (or something that large) rather than a whole molecule."""

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic number of each potential: the absorber's, then the other sites' elements."""
        return (int(self.numbers[0]), *(int(z) for z in np.unique(self.numbers[1:])))

    @property
    def potential(self) -> NDArray[np.int_]:
        """Index into `species` of each site, shape (n_atoms,)."""
        index = 1 + np.searchsorted(self.species[1:], self.numbers)
        index[0] = 0
        return np.asarray(index)

    def within(self, radius: float) -> NDArray[np.int_]:
        """Return the indices of sites within `radius` (Å) of the absorber."""
        return np.flatnonzero(np.linalg.norm(self.positions, axis=1) < radius + TIE)


def lmax_of(number: int) -> int:
    """Largest angular momentum scattered by an element: H, He 1; to Ca 2; beyond 3."""
    return 1 if number <= 2 else 2 if number <= 20 else 3


def make_cluster(
    atoms: Atoms, absorber: int, radius: float = 7.5, *, solid: bool | None = None
) -> Cluster:
    """Cut the cluster within `radius` of an absorber.

    Parameters
    ----------
    atoms
        Molecule or crystal; periodic along the axes its `pbc` says.
    absorber
        Index of the absorbing atom.
    radius
        Å. A molecule is taken whole if it fits FEFF's limits.
    solid
        How the self-consistent cycle treats it; None finds out.

    Raises
    ------
    TheoryError
        If sites overlap, are dummies or nowhere, if a periodic direction has no cell vector, or
        there are more elements than FEFF8L takes.
    """
    _check(atoms)
    numbers, vectors = _around(atoms, absorber, radius)
    distance = np.linalg.norm(vectors, axis=1)
    pairs = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    near = pairs[~np.eye(len(pairs), dtype=bool)].min(initial=np.inf)
    if near < OVERLAP:
        raise TheoryError("geometry", f"two sites {near:.2f} Å apart")
    order = _canonical_order(numbers, pairs, distance)[:MAX_ATOMS]
    numbers, vectors = numbers[order], vectors[order]
    if len(np.unique(numbers[1:])) > MAX_SPECIES:
        raise TheoryError("geometry", f"more than {MAX_SPECIES} elements around the absorber")
    if solid is None:
        solid = bool(np.any(atoms.pbc)) or _bulky(vectors)
    return Cluster(numbers, vectors, solid)


def _check(atoms: Atoms) -> None:
    """Raise TheoryError for what cannot be placed in space, or is no atom."""
    if not np.isfinite(atoms.positions).all():
        raise TheoryError("geometry", "not all positions are finite numbers")
    if not atoms.numbers.all():
        where = int(np.flatnonzero(atoms.numbers == 0)[0])
        raise TheoryError("geometry", f"site {where} is a dummy (X): take it out, or name it")
    if np.any(atoms.pbc & ~atoms.cell.any(1)):
        raise TheoryError("geometry", "periodic in a direction that has no cell vector")


def _around(atoms: Atoms, absorber: int, radius: float) -> tuple[NDArray[np.int_], Array]:
    """Numbers and vectors from the absorber of all sites (periodic: within `radius`)."""
    vectors = np.asarray(atoms.positions - atoms.positions[absorber], dtype=float)
    numbers = np.asarray(atoms.numbers, dtype=int)
    if not np.any(atoms.pbc):
        if len(atoms) > MAX_ATOMS or np.ptp(vectors, axis=0).max() > 40:
            inside = np.linalg.norm(vectors, axis=1) < radius + TIE
            return numbers[inside], vectors[inside]
        return numbers, vectors
    cell = np.asarray(atoms.cell.complete().array)  # a slab may have no third vector
    wrapped = atoms.cell.scaled_positions(vectors)
    shift = np.where(atoms.pbc, np.floor(wrapped + 0.5), 0.0)
    vectors = vectors - shift @ cell
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = np.where(atoms.pbc, np.ceil(radius / heights + 0.5), 0).astype(int)
    grid = np.array(list(product(*(range(-n, n + 1) for n in reach))), dtype=float)
    images = (vectors[:, None] + (grid @ cell)[None]).reshape(-1, 3)
    inside = np.linalg.norm(images, axis=1) < radius + TIE
    return np.repeat(numbers, len(grid))[inside], images[inside]


def _canonical_order(numbers: NDArray[np.int_], pairs: Array, distance: Array) -> NDArray[np.int_]:
    """Order that does not depend on how the structure was turned, moved or numbered.

    FEFF takes the nearest site of an element as its model. Sites at one distance are told apart by
    their surroundings.
    """
    surroundings = (numbers[None] * np.exp(-pairs / 2)).sum(1)
    return np.lexsort((np.round(surroundings, 5), numbers, np.round(distance, 5)))


def _bulky(vectors: Array) -> bool:
    """Whether a non-periodic cluster fills the shell from 5 to 7 Å as a solid does."""
    distance = np.linalg.norm(vectors, axis=1)
    return int(((distance > 5) & (distance < 7)).sum()) >= 60
