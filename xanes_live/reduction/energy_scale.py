"""Is the energy scale right? Told by the foil measured along, and by where absorption begins.

The edge energy of a compound moves by up to 20 eV with its chemistry, so that e0 says little about
the scale. Where absorption *begins* hardly moves: a K edge of a 3d metal starts with transitions to
its empty 3d states, whatever surrounds it.
"""

from __future__ import annotations

import numpy as np

from xanes_live.config import ReductionConfig
from xanes_live.domain import Array, Flag, Spectrum
from xanes_live.edges import edge_energy
from xanes_live.flags import make
from xanes_live.median import median
from xanes_live.reduction.align import foil_energy
from xanes_live.reduction.background import pre_edge
from xanes_live.reduction.remedies import CALIBRATE, shift_by

FOIL_OFF = 3.0
"""Distance of a foil from where it should be that is no matter of tables or of taste, eV: measured
foils lie between 1.2 eV below (iron) and 2.4 eV above (chromium) the tabulated edges."""
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
_BASELINE = (-35.0, -15.0)
"""Where the local baseline is fitted, eV relative to half height."""
_SLOPE_FROM = 15
"""Points from which the local baseline has a slope; with fewer, one bad point would make it."""
_STAYS = (2.0, 0.7)
"""Range over which μ stays above this fraction of the level once it has begun, eV."""
_SMOOTH = 1.0
"""Range of the running mean taken before, eV."""
_COARSE = 2.5
"""Step over which it cannot be told where absorption begins, eV."""
_FEWEST = 3
"""Points that must be above it in a row, whatever their distance."""
_NOISY, _UNSURE = 0.015, 0.09
"""Noise and uncertainty of the edge step, in edge steps, above which the start cannot be told."""


def scale_flags(
    energy: Array,
    flattened: Array,
    spectrum: Spectrum,
    errors: tuple[float, float],
    config: ReductionConfig,
    *,
    aligned: bool = False,
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
    """
    try:
        tabulated = edge_energy(spectrum.element, spectrum.edge)
    except KeyError:
        return ()
    target = tabulated if config.foil_e0 is None else config.foil_e0
    foil = target if aligned else _foil(energy, spectrum.reference, config, target)
    off = 0.0 if foil is None else foil - target
    reason, correct = "", CALIBRATE
    if foil is not None and abs(off) >= FOIL_OFF and _is_metal(energy, spectrum.reference, foil):
        reason = (
            f"the reference foil's edge is at {foil:.1f} eV, {off:+.1f} eV from where it belongs"
        )
        correct = shift_by(off, config)
    usual = BEGINS.get((spectrum.element, spectrum.edge))
    if not reason and usual is not None and errors[0] < _NOISY and errors[1] < _UNSURE:
        low, high = tabulated + usual[0], tabulated + usual[1]
        reason = _against_table(energy, flattened, spectrum.element, (low, high))
        if reason and foil is not None and _is_metal(energy, spectrum.reference, foil):
            return ()  # it is in its place
    return (make("energy_scale_off", reason=reason, correct=correct),) if reason else ()


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


def _against_table(energy: Array, mu: Array, element: str, usual: tuple[float, float]) -> str:
    begins = absorption_begins(energy, mu, _LEVEL)
    late = begins > usual[1]
    if late and absorption_begins(energy, mu, _LOWER_LEVEL) <= usual[1] + _LOWER_MARGIN:
        return ""
    if not late and not begins < usual[0]:
        return ""
    return (
        f"absorption begins at {begins:.1f} eV, {'later' if late else 'earlier'} than known of any "
        f"compound of {element} ({usual[0]:.0f} to {usual[1]:.0f} eV)"
    )


def absorption_begins(energy: Array, mu: Array, level: float) -> float:
    """Return where μ rises above the baseline for good, eV; NaN where it cannot be told.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    mu
        Normalised μ, shape (n_points,).
    level
        Height above a baseline fitted well below the edge, in edge steps.
    """
    half = _half_height(energy, mu)
    if half is None:
        return float("nan")
    place, top = half
    mu = _smoothed(energy, mu)
    below = (energy > place + _BASELINE[0]) & (energy < place + _BASELINE[1])
    x = energy - place
    if below.sum() < 3 or np.ptp(x[below]) < 8.0:
        return float("nan")
    y = mu - _robust_line(x[below], mu[below], x)
    for j in np.flatnonzero((y[: top - 1] < level) & (y[1:top] >= level)):
        if x[j] < _BASELINE[0]:
            continue
        last = max(int(np.searchsorted(x, x[j] + _STAYS[0], side="right")), j + 1 + _FEWEST)
        if np.all(y[j + 1 : last] >= _STAYS[1] * level):
            if energy[j + 1] - energy[j] > _COARSE:
                return float("nan")
            part = (level - y[j]) / (y[j + 1] - y[j])
            return float(energy[j] + part * (energy[j + 1] - energy[j]))
    return float("nan")


def _smoothed(energy: Array, mu: Array) -> Array:
    """Return the running mean of μ over :data:`_SMOOTH`: noise of fine steps is no absorption."""
    total = np.concatenate([[0.0], np.cumsum(mu)])
    first = np.searchsorted(energy, energy - _SMOOTH / 2)
    last = np.searchsorted(energy, energy + _SMOOTH / 2, side="right")
    # as many points on both sides, so that a slope stays where it is
    reach = np.minimum(np.arange(mu.size) - first, last - 1 - np.arange(mu.size))
    low, high = np.arange(mu.size) - reach, np.arange(mu.size) + reach + 1
    return np.asarray((total[high] - total[low]) / (high - low))


def _robust_line(x: Array, y: Array, at: Array) -> Array:
    """Return the line through the medians of both halves: one glitch among them is nothing."""
    if x.size < _SLOPE_FROM:
        return np.full(at.size, float(median(y)))
    left = x < float(median(x))
    run = float(median(x[~left]) - median(x[left]))
    slope = float(median(y[~left]) - median(y[left])) / run
    return slope * at + float(median(y - slope * x))


def _half_height(energy: Array, mu: Array) -> tuple[float, int] | None:
    """Return where μ first reaches half the edge step for good, eV, and the point after it."""
    low = np.flatnonzero(mu < 0.5)
    high = np.flatnonzero(mu >= 0.5)
    if not low.size or not high.size:
        return None
    # single spoiled points below the edge do not count
    steady = high[(high + 2 < mu.size)]
    steady = steady[(mu[steady + 1] >= 0.5) & (mu[steady + 2] >= 0.5)]
    if not steady.size or steady[0] < 4:
        return None
    k = int(steady[0])
    share = (0.5 - mu[k - 1]) / max(mu[k] - mu[k - 1], 1e-12)
    return float(energy[k - 1] + share * (energy[k] - energy[k - 1])), k + 1
