"""What the repeats of a sample say together: drift, an odd one, the merge and its prediction."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from xanes_live.confidence.history import (
    Stack,
    draws,
    drift,
    narrower_by,
    noise_of_distance,
    outlier,
    scatter,
    smooth_sigma,
    with_noise,
)
from xanes_live.domain import (
    Confidence,
    Drift,
    FirstShell,
    Flag,
    MergedRepeats,
    NormalisedSpectrum,
    Outlier,
    Repeat,
    Repeats,
    Result,
    Severity,
    SpectrumResult,
)
from xanes_live.edges import edge_energy
from xanes_live.flags import by_importance, make
from xanes_live.pipeline import Predictor, judge_of
from xanes_live.reduction import Merged, merge, resample_array, stack
from xanes_live.reduction.absorption import DAMPED, damping
from xanes_live.reduction.align import foil_energy
from xanes_live.reduction.doubt import alternatives
from xanes_live.reduction.uncertainty import range_errors, step_noise

PAIRS = 4
"""Pairs of noise with which the merge is predicted."""
WORTH = 0.005
"""Narrowing of the half-width that is worth another repeat, Å."""
_FOIL_SHARE = 0.6
"""Share of an edge's drift from which the foil's explains it."""


def damped(
    fluorescence: NormalisedSpectrum, through: NormalisedSpectrum, name: str
) -> tuple[Flag, ...]:
    """Return a flag if fluorescence is damped against a transmission, `name`, of the same sample.

    Raises
    ------
    ValueError
        If they have no energies in common.
    """
    both = stack([fluorescence, through])
    found = damping(both.energy, *both.flattened)
    if found is None or found[0] + 2.0 * found[1] >= DAMPED:
        return ()
    reason = f"its structure is {max(found[0], 0.0):.0%} of that in transmission ({name})"
    return (make("over_absorption", reason=reason),)


def judge(
    of: Sequence[Repeat], spectra: Sequence[NormalisedSpectrum], uid: str, predictor: Predictor
) -> Repeats:
    """Judge a series of repeats that ends with those of run `uid`.

    Parameters
    ----------
    of, spectra
        Which they are and what was measured, in the order they were taken.
    uid
        The present run; only what concerns it is flagged.
    predictor
        Predicts the merge.

    Raises
    ------
    ValueError
        If the spectra have no energies in common.
    """
    together = _on_grid(spectra)
    trend, odd = _compared(together)
    used = _used(len(of), trend, {*(one.position for one in odd), *_unfit(spectra, predictor)})
    kept = [spectra[i] for i in used]
    said, gain = _predicted(merge(kept), kept, predictor)
    of = tuple(replace(repeat, used=position in used) for position, repeat in enumerate(of))
    present = {position for position, repeat in enumerate(of) if repeat.uid == uid}
    named = next((one for one in odd if one.position in present), None)
    others = len(of) - max(len(odd), 1)
    apart = _apart(together.take(used)) if trend is None else None
    flags = (*_drifting(trend, spectra), *_disagreeing(named, others))
    if apart is not None:
        flags = (*flags, make("repeats_scatter", times=apart))
    half = _half_width(said)
    if trend is None and apart is None and gain is not None and gain >= WORTH:
        flags = (*flags, make("more_repeats_help", by=gain, half=half))
    first = odd[0] if odd else None
    return Repeats(of, trend, named or first, said, gain, _advice(trend, apart, gain), flags)


def _apart(merged: Stack) -> float | None:
    """Return how far the repeats that are merged are apart, one more odd one among them or all."""
    found = scatter(merged)
    odd = outlier(merged) if found is None and len(merged.mu) > 2 else None
    return found if odd is None else odd.times


def _on_grid(spectra: Sequence[NormalisedSpectrum]) -> Stack:
    together = stack(spectra)
    noise = np.array([(s.spectrum.noise or 0.0) / s.edge_step for s in spectra])
    wobble = np.array(
        [step_noise(s.energy - s.e0, s.ranges, n) for s, n in zip(spectra, noise, strict=True)]
    )
    return Stack(together.energy, together.flattened, noise, spectra[0].e0, wobble)


def _compared(on_grid: Stack) -> tuple[Drift | None, tuple[Outlier, ...]]:
    """Return a drift, and the repeats that do not agree with the others, the worst first."""
    trend = drift(on_grid)
    worst = outlier(on_grid, trend)
    if worst is None:
        return trend, ()
    if len(on_grid.mu) > 3:
        # one spoiled repeat may look like a trend, or hide one
        trend = _counted_with(drift(on_grid.without(worst.position)), worst.position)
    return trend, (worst, *(_further(on_grid, worst.position) if trend is None else ()))


def _further(on_grid: Stack, worst: int) -> list[Outlier]:
    """Return further odd repeats: of three repeats at most one is odd, or else the others are."""
    left = list(range(len(on_grid.mu)))
    found: list[Outlier] = []
    position = worst
    while len(found) + 2 <= len(on_grid.mu) // 3:
        del left[position]
        odd = outlier(on_grid.take(left))
        if odd is None:
            break
        position = odd.position
        found.append(Outlier(left[position], odd.times))
    return found


def _counted_with(trend: Drift | None, left_out: int) -> Drift | None:
    """Count the repeats to keep in a series that has one more repeat in it."""
    if trend is None or left_out >= trend.keep:
        return trend
    return replace(trend, keep=trend.keep + 1)


def _unfit(spectra: Sequence[NormalisedSpectrum], predictor: Predictor) -> set[int]:
    """Return the repeats that are short or coarse, where any others remain.

    Merged are only energies that all have: an interrupted repeat would cut the merge short. A quick
    scan with wide steps would blur it.
    """
    low, high = float(predictor.energy[0]), float(predictor.energy[-1])
    short = {i for i, s in enumerate(spectra) if s.energy[0] > low or s.energy[-1] < high}
    coarse = {i for i, s in enumerate(spectra) if any(f.code == "coarse_grid" for f in s.flags)}
    return next((bad for bad in (short | coarse, short) if len(bad) < len(spectra)), set())


def _used(n: int, trend: Drift | None, left_out: set[int]) -> list[int]:
    kept = range(n if trend is None else trend.keep)
    return [i for i in kept if i not in left_out] or [0]


def _predicted(
    merged: Merged, of: Sequence[NormalisedSpectrum], predictor: Predictor
) -> tuple[MergedRepeats, float | None]:
    """Predict the merge, bare and with noise; return also what one more repeat would bring."""
    shell, by_noise = _shell_and_noise(merged, of, predictor)
    made = MergedRepeats(
        merged.energy, merged.normalised, merged.sigma, merged.count, shell, by_noise
    )
    half = (shell.high - shell.low) / 2.0
    if not np.isfinite(half) or not np.isfinite(by_noise):
        return made, None
    return made, narrower_by(half, by_noise, merged.count)


def _shell_and_noise(
    merged: Merged, of: Sequence[NormalisedSpectrum], predictor: Predictor
) -> tuple[FirstShell, float]:
    """Return the first shell of a merge, with its interval, and the σ of it by noise, Å.

    The interval is made as that of a single spectrum is: by the judge if the model has one. What
    their ranges do to the edge step all repeats share, noise is counted apart.
    """
    curve = merged.flattened if predictor.input_form == "flattened" else merged.normalised
    noisy = curve + draws(smooth_sigma(merged.sigma), PAIRS)
    judge = judge_of(cast("Hashable", predictor))
    if judge is None:
        rows = resample_array(
            merged.energy, np.concatenate((curve[None], noisy)), predictor.energy
        ).mu
        plain, *others = predictor.predict(rows)
        distances = np.array([said.first_shell.r for said in others])
        return plain.first_shell, noise_of_distance(distances)
    wide = resample_array(merged.energy, curve, judge.wide).mu
    errors = np.sqrt(merged.share @ np.array([range_errors(s.ranges) for s in of]) ** 2)
    grid, form = predictor.energy, predictor.input_form
    doubt = alternatives(_as_first(merged, of[0]), grid, form, errors)
    examined = judge.examine(wide[None], [doubt])[0]
    rows = resample_array(merged.energy, noisy, predictor.energy).mu
    return examined.prediction.first_shell, noise_of_distance(judge.model.survey(rows[None]).r[0])


def _as_first(merged: Merged, first: NormalisedSpectrum) -> NormalisedSpectrum:
    """Return the merge as a spectrum with edge step and ranges of the first."""
    curves = {
        name: np.interp(merged.energy, first.energy, getattr(first, name))
        for name in ("mu", "pre_edge", "post_edge")
    }
    return replace(
        first,
        energy=merged.energy,
        normalised=merged.normalised,
        flattened=merged.flattened,
        **curves,
    )


def _half_width(merged: MergedRepeats) -> float:
    """Return the half-width of the 95 % interval of the merge, its noise included, Å."""
    shell = merged.first_shell
    if shell is None:
        return float("nan")
    return with_noise((shell.high - shell.low) / 2.0, merged.noise or 0.0)


def _drifting(trend: Drift | None, spectra: Sequence[NormalisedSpectrum]) -> tuple[Flag, ...]:
    if trend is None:
        return ()
    count = len(spectra)
    foil = _foil_moves(spectra) if trend.unit == "eV" else 0.0
    if foil * np.sign(trend.change) > _FOIL_SHARE * abs(trend.change):
        return (make("energy_drifts", change=foil, count=count),)
    chance = "chance below 0.01 %" if trend.chance < 1e-4 else f"chance {trend.chance:.2%}"
    keep = "the first" if trend.keep == 1 else f"1 to {trend.keep}"
    change = f"{trend.change:+.2g} {trend.unit}"
    flag = make("beam_damage", what=trend.measure, change=change, count=count, chance=chance)
    return (replace(flag, remedy=flag.remedy.format(keep=keep)),)


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


def _disagreeing(odd: Outlier | None, others: int) -> tuple[Flag, ...]:
    """Flag the run the odd repeat belongs to; later ones only leave it out."""
    if odd is None:
        return ()
    them = "one" if others == 1 else others
    return (make("repeat_disagrees", which=odd.position + 1, others=them, times=odd.times),)


def _advice(trend: Drift | None, apart: float | None, gain: float | None) -> str:
    if trend is not None:
        return "more repeats of this spot would not help: it changes"
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


def joined(result: Result, repeats: Repeats | None) -> Result:
    """Return a result whose spectra carry the flags of the repeats too."""
    if repeats is None or not repeats.flags:
        return result
    spectra = tuple(_flagged(spectrum, repeats) for spectrum in result.spectra)
    return replace(result, spectra=spectra)


def _flagged(spectrum: SpectrumResult, repeats: Repeats) -> SpectrumResult:
    flags = repeats.flags
    odd = repeats.outlier
    own = next((r for i, r in enumerate(repeats.of) if odd and i == odd.position), None)
    if own is not None and own.index != spectrum.index:
        flags = tuple(flag for flag in flags if flag.code != "repeat_disagrees")
    verdict = spectrum.assessment
    colour = verdict.confidence
    if colour is Confidence.GREEN and any(f.severity is Severity.WARNING for f in flags):
        colour = Confidence.AMBER
    verdict = replace(verdict, confidence=colour, flags=by_importance((*verdict.flags, *flags)))
    return replace(spectrum, assessment=verdict)
