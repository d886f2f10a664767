"""Self-absorption (over-absorption) of fluorescence: suspected from what else was measured.

In a thick, concentrated sample μ_f ∝ μ(1 + α)/(α + μ), with μ in edge steps and α what else
absorbs, the outgoing beam included, in edge steps (L. Tröger et al., *Phys. Rev. B* 46, 3283
(1992)). Near μ = 1 all structure is damped to α/(1 + α): to 0.3 for a thick pellet of Fe2O3.
Transmission measured at the same time has no such damping, so that the slope of one against the
other shows it.
"""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array, Flag, Mode, Spectrum
from xanes_live.flags import make
from xanes_live.reduction.background import pre_edge
from xanes_live.reduction.edge import find_e0
from xanes_live.reduction.noise import noise_level
from xanes_live.reduction.signals import Readings, Signal, signals

DAMPED = 0.85
"""Structure in fluorescence relative to that in transmission below which it is damped."""
FLAT = 1.18
"""Highest μ in edge steps of a spectrum that hardly has a white line: fluorescence of ordinary iron
compounds shows 1.2 to 2.1, thick hematite 1.16."""
_RANGE = (5.0, 80.0)
"""Where structure is compared, eV relative to e0."""
_THICK = 0.05
"""Edge step from which transmission is to be trusted."""
_FEWEST = 8
_NOISE_SHARE = 0.2
"""Largest share of noise in the structure of transmission with which a slope means something."""
_ALIKE = 0.8
"""Correlation of the two below which one of them is not of this sample."""
_WHITE_LINE = 30.0
"""How far above e0 a white line may be, eV."""
_NOISY = 0.03


def against_transmission(readings: Readings, signal: Signal) -> tuple[Flag, ...] | None:
    """Compare fluorescence with the transmission measured along with it.

    Parameters
    ----------
    readings
        All channels of the sweep.
    signal
        The signal predicted from; nothing is said unless it is fluorescence.

    Returns
    -------
    tuple or None
        A flag where it is damped, none where it is not; None where that cannot be told.
    """
    if signal.mode is not Mode.FLUORESCENCE:
        return None
    through = signals(readings).get(Mode.TRANSMISSION)
    if through is None:
        return None
    good = signal.valid & through.valid
    if good.sum() < 4 * _FEWEST:
        return None
    found = damping(readings.energy[good], signal.mu[good], through.mu[good])
    if found is None:
        return None
    if found[0] + 2.0 * found[1] >= DAMPED:
        return () if found[0] >= DAMPED else None
    reason = f"its structure is {max(found[0], 0.0):.0%} of that seen in transmission"
    return (make("over_absorption", reason=reason),)


def damping(energy: Array, emitted: Array, transmitted: Array) -> tuple[float, float] | None:
    """Return how strong structure is in fluorescence relative to transmission, and the σ of that.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    emitted, transmitted
        μ(E) from fluorescence and from transmission, shape (n_points,).

    Returns
    -------
    tuple of float or None
        None where transmission is too thin, too noisy, or shows something else: damping changes
        the size of structure, not its shape.
    """
    e0 = float(find_e0(energy, transmitted))
    if not np.isfinite(e0):
        return None
    both = pre_edge(energy, np.stack([emitted, transmitted]), e0=e0)
    if both.falls.any() or both.edge_step[1] < _THICK:
        return None
    x = energy - e0
    near = (x > _RANGE[0]) & (x < _RANGE[1])
    if near.sum() < _FEWEST:
        return None
    f, t = (row[near] - row[near].mean() for row in both.flat)
    noise = noise_level(energy, both.norm, e0)
    noise = np.where(np.isfinite(noise), noise, 0.0)
    structure = float(t @ t)
    from_noise = float(noise[1] ** 2) * t.size
    if from_noise > _NOISE_SHARE * structure:
        return None
    if float(f @ t) < _ALIKE * float(np.sqrt((f @ f) * structure)):
        return None
    structure -= from_noise  # noise in both does not correlate, but adds to the denominator
    return float(f @ t) / structure, float(np.hypot(*noise)) / float(np.sqrt(structure))


def without_white_line(
    energy: Array, flattened: Array, e0: float, noise: float, spectrum: Spectrum
) -> tuple[Flag, ...]:
    """Return a flag where fluorescence has hardly a white line.

    Parameters
    ----------
    energy, flattened
        eV and flattened μ, shape (n_points,).
    e0
        Edge energy, eV.
    noise
        Standard deviation of μ in edge steps.
    spectrum
        Where it came from: its mode decides, and whether transmission has told already.
    """
    if spectrum.mode is not Mode.FLUORESCENCE or spectrum.compared or noise > _NOISY:
        return ()
    near = (energy > e0 - 5.0) & (energy < e0 + _WHITE_LINE)
    top = float(flattened[near].max(initial=0.0))
    if not 0.0 < top < FLAT:
        return ()
    reason = (
        f"μ rises to {top:.2f} edge steps only, as it does for thick samples, and for metals and "
        "sulfides of any thickness"
    )
    return (make("over_absorption", reason=reason),)
