"""Repeats of one sample normalised at one edge energy.

e0 is a point of the grid. Where two points of an edge are nearly as steep it is the one in one
repeat and the other, several eV further, in the next. Edge step and post-edge are then taken at
other places, and short scans that differ in nothing else differ by up to 0.08 edge steps for 8 eV.
The energies are left as they are, so that an edge that moves is seen to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from xanes_live.domain import Array, NormalisedSpectrum
from xanes_live.reduction.background import pre_edge


def at_one_edge(spectra: Sequence[NormalisedSpectrum]) -> list[NormalisedSpectrum]:
    """Return repeats with the e0 that is in the middle of theirs, normalised anew where it differs.

    Parameters
    ----------
    spectra
        Of one sample, at least one, on any energies.
    """
    middle = sorted(spectra, key=lambda s: s.e0)[(len(spectra) - 1) // 2]
    return [s if s.e0 == middle.e0 else _normalised_as(s, middle) for s in spectra]


def _normalised_as(spectrum: NormalisedSpectrum, other: NormalisedSpectrum) -> NormalisedSpectrum:
    """Return a spectrum normalised at the e0 of another; as it is where that has no edge step."""
    ranges = _ranges(spectrum, other)
    energy = spectrum.energy
    if not energy[0] < other.e0 < energy[-1]:
        return spectrum
    fit = pre_edge(
        energy,
        spectrum.mu,
        e0=other.e0,
        pre1=ranges["pre1"],
        pre2=ranges["pre2"],
        norm1=ranges["norm1"],
        norm2=ranges["norm2"],
        nnorm=int(ranges["nnorm"]),
        nvict=int(ranges["nvict"]),
    )
    step = float(fit.edge_step)
    if fit.falls or not step > 0.0:
        return spectrum
    sigma = spectrum.edge_step_sigma
    return replace(
        spectrum,
        normalised=fit.norm,
        flattened=fit.flat,
        pre_edge=fit.pre_edge,
        post_edge=fit.post_edge,
        e0=other.e0,
        edge_step=step,
        edge_step_sigma=None if sigma is None else sigma * step / spectrum.edge_step,
        ranges=ranges,
    )


def _ranges(spectrum: NormalisedSpectrum, other: NormalisedSpectrum) -> Mapping[str, float]:
    """Return those of the other on its grid; on another grid its own, at the same energies."""
    if _alike(spectrum.energy, other.energy):
        return other.ranges
    moved = other.e0 - spectrum.e0
    own = spectrum.ranges
    return {**own, "pre1": own["pre1"] - moved, "norm2": own["norm2"] - moved}


def _alike(one: Array, other: Array) -> bool:
    """Whether two grids begin and end at the same energies, to half of a usual step."""
    ends, others = one[[0, -1]], other[[0, -1]]
    return bool(np.abs(ends - others).max() < 0.5)
