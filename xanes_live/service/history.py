"""What is remembered of the samples measured lately, so that repeats are judged together.

One memory for one stream of runs; nothing is read back from Tiled. Runs handed over in the order
they were taken give the same answers again. All of it is an extra: a defect here is logged and
costs the repeats, never the result.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xanes_live import log
from xanes_live.confidence.history import (
    Stack,
    draws,
    drift,
    narrower_by,
    noise_of_distance,
    outlier,
    smooth_sigma,
)
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import (
    Confidence,
    Drift,
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
from xanes_live.flags import by_importance, make
from xanes_live.pipeline import Predictor
from xanes_live.reduction import Merged, merge, resample_array, stack

MOST = 64
"""Repeats of one sample that are kept, and sweeps of one run that are looked at."""
MOST_POINTS = 200_000
"""Points of all spectra that are kept; the sample not measured for longest is forgotten first."""
PAIRS = 4
"""Pairs of noise with which the merge is predicted."""
WORTH = 0.005
"""Narrowing of the half-width that is worth another repeat, Å."""
_log = log.get(__name__)
_Sample = tuple[str, str, str, str, str, str]
"""Sample, element, edge, mode, model and configuration: only what agrees in all is compared."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """One remembered spectrum."""

    time: float
    repeat: Repeat
    spectrum: NormalisedSpectrum

    @property
    def order(self) -> tuple[float, str, int]:
        return (self.time, self.repeat.uid, self.repeat.index)


class History:
    """Recent spectra by sample. Not for use by several threads at a time."""

    def __init__(self, config: ConfidenceConfig) -> None:
        self._within = config.repeats_within_s
        self._samples: OrderedDict[_Sample, list[_Kept]] = OrderedDict()

    def add(self, result: Result, predictor: Predictor) -> Repeats | None:
        """Remember a result and return what the repeats of its sample say; None if it has none.

        Parameters
        ----------
        result
            Its usable spectra join those of earlier runs of the same sample, edge, mode, model and
            configuration that began at most `confidence.repeats_within_s` apart.
        predictor
            The ensemble of that edge: predicts the merge, in one batch.
        """
        try:
            return self._add(result, predictor)
        except Exception as error:  # noqa: BLE001 - an extra must not cost the result
            log.event(
                _log,
                logging.ERROR,
                "repeats not judged",
                uid=result.scan.uid,
                error=repr(error),
            )
            return None

    def _add(self, result: Result, predictor: Predictor) -> Repeats | None:
        own = _usable(result)
        if not own:
            return None
        series = self._remember(_sample(result, own[0].spectrum), own)
        if len(series) < 2:
            return None
        return judge(series, result.scan.uid, predictor)

    def _remember(self, sample: _Sample, own: list[_Kept]) -> list[_Kept]:
        """Return the series that ends with the spectra `own`, which are kept."""
        now, uid = own[0].time, own[0].repeat.uid
        known = [k for k in self._samples.pop(sample, []) if k.repeat.uid != uid]
        known = sorted([*known, *own], key=lambda kept: kept.order)[-MOST:]
        if sample[0]:
            self._samples[sample] = known
            self._forget()
        before = [k for k in known if k.order < own[0].order] if sample[0] else []
        return [*_unbroken(before, now, self._within), *own][-MOST:]

    def _forget(self) -> None:
        """Forget the samples not measured for longest while too much is kept."""
        sizes = {
            sample: sum(kept.spectrum.energy.size for kept in series)
            for sample, series in self._samples.items()
        }
        while sum(sizes.values()) > MOST_POINTS and len(sizes) > 1:
            oldest, _ = self._samples.popitem(last=False)
            del sizes[oldest]


def _sample(result: Result, spectrum: NormalisedSpectrum) -> _Sample:
    scan = result.scan
    mode = spectrum.spectrum.mode.value
    name = scan.sample.strip()
    return (name, scan.element, scan.edge, mode, result.model.hash, result.config_hash)


def _usable(result: Result) -> list[_Kept]:
    """Return the spectra of a run that may be merged, evenly chosen where there are very many."""
    good = [
        _Kept(
            result.scan.time,
            Repeat(result.scan.uid, result.scan.scan_id, s.index),
            s.normalised,
        )
        for s in result.spectra
        if s.normalised is not None and s.prediction is not None and not _spoiled(s.normalised)
    ]
    modes = [kept.spectrum.spectrum.mode for kept in good]
    good = [kept for kept, mode in zip(good, modes, strict=True) if mode is modes[-1]]
    if len(good) <= MOST:
        return good
    return [good[i] for i in np.linspace(0, len(good) - 1, MOST).round().astype(int)]


def _spoiled(spectrum: NormalisedSpectrum) -> bool:
    return any(flag.severity is Severity.ERROR for flag in spectrum.flags)


def _unbroken(before: list[_Kept], now: float, within: float) -> list[_Kept]:
    """Return the last of the earlier spectra, back to a pause longer than `within`."""
    series: list[_Kept] = []
    later = now
    for kept in reversed(before):
        if later - kept.time > within:
            break
        series.insert(0, kept)
        later = kept.time
    return series


def judge(series: Sequence[_Kept], uid: str, predictor: Predictor) -> Repeats:
    """Judge a series of repeats that ends with those of run `uid`.

    Raises
    ------
    ValueError
        If the spectra have no energies in common.
    """
    spectra = [kept.spectrum for kept in series]
    trend, odd = _compared(spectra)
    used = _used(len(series), trend, odd)
    merged = merge([spectra[i] for i in used])
    said, gain = _predicted(merged, predictor)
    of = tuple(replace(kept.repeat, used=position in used) for position, kept in enumerate(series))
    present = {position for position, repeat in enumerate(of) if repeat.uid == uid}
    flags = (*_drifting(trend, len(series)), *_disagreeing(odd, present, len(series)))
    half = _half_width(said)
    if gain is not None and gain >= WORTH:
        flags = (*flags, make("more_repeats_help", by=gain, half=half))
    return Repeats(of, trend, odd, said, gain, _advice(trend, gain), flags)


def _compared(spectra: Sequence[NormalisedSpectrum]) -> tuple[Drift | None, Outlier | None]:
    together = stack(spectra)
    noise = np.array([(s.spectrum.noise or 0.0) / s.edge_step for s in spectra])
    on_grid = Stack(together.energy, together.flattened, noise, spectra[0].e0)
    trend = drift(on_grid)
    odd = outlier(on_grid, trend)
    if odd is not None and len(spectra) > 3:
        # one spoiled repeat may look like a trend, or hide one
        trend = _counted_with(drift(on_grid.without(odd.position)), odd.position)
    return trend, odd


def _counted_with(trend: Drift | None, left_out: int) -> Drift | None:
    """Count the repeats to keep in a series that has one more repeat in it."""
    if trend is None or left_out >= trend.keep:
        return trend
    return replace(trend, keep=trend.keep + 1)


def _used(n: int, trend: Drift | None, odd: Outlier | None) -> list[int]:
    kept = range(n if trend is None else trend.keep)
    used = [i for i in kept if odd is None or i != odd.position]
    return used or [0]


def _predicted(merged: Merged, predictor: Predictor) -> tuple[MergedRepeats, float | None]:
    """Predict the merge, bare and with noise, in one batch; what one more repeat would bring."""
    curve = merged.flattened if predictor.input_form == "flattened" else merged.normalised
    noise = draws(smooth_sigma(merged.sigma), PAIRS)
    rows = resample_array(
        merged.energy, np.concatenate((curve[None], curve + noise)), predictor.energy
    ).mu
    predictions = predictor.predict(rows)
    shell = predictions[0].first_shell
    by_noise = noise_of_distance(np.array([p.first_shell.r for p in predictions[1:]]))
    made = MergedRepeats(
        merged.energy, merged.normalised, merged.sigma, merged.count, shell, by_noise
    )
    half = (shell.high - shell.low) / 2.0
    if not np.isfinite(half) or not np.isfinite(by_noise):
        return made, None
    return made, narrower_by(half, by_noise, merged.count)


def _half_width(merged: MergedRepeats) -> float:
    shell = merged.first_shell
    return float("nan") if shell is None else (shell.high - shell.low) / 2.0


def _drifting(trend: Drift | None, count: int) -> tuple[Flag, ...]:
    if trend is None:
        return ()
    chance = "chance below 0.01 %" if trend.chance < 1e-4 else f"chance {trend.chance:.2%}"
    keep = "the first" if trend.keep == 1 else f"1 to {trend.keep}"
    change = f"{trend.change:+.2g} {trend.unit}"
    flag = make("beam_damage", what=trend.measure, change=change, count=count, chance=chance)
    return (replace(flag, remedy=flag.remedy.format(keep=keep)),)


def _disagreeing(odd: Outlier | None, present: set[int], count: int) -> tuple[Flag, ...]:
    """Flag the run the odd repeat belongs to; later ones only leave it out."""
    if odd is None or odd.position not in present:
        return ()
    which, others = odd.position + 1, count - 1
    return (make("repeat_disagrees", which=which, others=others, times=odd.times),)


def _advice(trend: Drift | None, gain: float | None) -> str:
    if trend is not None:
        return "more repeats of this spot would not help: it changes"
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
