"""What is told of the repeats of a sample: flags and advice, with the names of scans and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xanes_live.domain import Drift, Flag, NormalisedSpectrum, Outlier, Repeat
from xanes_live.edges import edge_energy
from xanes_live.flags import make
from xanes_live.reduction.align import foil_energy

WORTH = 0.005
"""Narrowing of the half-width that is worth another repeat, Å."""
_FOIL_SHARE = 0.6
"""Share of an edge's drift from which the foil's explains it."""


class Series(NamedTuple):
    """Repeats of one sample in the order they were taken."""

    of: Sequence[Repeat]
    spectra: Sequence[NormalisedSpectrum]
    from_first: bool = True
    """Whether they begin with the first of the series; earlier ones were forgotten else."""

    def take(self, rows: Sequence[int]) -> Series:
        """Return these."""
        of, spectra = [self.of[i] for i in rows], [self.spectra[i] for i in rows]
        return Series(of, spectra, self.from_first)

    def name(self, position: int) -> str:
        """Return what an operator calls one: 'scan 17', 'scan 17 sweep 3'."""
        one = self.of[position]
        scan = f"scan {one.uid[:8] if one.scan_id is None else one.scan_id}"
        several = one.index > 0 or sum(other.uid == one.uid for other in self.of) > 1
        return f"{scan} sweep {one.index + 1}" if several else scan


def drifting(trend: Drift | None, series: Series) -> tuple[Flag, ...]:
    """Return the flag of a drift of a series that ends with the present run."""
    if trend is None:
        return ()
    count = f"{'' if series.from_first else 'the last '}{len(series.of)}"
    foil = _foil_moves(series.spectra) if trend.unit == "eV" else 0.0
    if foil * np.sign(trend.change) > _FOIL_SHARE * abs(trend.change):
        return (make("energy_drifts", change=foil, count=count),)
    chance = "chance below 0.01 %" if trend.chance < 1e-4 else f"chance {trend.chance:.2%}"
    change = f"{trend.change:+.2g} {trend.unit}"
    keep = _keep(trend.keep, series)
    return (
        make(
            "beam_damage", what=trend.measure, change=change, count=count, chance=chance, keep=keep
        ),
    )


def _keep(count: int, series: Series) -> str:
    if not series.from_first:
        outgrown = f"it has outgrown what is compared, which begins with {series.name(0)}"
        return f"the first repeats of the series only ({outgrown})"
    last = series.name(count - 1)
    return (
        f"the first repeat only, {last}" if count == 1 else f"the first repeats only, up to {last}"
    )


def _foil_moves(spectra: Sequence[NormalisedSpectrum]) -> float:
    """Return how far the foil's edge moves from the first repeat to the last, eV; 0 if unknown."""
    places = []
    for spectrum in (spectra[0], spectra[-1]):
        source = spectrum.spectrum
        if source.reference is None:
            return 0.0
        try:
            tabulated = edge_energy(source.element, source.edge)
        except KeyError:
            return 0.0
        place = foil_energy(spectrum.energy, source.reference, tabulated)
        if isinstance(place, str):
            return 0.0
        places.append(place)
    return places[1] - places[0]


def disagreeing(odd: Sequence[Outlier], series: Series, uid: str, others: int) -> dict[int, Flag]:
    """Return the flags of the odd sweeps of run `uid`, by index; later runs only leave them out.

    Parameters
    ----------
    odd
        Their positions are those in `series`.
    others
        How many they do not agree with.
    """
    return {
        series.of[one.position].index: make(
            "repeat_disagrees", which=series.name(one.position), others=others, times=one.times
        )
        for one in odd
        if series.of[one.position].uid == uid
    }


def unsettled(series: Series) -> tuple[Flag, ...]:
    """Return the flag of a series whose first repeat differs from all later ones."""
    return (make("first_repeat_differs", first=series.name(0)),)


def scattering(apart: float | None, series: Series) -> tuple[Flag, ...]:
    """Return the flag of repeats that differ by `apart` times what noise explains."""
    if apart is None:
        return ()
    if len(series.of) == 2:
        first, second = series.name(0), series.name(1)
        return (make("two_repeats_disagree", first=first, second=second, times=apart),)
    return (make("repeats_scatter", times=apart),)


def advice(trend: Drift | None, apart: float | None, gain: float | None, count: int) -> str:
    """Return whether another repeat is worth it, in a sentence; `count` were compared."""
    if trend is not None:
        return "more repeats of this spot would not help: it changes"
    if apart is not None and count == 2:
        return "take a third repeat: the two do not agree, and which of them is wrong is not known"
    if apart is not None:
        return "more repeats would not help as long as they differ by more than noise"
    if gain is None:
        return ""
    if gain < WORTH:
        return (
            "one more repeat would not help: the interval comes from what the model does not know, "
            "not from noise"
        )
    return f"one more repeat would narrow the interval by about {gain:.3f} Å"
