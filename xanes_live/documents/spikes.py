"""Energies that a read-out got wrong for a point or two amid a scan."""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array
from xanes_live.median import median

_LONGEST = 3
"""Points in a row that may be wrong; more of them are something that was done on purpose."""
_JUMP = 10.0
"""Steps of the scan around it by which a wrong energy is off at least."""
_LEAST = 20.0
"""eV by which a wrong energy is off at least."""
_RETURN = 0.2
"""How much closer than the jump, relative to it, the scan goes on where it was left."""
_AROUND = 6
"""Steps on either side that tell how fast the scan is going."""
_MOST = 0.1
"""Part of the points above which the axis simply moves that way."""
_FEWEST = 8
_SCANNED = 5.0
"""What is left must span this, eV: an energy that only hops from one value to another is no scan
with spikes."""


def without_spikes(energy: Array) -> Array:
    """Return energies with NaN for single points that jump far out of the scan and come back.

    The energy an axis turns round at, and the fly-back of a saw-tooth, are no jumps: the steps
    around them are as large, or the scan does not go on where it was.

    Parameters
    ----------
    energy
        eV, in the order they were taken, shape (n_points,) or (n_sweeps, n_points).

    Returns
    -------
    ndarray
        The same array where there are none.
    """
    if energy.ndim > 1:
        rows = [without_spikes(row) for row in energy]
        return np.array(rows) if rows else energy
    known = np.flatnonzero(np.isfinite(energy))
    if known.size < _FEWEST:
        return energy
    values = energy[known]
    wrong = _isolated(values)
    wrong[_stray_ends(np.where(wrong, np.nan, values))] = True
    if not wrong.any() or wrong.sum() > max(_LONGEST, _MOST * values.size):
        return energy
    if np.ptp(values[~wrong]) < _SCANNED:
        return energy
    cleaned = energy.copy()
    cleaned[known[wrong]] = np.nan
    return cleaned


def _isolated(values: Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each point lies inside a short excursion."""
    wrong = np.zeros(values.size, bool)
    steps = np.abs(np.diff(values))
    jumps = np.flatnonzero(steps > max(_LEAST, _JUMP * float(median(steps))))
    if jumps.size > 2 * max(_LONGEST, _MOST * values.size):
        return wrong
    last = -1
    for i, out in enumerate(jumps.tolist()):
        if out <= last:
            continue
        following = jumps[i + 1 : i + 1 + _LONGEST]
        for back in following[following <= out + _LONGEST].tolist():
            if _is_excursion(values, steps, out, back):
                wrong[out + 1 : back + 1] = True
                last = back
                break
    return wrong


def _is_excursion(values: Array, steps: Array, out: int, back: int) -> bool:
    """Whether the points after step `out` up to step `back` are off, and the scan then goes on."""
    before, after = values[out], values[back + 1]
    inside = values[out + 1 : back + 1]
    off = float(np.minimum(np.abs(inside - before), np.abs(inside - after)).min())
    around = np.concatenate((steps[max(0, out - _AROUND) : out], steps[back + 1 :][:_AROUND]))
    usual = float(median(around)) if around.size else 0.0
    return off > max(_LEAST, _JUMP * usual) and abs(after - before) < _RETURN * off


def _stray_ends(values: Array) -> list[int]:
    """Return the first and the last point where they lie farther off than all others reach."""
    found = []
    for end in (0, values.size - 1):
        rest = values[:-1] if end else values[1:]
        low, high = float(np.fmin.reduce(rest)), float(np.fmax.reduce(rest))  # without NaN
        off = max(low - values[end], values[end] - high)
        if off > max(_LEAST, high - low):
            found.append(end)
    return found
