"""Monochromator read-outs as energies in eV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xanes_live.domain import Array
from xanes_live.median import median

HC = 12398.41984
"""h·c, eV Å (CODATA 2018, exact to the digits given)."""

_SPELLINGS = {
    "eV": ("ev", "electronvolt", "electronvolts", "electron volt", "electron volts"),
    "keV": ("kev", "kiloelectronvolt", "kilo electron volt", "kiloelectronvolts"),
    "deg": ("deg", "degs", "degree", "degrees", "°", "deg."),
    "rad": ("rad", "radian", "radians"),
    "mdeg": ("mdeg", "millidegree", "millidegrees", "mdegree", "m°"),
    "mrad": ("mrad", "milliradian", "milliradians"),
}
_KNOWN = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_TO_RADIANS = {"deg": np.pi / 180, "rad": 1.0, "mdeg": np.pi / 180e3, "mrad": 1e-3}
ENERGY_UNITS = ("eV", "keV")
ANGLE_UNITS = ("deg", "mdeg", "rad", "mrad")
_PLAUSIBLE = (100.0, 150_000.0)
"""Photon energies of absorption edges anybody scans, eV."""


def unit_of(text: object) -> str:
    """Return 'eV', 'keV', 'deg', 'rad', 'mdeg', 'mrad'; '' for no unit; 'other' for any other."""
    if not isinstance(text, str) or not text.strip():
        return ""
    return _KNOWN.get(text.strip().lower()[:40], "other")


def energies(values: Array, unit: str, near: float | None = None) -> Array | None:
    """Return energies in eV.

    Parameters
    ----------
    values
        Energies in `unit`, any shape.
    unit
        'eV' or 'keV'; anything else lets the size of the numbers decide. A unit that would make
        the energies absurd (keV written beside 7112) is not believed.
    near
        An energy that should be among them, eV: the announced edge.

    Returns
    -------
    ndarray or None
        Same shape as `values`, NaN where they are not positive; None if they are no photon
        energies in any unit.
    """
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.size == 0:
        return None
    middle = float(median(finite))
    by_size = (1.0, 1e3) if middle > 200 else (1e3, 1.0)
    scales = {"eV": (1.0, 1e3), "keV": (1e3, 1.0)}.get(unit, by_size)
    good = [s for s in scales if _PLAUSIBLE[0] <= middle * s <= _PLAUSIBLE[1]]
    if near is not None:
        close = [s for s in good if 0.5 * near < middle * s < 2.0 * near]
        good = close or (good if unit in ENERGY_UNITS and good[:1] == [scales[0]] else [])
    return positive(values * good[0]) if good else None


def read_as(
    values: Array, units: Sequence[str], near: float | None, d_spacing: float | None
) -> tuple[Array, str] | None:
    """Return energies in eV and the unit that makes them such, the first of `units` preferred.

    Where that one makes no photon energies of the values, another is taken if with it they go over
    the announced edge, or if none is announced.

    Parameters
    ----------
    values
        Energies or Bragg angles, any shape.
    units
        'eV', 'keV', 'deg', 'rad', 'mdeg' or 'mrad', in the order in which they are believed.
    near
        Energy of the announced edge, eV.
    d_spacing
        Lattice spacing, Å; without it no angle is an energy.

    Returns
    -------
    tuple or None
        Energies (shape of `values`, NaN where there is none) and unit; None if no unit will do.
    """
    for i, unit in enumerate(units):
        found = _in_unit(values, unit, d_spacing)
        if found is not None and (i == 0 or near is None or _covers(found, near)):
            return found, unit
    return None


def _in_unit(values: Array, unit: str, d_spacing: float | None) -> Array | None:
    if unit in _TO_RADIANS:
        return None if d_spacing is None else from_angle(values, unit, d_spacing)
    found = positive(values * (1e3 if unit == "keV" else 1.0))
    finite = found[np.isfinite(found)]
    plausible = finite.size > 0 and _PLAUSIBLE[0] <= float(median(finite)) <= _PLAUSIBLE[1]
    return found if plausible else None


def _covers(energy: Array, near: float) -> bool:
    finite = energy[np.isfinite(energy)]
    return 0.97 * float(finite.min()) < near < 1.03 * float(finite.max())


def positive(energy: Array) -> Array:
    """Return `energy` with NaN for what is no energy: the 0 and −1 of a read-out that failed."""
    return np.where(energy > 0, energy, np.nan)


def from_angle(values: Array, unit: str, d_spacing: float) -> Array | None:
    """Return energies in eV from Bragg angles: E = hc / (2 d sin θ).

    Parameters
    ----------
    values
        Angles θ in `unit`, any shape.
    unit
        'deg', 'rad', 'mdeg' or 'mrad'; anything else lets the size of the numbers decide.
    d_spacing
        Lattice spacing, Å.

    Returns
    -------
    ndarray or None
        Same shape as `values`; None if they are no Bragg angles.
    """
    finite = np.abs(values[np.isfinite(values)])
    if finite.size == 0:
        return None
    middle = float(median(finite))
    if unit not in _TO_RADIANS:
        # 5° to 80° are the angles crystals are used at; 1.4 rad is 80°
        unit = "rad" if middle < 1.4 else "deg" if middle < 90 else "mdeg"
    theta = np.abs(values) * _TO_RADIANS[unit]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = HC / (2.0 * d_spacing * np.sin(theta))
    found = np.where((theta > 0) & (theta < np.pi / 2), found, np.nan)
    middle = float(median(found[np.isfinite(found)])) if np.isfinite(found).any() else 0.0
    return found if _PLAUSIBLE[0] <= middle <= _PLAUSIBLE[1] else None
