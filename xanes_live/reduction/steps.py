"""Jumps of the signal to another level, as when the gain of a detector is changed during a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array, Mode
from xanes_live.median import median

_SIDE = 3
"""Changes from point to point on each side of a jump that it is compared with."""
_BESIDE = np.array([*range(-_SIDE, 0), *range(1, _SIDE + 1)])
_STRUCTURE = (-15.0, 25.0)
"""Where absorption itself may rise within one step, eV relative to the edge."""
_CALM, _LEAST, _SIGMAS = 0.2, 0.1, 12.0
"""How far what is beside a jump may be from one slope, relative to it; its least size in edge
steps, and in standard deviations of the noise."""
_CALM_AS_I0, _LEAST_AS_I0, _SIGMAS_AS_I0 = 0.3, 0.04, 8.0
"""The same of a jump that is that of I0."""
_OF_I0 = 0.03
"""Least relative jump of I0 that proves one of μ."""
_AGREE = 0.4
"""How far a jump of μ may be from that of I0, relative to it: structure adds to it near the edge,
and a jump of the beam, which both detectors see, leaves nothing of it."""


def find_jump(
    energy: Array,
    mu: Array,
    *,
    mode: Mode,
    edge: float | None,
    step: float,
    noise: float,
    i0: Array | None = None,
) -> tuple[float, float] | None:
    """Return where μ jumps most to another level, eV, and by how much, in units of μ.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing; without points that are spoiled otherwise.
    mu
        shape (n_points,).
    mode
        Whether μ is the logarithm of counts, or proportional to them.
    edge
        Energy of the edge, eV, to a few eV; None where it is not known.
    step
        Edge step, roughly, in units of μ.
    noise
        Standard deviation of the noise of μ.
    i0
        Incident intensity, shape (n_points,): where it jumps at the same point and by as much, even
        the steep part of the edge hides nothing.

    Returns
    -------
    tuple of float, or None
        The energy of the first point at the new level, and the jump; None where there is none.
    """
    if energy.size < 2 * _SIDE + 2 or not step > 0:
        return None
    at = energy[_SIDE + 1 : -_SIDE]
    jump, calm = _jumps(energy, mu)
    size = np.abs(jump)
    found = (size > max(_LEAST * step, _SIGMAS * noise)) & (calm < _CALM * size)
    found &= _beyond(at, edge)
    fair = (size > max(_LEAST_AS_I0 * step, _SIGMAS_AS_I0 * noise)) & (calm < _CALM_AS_I0 * size)
    if i0 is not None and fair.any():
        found |= fair & _as_i0(energy, mu, i0, mode)
    if not found.any():
        return None
    worst = int(np.argmax(np.where(found, size, 0.0)))
    return float(at[worst]), float(jump[worst])


def _beyond(energy: Array, edge: float | None) -> NDArray[np.bool_]:
    """Return which energies are so far from the edge that absorption does not jump there."""
    if edge is None:
        return np.zeros(energy.size, dtype=np.bool_)
    return (energy < edge + _STRUCTURE[0]) | (energy > edge + _STRUCTURE[1])


def _jumps(energy: Array, values: Array) -> tuple[Array, Array]:
    """Return by how much values jump beyond their slope, and how far what is beside is from it.

    Shape (n_points − 7,) each: between points 3 and 4, and so on.
    """
    rise, width = np.diff(values), np.diff(energy)
    here = np.arange(_SIDE, rise.size - _SIDE)
    beside = here[:, None] + _BESIDE
    rises, widths = rise[beside], width[beside]
    slope = median(rises / widths)
    calm = np.abs(rises - slope[:, None] * widths).max(axis=1)
    return rise[here] - slope * width[here], calm


def _as_i0(energy: Array, mu: Array, i0: Array, mode: Mode) -> NDArray[np.bool_]:
    """Return where μ jumps as it does if I0 alone jumps, shape (n_points − 7,)."""
    of_i0, calm = _jumps(energy, np.log(np.maximum(i0, 1e-300)))
    if mode is Mode.TRANSMISSION:
        of_mu, _ = _jumps(energy, mu)
    else:
        positive = np.maximum(mu, 1e-9 * float(np.abs(mu).max()))
        of_mu = -_jumps(energy, np.log(positive))[0]
    clear = (np.abs(of_i0) > _OF_I0) & (calm < _CALM_AS_I0 * np.abs(of_i0))
    return np.asarray(clear & (np.abs(of_mu - of_i0) < _AGREE * np.abs(of_i0)), dtype=np.bool_)
