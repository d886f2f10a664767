"""The first shell: its distance in a structure, and its distance as an ensemble sees it.

The highest bin of a predicted G2 is a poor estimate of the first-shell distance: it lies on a grid
of 0.1 Å and jumps to the next shell when the first is weak. Here the members agree on *which* hump
is the first shell, and each then measures *where* it is by the centre of gravity of that hump.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xanes_live.descriptor.g2 import cutoff
from xanes_live.descriptor.peaks import first_peak
from xanes_live.domain import Array, FirstShell
from xanes_live.median import median

GAP = 0.25
"""Neighbours further apart than this, Å, belong to different shells: G2 resolves them."""
FEW, FEW_GAP, FEW_SPREAD = 4, 0.6, 0.9
"""Fewer neighbours than this are seldom a shell of their own: the one or three short bonds of a
nitrosyl, a carbonyl or an oxo group stand before the rest of it. Up to there gaps are allowed to be
this, Å, and a shell that needs it may be this wide."""
LIGHT, HOST, AROUND, HOST_AROUND = 8, 6, 0.9, 1.0
"""Fewer than four ligands of this atomic number or less, and no others within 0.9 Å of the nearest,
with this many metals (whatever is no ligand) within 1 Å of it, are interstitial: the carbon of a
steel, the nitrogen of a nitride. Beside the metals' their scattering is not seen, as little as
hydrogen's. (The metals of a nitride's corner, Fe4N, are 0.94 Å further away than its nitrogen.)"""
MANY, PART, SMALL_GAP = 10, 6, 0.12
"""Of this many neighbours or more, a gap of 0.12 Å already ends the shell where it leaves six or
more on each side: the 8 + 6 of a body-centred metal stay apart when its atoms are displaced, and
the 4 + 8 of cementite together."""
BODY_CENTRED, SMALLER_GAP = 13, 0.05
"""Of this many or more, which only body-centred metals and their like have, this gap, Å, does."""
SPREAD = 0.6
"""A shell is no wider than this, Å, whatever the gaps, unless its first few neighbours stand before
the rest of it."""
MIXED = 0.2
"""Metals and ligands whose nearest are no further apart than this, Å, are one shell."""
LIGANDS = {
    "H": 1, "B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "Si": 14, "P": 15, "S": 16, "Cl": 17,
    "Ge": 32, "As": 33, "Se": 34, "Br": 35, "Sb": 51, "Te": 52, "I": 53, "Bi": 83,
}  # fmt: skip
"""Elements that bond to a metal as its ligands, with their atomic numbers. The metalloids and
bismuth count, whose iron compounds (arsenides, silicides) have them for a first shell."""
WINDOW = 0.13
"""Standard deviation of the window around the first shell, Å: little more than a spacing."""
RIGHT = 0.1
"""A first-shell distance this near the truth, Å, is right."""
Z95 = 1.959964
"""97.5 % quantile of the normal distribution."""


def shell_distance(distances: ArrayLike, numbers: ArrayLike) -> Array:
    """Return the mean distance of the first shell of a known structure, Å.

    Its neighbours are all metals or all ligands (:data:`LIGANDS`), as the nearest one is, since
    the metal behind a bridging ligand is a shell of its own; or both, where their nearest are as
    near (:data:`MIXED`). It ends at the first gap above :data:`GAP`, or :data:`FEW_GAP` while
    neighbours are few; one of many neighbours at the largest gap that parts it, see :data:`MANY`.
    Hydrogen, and light atoms between metals (:data:`LIGHT`), scatter too little to be seen and are
    left out.

    Parameters
    ----------
    distances
        Distances from the absorber, Å, shape (..., n_neighbours); NaN stands for "no atom".
    numbers
        Atomic numbers, broadcastable to `distances`.

    Returns
    -------
    Array
        Shape (...); NaN where there is no neighbour.
    """
    r, inside, _ = _first_shell_members(distances, numbers)
    count = inside.sum(axis=-1)
    total = np.where(inside, r, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def coordination(distances: ArrayLike, numbers: ArrayLike) -> NDArray[np.int64]:
    """Return the number of neighbours in the first shell of a known structure, shape (...).

    Parameters as in :func:`shell_distance`.
    """
    count: NDArray[np.int64] = _first_shell_members(distances, numbers)[1].sum(axis=-1)
    return count


def ligand(distances: ArrayLike, numbers: ArrayLike) -> NDArray[np.str_]:
    """Return the symbol of the commonest element in the first shell, shape (...); '' for none.

    Of two equally common ones the heavier. Parameters as in :func:`shell_distance`.
    """
    from ase.data import chemical_symbols  # noqa: PLC0415 - training only

    _, inside, atoms = _first_shell_members(distances, numbers)
    members = np.where(inside, atoms, 0)
    best, most = (
        np.zeros(members.shape[:-1], dtype=np.int64),
        np.zeros(members.shape[:-1], dtype=np.int64),
    )
    for number in np.unique(members[members > 0]):
        count = (members == number).sum(axis=-1)
        best, most = np.where((count >= most) & (count > 0), number, best), np.maximum(count, most)
    return np.where(best > 0, np.array(chemical_symbols)[best], "")


def _first_shell_members(
    distances: ArrayLike, numbers: ArrayLike
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """Return sorted distances (NaN last), which belong to the first shell, and what they are."""
    r = np.asarray(distances, dtype=np.float64)
    atoms = np.broadcast_to(np.asarray(numbers, dtype=np.int64), r.shape)
    ligands = np.isin(atoms, list(LIGANDS.values()))
    if r.shape[-1]:
        r = _of_one_kind(_seen(np.where(atoms > 1, r, np.nan), atoms, ligands), ligands)
    order = np.argsort(r, axis=-1, kind="stable")
    r, atoms = np.take_along_axis(r, order, axis=-1), np.take_along_axis(atoms, order, axis=-1)
    few = np.arange(r.shape[-1]) < FEW
    step, width = np.diff(r, axis=-1, prepend=r[..., :1]), r - r[..., :1]
    near = np.logical_and.accumulate(step <= np.where(few, FEW_GAP, GAP), axis=-1)
    wide = (near & few & (step > GAP)).any(axis=-1, keepdims=True)
    inside = near & (width <= np.where(wide, FEW_SPREAD, SPREAD))
    return r, inside & _before_the_parting(step, inside), atoms


def _seen(r: Array, atoms: NDArray[np.int64], ligands: NDArray[np.bool_]) -> Array:
    """Distances, those of interstitial atoms NaN; hydrogen's are NaN already."""
    nearest = np.where(ligands & np.isfinite(r), r, np.inf).min(axis=-1, keepdims=True)
    around = r <= nearest + AROUND
    light = ligands & around & (atoms <= LIGHT)
    alone = ~(ligands & around & ~light).any(axis=-1, keepdims=True)
    few = light.sum(axis=-1, keepdims=True) < FEW
    host = (~ligands & (r <= nearest + HOST_AROUND)).sum(axis=-1, keepdims=True) >= HOST
    return np.where(light & alone & few & host, np.nan, r)


