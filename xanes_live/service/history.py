"""What is remembered of the samples measured lately, so that repeats are judged together.

One memory for one stream of runs; nothing is read back from Tiled. Runs handed over in the order
they were taken give the same answers again. All of it is an extra: a defect here is logged and
costs the repeats, never the result.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from xanes_live import log
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import (
    Flag,
    Mode,
    NormalisedSpectrum,
    Repeat,
    Repeats,
    Result,
    Severity,
    SpectrumResult,
)
from xanes_live.pipeline import Predictor
from xanes_live.service.repeats import damped, judge
from xanes_live.service.repeats_words import Series

MOST = 32
"""Repeats of one sample that are kept, and sweeps of one run that are looked at."""
MOST_POINTS = 200_000
"""Points of all spectra that are kept; the sample not measured for longest is forgotten first."""
_log = log.get(__name__)


class _Sample(NamedTuple):
    """Only what agrees in all of this is compared."""

    name: str
    element: str
    edge: str
    mode: str
    model: str
    config: str


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
        self._config = config
        self._within = config.repeats_within_s
        self._samples: OrderedDict[_Sample, list[_Kept]] = OrderedDict()
        self._lost: dict[_Sample, float] = {}
        """When the last of those runs began that are no longer kept."""

    def add(self, result: Result, predictor: Predictor) -> Repeats | None:
        """Remember a result and return what the repeats of its sample say; None if it has none.

        Parameters
        ----------
        result
            Its usable spectra join those of earlier runs of the same sample, edge, mode, model and
            configuration that began at most `confidence.repeats_within_s` apart.
        predictor
            The ensemble of that edge: predicts the merge.
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
        sample = _sample(result, own[0].spectrum)
        series = self._remember(sample, own)
        weak = self._damped(sample, own)
        if len(series.of) < 2 and not weak:
            return None
        return judge(series, result.scan.uid, predictor, self._config, weak)

    def _damped(self, sample: _Sample, own: list[_Kept]) -> tuple[Flag, ...]:
        """Compare fluorescence with earlier transmission of the same sample, if there is any."""
        if sample.mode != Mode.FLUORESCENCE.value or not sample.name:
            return ()
        through = self._samples.get(sample._replace(mode=Mode.TRANSMISSION.value), [])
        now = own[0].time
        known = [k for k in through if 0.0 <= now - k.time <= self._within]
        if not known:
            return ()
        last = known[-1]
        name = "an earlier run" if last.repeat.scan_id is None else f"run {last.repeat.scan_id}"
        return damped(own[-1].spectrum, last.spectrum, name)

    def _remember(self, sample: _Sample, own: list[_Kept]) -> Series:
        """Return the series that ends with the spectra `own`, which are kept."""
        now, uid = own[0].time, own[0].repeat.uid
        known = [k for k in self._samples.pop(sample, []) if k.repeat.uid != uid]
        known = sorted([*known, *own], key=lambda kept: kept.order)
        lost = self._lost.get(sample)
        if sample.name:
            most = min(MOST, max(2, MOST_POINTS // own[0].spectrum.energy.size))
            self._samples[sample] = known[-most:]
            if known[:-most]:
                self._lost[sample] = known[-most - 1].time
            self._forget(now)
        before = [k for k in known if k.order < own[0].order] if sample.name else []
        series = [*_unbroken(before, now, self._within), *own]
        begun = lost is None or series[0].time - lost > self._within
        kept = series[-MOST:]
        of, spectra = [k.repeat for k in kept], [k.spectrum for k in kept]
        return Series(of, spectra, begun and len(series) <= MOST)

    def _forget(self, now: float) -> None:
        """Forget the samples not measured for longest while too much is kept."""
        sizes = {
            sample: sum(kept.spectrum.energy.size for kept in series)
            for sample, series in self._samples.items()
        }
        while sum(sizes.values()) > MOST_POINTS and len(sizes) > 1:
            oldest, series = self._samples.popitem(last=False)
            self._lost[oldest] = series[-1].time
            del sizes[oldest]
        # what is longer ago than a pause that ends a series matters no more
        self._lost = {s: at for s, at in self._lost.items() if now - at <= self._within}


def _sample(result: Result, spectrum: NormalisedSpectrum) -> _Sample:
    scan = result.scan
    mode = spectrum.spectrum.mode.value
    name = scan.sample.strip()
    return _Sample(name, scan.element, scan.edge, mode, result.model.hash, result.config_hash)


def _usable(result: Result) -> list[_Kept]:
    """Return the spectra of a run that may be merged, evenly chosen where there are very many.

    Places of a map are no repeats, of each other or of another run: what changes from one to the
    next is no drift, and their mean is that of no place.
    """
    if result.scan.places or any(flag.severity is Severity.ERROR for flag in result.scan.flags):
        return []
    good = [
        _Kept(
            result.scan.time,
            Repeat(result.scan.uid, result.scan.scan_id, s.index),
            _with_all_flags(result, s, s.normalised),
        )
        for s in result.spectra
        if s.normalised is not None and s.prediction is not None and not _spoiled(s.normalised)
    ]
    modes = [kept.spectrum.spectrum.mode for kept in good]
    good = [kept for kept, mode in zip(good, modes, strict=True) if mode is modes[-1]]
    if len(good) <= MOST:
        return good
    return [good[i] for i in np.linspace(0, len(good) - 1, MOST).round().astype(int)]


def _with_all_flags(
    result: Result, one: SpectrumResult, spectrum: NormalisedSpectrum
) -> NormalisedSpectrum:
    """Return a spectrum with all that was known of it before the model was asked."""
    given = one.model_input.flags if one.model_input is not None else ()
    return replace(spectrum, flags=(*result.scan.flags, *spectrum.flags, *given))


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
