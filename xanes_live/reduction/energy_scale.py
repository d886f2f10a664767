"""Is the energy scale right? Told by the foil measured along, and by where absorption begins.

The edge energy of a compound moves by up to 20 eV with its chemistry, so that e0 says little about
the scale. Where absorption *begins* hardly moves: a K edge of a 3d metal starts with transitions to
its empty 3d states, whatever surrounds it.
"""

from __future__ import annotations

from xanes_live.config import ReductionConfig
from xanes_live.domain import Array, Flag, Spectrum
from xanes_live.edges import edge_energy
from xanes_live.flags import make
from xanes_live.reduction.align import foil_energy
from xanes_live.reduction.background import pre_edge
from xanes_live.reduction.foot import find_foot
from xanes_live.reduction.remedies import CALIBRATE, shift_by

FOILS = {("Fe", "K"): (-2.3, 1.2)}
"""Where the foil of an element may lie, eV relative to its tabulated edge. Six measured iron foils
lie between −1.2 and −0.1; steps up to 1 eV and 3 % noise move them by less than 1 eV."""
_ANY_FOIL = (-3.0, 3.0)
"""The same for other elements, whose measured foils lie between −1.6 (nickel) and +2.4 (chromium),
those of one element up to 3 eV apart: a matter of laboratories as much as of the table."""
_METAL = 1.3
"""Height of a white line, in edge steps, that no foil has: such a reference is something else."""
BEGINS = {("Fe", "K"): (-3.6, 2.6)}
"""Where the absorption of an element begins, eV relative to its tabulated edge. Of 102 measured
spectra of iron (metal, nitride, carbide, sulfides, oxides, silicates, glasses; several beamlines)
96 lie between −3.1 and +2.1. The others: two with too weak a pre-edge peak for the upper level, a
foil on a scale that is 6.5 eV off, two spectra of noise and one of a curved baseline."""
_LEVEL, _LOWER_LEVEL = 0.03, 0.02
"""Height above the pre-edge at which absorption counts as begun, in edge steps."""
_LOWER_MARGIN = -1.0
"""What the lower level begins earlier by, eV: both must be late to call a spectrum late."""
_LATE_DOUBT, _EARLY_DOUBT = 0.7, 1.4
"""By how many times its standard deviation noise may have moved μ before a late or an early
beginning is believed. Of 498 measured spectra with 0.3 to 1.2 % noise two are then called either;
of the same shifted by 5 eV down and up, 336 and 351 are. 1.0 and 2.0 call none, but find 293
and 334; 0.5 and 1.0 call seven and find 361 and 368."""
_NOISY, _UNSURE = 0.02, 0.09
"""Noise and uncertainty of the edge step, in edge steps, above which the start cannot be told."""


def scale_flags(
    energy: Array,
    flattened: Array,
    spectrum: Spectrum,
    errors: tuple[float, float],
    config: ReductionConfig,
    *,
    aligned: bool = False,
    damped: bool = False,
) -> tuple[Flag, ...]:
    """Return what is to be said against the energies of a spectrum.

    A foil knows better than the table where the energies are.

    Parameters
    ----------
    energy, flattened
        eV and flattened μ, shape (n_points,), after alignment.
    spectrum
        The spectrum before, with its reference.
    errors
        Noise of μ in edge steps and relative uncertainty of the edge step.
    config
        `align` and `foil_e0`.
    aligned
        Whether the spectrum was aligned to its reference without doubt.
    damped
        Whether self-absorption is suspected, which enlarges the foot of the edge.
    """
    try:
        tabulated = edge_energy(spectrum.element, spectrum.edge)
    except KeyError:
        return ()
    target = tabulated if config.foil_e0 is None else config.foil_e0
    foil = target if aligned else _foil(energy, spectrum.reference, config, target)
    off = 0.0 if foil is None else foil - target
    low, high = _foil_range(spectrum, config)
    if foil is not None and not low <= off <= high and _is_metal(energy, spectrum.reference, foil):
        reason = (
            f"the reference foil's edge is at {foil:.1f} eV, {off:+.1f} eV from where it belongs"
        )
        return (make("energy_scale_off", reason=reason, correct=shift_by(off, config)),)
    usual = BEGINS.get((spectrum.element, spectrum.edge))
    if usual is None or errors[0] >= _NOISY or errors[1] >= _UNSURE:
        return ()
    range_ = (tabulated + usual[0], tabulated + usual[1])
    reason = _against_table(energy, flattened, spectrum.element, range_, errors[0], damped=damped)
    if not reason or (foil is not None and _is_metal(energy, spectrum.reference, foil)):
        return ()  # nothing is wrong, or the foil is in its place
    return (make("energy_scale_off", reason=reason, correct=CALIBRATE),)


def _foil_range(spectrum: Spectrum, config: ReductionConfig) -> tuple[float, float]:
    """Return where a foil may be, eV relative to where it is looked for."""
    low, high = FOILS.get((spectrum.element, spectrum.edge), _ANY_FOIL)
    if config.foil_e0 is None:
        return low, high
    # who says where it belongs has no other convention than the table's in mind
    return 0.5 * (low - high), 0.5 * (high - low)


def _foil(
    energy: Array, reference: Array | None, config: ReductionConfig, target: float
) -> float | None:
    """Return where the foil's edge is, eV; None where that is not known."""
    if reference is None or config.align == "foil":
        return None
    found = foil_energy(energy, reference, target)
    return None if isinstance(found, str) else found


def _is_metal(energy: Array, reference: Array | None, edge: float) -> bool:
    if reference is None:
        return False
    flattened = pre_edge(energy, reference, e0=edge).flat
    return bool(flattened[(energy > edge) & (energy < edge + 40.0)].max(initial=0.0) < _METAL)


def _against_table(
    energy: Array,
    mu: Array,
    element: str,
    usual: tuple[float, float],
    noise: float,
    *,
    damped: bool,
) -> str:
    """Return what speaks against the energies, even if noise has moved the beginning there."""
    foot = find_foot(energy, mu)
    if foot is None:
        return ""
    begins, word = foot.begins(_LEVEL, _LATE_DOUBT * noise), "later"
    if begins > usual[1]:
        lower = foot.begins(_LOWER_LEVEL, _LATE_DOUBT * noise)
        wrong = lower > usual[1] + _LOWER_MARGIN
    else:
        begins, word = foot.begins(_LEVEL, -_EARLY_DOUBT * noise), "earlier"
        wrong = begins < usual[0] and not damped
    if not wrong:
        return ""
    return (
        f"absorption begins at {begins:.1f} eV, {word} than known of any compound of {element} "
        f"({usual[0]:.0f} to {usual[1]:.0f} eV)"
    )
