"""Spectrum → NormalisedSpectrum: alignment, e0, pre- and post-edge, and what they are worth.

Spectra on one energy grid (the sweeps of a run) are treated as one array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xanes_live.config import ReductionConfig
from xanes_live.domain import Array, Flag, Mode, NormalisedSpectrum, Spectrum, Unusable
from xanes_live.edges import edge_energy
from xanes_live.flags import make
from xanes_live.reduction.absorption import without_white_line
from xanes_live.reduction.align import Shift, find_shift
from xanes_live.reduction.background import PreEdge, pre_edge
from xanes_live.reduction.edge import find_e0
from xanes_live.reduction.energy_scale import scale_flags
from xanes_live.reduction.held import not_held, replaced_flags, without
from xanes_live.reduction.locate import (
    USUAL,
    Located,
    begins_late,
    expected_energy,
    locate_edge,
    too_short,
)
from xanes_live.reduction.remedies import longer_or_else, more_signal, times_the_counts
from xanes_live.reduction.stability import stability_flags
from xanes_live.reduction.steady import steadied
from xanes_live.reduction.uncertainty import (
    edge_step_error,
    pre_edge_error,
    range_errors,
    step_noise,
)

__all__ = ["PreEdge", "normalise", "pre_edge"]

LEAST_PRE, LEAST_POST = 3.0, 20.0
"""Data below and above e0 without which there is nothing to normalise to, eV."""
_SHORT_PRE, _SHORT_POST = 0.06, 0.08
"""Relative error of the edge step from which a range is called short."""
_LEAST_POST = 50.0
"""Less above the edge is short whatever the error, eV. From 38 to 45 eV on, a constant is fitted to
what is one oscillation of many spectra, and seems better known than a line a little further on."""
_LONG_PRE, _LONG_POST = 50.0, 200.0
"""How far from the edge a scan should begin and end, eV."""
_NOISY = 0.02
_SMALL = 0.03
"""Edge step in transmission, or relative to the background in fluorescence, that is small."""
_CLEARANCE = 60.0
"""Distance kept from another edge in the same data, eV."""
_COARSE = ((-4.0, 20.0, 1.3), (-4.0, 50.0, 3.2))
"""From, to and the largest step there that still resolves the XANES, eV. Relative to the tabulated
edge and not to e0, which chemistry moves by 20 eV and noise by some: scans of one grid are to be
told alike."""
_USUALLY = 8.0
"""How far e0 lies above the tabulated energy, eV, as a rule."""


def normalise(
    spectra: Sequence[Spectrum], config: ReductionConfig
) -> tuple[NormalisedSpectrum | Unusable, ...]:
    """Normalise spectra, those on one energy grid together.

    Parameters
    ----------
    spectra
        On their measured energies.
    config
        Edge energy, ranges and alignment.

    Returns
    -------
    tuple
        One entry a spectrum, in order: normalised, or why it cannot be.
    """
    shifts = [find_shift(spectrum, config) for spectrum in spectra]
    groups: dict[tuple[bytes, float], list[int]] = {}
    for i, (spectrum, shift) in enumerate(zip(spectra, shifts, strict=True)):
        groups.setdefault((spectrum.energy.tobytes(), shift.energy), []).append(i)
    done: dict[int, NormalisedSpectrum | Unusable] = {}
    for members in groups.values():
        results = _group([spectra[i] for i in members], [shifts[i] for i in members], config)
        done.update(zip(members, results, strict=True))
    return tuple(done[i] for i in range(len(spectra)))


def _group(
    spectra: Sequence[Spectrum], shifts: Sequence[Shift], config: ReductionConfig
) -> list[NormalisedSpectrum | Unusable]:
    """Normalise spectra on one grid with one shift."""
    energy = spectra[0].energy + shifts[0].energy
    mu = np.stack([spectrum.mu for spectrum in spectra])
    guesses = np.full(len(mu), config.e0)
    if config.e0 is None:
        guesses = steadied(energy, mu, find_e0(energy, mu))
    located = [
        _locate(energy, spectrum, float(guess), config)
        for spectrum, guess in zip(spectra, guesses, strict=True)
    ]
    fits = _fits(energy, mu, located, config)
    results: list[NormalisedSpectrum | Unusable] = []
    for i, spectrum in enumerate(spectra):
        flags = (*spectrum.flags, *shifts[i].flags, *located[i].flags)
        if i in fits:
            results.append(_result(energy, spectrum, *fits[i], shifts[i], flags, config))
        else:
            results.append(Unusable(spectrum.index, flags, spectrum))
    return results


def _fits(
    energy: Array, mu: Array, located: Sequence[Located], config: ReductionConfig
) -> dict[int, tuple[PreEdge, int, tuple[str, ...]]]:
    """Return fit, row in it and which configured ranges are not held, for those with an edge.

    By number of the spectrum.
    """
    fits: dict[int, tuple[PreEdge, int, tuple[str, ...]]] = {}
    together: dict[tuple[str, ...], list[int]] = {}
    for i, at in enumerate(located):
        if not np.isfinite(at.e0):
            continue
        missing = not_held(energy, at.e0, config)
        if at.other is None:
            together.setdefault(missing, []).append(i)
        else:
            fits[i] = _fit(energy, mu[i : i + 1], [at], without(config, missing)), 0, missing
    for missing, members in together.items():
        places = [located[i] for i in members]
        fit = _fit(energy, mu[members], places, without(config, missing))
        fits.update({i: (fit, row, missing) for row, i in enumerate(members)})
    return fits


def _fit(energy: Array, mu: Array, at: Sequence[Located], config: ReductionConfig) -> PreEdge:
    pre1, norm2 = config.pre1, config.norm2
    e0, other = at[0].e0, at[0].other
    if other is not None and pre1 is None and other < e0:
        pre1 = min(other + _CLEARANCE - e0, -30.0)
    if other is not None and norm2 is None and other > e0:
        norm2 = max(other - _CLEARANCE - e0, 30.0)
    return pre_edge(
        energy,
        mu,
        e0=np.array([place.e0 for place in at]),
        pre1=pre1,
        pre2=config.pre2,
        norm1=config.norm1,
        norm2=norm2,
        nnorm=config.nnorm,
        nvict=config.nvict,
    )


def _locate(energy: Array, spectrum: Spectrum, guess: float, config: ReductionConfig) -> Located:
    announced = spectrum.e0_announced
    place = locate_edge(energy, spectrum.mu, guess, spectrum.element, spectrum.edge, announced)
    if config.e0 is not None and np.isfinite(place.e0):
        place = replace(place, e0=config.e0)
    if not np.isfinite(place.e0):
        return place
    below, above = place.e0 - float(energy[0]), float(energy[-1]) - place.e0
    if above < LEAST_POST or below < LEAST_PRE:
        flag = too_short("ends", above) if above < LEAST_POST else too_short("begins", -below)
        return Located(np.nan, (*place.flags, flag))
    return place


def _result(
    energy: Array,
    spectrum: Spectrum,
    fits: PreEdge,
    row: int,
    missing: tuple[str, ...],
    shift: Shift,
    flags: tuple[Flag, ...],
    config: ReductionConfig,
) -> NormalisedSpectrum | Unusable:
    """Make the result of one spectrum from the arrays of its group."""
    e0, step = float(fits.e0[row]), float(fits.edge_step[row])
    if fits.falls[row]:
        expected = expected_energy(spectrum.element, spectrum.edge, spectrum.e0_announced)
        flag = begins_late(energy, expected) or make("negative_edge_step", step=-step)
        return Unusable(spectrum.index, (*flags, flag), spectrum)
    ranges = {
        name: float(getattr(fits, name)[row])
        for name in ("pre1", "pre2", "norm1", "norm2", "nnorm", "nvict")
    }
    # larch names a range as it was asked for, also where the data end before
    ranges["pre1"] = max(ranges["pre1"], float(energy[0]) - e0)
    ranges["norm2"] = min(ranges["norm2"], float(energy[-1]) - e0)
    noise = (spectrum.noise or 0.0) / step
    counting = step_noise(energy - e0, ranges, noise)
    degree = int(ranges["nnorm"])
    sigma = step * edge_step_error(-ranges["pre1"], ranges["norm2"], degree, counting)
    damped = without_white_line(energy, fits.flat[row], e0, noise, spectrum)
    return NormalisedSpectrum(
        energy=energy,
        mu=spectrum.mu,
        normalised=fits.norm[row],
        flattened=fits.flat[row],
        pre_edge=fits.pre_edge[row],
        post_edge=fits.post_edge[row],
        e0=e0,
        edge_step=step,
        edge_step_sigma=sigma,
        energy_shift=shift.energy,
        ranges=ranges,
        spectrum=spectrum,
        flags=(*flags, *_range_flags(e0, ranges),
               *replaced_flags(missing, config, ranges),
               *_signal_flags(spectrum, fits, row, noise),
               *_grid_flags(energy - _anchor(spectrum, e0)),
               *stability_flags(energy - e0, spectrum.mu, ranges, step, sigma),
               *damped,
               *scale_flags(energy, fits.flat[row], spectrum, (noise, sigma / step), config,
                            aligned=shift.to_foil, damped=bool(damped))),
    )  # fmt: skip


def _range_flags(e0: float, ranges: dict[str, float]) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    below, above = range_errors(ranges).tolist()
    if below > _SHORT_PRE:
        given = {"available": -ranges["pre1"], "percent": 100.0 * below}
        then = 100.0 * pre_edge_error(_LONG_PRE)
        flags.append(make("short_pre_edge", **given, start=e0 - _LONG_PRE, then=then))
    if above > _SHORT_POST or ranges["norm2"] < _LEAST_POST:
        given = {"available": ranges["norm2"], "percent": 100.0 * above}
        otherwise = longer_or_else(ranges["norm2"], above)
        flags.append(make("short_post_edge", **given, end=e0 + _LONG_POST, otherwise=otherwise))
    return tuple(flags)


def _signal_flags(spectrum: Spectrum, fits: PreEdge, row: int, noise: float) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    step = float(fits.edge_step[row])
    scale = 1.0
    if spectrum.mode is Mode.FLUORESCENCE:
        scale = max(float(np.abs(fits.pre_edge[row]).mean()), step)
    if spectrum.mode is not Mode.GIVEN and step < _SMALL * scale:
        flags.append(
            make("small_edge_step", step=step, more=more_signal(spectrum.mode, step, scale))
        )
    if noise > _NOISY:
        times = times_the_counts(noise, _NOISY)
        percent = math.ceil(1000.0 * noise) / 10.0  # never told to be what is wanted
        flags.append(make("noisy", percent=percent, times=times, wanted=100.0 * _NOISY))
    return tuple(flags)


def _anchor(spectrum: Spectrum, e0: float) -> float:
    """Return from where the steps of a scan are judged, eV: the table, or e0 where it is far."""
    try:
        tabulated = edge_energy(spectrum.element, spectrum.edge)
    except KeyError:
        return e0 - _USUALLY
    return tabulated if USUAL[0] <= e0 - tabulated <= USUAL[1] else e0 - _USUALLY


def _grid_flags(x: Array) -> tuple[Flag, ...]:
    for low, high, most in _COARSE:
        near = x[(x >= low) & (x <= high)]
        widest = float(np.diff(near).max()) if near.size > 1 else high - low
        if widest > most:
            return (make("coarse_grid", step=widest),)
    return ()
