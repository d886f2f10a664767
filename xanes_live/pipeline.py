"""The whole order, in one place: a scan goes in, a result (or a reason for none) comes out.

Live, replayed and file scans all come through :func:`process`, so they give the same numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np

from xanes_live import __version__
from xanes_live.confidence import Calibration, Examined, Judge, assess, judge_examined, refuse
from xanes_live.confidence.judge import Judged
from xanes_live.config import Config
from xanes_live.domain import (
    Array,
    Declined,
    Flag,
    ModelInfo,
    ModelInput,
    NormalisedSpectrum,
    Prediction,
    Result,
    Scan,
    SpectrumResult,
    Unusable,
)
from xanes_live.flags import make
from xanes_live.publish.keys import result_key
from xanes_live.reduction import normalise, resample, resample_wide, spectra_from_scan
from xanes_live.reduction.doubt import alternatives

SOFTWARE = f"xanes-live {__version__}"


class Predictor(Protocol):
    """What the pipeline needs of an ensemble."""

    @property
    def info(self) -> ModelInfo:
        """Identity of the model."""
        ...

    @property
    def energy(self) -> Array:
        """Energies the model wants μ at, eV, shape (n_grid,)."""
        ...

    @property
    def radius(self) -> Array:
        """Centres of the G2 functions, Å, shape (n_g2,)."""
        ...

    @property
    def input_form(self) -> str:
        """'normalised' or 'flattened'."""
        ...

    @property
    def calibration(self) -> Mapping[str, Any]:
        """Calibration data of the model."""
        ...

    def predict(self, mu: Array) -> Sequence[Prediction]:
        """Predict from spectra on the model's grid, shape (n, n_grid)."""
        ...


# A predictor whose calibration holds a verdict is a `confidence.judge.Judged` too.

Predictors = Mapping[tuple[str, str], Predictor]
"""Ensembles by (element, edge)."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """One sweep on its way: as far as it got."""

    index: int
    normalised: NormalisedSpectrum | None
    model_input: ModelInput | None
    flags: tuple[Flag, ...]
    wide: Array | None = None
    """μ on the judge's energies, if there is a judge, shape (n_wide,)."""
    doubt: Array | None = None
    """What μ may be as well on the model's energies, (n_causes, 2, n_grid)."""


def process(scan: Scan, predictors: Predictors, config: Config) -> Result | Declined:
    """Take one scan through reduction, ensemble and confidence.

    Returns
    -------
    Result
        With one :class:`SpectrumResult` for each sweep, predicted or with the reason why not.
    Declined
        When no ensemble is loaded for the scan's element and edge.
    """
    predictor = predictors.get((scan.element, scan.edge))
    if predictor is None:
        return decline(scan, config)
    judge = judge_of(cast("Hashable", predictor))
    calibration = judge.calibration if judge else Calibration.of(predictor)
    stages = _reduce(scan, predictor, judge, calibration.energy_needed, config)
    predictions = _predict(stages, predictor, judge)
    spectra = tuple(
        _judge(stage, prediction, scan.flags, calibration, config)
        for stage, prediction in zip(stages, predictions, strict=True)
    )
    config_hash = _hash_of(_Same(config))
    key = result_key(scan.uid, None, predictor.info.hash, config_hash)
    return Result(scan, spectra, predictor.info, config_hash, key, SOFTWARE)


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A configuration as a key: settings are frozen, so the same object has the same hash."""

    config: Config

    def __hash__(self) -> int:
        return id(self.config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.config is self.config


@lru_cache(maxsize=8)
def _hash_of(same: _Same) -> str:
    """Return the hash of a configuration, found once and not for every scan."""
    return same.config.hash()


def decline(scan: Scan, config: Config) -> Declined:
    """Return the scan as one that no loaded ensemble covers.

    Where its data show another edge than the one announced, that is the reason told: a wrong label
    is not to be mended by training an ensemble for it.
    """
    code = "no_model" if scan.element else "element_unknown"
    missing = make(code, element=scan.element, edge=scan.edge)
    return Declined(
        uid=scan.uid,
        flag=_wrong_edge(scan, config) or missing,
        element=scan.element,
        edge=scan.edge,
        scan_id=scan.scan_id,
        sample=scan.sample,
        time=scan.time,
        stop_time=scan.stop_time,
        metadata=scan.metadata,
    )


def _wrong_edge(scan: Scan, config: Config) -> Flag | None:
    """Return what says that the first sweep is of another edge than announced, if it is."""
    first = replace(scan, sweeps=scan.sweeps[:1])
    raw = spectra_from_scan(first, config.beamline, config.reduction)
    reduced = normalise([s for s in raw if not isinstance(s, Unusable)], config.reduction)
    flags = (flag for item in reduced for flag in item.flags)
    return next((flag for flag in flags if flag.code == "wrong_edge"), None)


@lru_cache(maxsize=32)
def judge_of(predictor: Hashable) -> Judge | None:
    """Lay out, once for each predictor, what its trust is judged by; None if not calibrated."""
    return Judge.of(cast("Judged", predictor))


def _reduce(
    scan: Scan, predictor: Predictor, judge: Judge | None, needed: float | None, config: Config
) -> list[_Stage]:
    raw = spectra_from_scan(scan, config.beamline, config.reduction)
    usable = [s for s in raw if not isinstance(s, Unusable)]
    done = iter(normalise(usable, config.reduction))
    reduced = [s if isinstance(s, Unusable) else next(done) for s in raw]
    return [_resampled(i, item, predictor, judge, needed) for i, item in enumerate(reduced)]


def _resampled(
    index: int,
    item: NormalisedSpectrum | Unusable,
    predictor: Predictor,
    judge: Judge | None,
    needed: float | None,
) -> _Stage:
    if isinstance(item, Unusable):
        return _Stage(index, None, None, item.flags)
    grid, form = predictor.energy, predictor.input_form
    if judge is None:
        return _Stage(index, item, resample(item, grid, form, needed), item.flags)
    given, wide = resample_wide(item, judge.wide, grid, judge.inner, form, needed)
    return _Stage(index, item, given, item.flags, wide, alternatives(item, grid, form))


def _predict(
    stages: Sequence[_Stage], predictor: Predictor, judge: Judge | None
) -> list[Prediction | Examined | None]:
    """Predict all sweeps of the run in one batch; None where there is nothing to predict from."""
    ready = [s for s in stages if s.model_input is not None]
    found: Sequence[Prediction | Examined] = ()
    if ready and judge is not None:
        wide = np.stack([s.wide for s in ready if s.wide is not None])
        found = judge.examine(wide, [s.doubt for s in ready])
    elif ready:
        found = predictor.predict(np.stack([s.model_input.mu for s in ready if s.model_input]))
    said = iter(found)
    return [next(said) if s.model_input is not None else None for s in stages]


def _judge(
    stage: _Stage,
    found: Prediction | Examined | None,
    scan_flags: tuple[Flag, ...],
    calibration: Calibration,
    config: Config,
) -> SpectrumResult:
    index, normalised, given = stage.index, stage.normalised, stage.model_input
    if found is None or normalised is None or given is None:
        verdict = refuse((*scan_flags, *stage.flags), calibration.band_factor.size)
        return SpectrumResult(index, normalised, given, None, verdict)
    if isinstance(found, Examined):
        verdict = judge_examined(
            found, normalised, given, scan_flags, calibration, config.confidence
        )
        return SpectrumResult(index, normalised, given, found.prediction, verdict)
    verdict = assess(found, normalised, given, scan_flags, calibration, config.confidence)
    return SpectrumResult(index, normalised, given, found, verdict)
