"""From a structure to its spectrum: FEFF8L potentials, full multiple scattering of our own.

>>> from ase.build import bulk
>>> from xanes_live.theory import compute_xanes
>>> spectrum = compute_xanes(bulk("NiO", "rocksalt", a=4.18), 0, scf_radius=3.6)  # doctest: +SKIP

Never imported by the live path. Names are imported when they are asked for, so that the command
line starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xanes_live.lazy import lazily

if TYPE_CHECKING:
    from xanes_live.theory.dataset import build
    from xanes_live.theory.fermi import fermi_model
    from xanes_live.theory.spectrum import TheorySpectrum, compute_many, compute_xanes
    from xanes_live.theory.structures import distorted, inequivalent_sites
    from xanes_live.theory.tasks import Settings, Task

__all__ = [
    "Settings",
    "Task",
    "TheorySpectrum",
    "build",
    "compute_many",
    "compute_xanes",
    "distorted",
    "fermi_model",
    "inequivalent_sites",
]
__getattr__, __dir__ = lazily(
    __name__,
    {
        "Settings": "tasks",
        "Task": "tasks",
        "TheorySpectrum": "spectrum",
        "build": "dataset",
        "compute_many": "spectrum",
        "compute_xanes": "spectrum",
        "distorted": "structures",
        "fermi_model": "fermi",
        "inequivalent_sites": "structures",
    },
)
