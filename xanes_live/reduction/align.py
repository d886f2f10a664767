"""Energy alignment: by a fixed shift, or to the foil measured along with the sample.

The energy of a foil is that of its first inflection, as tables and beamlines have it, not that of
its steepest point, which for several metals is some eV higher. Shifts always start from the
measured energies, so that applying one twice changes nothing, and a doubtful shift is not applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xanes_live.config import ReductionConfig
from xanes_live.domain import Array, Flag, NormalisedSpectrum, Spectrum
from xanes_live.edges import edge_energy
from xanes_live.flags import make
from xanes_live.reduction.edge import lorentzian_smooth, slope
from xanes_live.reduction.locate import SIGNIFICANT, rise_at
from xanes_live.reduction.noise import noise_level

FARTHEST = 20.0
"""Largest shift that is believed, eV."""
_SEARCH = (-40.0, 60.0)
"""Neighbourhood of the foil's energy in which its edge is looked for, eV."""
_FIRST = 0.5
"""Height of the first maximum of the derivative relative to the highest to count as inflection."""
_WIDTHS = (0.8, 1.6)
"""Smoothing of the derivative, half widths, eV; the energy must not depend on it."""
_AGREE = 0.6
"""How far the energies found with both may differ, eV."""
_NOISY = 0.05
"""Noise relative to the edge step above which a foil is of no use."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What alignment comes to for one spectrum."""

    energy: float
    """Shift to be added to the measured energies, eV."""
    flags: tuple[Flag, ...] = ()


def find_shift(spectrum: Spectrum, config: ReductionConfig) -> Shift:
    """Return the shift that the configuration asks for.

    Parameters
    ----------
    spectrum
        On its measured energies; `reference` is the foil.
    config
        `align`, `energy_shift`, `foil_e0`.
    """
    if config.align == "fixed":
        how = "fixed in the configuration"
        return Shift(config.energy_shift, (make("aligned", shift=config.energy_shift, how=how),))
    if config.align == "foil":
        return _to_foil(spectrum, config.foil_e0)
    return Shift(0.0)


def _to_foil(spectrum: Spectrum, foil_e0: float | None) -> Shift:
    target = foil_e0
    if target is None:
        try:
            target = edge_energy(spectrum.element, spectrum.edge)
        except KeyError:
            return _doubt("the energy of the foil is not known")
    if spectrum.reference is None:
        return _doubt("no reference channel was recorded")
    found = foil_energy(spectrum.energy, spectrum.reference, target)
    if isinstance(found, str):
        return _doubt(found)
    shift = target - found
    how = f"foil at {found:.2f} eV brought to {target:.2f} eV"
    return Shift(shift, (make("aligned", shift=shift, how=how),))


def _doubt(reason: str) -> Shift:
    return Shift(0.0, (make("alignment_doubtful", reason=f"{reason}; not shifted"),))


def foil_energy(energy: Array, reference: Array, target: float) -> float | str:
    """Return the energy of the first inflection of a foil, or why it cannot be told.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    reference
        μ(E) of the foil, shape (n_points,).
    target
        Where it should be, eV.
    """
    near = slice(*np.searchsorted(energy, (target + _SEARCH[0], target + _SEARCH[1])))
    if energy[near].size < 15:
        return "the scan does not cover the foil's edge"
    places = [_first_inflection(energy[near], reference[near], width) for width in _WIDTHS]
    place = places[0]
    rise = rise_at(energy, reference, place)
    if rise.significance < SIGNIFICANT:
        return "the reference channel shows no edge"
    noise = float(noise_level(energy, reference, place)) / rise.step
    if noise > _NOISY:
        return f"the reference channel is noisy ({noise:.0%} of its edge step)"
    if abs(places[1] - place) > _AGREE:
        return f"the foil's inflection is not clear ({places[0]:.1f} or {places[1]:.1f} eV)"
    if abs(target - place) > FARTHEST:
        return f"the foil would have to move by {target - place:+.1f} eV"
    return place


def _first_inflection(energy: Array, mu: Array, width: float) -> float:
    """Return the first high maximum of the smoothed derivative, between the points, eV."""
    steep = lorentzian_smooth(energy, slope(energy, mu[None, :]), width)[0]
    inner = steep[1:-1]
    peaks = np.flatnonzero((inner >= steep[:-2]) & (inner > steep[2:])) + 1
    high = peaks[steep[peaks] > _FIRST * steep[2:-2].max()]
    top = int(high[0]) if high.size else int(np.argmax(inner)) + 1
    around = slice(top - 1, top + 2)
    a, b, _ = np.polynomial.polynomial.polyfit(energy[around] - energy[top], steep[around], 2)[::-1]
    return float(energy[top] - b / (2.0 * a)) if a < 0.0 else float(energy[top])


def with_shift(normalised: NormalisedSpectrum, shift: float) -> NormalisedSpectrum:
    """Return the same spectrum with its total shift set to `shift` (eV).

    The shift counts from the measured energies: setting the one it already has changes nothing.
    """
    moved = shift - normalised.energy_shift
    return replace(
        normalised,
        energy=normalised.spectrum.energy + shift,
        e0=normalised.e0 + moved,
        energy_shift=shift,
    )
