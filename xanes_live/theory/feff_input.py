"""The input of FEFF8L: ``feff.inp`` and the settings rdinp does not know.

Cards as documented for FEFF8; see also the user's guide of FEFF8L in xraylarch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from xanes_live.theory.cluster import Cluster, lmax_of

ABSORBER_SHARE = 0.01
"""Stoichiometric weight of the absorber's own potential: one core hole among many atoms."""


@dataclass(frozen=True, slots=True)
class ScfSettings:
    """FEFF's SCF card."""

    radius: float
    """Å."""
    mixing: int = 1
    """Iterations mixed before Broyden's method sets in."""
    iterations: int = 30
    step: float = 0.2
    """Convergence accelerator."""

    def card(self, *, solid: bool) -> str:
        """Return the line; a molecule (lfms1 = 1) is not continued beyond its atoms."""
        molecule = 0 if solid else 1
        return f"SCF {self.radius:.4f} {molecule} {self.iterations} {self.step} {self.mixing}"


def feff_input(cluster: Cluster, edge: str, scf: ScfSettings | None) -> str:
    """Return ``feff.inp`` for one absorber.

    Parameters
    ----------
    cluster
        The atoms; the absorber is potential 0, each element of the rest one more.
    edge
        'K', 'L3', …
    scf
        Self-consistency; None overlaps free atoms.
    """
    lines = ["TITLE xanes_live", f"EDGE {edge}", "S02 1.0", "CONTROL 1 1 1 1 1 1"]
    if scf is not None:
        lines.append(scf.card(solid=cluster.solid))
    lines.append("POTENTIALS")
    lines += [
        f"{i} {z} {chemical_symbols[z]} {lmax_of(z)} {lmax_of(z)} {weight:g}"
        for i, (z, weight) in enumerate(zip(cluster.species, _weights(cluster), strict=True))
    ]
    lines.append("ATOMS")
    lines += [
        f"{x:.9f} {y:.9f} {z:.9f} {i}"
        for (x, y, z), i in zip(cluster.positions, cluster.potential, strict=True)
    ]
    lines.append("END")
    return "\n".join(lines) + "\n"


def _weights(cluster: Cluster) -> list[float]:
    counts = np.bincount(cluster.potential, minlength=len(cluster.species)).astype(float)
    counts[0] = ABSORBER_SHARE
    return [float(c) for c in counts]


def edit_xsph(directory: Path, *, kmax: float, kstep: float, fermi_shift: float) -> None:
    """Ask xsph for the XANES mesh, which the input reader of FEFF8L does not pass on.

    Parameters
    ----------
    directory
        Where rdinp has run.
    kmax, kstep
        Mesh above the Fermi level, 1/Å.
    fermi_shift
        eV the Fermi level is lowered by.

    Notes
    -----
    ``ixc0 = 2`` takes the ground-state potential for the atomic background, as full FEFF does for
    XANES; with the default the spectrum is off by 1 to 2.6 %.
    """
    path = directory / "xsph.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.update(ispec=1, xkmax=kmax, xkstep=kstep, vixan=0.0, ixc0=2, vro=fermi_shift)
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
