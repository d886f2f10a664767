"""What a spectrum may be as well: with another edge step, or other values where none was measured.

A scan that begins too shortly before the edge or ends too soon after it leaves both open. The judge
predicts from these alternatives, too, and trusts a distance by how far they move it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from xanes_live.domain import Array, NormalisedSpectrum
from xanes_live.reduction.resample import resample, resample_alike
from xanes_live.reduction.uncertainty import range_errors

Way = Callable[[NormalisedSpectrum, float], NormalisedSpectrum]
LEARNT = 0.05
"""Relative error of the edge step that ensembles meet while they learn and are calibrated."""
MOST = 0.5
"""Largest relative error of the edge step that is tried."""
UNMEASURED, WITHIN = 0.1, 4.0
"""Error of what is taken for μ beyond the data, edge steps, and the energy within which it grows to
that, eV: 28 measured spectra of iron, cut 15 to 30 eV above the edge and continued, are off by rms
0.03 to 0.04 within 3 eV, by 0.06 to 0.09 within 6 eV, and by 0.05 to 0.14 up to 30 eV."""


def alternatives(
    item: NormalisedSpectrum, grid: Array, form: str, errors: Array | None = None
) -> Array | None:
    """Return what a spectrum may be as well, one standard deviation away.

    Parameters
    ----------
    item
        The spectrum, with edge step and ranges.
    grid, form
        A model's energies, eV, shape (n_grid,), and which curve it wants.
    errors
        Relative errors of the edge step due to the ranges (:func:`.range_errors`), where they are
        not those of this spectrum alone; its noise does not count then.

    Returns
    -------
    Array or None
        A pair, to both sides, for each of the causes there are: the range below the edge, the range
        above it, energies beyond the data; shape (n_causes, 2, n_grid). None where there is none.
    """
    counting = 0.0
    if errors is None:
        errors = range_errors(item.ranges)
        whole = (item.edge_step_sigma or 0.0) / item.edge_step
        counting = float(np.sqrt(max(whole**2 - float(errors @ errors), 0.0)))
    pairs: list[Array] = []
    others = [other for pair in with_other_steps(item, errors, counting) for other in pair]
    if others:
        pairs += list(resample_alike(others, grid, form).reshape(-1, 2, grid.size))
    beyond = grid - item.energy[-1]
    if beyond[-1] > 0.0:
        given = resample(item, grid, form)
        if not given.covered[-1]:
            off = UNMEASURED * (1.0 - np.exp(-np.maximum(beyond, 0.0) / WITHIN))
            pairs.append(np.stack([given.mu + off, given.mu - off]))
    return np.stack(pairs) if pairs else None


def with_other_steps(
    item: NormalisedSpectrum, errors: Array, counting: float = 0.0
) -> tuple[tuple[NormalisedSpectrum, ...], ...]:
    """Return a spectrum as it would be, were its edge step off by more than an ensemble knows.

    Parameters
    ----------
    item
        The spectrum.
    errors
        Relative standard uncertainties of its edge step, from :func:`range_errors`.
    counting
        What noise adds to the first, relative too.

    Returns
    -------
    tuple
        For each of the two, which err independently, the spectrum normalised with a step one
        standard deviation lower and higher, what ensembles have learnt to live with
        (:data:`LEARNT`) taken out; nothing where that leaves nothing.
    """
    below, above = float(np.hypot(errors[0], counting)), float(errors[1])
    total = float(np.hypot(below, above))
    if not total > LEARNT:
        return ()
    excess = float(np.sqrt(1.0 - (LEARNT / total) ** 2))
    return (
        _pair(item, min(below * excess, MOST), _with_other_pre_edge),
        _pair(item, min(above * excess, MOST), _with_other_post_edge),
    )


def _pair(
    item: NormalisedSpectrum, error: float, way: Way
) -> tuple[NormalisedSpectrum, NormalisedSpectrum]:
    """Return the spectrum with a step that was too high, and too low, by the share `error`."""
    lower, higher = (1.0 / (1.0 + sign * error) - 1.0 for sign in (1.0, -1.0))
    return way(item, lower), way(item, higher)


def _with_other_pre_edge(item: NormalisedSpectrum, change: float) -> NormalisedSpectrum:
    """Return μ with a step larger by the share `change`, the pre-edge line being wrong.

    It turns about the middle of the range it was fitted to. The post-edge is fitted to what is
    above it: a line follows, so that flattened structure is only scaled about 1, a constant
    follows in the middle of its range.
    """
    ranges, x = item.ranges, item.energy - item.e0
    turn = 1.0 - 2.0 * x / (ranges["pre1"] + ranges["pre2"])
    straight = int(ranges["nnorm"]) > 0
    if not straight:
        at = 0.5 * (ranges["norm1"] + ranges["norm2"])
        turn = turn / (1.0 - 2.0 * at / (ranges["pre1"] + ranges["pre2"]))
    larger = 1.0 + change
    normalised = (item.normalised + change * turn) / larger
    flattened = normalised
    if straight:
        flattened = np.where(x > 0.0, 1.0 + (item.flattened - 1.0) / larger, normalised)
    return replace(
        item,
        normalised=normalised,
        flattened=flattened,
        pre_edge=item.pre_edge - change * item.edge_step * turn,
        edge_step=item.edge_step * larger,
    )


def _with_other_post_edge(item: NormalisedSpectrum, change: float) -> NormalisedSpectrum:
    """Return μ with a step larger by the share `change`, the post-edge being wrong.

    A line turns about the middle of the range it was fitted to, and flattening follows it; a
    constant only changes the scale.
    """
    ranges, larger = item.ranges, 1.0 + change
    normalised, flattened, post = item.normalised / larger, item.flattened / larger, item.post_edge
    if int(ranges["nnorm"]) > 0:
        x = item.energy - item.e0
        off = change * (1.0 - 2.0 * x / (ranges["norm1"] + ranges["norm2"]))
        flattened = np.where(x > 0.0, 1.0 + (item.flattened - 1.0 - off) / larger, flattened)
        post = post + item.edge_step * off
    step = item.edge_step * larger
    return replace(item, normalised=normalised, flattened=flattened, post_edge=post, edge_step=step)
