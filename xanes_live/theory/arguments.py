"""What is refused before anything is computed, in words: FEFF's own are of no use to anyone."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np
from ase import Atoms

from xanes_live.errors import ConfigurationError, TheoryError
from xanes_live.theory.cluster import MAX_ATOMS, Cluster

WIDEST = 15.0
"""Å; a solid holds FEFF8L's 1000 atoms within less, and the cost grows with its ninth power."""
NO_CORE = 2
"""Atomic number up to which the 1s electrons are no core."""
BELOW = 50.0
"""eV below the Fermi level where nothing of the edge is left."""


def check_edge(edge: object) -> str:
    """Return 'K'; ConfigurationError for another edge."""
    if not isinstance(edge, str) or edge.upper() != "K":
        raise ConfigurationError(
            f"edge {edge!r}: only K edges are computed, whose final states are p"
        )
    return "K"


def check_site(atoms: Atoms, absorber: object) -> None:
    """Raise ConfigurationError for what is no structure, or no atom of it that has a core."""
    if not isinstance(atoms, Atoms):
        raise ConfigurationError(
            f"atoms: an ase.Atoms is wanted, not {type(atoms).__name__}; ase.io.read reads files"
        )
    if isinstance(absorber, bool) or not isinstance(absorber, int | np.integer):
        raise ConfigurationError(f"absorber {absorber!r}: the index of an atom is wanted")
    if not 0 <= absorber < len(atoms):
        raise ConfigurationError(f"absorber {absorber}: the structure has {len(atoms)} atoms")
    if 0 < atoms.numbers[absorber] <= NO_CORE:
        raise ConfigurationError(
            f"absorber {absorber} is {atoms.symbols[absorber]}, which has no core electron"
        )


def check_radii(scf_radius: object, fms_radius: object) -> None:
    """Raise ConfigurationError for what are no lengths."""
    given = {"fms_radius": fms_radius}
    if scf_radius is not None:
        given["scf_radius"] = scf_radius
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= WIDEST:
            raise ConfigurationError(
                f"{name} {value!r}: lengths above 0 and up to {WIDEST:g} Å are wanted"
            )


def check_reach(cluster: Cluster, fms_radius: float) -> None:
    """Raise ConfigurationError where FEFF8L takes fewer atoms than `fms_radius` (Å) holds."""
    last = float(np.linalg.norm(cluster.positions, axis=1).max())
    if len(cluster.numbers) == MAX_ATOMS and last < fms_radius:
        raise ConfigurationError(
            f"fms_radius {fms_radius:g} Å holds more than the {MAX_ATOMS} atoms that FEFF8L takes: "
            f"give less than {last:.1f}"
        )


def check_energies(energies: object) -> None:
    """Raise ConfigurationError for what are no energies; None is FEFF's own mesh."""
    if energies is None:
        return
    asked = np.asarray(energies)
    if asked.ndim != 1 or not asked.size or asked.dtype.kind not in "iuf":
        raise ConfigurationError("energies: one number or more, real, in one dimension, eV")
    if not np.isfinite(asked).all():
        raise ConfigurationError("energies: not all are finite numbers")


def check_edge_among(energies: object, fermi: float) -> None:
    """Raise ConfigurationError for energies of another edge, or in keV.

    Parameters
    ----------
    energies
        eV, shape (n,).
    fermi
        Photon energy of the Fermi level, eV.
    """
    asked = np.asarray(energies, dtype=float)
    if asked.max() < fermi - BELOW:
        raise ConfigurationError(
            f"energies from {asked.min():g} to {asked.max():g} eV are asked for; the edge is at "
            f"{fermi:.0f} eV"
        )


def check_fermi(fermi: object, scf_radius: object) -> None:
    """Raise ConfigurationError for a Fermi level that is none or would not be used."""
    if fermi is None:
        return
    if scf_radius is not None:
        raise ConfigurationError("fermi goes with scf_radius=None: self-consistency finds its own")
    number = isinstance(fermi, Real) and bool(np.isfinite(float(fermi)))
    if not number and not callable(fermi):
        raise ConfigurationError(f"fermi {fermi!r}: a number, eV, or a function is wanted")


def check_order(atoms: Atoms) -> None:
    """Refuse disorder, of which ASE's readers keep one element on each site and a remark."""
    occupancy = atoms.info.get("occupancy")
    for site in occupancy.values() if isinstance(occupancy, Mapping) else ():
        if len(site) > 1 or sum(site.values()) < 0.999:
            parts = ", ".join(f"{symbol} {part:g}" for symbol, part in site.items())
            raise TheoryError(
                "geometry", f"a site is not one element ({parts}): give an ordered one"
            )
