"""Where the spectrum is computed, and what FEFF's phase shifts are there.

FEFF's own mesh (0.07 Å⁻¹) is coarse: a spectrum resampled from it is off by about 0.01. A finer one
gets its phase shifts by cubic splines, which is cheap and good to 2×10⁻⁴.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from xanes_live.theory.cluster import HARTREE
from xanes_live.theory.feff_output import Phases
from xanes_live.theory.harmonics import Array

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Input of multiple scattering along the path up from E_F and on at constant height."""

    path: Complex
    """z − E_F, eV, shape (n,)."""
    corner: int
    """Index of the point above the Fermi level where the path turns."""
    k: Complex
    """Wave number, 1/bohr, shape (n,)."""
    t: tuple[Complex, ...]
    """Scattering amplitudes of each potential, shape (n, lmax + 1)."""
    matrix_element: Complex
    atomic: Complex
    norm: Array


def feff_mesh(phases: Phases) -> Sampled:
    """Return FEFF's own points from the Fermi level on."""
    gamma = phases.energy[0].imag
    up = phases.n_real + np.flatnonzero(phases.energy[phases.n_real :].imag < gamma * 0.999)
    index = np.concatenate([up, np.arange(phases.fermi_index, phases.n_real)])
    path = (phases.energy[index] - phases.fermi) * HARTREE
    path.real[: len(up)] = 0.0
    path.real[len(up)] = 0.0
    return Sampled(
        path=path,
        corner=len(up),
        k=np.sqrt(2 * (phases.energy - phases.reference))[index],
        t=tuple(_amplitude(s[index]) for s in phases.shifts),
        matrix_element=phases.matrix_element[index],
        atomic=phases.atomic[index],
        norm=phases.norm[index],
    )


def fine_mesh(phases: Phases, steps: Array, rises: Array) -> Sampled:
    """Return splines through FEFF's points at energies of our choice.

    Parameters
    ----------
    phases
        FEFF's phase shifts.
    steps
        Energies above the Fermi level, eV, from 0 on, shape (n_steps,).
    rises
        Heights on the way up as fractions of half the core-hole width, shape (n_rises,), below 1.
    """
    gamma = phases.energy[0].imag * HARTREE
    along = (phases.energy[: phases.n_real].real - phases.fermi) * HARTREE
    height = phases.energy[phases.n_real :].imag * HARTREE
    use = np.concatenate([[True], np.diff(along) > 0.05])
    up = np.clip(rises * gamma, height[0], None)

    def sample(values: Complex) -> Complex:
        real, rising = values[: phases.n_real], values[phases.n_real :]
        return np.concatenate(
            [CubicSpline(height, rising)(up), CubicSpline(along[use], real[use])(steps)]
        )

    path = np.concatenate([1j * up, steps + 1j * gamma])
    energy = phases.fermi + path / HARTREE
    return Sampled(
        path=path,
        corner=len(up),
        k=np.sqrt(2 * (energy - sample(phases.reference))),
        t=tuple(_amplitude(sample(s)) for s in phases.shifts),
        matrix_element=sample(phases.matrix_element),
        atomic=sample(phases.atomic),
        norm=sample(phases.norm.astype(complex)).real,
    )


def _amplitude(shift: Complex) -> Complex:
    """t_l = e^{iδ} sin δ."""
    return np.asarray(np.exp(1j * shift) * np.sin(shift))