def _of_one_kind(r: Array, ligands: NDArray[np.bool_]) -> Array:
    """Distances of metals, or of ligands, whichever come first; the others NaN unless as near."""
    first = [
        np.where(np.isnan(r) | (ligands != kind), np.inf, r).min(axis=-1, keepdims=True)
        for kind in (False, True)
    ]
    metal, ligand = first
    with np.errstate(invalid="ignore"):  # of neither there is any
        kept = np.where(ligands, ligand <= metal + MIXED, metal <= ligand + MIXED)
    return np.where(kept, r, np.nan)


def _before_the_parting(step: Array, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which neighbours stand before the gap that parts a shell of many."""
    if step.shape[-1] < MANY:
        return np.ones_like(inside)
    count, place = inside.sum(axis=-1, keepdims=True), np.arange(step.shape[-1])
    may = (count >= MANY) & (place >= PART) & (place <= count - PART)
    gap = np.where(may, step, 0.0)
    largest = gap.argmax(axis=-1, keepdims=True)
    needed = np.where(count >= BODY_CENTRED, SMALLER_GAP, SMALL_GAP)
    parted = np.take_along_axis(gap, largest, axis=-1) >= needed
    result: NDArray[np.bool_] = ~parted | (place < largest)
    return result


def shell_centres(radius: Array, values: Array, start: Array, r_c: float = 6.0) -> Array:
    """Return the centre of gravity of the hump of G2 next to `start`, Å, shape (...).

    A Gaussian window is moved to the centre of gravity of what it shows until it rests (mean
    shift), so that the estimate uses the whole hump and not its highest points alone. The cut-off
    function, which makes near neighbours count more, is divided out first.

    Parameters
    ----------
    radius
        Centres, Å, shape (n,).
    values
        G2, shape (..., n).
    start
        Where to look, Å, broadcastable to (...).
    r_c
        Cut-off radius of G2, Å.
    """
    weight = np.clip(values, 0.0, None) / np.maximum(cutoff(radius, r_c), 0.02)
    centre = np.broadcast_to(start, values.shape[:-1]).astype(np.float64)
    for _ in range(4):
        window = weight * np.exp(-0.5 * ((radius - centre[..., None]) / WINDOW) ** 2)
        total = window.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            centre = (window * radius).sum(axis=-1) / total
    return centre


def shell_votes(radius: Array, members: Array, r_c: float = 6.0) -> Array:
    """Return each member's first-shell distance, Å.

    The ensemble's median decides which hump is the first shell; a member that has nothing there,
    or whose hump drifts off to another shell, has no vote (NaN).

    Parameters
    ----------
    radius
        Centres, Å, shape (n_g2,).
    members
        G2 of the members, shape (..., n_members, n_g2).

    Returns
    -------
    Array
        Shape (..., n_members).
    """
    common = first_peak(radius, np.median(members, axis=-2))
    votes = shell_centres(radius, members, common[..., None], r_c)
    return np.where(np.abs(votes - common[..., None]) <= SPREAD / 2, votes, np.nan)


def combine_votes(votes: Array, least: int | None = None) -> tuple[Array, Array]:
    """Return median and standard deviation (ddof = 1) of the votes, each of shape (...).

    NaN where fewer than `least` members have a vote; by default half of them, at least two.
    """
    if votes.shape[-1] > 1 and (least or 0) <= votes.shape[-1] and np.isfinite(votes).all():
        # the usual case: numpy's functions for numbers with NaN among them take ten times as long
        return median(votes), votes.std(axis=-1, ddof=1)
    count = np.isfinite(votes).sum(axis=-1)
    enough = count >= max(2, (votes.shape[-1] + 1) // 2 if least is None else least)
    safe = np.where(enough[..., None], votes, 0.0)
    return (
        np.where(enough, np.nanmedian(safe, axis=-1), np.nan),
        np.where(enough, np.nanstd(safe, axis=-1, ddof=1), np.nan),
    )


def first_shell(
    votes: Array, *, offset: float = 0.0, scale: float = 1.0, floor: float = 0.0
) -> FirstShell:
    """Return the first shell of one spectrum with its 95 % interval.

    The interval's half-width is ``sqrt(floor² + (1.96 · scale · σ)²)``: σ over members knows
    nothing of what all members have wrong, which `floor` and `scale`, found by comparison with
    known structures, make good.

    Parameters
    ----------
    votes
        First-shell distance of each member, Å, shape (n_members,); NaN where it has none.
    offset
        Added to the distance, Å (calibration).
    scale
        Factor on σ (calibration).
    floor
        Half-width that remains when the members agree perfectly, Å (calibration).
    """
    votes = votes + offset
    r, sigma = (float(x) for x in combine_votes(votes))
    half = float(np.hypot(floor, Z95 * scale * sigma))
    return FirstShell(r=r, sigma=sigma, low=r - half, high=r + half, members=votes)
