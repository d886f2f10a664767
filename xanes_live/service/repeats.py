"""What the repeats of a sample say together: drift, an odd one, the merge and its prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xanes_live.confidence.drift import drift, from_first, step_after
from xanes_live.confidence.odd import goes_on, outlier, scatter
from xanes_live.confidence.stacked import Stack
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import (
    Confidence,
    Drift,
    Flag,
    MergedRepeats,
    NormalisedSpectrum,
    Outlier,
    Repeats,
    Result,
    Severity,
    SpectrumResult,
)
from xanes_live.flags import by_importance, make
from xanes_live.pipeline import Predictor
from xanes_live.reduction import at_one_edge, stack
from xanes_live.reduction.absorption import DAMPED, damping
from xanes_live.reduction.uncertainty import step_noise
from xanes_live.service.merged import predicted
from xanes_live.service.repeats_words import (
    WORTH,
    Series,
    advice,
    disagreeing,
    drifting,
    scattering,
    unsettled,
)


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
    series: Series,
    uid: str,
    predictor: Predictor,
    config: ConfidenceConfig,
    known: Sequence[Flag] = (),
) -> Repeats:
    """Judge a series of repeats that ends with those of run `uid`.

    Parameters
    ----------
    series
        Which they are and what was measured, in the order they were taken.
    uid
        The present run; only what concerns it is flagged.
    predictor
        Predicts the merge.
    config
        Thresholds of the colour of the merge.
    known
        What else the present run is flagged with.

    Raises
    ------
    ValueError
        If the spectra have no energies in common.
    """
    why = _unfit(series.spectra, predictor)
    fit = [i for i in range(len(series.of)) if i not in why]
    compared = series.take(fit)
    compared = compared._replace(spectra=at_one_edge(compared.spectra))
    trend, odd, apart, good = _agreement(_on_grid(compared.spectra))
    why |= {fit[i]: reason for i, reason in _left_out(len(fit), trend, odd, good).items()}
    used = [i for i in range(len(series.of)) if i not in why]
    merged = [one for i, one in zip(fit, compared.spectra, strict=True) if i in used]
    # one first that differs: it was spoiled, or it alone is undamaged
    unsure = unsettled(compared) if _first(odd) and series.from_first else ()
    against = (*known, *scattering(apart, compared), *unsure)
    said, gain = predicted(merged, predictor, config, against)
    flags = (*drifting(trend, compared), *against)
    if trend is None and apart is None and gain is not None and gain >= WORTH:
        flags = (*flags, make("more_repeats_help", by=gain, half=_half_width(said)))
    # positions among all, not among those compared
    places = tuple(replace(one, position=fit[one.position]) for one in odd)
    return Repeats(
        of=tuple(replace(r, used=i in used, why=why.get(i, "")) for i, r in enumerate(series.of)),
        drift=None if trend is None else replace(trend, keep=fit[trend.keep - 1] + 1),
        outlier=min(places, key=lambda one: series.of[one.position].uid != uid, default=None),
        merged=said,
        one_more_narrows_by=gain,
        advice=advice(trend, apart, gain, len(fit)),
        flags=flags,
        own=disagreeing(places, series, uid, len(fit) - len(odd)),
        from_first=series.from_first,
    )


def _agreement(
    together: Stack,
) -> tuple[Drift | None, tuple[Outlier, ...], float | None, list[int]]:
    """Return drift, odd ones, how far the others are apart, and which may be merged.

    Of two that do not agree one is wrong: neither it nor the mean may be taken for the sample.
    """
    trend, odd = _compared(together)
    agreeing = [i for i in range(len(together.mu)) if i not in {one.position for one in odd}]
    good = [i for i in agreeing if trend is None or i < trend.keep] or agreeing[:1]
    apart = _apart(together.take(good)) if trend is None else None
    return trend, odd, apart, [] if apart is not None and len(together.mu) == 2 else good


def _left_out(
    count: int, trend: Drift | None, odd: Sequence[Outlier], good: Sequence[int]
) -> dict[int, str]:
    """Return why those that were compared are not merged."""
    other = "two" if trend is None else "drift"
    positions = {one.position for one in odd}
    return {i: "odd" if i in positions else other for i in range(count) if i not in good}


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
    if trend is not None and worst.position == 0:
        # the later ones moved away from the first: it is what the sample was
        return from_first(on_grid, trend), ()
    moved = step_after(on_grid, 1) if worst.position == 0 and goes_on(on_grid) else None
    if moved is not None:
        return moved, ()
    odd = (worst, *(_further(on_grid, worst.position) if trend is None else ()))
    step = step_after(on_grid, len(odd)) if trend is None and _first(odd) > 1 else None
    return (trend, odd) if step is None else (step, ())


def _first(odd: Sequence[Outlier]) -> int:
    """Return how many are odd if they are the first of the series; 0 if they are others."""
    return len(odd) if {one.position for one in odd} == set(range(len(odd))) else 0


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


def _unfit(spectra: Sequence[NormalisedSpectrum], predictor: Predictor) -> dict[int, str]:
    """Return which repeats are short or coarse, where any others remain.

    An interrupted repeat would cut comparison and merge short, which are of energies that all
    have; a quick scan with wide steps would blur them.
    """
    low, high = float(predictor.energy[0]), float(predictor.energy[-1])
    short = {i: "short" for i, s in enumerate(spectra) if s.energy[0] > low or s.energy[-1] < high}
    wide = [any(flag.code == "coarse_grid" for flag in s.flags) for s in spectra]
    # the flag depends on e0, which noise moves: on one grid all are coarse or none is
    fine = [s.energy for s, is_wide in zip(spectra, wide, strict=True) if not is_wide]
    coarse = {
        i: "coarse"
        for i, s in enumerate(spectra)
        if wide[i] and not any(np.array_equal(s.energy, other) for other in fine)
    }
    return next((bad for bad in (coarse | short, short) if len(bad) < len(spectra)), {})


def _half_width(merged: MergedRepeats | None) -> float:
    """Return the half-width of the 95 % interval of the merge, Å."""
    shell = merged.first_shell if merged is not None else None
    return float("nan") if shell is None else (shell.high - shell.low) / 2.0


def joined(result: Result, repeats: Repeats | None) -> Result:
    """Return a result whose spectra carry the flags of the repeats too."""
    if repeats is None or not (repeats.flags or repeats.own):
        return result
    spectra = tuple(_flagged(spectrum, repeats) for spectrum in result.spectra)
    return replace(result, spectra=spectra)


def _flagged(spectrum: SpectrumResult, repeats: Repeats) -> SpectrumResult:
    own = repeats.own.get(spectrum.index)
    flags = repeats.flags if own is None else (*repeats.flags, own)
    verdict = spectrum.assessment
    colour = verdict.confidence
    if colour is Confidence.GREEN and any(f.severity is Severity.WARNING for f in flags):
        colour = Confidence.AMBER
    verdict = replace(verdict, confidence=colour, flags=by_importance((*verdict.flags, *flags)))
    return replace(spectrum, assessment=verdict)
