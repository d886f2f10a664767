"""Which shapes explain points that stand off: a smooth curve, a peak of physical width, a jump."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.median import median

NEAR = (-25.0, 70.0)
"""Where peaks may be as sharp as the core hole's lifetime allows, eV relative to the edge."""
_LIFETIME = 1.75e-4
"""Lifetime broadening of a core level over its energy, good to a few tenths for K and L3 edges
between 5 and 20 keV (Krause & Oliver, *J. Phys. Chem. Ref. Data* 8, 329 (1979))."""
_SHARP_TO = 15.0
"""Above this, eV from the edge, features widen with the photoelectron's inelastic losses."""
_BROADENING = 0.06
"""Growth of the narrowest feature, eV per eV: 5 eV at 70 eV, 15 eV at 250 eV."""
_BELOW_WIDTH = 30.0
"""Width of what there may be below the edge: EXAFS of another element, eV."""
_BELOW = -4.0
"""Where sharp structure begins on a calibrated energy scale, eV relative to the tabulated edge."""
_PRE_EDGE = 15.0
"""Where it begins on any scale, eV below where μ stays over half the edge step: pre-edge peaks lie
9 to 12 eV below that, and are 2 eV wide."""
_FAR, _PAST = 25.0, 15.0
"""Where only oscillations are left, eV above the tabulated edge and eV above the last point under
half the edge step."""
_DEEP = 0.15
"""How far μ of the sample is never below the pre-edge, edge steps."""
_WIDTHS = np.array([1.0, 1.4, 2.0, 3.0])
"""Widths of the peaks that are tried, relative to the narrowest physical one."""


class Places:
    """What there may be at each energy: how narrow peaks are, and where there is next to nothing.

    Parameters
    ----------
    energy, mu
        shape (n_points,); energies in eV.
    edge
        Energy of the edge, eV; None treats all of the spectrum as near the edge.
    step
        Edge step, roughly, in units of μ.
    """

    def __init__(self, energy: Array, mu: Array, edge: float | None, step: float) -> None:
        x = np.zeros(energy.size) if edge is None else energy - edge
        self.near = (x > NEAR[0]) & (x < NEAR[1])
        sharp = max(0.9, _LIFETIME * (edge if edge is not None else float(energy.mean())))
        above = sharp + np.maximum(x - _SHARP_TO, 0.0) * _BROADENING
        before = np.sort(mu[(x > -40.0) & (x < -10.0)]) if edge is not None else mu[:0]
        level = float(median(before)) if before.size else -np.inf
        # with the edge itself among these points the lower ones are those below it
        half = float(before[before.size // 4]) + 0.5 * step if before.size else -np.inf
        low = x[(x < NEAR[1]) & (mu < half)]
        rise = float(low[-1]) if low.size else NEAR[0] + _PRE_EDGE
        self.below = x < min(_BELOW, rise - _PRE_EDGE)
        self.far = x > max(_FAR, rise + _PAST)
        self.width = np.where(self.below, _BELOW_WIDTH, above)
        self.impossible = (x > 5.0) & (mu < level - _DEEP * step)


def terms(*, below: bool) -> int:
    """Return how many terms the smooth curve has: μ bends little below the edge."""
    return 3 if below else 4


def against_smooth(
    energy: Array, values: Array, inside: NDArray[np.intp], sides: NDArray[np.intp], degrees: int
) -> tuple[Array, float]:
    """Return deviations from the polynomial through the sides, and what it misses of them.

    Parameters
    ----------
    energy, values
        shape (n_points,); energies in eV.
    inside, sides
        Indices of the points that are judged and of those beside them.
    degrees
        How many terms the polynomial has, see :func:`terms`.
    """
    centre = float(energy[inside].mean())
    scale = float(np.ptp(energy[sides]))
    design = np.vander((energy[sides] - centre) / scale, degrees)
    orthogonal, triangular = np.linalg.qr(design)
    solution = np.linalg.solve(triangular, orthogonal.T @ values[sides])
    missed = values[sides] - design @ solution
    predicted = np.vander((energy[inside] - centre) / scale, degrees) @ solution
    scatter = float(np.sqrt(missed @ missed / max(sides.size - degrees, 1)))
    return values[inside] - predicted, scatter


def misfit(
    energy: Array,
    mu: Array,
    inside: NDArray[np.intp],
    sides: NDArray[np.intp],
    width: float,
    *,
    below: bool,
) -> float:
    """Return what the best peak on a smooth curve, or jump, leaves of a run and its sides.

    Parameters
    ----------
    energy, mu
        shape (n_points,); energies in eV.
    inside, sides
        Indices of the points of the run and of those beside it.
    width
        Of the narrowest peak that can be there, eV.
    below
        Whether the run is below the edge, where there are no jumps: where its wide steps meet
        narrow ones, a jump and a curve explain any spike.
    """
    points = np.sort(np.concatenate((inside, sides)))
    x = energy[points] - float(energy[inside].mean())
    y = mu[points]
    reach = 0.5 * float(energy[inside[-1]] - energy[inside[0]]) + 0.5 * width
    shapes = _peaks(x, reach, width)
    if not below:
        jumps = (x > 0.5 * (x[1:] + x[:-1])[:, None]).astype(np.float64)
        shapes = np.concatenate((shapes, jumps))
    smooth = np.vander(x / np.ptp(x), terms(below=below))
    background = np.broadcast_to(smooth, (len(shapes), *smooth.shape))
    orthogonal, _ = np.linalg.qr(np.concatenate((background, shapes[:, :, None]), axis=2))
    fitted = np.einsum("sij,skj,k->si", orthogonal, orthogonal, y)
    return float(np.abs(y - fitted).max(axis=1).min())


def _peaks(x: Array, reach: float, width: float) -> Array:
    """Return Gaussian and Lorentzian peaks within `reach` eV of 0, shape (n_shapes, n_points)."""
    centres, widths = np.meshgrid(np.linspace(-reach, reach, 9), width * _WIDTHS)
    offset = (x - centres.reshape(-1, 1)) / widths.reshape(-1, 1)
    gaussian, lorentzian = np.exp(-4.0 * np.log(2.0) * offset**2), 1.0 / (1.0 + 4.0 * offset**2)
    return np.concatenate((gaussian, lorentzian))
