"""The whole order, in one place: a scan goes in, a result (or a reason for none) comes out.

Live, replayed and file scans all come through :func:`process`, so they give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from xanes_live import __version__
from xanes_live.confidence import Calibration, assess, refuse
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
from xanes_live.reduction import normalise, resample, spectra_from_scan

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


Predictors = Mapping[tuple[str, str], Predictor]
"""Ensembles by (element, edge)."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """One sweep on its way: as far as it got."""

    index: int
    normalised: NormalisedSpectrum | None
    model_input: ModelInput | None
    flags: tuple[Flag, ...]


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
        return decline(scan)
    stages = _reduce(scan, predictor, config)
    predictions = _predict(stages, predictor)
    calibration = Calibration.from_mapping(predictor.calibration, predictor.radius.size)
    spectra = tuple(
        _judge(stage, prediction, scan.flags, calibration, config)
        for stage, prediction in zip(stages, predictions, strict=True)
    )
    config_hash = config.hash()
    key = result_key(scan.uid, None, predictor.info.hash, config_hash)
    return Result(scan, spectra, predictor.info, config_hash, key, SOFTWARE)


def decline(scan: Scan) -> Declined:
    """Return the scan as one that no loaded ensemble covers."""
    code = "no_model" if scan.element else "element_unknown"
    return Declined(
        uid=scan.uid,
        flag=make(code, element=scan.element, edge=scan.edge),
        element=scan.element,
        edge=scan.edge,
        scan_id=scan.scan_id,
        sample=scan.sample,
        time=scan.time,
        stop_time=scan.stop_time,
        metadata=scan.metadata,
    )


def _reduce(scan: Scan, predictor: Predictor, config: Config) -> list[_Stage]:
    raw = spectra_from_scan(scan, config.beamline, config.reduction)
    usable = [s for s in raw if not isinstance(s, Unusable)]
    done = iter(normalise(usable, config.reduction))
    reduced = [s if isinstance(s, Unusable) else next(done) for s in raw]
    return [_resampled(i, item, predictor) for i, item in enumerate(reduced)]


def _resampled(index: int, item: NormalisedSpectrum | Unusable, predictor: Predictor) -> _Stage:
    if isinstance(item, Unusable):
        return _Stage(index, None, None, item.flags)
    model_input = resample(item, predictor.energy, predictor.input_form)
    return _Stage(index, item, model_input, item.flags)


def _predict(stages: Sequence[_Stage], predictor: Predictor) -> list[Prediction | None]:
    """Predict all sweeps of the run in one batch; None where there is nothing to predict from."""
    inputs = [s.model_input.mu for s in stages if s.model_input is not None]
    predictions = iter(predictor.predict(np.stack(inputs)) if inputs else ())
    return [next(predictions) if s.model_input is not None else None for s in stages]


def _judge(
    stage: _Stage,
    prediction: Prediction | None,
    scan_flags: tuple[Flag, ...],
    calibration: Calibration,
    config: Config,
) -> SpectrumResult:
    if prediction is None or stage.normalised is None or stage.model_input is None:
        verdict = refuse((*scan_flags, *stage.flags), calibration.band_factor.size)
    else:
        verdict = assess(
            prediction,
            stage.normalised,
            stage.model_input,
            scan_flags,
            calibration,
            config.confidence,
        )
    return SpectrumResult(stage.index, stage.normalised, stage.model_input, prediction, verdict)
