"""The samples in the simulated beamline's magazine: measured spectra from public-domain XDI files.

The files and their licence note are in ``demo/data``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Final

import numpy as np

from xanes_live.documents.files import read_file
from xanes_live.domain import Array
from xanes_live.edges import edge_energy
from xanes_live.errors import ReadError


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample: its measured spectrum and what its label says."""

    name: str
    """As the operator types it."""
    formula: str
    element: str
    """Absorbing element."""
    edge: str
    energy: Array
    """Energies of the measured spectrum, eV, shape (n_points,), increasing."""
    mu: Array
    """Measured ln(I0/It), shape (n_points,); its zero is arbitrary (different gains)."""
    preparation: str
    """How it was prepared, 'powder on tape, 4 layers'."""

    @property
    def e0(self) -> float:
        """Tabulated edge energy, eV."""
        return edge_energy(self.element, self.edge)

    @cached_property
    def absorption(self) -> Array:
        """μ(E)·thickness with a plausible zero, shape (n_points,).

        Only a constant is added: the smallest value becomes 0.2, so that the transmitted beam is
        weaker than the incident one whatever the gains of the original experiment were.
        """
        return np.asarray(self.mu - self.mu.min() + 0.2, dtype=float)

    @cached_property
    def emission(self) -> Array:
        """Share of the absorption that makes fluorescence, shape (n_points,).

        The pre-edge line is subtracted; white lines stay as measured in transmission, without
        self-absorption.
        """
        below = self.energy < self.e0 - 15.0
        line = np.polynomial.Polynomial.fit(self.energy[below], self.mu[below], 1)
        return np.clip(self.mu - line(self.energy), 0.0, None)


FILES: Final[dict[str, tuple[str, str]]] = {
    "fe_foil": ("Fe foil", "Fe_Foil_rt_2016Foils.xdi"),
    "feo": ("FeO wüstite", "FeO_rt_01.xdi"),
    "fe2o3": ("Fe2O3 hematite", "Fe2O3_rt_01.xdi"),
    "fe3o4": ("Fe3O4 magnetite", "Fe3O4_rt_01.xdi"),
    "fes2": ("FeS2 pyrite", "FeS2_rt_01.xdi"),
    "fe3c": ("Fe3C cementite", "Fe3C_rt_01.xdi"),
    "fen": ("FeN", "FeN_rt_01.xdi"),
    "goethite": ("goethite", "Hansel2001_goethite_xanes_003.xdi"),
    "siderite": ("siderite", "Hansel2001_siderite_xanes_001.xdi"),
    "vivianite": ("vivianite", "Hansel2001_vivianite_xanes_001.xdi"),
    "ferrihydrite": ("2-line ferrihydrite", "Hansel2001_2lineFerrihydrite_xanes_001.xdi"),
    "cu_foil": ("Cu foil", "Cu_Foil_rt_2016Foils.xdi"),
    "mno2": ("MnO2 pyrolusite", "MnO2_rt_01.xdi"),
}
"""Key of a sample → (label, file in ``demo/data``)."""


@cache
def load(key: str) -> Sample:
    """Read the sample `key` of :data:`FILES`.

    Raises
    ------
    KeyError
        If there is no such sample.
    ReadError
        If its file does not hold energy, I0 and It.
    """
    label, name = FILES[key]
    with resources.as_file(resources.files(__package__) / "data" / name) as path:
        scan = read_file(path)[0]
    channels = scan.sweeps[0]
    if channels.i0 is None or channels.it is None:
        raise ReadError(f"{name}: no I0 and It")
    order = np.argsort(channels.energy)
    return Sample(
        name=label,
        formula=scan.metadata["sample.formula"],
        element=scan.element,
        edge=scan.edge,
        energy=channels.energy[order],
        mu=np.log(channels.i0 / channels.it)[order],
        preparation=scan.metadata.get("sample.prep", ""),
    )
