"""The sum of a multi-element fluorescence detector, without the elements that spoil it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.domain import Array, Quality
from xanes_live.reduction.quality import INVALID, disagreement, frozen, saturated_fraction

_DEAD = 0.01
"""Counts relative to the median element below which an element is dead."""
_DISAGREES = 0.08
"""Deviation of an element's shape from the others', relative to its span, to be left out."""
_NOT_FINITE = 0.02
"""Fraction of readings that are not numbers, where others have numbers, from which an element is
left out."""


@dataclass(frozen=True, slots=True)
class Summed:
    """What is left of a detector."""

    total: Array | None
    """Counts, shape (n_points,); None when no element is usable."""
    left_out: Mapping[int, str]
    """Elements not in the sum and why, by number from 0."""
    quality: Mapping[str, Quality]
    """By 'fluorescence[0]', …"""
    restored: tuple[int, ...] = ()
    """Elements that saturate, hang or lack readings and are in the sum for want of better ones."""


def sum_elements(
    energy: Array,
    counts: Array,
    raw: Array,
    i0: Array | None,
    exclude: Sequence[int] = (),
    saturation: float | None = None,
) -> Summed:
    """Add up the usable elements.

    Parameters
    ----------
    energy
        eV, shape (n_points,), strictly increasing.
    counts
        Counts after dark subtraction, shape (n_elements, n_points).
    raw
        Counts as read, shape (n_elements, n_points).
    i0
        Incident intensity, shape (n_points,), by which shapes are compared; None: as they are.
    exclude
        Elements never used, counted from 0.
    saturation
        Reading at which one element saturates, where it is known.
    """
    left_out = {k: "excluded" for k in exclude if 0 <= k < len(counts)}
    quality = {f"fluorescence[{k}]": Quality.GOOD for k in range(len(counts))}

    def leave_out(element: int, reason: str, mark: Quality) -> None:
        left_out.setdefault(element, reason)
        quality[f"fluorescence[{element}]"] = mark

    finite = np.isfinite(counts)
    # frames that no element has say nothing against one of them
    read = finite.any(axis=0)
    sums = np.where(finite, counts, 0.0).sum(axis=1)
    usual = float(np.median(sums[sums > 0])) if np.any(sums > 0) else np.inf
    alive = sums > _DEAD * usual
    for k in range(len(counts)):
        if not read.any() or finite[k][read].mean() < 1.0 - _NOT_FINITE:
            leave_out(k, "invalid", Quality.INVALID_VALUES)
        elif not alive[k] or (np.ptp(counts[k][finite[k]]) == 0 and len(counts) > 1):
            leave_out(k, "dead", Quality.LOW_AMPLITUDE)
        elif saturated_fraction(raw[k], saturation) > 0.0:
            leave_out(k, "saturated", Quality.SATURATED)
        elif len(counts) > 1 and frozen(counts[k]):
            leave_out(k, "hung", Quality.INVALID_VALUES)
    for k in _disagreeing(energy, counts, i0, [k for k in range(len(counts)) if k not in left_out]):
        leave_out(k, "disagrees", Quality.INVALID_VALUES)
    used, restored = [k for k in range(len(counts)) if k not in left_out], list[int]()
    if not used:
        lacks_few = alive & (finite.mean(axis=1) >= 1.0 - INVALID)
        used = restored = _restored(left_out, np.flatnonzero(lacks_few).tolist())
        left_out = {k: reason for k, reason in left_out.items() if k not in restored}
    total = counts[used].sum(axis=0) if used else None
    return Summed(total, dict(sorted(left_out.items())), quality, tuple(restored))


def _restored(left_out: Mapping[int, str], lacks_few: Sequence[int]) -> list[int]:
    """Return what still shows something, with a warning, where no element is as it should be.

    Those that lack readings, if few, distort nothing; those that saturate or hang do.
    """
    invalid = [k for k, reason in left_out.items() if reason == "invalid" and k in lacks_few]
    return invalid or [k for k, reason in left_out.items() if reason in {"saturated", "hung"}]


def _disagreeing(energy: Array, counts: Array, i0: Array | None, used: Sequence[int]) -> list[int]:
    """Return elements whose shape is not that of the others; at least three are needed to tell."""
    if len(used) < 3:
        return []
    good = np.isfinite(counts[list(used)]).all(axis=0)
    shapes = counts[list(used)][:, good]
    if i0 is not None:
        incident = i0[good]
        usable = np.isfinite(incident) & (incident > 0)
        shapes = shapes[:, usable] / incident[usable]
        energy = energy[good][usable]
    else:
        energy = energy[good]
    if energy.size < 10:
        return []
    shapes = shapes / np.maximum(np.abs(shapes).mean(axis=1, keepdims=True), 1e-300)
    reference = np.median(shapes, axis=0)
    return [
        k
        for k, shape in zip(used, shapes, strict=True)
        if disagreement(shape, reference, energy) > _DISAGREES
    ]


def describe(left_out: Mapping[int, str]) -> str:
    """Return '2 (dead), 5 (saturated)'; elements are counted from 0, as in the configuration."""
    return ", ".join(f"{k} ({reason})" for k, reason in left_out.items())
