"""What the ensemble says of the merge of repeats: a distance with its verdict, as of one scan."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from xanes_live.confidence.assess import by_spread, colour, opinion
from xanes_live.confidence.judge import Judge
from xanes_live.confidence.merged_noise import (
    draws,
    narrower_by,
    noise_of_distance,
    with_noise,
)
from xanes_live.confidence.verdict import less_certain
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import Array, FirstShell, Flag, MergedRepeats, NormalisedSpectrum, Severity
from xanes_live.flags import by_importance
from xanes_live.pipeline import Predictor, judge_of
from xanes_live.reduction import Merged, merge, resample_array
from xanes_live.reduction.doubt import alternatives
from xanes_live.reduction.uncertainty import range_errors

PAIRS = 4
"""Pairs of noise with which the merge is predicted."""
_MERGING_HELPS = "noisy"


class _Said(NamedTuple):
    shell: FirstShell
    """With the interval of the merge as it is, without its noise."""
    by_noise: float
    """Standard deviation of the distance by that noise, Å."""
    probability: float | None
    flags: tuple[Flag, ...]


def predicted(
    of: Sequence[NormalisedSpectrum],
    predictor: Predictor,
    config: ConfidenceConfig,
    known: Sequence[Flag] = (),
) -> tuple[MergedRepeats | None, float | None]:
    """Merge and predict repeats.

    Parameters
    ----------
    of
        Those that are merged; a merge cannot be better than a warning of one of them allows, noise
        apart.
    predictor
        The ensemble.
    config
        Thresholds of the colours.
    known
        What speaks against the merge besides.

    Returns
    -------
    merged
        With noise in its interval and its probability; None where there is nothing to merge.
    gain
        By how much another repeat would narrow the half-width of the interval, Å; None if unknown.
    """
    if not of:
        return None, None
    merged = merge(of)
    said = _said(merged, of, predictor, config)
    shell, by_noise = said.shell, said.by_noise
    flags = by_importance(tuple(f for f in (*known, *_measured(of), *said.flags) if _counts(f)))
    made = MergedRepeats(
        merged.energy,
        merged.normalised,
        merged.sigma,
        merged.count,
        _widened(shell, by_noise),
        by_noise,
        said.probability,
        colour(flags),
        tuple(dict.fromkeys(flag.code for flag in flags)),
    )
    half = (shell.high - shell.low) / 2.0
    if not np.isfinite(half) or not np.isfinite(by_noise):
        return made, None
    return made, narrower_by(half, by_noise, merged.count)


def _measured(of: Sequence[NormalisedSpectrum]) -> list[Flag]:
    return [f for spectrum in of for f in spectrum.flags if f.code != _MERGING_HELPS]


def _counts(flag: Flag) -> bool:
    return flag.severity is not Severity.INFO


def _widened(shell: FirstShell, by_noise: float) -> FirstShell:
    """Return the first shell with noise of this standard deviation in its interval."""
    if not np.isfinite(by_noise):
        return shell
    r = shell.r
    low = r - with_noise(r - shell.low, by_noise)
    high = r + with_noise(shell.high - r, by_noise)
    return replace(shell, low=max(low, min(r, 0.0)), high=high)  # no distance is negative


def _said(
    merged: Merged,
    of: Sequence[NormalisedSpectrum],
    predictor: Predictor,
    config: ConfidenceConfig,
) -> _Said:
    """Predict a merge, bare and with noise, by the judge if the model has one."""
    curve = merged.flattened if predictor.input_form == "flattened" else merged.normalised
    noisy = curve + draws(merged.sigma, _counting(merged, of), PAIRS)
    judge = judge_of(cast("Hashable", predictor))
    if judge is not None:
        return _judged(merged, of, predictor, judge, config, (curve, noisy))
    rows = resample_array(merged.energy, np.concatenate((curve[None], noisy)), predictor.energy).mu
    plain, *others = predictor.predict(rows)
    by_noise = noise_of_distance(np.array([said.first_shell.r for said in others]))
    shell = plain.first_shell
    noisy_too = replace(plain, first_shell=_widened(shell, by_noise))
    return _Said(shell, by_noise, None, by_spread(noisy_too, config))


def _counting(merged: Merged, of: Sequence[NormalisedSpectrum]) -> float:
    """Return the counting noise of a merge, edge steps; infinite where it is unknown."""
    noise = [np.inf if s.spectrum.noise is None else s.spectrum.noise / s.edge_step for s in of]
    return float(np.sqrt(((merged.share * np.array(noise)) ** 2).sum()))


def _judged(
    merged: Merged,
    of: Sequence[NormalisedSpectrum],
    predictor: Predictor,
    judge: Judge,
    config: ConfidenceConfig,
    curves: tuple[Array, Array],
) -> _Said:
    """Judge a merge as a single spectrum is, and then take its noise into account.

    What their ranges do to the edge step all repeats share, noise is counted apart.
    """
    grid, form = predictor.energy, predictor.input_form
    wide = resample_array(merged.energy, curves[0], judge.wide).mu
    errors = np.sqrt(merged.share @ np.array([range_errors(s.ranges) for s in of]) ** 2)
    doubt = alternatives(_as_first(merged, of[0]), grid, form, errors)
    examined = judge.examine(wide[None], [doubt])[0]
    rows = resample_array(merged.energy, curves[1], grid).mu
    by_noise = noise_of_distance(judge.model.survey(rows[None]).r[0])
    chance = float(less_certain(np.array([examined.probability]), np.array([by_noise]))[0])
    examined = replace(examined, probability=chance)
    return _Said(examined.prediction.first_shell, by_noise, chance, opinion(examined, config))


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
