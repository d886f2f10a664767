"""Absorbers, inequivalent sites, distorted copies and made structures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from xanes_live.errors import ConfigurationError
from xanes_live.theory.cluster import make_cluster
from xanes_live.theory.harmonics import Array
from xanes_live.theory.sizes import longer, wider

CUT = 8.0
"""Å, radius of the clusters cut from crystals before they are distorted."""
CATIONS = frozenset(
    map(chemical_symbols.__getitem__, (*range(11, 16), *range(19, 34), 3, 38, 40, 50, 51, 56, 82))
)
"""Cation sites that iron is put on: Li, Na to P, K to As, Sr, Zr, Sn, Sb, Ba, Pb."""
NONMETALS = frozenset(("C", "N", "O", "P", "S", "As", "Se"))
"""Partners of iron in the simple binaries."""
ANIONS = frozenset(("N", "O", "F", "S", "Cl", "Se", "Br"))
TARGETS: dict[tuple[str, int], tuple[float, float]] = {
    ("O", 4): (1.83, 2.06),
    ("O", 5): (1.90, 2.16),
    ("O", 6): (1.93, 2.24),
    ("O", 7): (2.08, 2.35),
    ("O", 8): (2.15, 2.50),
    ("N", 4): (1.85, 2.08),
    ("N", 6): (1.92, 2.24),
    ("F", 4): (1.82, 2.02),
    ("F", 6): (1.88, 2.15),
    ("S", 4): (2.15, 2.42),
    ("S", 5): (2.20, 2.48),
    ("S", 6): (2.22, 2.62),
    ("Cl", 4): (2.15, 2.38),
    ("Cl", 5): (2.20, 2.48),
    ("Cl", 6): (2.35, 2.62),
}
"""Mean first-shell distance (Å) of iron by ligand and coordination: shortest low-spin or Fe³⁺ to
longest high-spin Fe²⁺ in structures of the mineral and complex data bases. Other elements: see
:mod:`xanes_live.theory.sizes`."""


def inequivalent_sites(atoms: Atoms, element: str) -> list[tuple[int, int]]:
    """Return (index, multiplicity) of the absorbers of one element.

    Crystals: one site of each orbit of the space group (spglib, 0.01 Å). Molecules: all. In either
    only the atoms whose indices ``info["absorber"]`` names, one or several, if any of those is of
    this element.

    Raises
    ------
    ConfigurationError
        If it names what is no index of an atom.
    """
    sites = [i for i, s in enumerate(atoms.symbols) if s == element]
    chosen = [i for i in _named_absorbers(atoms) if i in sites]
    if not np.all(atoms.pbc):
        return [(i, 1) for i in chosen or sites]
    orbit = _orbits(atoms)
    if chosen:
        return [(i, int((orbit == orbit[i]).sum())) for i in chosen]
    found: dict[int, list[int]] = {}
    for site in sites:
        found.setdefault(int(orbit[site]), []).append(site)
    return [(members[0], len(members)) for members in found.values()]


def _named_absorbers(atoms: Atoms) -> list[int]:
    """Return the indices a file names as those of absorbers, each once; −1 stands for none."""
    given = atoms.info.get("absorber", -1)
    named = np.atleast_1d(given)
    if named.ndim == 1 and named.dtype.kind in "iu":
        if named.tolist() == [-1]:
            return []
        if ((named >= 0) & (named < len(atoms))).all():
            return list(dict.fromkeys(named.tolist()))
    raise ConfigurationError(
        f"{atoms.get_chemical_formula()}: absorber={given} is to be the index of one of its "
        f"{len(atoms)} atoms, from 0 on, or several"
    )


def _orbits(atoms: Atoms) -> NDArray[np.int_]:
    import spglib  # noqa: PLC0415 (compiled; only crystals need it)

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        # spglib 2.8 announces exceptions that older versions do not have
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        dataset = spglib.get_symmetry_dataset(cell, symprec=0.01)
    if dataset is None:
        return np.arange(len(atoms))
    return np.asarray(dataset.equivalent_atoms)


def cut_out(atoms: Atoms, absorber: int, radius: float = CUT) -> Atoms:
    """Return the cluster of a crystal as free atoms, absorber first; a molecule re-ordered."""
    cluster = make_cluster(atoms, absorber, radius)
    return Atoms(cluster.numbers, cluster.positions, info=dict(atoms.info))


def distorted(atoms: Atoms, strain: float, displacement: float, rng: np.random.Generator) -> Atoms:
    """Return a copy scaled by `strain` with every atom moved at random.

    Parameters
    ----------
    atoms
        Free atoms.
    strain
        Factor on all distances.
    displacement
        Root-mean-square length of the displacements, Å (normal in each direction).
    rng
        Source of randomness.
    """
    copy = atoms.copy()
    copy.positions = (copy.positions - copy.positions[0]) * strain
    copy.positions += rng.normal(0.0, displacement / np.sqrt(3), copy.positions.shape)
    return copy


def first_shell(positions: Array, *, gap: float = 0.45, most: int = 12) -> NDArray[np.int_]:
    """Return the nearest neighbours of atom 0: up to the first gap of `gap` Å."""
    distance = np.linalg.norm(positions - positions[0], axis=1)
    order = np.argsort(distance)[1 : most + 2]
    steps = np.diff(distance[order])
    wide = np.flatnonzero(steps > gap)
    return order[: wide[0] + 1] if wide.size else order[:most]


def substituted(cluster: Atoms, element: str, rng: np.random.Generator) -> Atoms | None:
    """Put `element` on the central cation site, its anions at a distance it would have.

    Only the first shell moves, radially. Returns None where the site is no simple polyhedron of one
    anion or the move would be unreasonable (over 0.4 Å, or a bond of an anion below 80 %).
    """
    shell = first_shell(cluster.positions)
    ligands = {cluster.symbols[i] for i in shell}
    if len(ligands) != 1 or not ligands <= ANIONS:
        return None
    target = TARGETS.get((ligands.pop(), len(shell)))
    if target is None:
        return None
    copy = cluster.copy()
    copy.symbols[0] = element
    return _moved(copy, shell, float(rng.uniform(*target)) + longer(element))


def _moved(cluster: Atoms, shell: NDArray[np.int_], mean: float) -> Atoms | None:
    vectors = cluster.positions[shell] - cluster.positions[0]
    distance = np.linalg.norm(vectors, axis=1, keepdims=True)
    change = mean - float(distance.mean())
    before = _closest(cluster.positions, shell)
    cluster.positions[shell] += vectors / distance * change
    closer = _closest(cluster.positions, shell) < 0.8 * before
    return None if abs(change) > 0.4 or bool(closer.any()) else cluster


def _closest(positions: Array, shell: NDArray[np.int_]) -> Array:
    """Distance of each shell atom to its nearest atom other than the centre."""
    gaps = np.linalg.norm(positions[shell][:, None] - positions[None], axis=2)
    gaps[gaps < 1e-9] = np.inf
    gaps[:, 0] = np.inf
    return np.asarray(gaps.min(axis=1))


def with_vacancies(cluster: Atoms, keep: int, rng: np.random.Generator) -> Atoms | None:
    """Take anions from the first shell: six-fold to square pyramid (5) or plane (4), cube to four.

    The rest moves to a distance usual for the new coordination. Returns None where the first shell
    is not six or eight of one anion.
    """
    shell = first_shell(cluster.positions)
    ligands = {cluster.symbols[i] for i in shell}
    if len(ligands) != 1 or not ligands <= ANIONS or len(shell) not in {6, 8}:
        return None
    target = TARGETS.get((next(iter(ligands)), keep))
    gone = _to_remove(cluster.positions[shell] - cluster.positions[0], keep, rng)
    if target is None or gone is None:
        return None
    copy = cluster.copy()
    left = np.setdiff1d(np.arange(len(copy)), shell[gone])
    copy = copy[left]
    index = {int(old): new for new, old in enumerate(left)}
    rest = np.array([index[int(i)] for i in shell if int(i) in index])
    return _moved(copy, rest, float(rng.uniform(*target)) + longer(str(copy.symbols[0])))


def _to_remove(vectors: Array, keep: int, rng: np.random.Generator) -> list[int] | None:
    """Which ligands to take away."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    first = int(rng.integers(len(vectors)))
    if len(vectors) == 6 and keep == 5:
        return [first]
    if len(vectors) == 6 and keep == 4:
        return [first, int(cosine[first].argmin())]
    if len(vectors) == 8 and keep == 4:  # a tetrahedron is left: the four far from each other
        kept = [first, *np.argsort(np.abs(cosine[first] + 1 / 3))[:3].tolist()]
        return [i for i in range(8) if i not in kept]
    return None


