"""What is published of one run."""

from __future__ import annotations

from dataclasses import dataclass

from xanes_live.domain.measured import ModelInput, NormalisedSpectrum, Scan
from xanes_live.domain.predicted import Assessment, Prediction


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model made a prediction."""

    id: str
    version: str
    hash: str
    element: str
    edge: str


@dataclass(frozen=True, slots=True)
class SpectrumResult:
    """All that is known of one spectrum; a stage that could not be reached is None."""

    index: int
    normalised: NormalisedSpectrum | None
    model_input: ModelInput | None
    prediction: Prediction | None
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known of one run: what is published as one node."""

    scan: Scan
    spectra: tuple[SpectrumResult, ...]
    """One entry a sweep, in order."""
    model: ModelInfo
    config_hash: str
    key: str
    """Deterministic name of the node in Tiled."""
    software: str
    """'xanes-live 0.1.0'"""
