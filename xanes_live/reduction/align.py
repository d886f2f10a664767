"""Energy alignment: by a fixed shift, or to the foil measured along with the sample.

The energy of a foil is that of its first inflection, as tables and beamlines have it, not that of
its steepest point, which for several metals is some eV higher. Shifts always start from the
measured energies, so that applying one twice changes nothing, and a doubtful shift is not applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xanes_live.config import ReductionConfig
from xanes_live.domain import Array, Flag, NormalisedSpectrum, Spectrum
from xanes_live.edges import edge_energy
from xanes_live.flags import make
from xanes_live.reduction.locate import SIGNIFICANT, rise_at
from xanes_live.reduction.noise import noise_level

FARTHEST = 20.0
"""Largest shift that is believed, eV."""
_SEARCH = (-40.0, 60.0)
"""Neighbourhood of the foil's energy in which its edge is looked for, eV."""
_FIRST = 0.5
"""Height of the first maximum of the derivative relative to the highest to count as inflection."""
_MARGIN = 0.08
"""By how much the limit is lowered for the narrower fits and raised for the wider ones."""
_DOUBLE = 14.0
"""Distance over which the rise of a metal can have several inflections, eV (copper's: 11)."""
_RISEN = 0.08
"""Fraction of its whole rise that μ must have risen at the first inflection."""
_WIDTHS = (2.0, 3.0)
"""Half widths of the local fits, eV; the energy must not depend on them."""
_FINE, _ROUGH = 0.1, 0.4
"""Steps at which the slope is evaluated near the inflections and to find them, eV."""
_AGREE = 0.8
"""How far the energies found with both may differ, eV."""
_NOISY = 0.05
"""Noise relative to the edge step above which a foil is of no use."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What alignment comes to for one spectrum."""

    energy: float
    """Shift to be added to the measured energies, eV."""
    flags: tuple[Flag, ...] = ()
    to_foil: bool = False
    """Whether it brings the foil to its place, without doubt."""


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
    return Shift(shift, (make("aligned", shift=shift, how=how),), to_foil=True)


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
    if not np.isfinite(place):
        return "the points at the foil's edge are too far apart"
    rise = rise_at(energy, reference, place)
    noise = float(noise_level(energy, reference, place)) / max(abs(rise.step), 1e-300)
    unclear = not abs(places[1] - place) <= _AGREE
    doubts = (
        (rise.significance < SIGNIFICANT, "the reference channel shows no edge"),
        (noise > _NOISY, f"the reference channel is noisy ({noise:.0%} of its edge step)"),
        (unclear, f"the foil's inflection is not clear ({places[0]:.1f} or {places[1]:.1f} eV)"),
        (abs(target - place) > FARTHEST, f"the foil would have to move {target - place:+.1f} eV"),
    )
    return next((reason for doubtful, reason in doubts if doubtful), place)


def _first_inflection(energy: Array, mu: Array, half_width: float) -> float:
    """Return the first high maximum of the slope of local cubic fits, between the points, eV.

    NaN where the points are too sparse. The slope is evaluated finely only where the metal's
    inflections can be: near its steepest point.
    """
    rough = _supported(energy, np.arange(energy[2], energy[-3], _ROUGH), half_width)
    if rough.size < 3:
        return float("nan")
    level, steep = _local_fits(energy, mu, rough, half_width)
    steepest = float(rough[np.argmax(steep)])
    before = level[rough < steepest - _DOUBLE]
    low = float(np.median(before)) if before.size else float(level[0])
    near = np.arange(steepest - _DOUBLE - 2.0 * _ROUGH, steepest + 2.0 * _ROUGH, _FINE)
    fine = _supported(energy, near[(near >= energy[2]) & (near < energy[-3])], half_width)
    if fine.size < 3:
        return float("nan")
    whole = float(level.max()) - low
    level, steep = _local_fits(energy, mu, fine, half_width)
    risen = (level - low) / max(whole, 1e-300)
    top = _first_high(fine, risen, steep, stricter=half_width > _WIDTHS[0])
    left, middle, right = steep[top - 1 : top + 2]
    bend = left - 2.0 * middle + right
    return float(fine[top] + (0.5 * _FINE * (left - right) / bend if bend < 0.0 else 0.0))


def _supported(energy: Array, at: Array, half_width: float) -> Array:
    """Return those of the energies `at` that have two points on either side within reach.

    Beside a change of the step width a local fit has points on one side only.
    """
    here = np.searchsorted(energy, at)
    few = np.minimum(
        here - np.searchsorted(energy, at - half_width),
        np.searchsorted(energy, at + half_width) - here,
    )
    return np.asarray(at[few >= 2], dtype=np.float64)


def _first_high(fine: Array, risen: Array, steep: Array, *, stricter: bool) -> int:
    """Return the index of the first maximum of the slope that is the metal's.

    A first maximum whose height is near the limit is one in one width and none in another, so that
    :func:`foil_energy` sees that it is not clear.
    """
    steepest = float(fine[np.argmax(steep)])
    peaks = np.flatnonzero((steep[1:-1] >= steep[:-2]) & (steep[1:-1] > steep[2:])) + 1
    peaks = peaks[(fine[peaks] > steepest - _DOUBLE) & (risen[peaks] > _RISEN)]
    limit = _FIRST + (_MARGIN if stricter else -_MARGIN)
    high = peaks[steep[peaks] > limit * float(steep.max())]
    return int(high[0]) if high.size else int(np.clip(np.argmax(steep), 1, fine.size - 2))


def _local_fits(energy: Array, mu: Array, at: Array, half_width: float) -> tuple[Array, Array]:
    """Return μ and dμ/dE at the energies `at` from cubics fitted to the points around each.

    Points weigh (1 − |u|³)³, u their distance over the half width (W. S. Cleveland, *J. Am. Stat.
    Assoc.* 74, 829 (1979)); the half width grows where fewer than six points lie within it.
    """
    near, taken = _neighbours(energy, at, half_width)
    distance = np.where(taken, energy[near] - at[:, None], np.inf)
    sixth = np.partition(np.abs(distance), 5, axis=1)[:, 5]
    scale = np.maximum(half_width, 1.2 * sixth)[:, None]
    u = np.where(taken, distance, 0.0) / scale
    kernel = np.where(taken, np.clip(1.0 - np.abs(u * u * u), 0.0, None), 0.0)
    root = kernel * np.sqrt(kernel)
    design = np.empty((at.size, 4, near.shape[1]))
    design[:, 0] = root
    for power in (1, 2, 3):  # faster than numpy's own powers
        np.multiply(design[:, power - 1], u, out=design[:, power])
    normal = design @ design.transpose(0, 2, 1)
    solution = np.linalg.solve(normal, design @ (root * mu[near])[:, :, None])
    level, steep = solution[:, 0, 0], solution[:, 1, 0] / scale[:, 0]
    return np.asarray(level, np.float64), np.asarray(steep, np.float64)


def _neighbours(
    energy: Array, at: Array, half_width: float
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the points that a fit may take: all within the half width, at least six a side.

    Returns
    -------
    indices : shape (n_at, n_near)
    taken : shape (n_at, n_near)
        False where an index repeats because the data end.
    """
    here = np.searchsorted(energy, at)
    left = int((here - np.searchsorted(energy, at - half_width)).max())
    right = int((np.searchsorted(energy, at + half_width) - here).max())
    reach = max(left, right, 6)
    near = here[:, None] + np.arange(-reach, reach)
    taken = (near >= 0) & (near < energy.size)
    return np.clip(near, 0, energy.size - 1), taken


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