def alloys(element: str, rng: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """Yield metals, alloys and simple binaries of `element` without end, (name, crystal)."""
    metal, salt = wider(element), longer(element)
    for name, crystal in _irons(element, rng):
        factor = metal
        if any(symbol in NONMETALS for symbol in crystal.symbols):
            factor = 1.0 + salt / float(crystal.get_all_distances(mic=True)[0, 1:].min())
        if factor != 1.0:
            crystal.set_cell(crystal.cell * factor, scale_atoms=True)
        yield name, crystal


def _irons(element: str, rng: np.random.Generator) -> Iterator[tuple[str, Atoms]]:
    """Yield them with the distances that iron has."""
    from ase.build import bulk  # noqa: PLC0415 (slow to import)
    from ase.spacegroup import crystal  # noqa: PLC0415

    pair = ["Al", "Ti", "V", "Cr", "Mn", "Co", "Ni", "Cu", "Si", "Ga", "Ge", "Rh", "Pd", "Pt"]
    if element != "Fe":  # an alloy with itself is none
        pair = [*(other for other in pair if other != element), "Fe"]
    while True:
        yield f"{element}-bcc", bulk(element, "bcc", a=rng.uniform(2.72, 3.0), cubic=True)
        yield f"{element}-fcc", bulk(element, "fcc", a=rng.uniform(3.4, 3.75), cubic=True)
        a = rng.uniform(2.4, 2.65)
        yield f"{element}-hcp", bulk(element, "hcp", a=a, c=a * rng.uniform(1.56, 1.66))
        other = str(rng.choice(pair))
        yield (
            f"{element}{other}-B2",
            crystal(
                [element, other],
                [(0, 0, 0), (0.5, 0.5, 0.5)],
                spacegroup=221,
                cellpar=[rng.uniform(2.8, 3.1)] * 3 + [90] * 3,
            ),
        )
        yield (
            f"{element}3{other}-L12",
            crystal(
                [other, element],
                [(0, 0, 0), (0.5, 0.5, 0)],
                spacegroup=221,
                cellpar=[rng.uniform(3.5, 3.8)] * 3 + [90] * 3,
            ),
        )
        anion, low, high = [("O", 4.1, 4.5), ("N", 3.9, 4.4), ("C", 3.9, 4.3), ("S", 4.8, 5.3)][
            int(rng.integers(4))
        ]
        yield (
            f"{element}{anion}-rocksalt",
            bulk(element + anion, "rocksalt", a=rng.uniform(low, high), cubic=True),
        )
        anion, low, high = [("S", 5.1, 5.6), ("N", 4.2, 4.6), ("O", 4.3, 4.75), ("P", 4.9, 5.4)][
            int(rng.integers(4))
        ]
        yield (
            f"{element}{anion}-zincblende",
            bulk(element + anion, "zincblende", a=rng.uniform(low, high), cubic=True),
        )
        anion = str(rng.choice(["S", "P", "As", "Se"]))
        a = rng.uniform(3.3, 3.8)
        yield (
            f"{element}{anion}-B8",
            crystal(
                [element, anion],
                [(0, 0, 0), (1 / 3, 2 / 3, 0.25)],
                spacegroup=194,
                cellpar=[a, a, a * rng.uniform(1.4, 1.7), 90, 90, 120],
            ),
        )
