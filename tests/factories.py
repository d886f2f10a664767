"""Plausible objects of every stage of the pipeline, made without running the stages.

The numbers are a synthetic iron K edge (an arctangent step, one white line, a straight baseline)
and a two-peaked G2; they are consistent with each other and repeatable, nothing more.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from xanes_live import flags
from xanes_live.domain import (
    Array,
    Assessment,
    Channels,
    Confidence,
    Declined,
    FirstShell,
    Flag,
    Mode,
    ModelInfo,
    ModelInput,
    NormalisedSpectrum,
    Peak,
    Prediction,
    Quality,
    Result,
    Scan,
    Spectrum,
    SpectrumResult,
    Unusable,
)

UID = "3d1f8a52-6c1e-4f2b-9a37-0b1c2d3e4f50"
E0 = 7112.0
START = 1_760_000_000.0
MODEL = ModelInfo(id="fe-k", version="1.0.0", hash="0123456789abcdef", element="Fe", edge="K")


def energies(n_points: int = 245, e0: float = E0) -> Array:
    """Return a usual XANES grid around `e0`, eV."""
    return np.linspace(e0 - 60.0, e0 + 180.0, n_points)


def white_line(energy: Array, e0: float = E0, step: float = 1.0, width: float = 1.2) -> Array:
    """Return an edge of height `step` at `e0` with a white line 8 eV above."""
    edge = 0.5 + np.arctan((energy - e0) / width) / np.pi
    line = 0.4 * np.exp(-0.5 * ((energy - e0 - 8.0) / 3.0) ** 2)
    return step * (edge + line)


def channels(
    n_points: int = 245, e0: float = E0, *, seed: int = 0, noise: float = 1e-4
) -> Channels:
    """Return a transmission sweep with a fluorescence channel of four elements and a foil."""
    rng = np.random.default_rng(seed)
    energy = energies(n_points, e0)
    mu = 0.3 + white_line(energy, e0)
    i0 = 1e5 * (1.0 + 1e-3 * (energy - e0) / 100.0)
    it = i0 * np.exp(-mu) * (1.0 + noise * rng.standard_normal(n_points))
    ir = it * np.exp(-white_line(energy, e0))
    fluorescence = np.stack([0.01 * i0 * white_line(energy, e0) * k for k in (1.0, 0.9, 1.1, 1.0)])
    return Channels(energy=energy, i0=i0, it=it, ir=ir, fluorescence=fluorescence)


def scan(n_sweeps: int = 1, *, uid: str = UID, **changes: Any) -> Scan:
    """Return an iron scan of `n_sweeps` sweeps; any field of Scan may be given."""
    fields: dict[str, Any] = {
        "uid": uid,
        "sweeps": tuple(channels(seed=i) for i in range(n_sweeps)),
        "element": "Fe",
        "edge": "K",
        "scan_id": 17,
        "sample": "Fe foil",
        "plan_name": "xanes",
        "time": START,
        "stop_time": START + 60.0,
        "metadata": {"uid": uid, "scan_id": 17, "sample": "Fe foil", "time": START},
        "source": "live",
    }
    return Scan(**(fields | changes))


def spectrum(index: int = 0, n_points: int = 245, e0: float = E0, **changes: Any) -> Spectrum:
    """Return μ(E) of one sweep."""
    energy = energies(n_points, e0)
    fields: dict[str, Any] = {
        "energy": energy,
        "mu": 0.3 + 1e-4 * (energy - e0) + white_line(energy, e0, 1.1),
        "mode": Mode.TRANSMISSION,
        "element": "Fe",
        "edge": "K",
        "index": index,
        "i0": np.full(n_points, 1e5),
        "noise": 1e-3,
        "quality": {"i0": Quality.GOOD, "it": Quality.GOOD},
    }
    return Spectrum(**(fields | changes))


def normalised(
    index: int = 0, n_points: int = 245, e0: float = E0, **changes: Any
) -> NormalisedSpectrum:
    """Return a normalised spectrum whose parts add up: mu = pre + step × normalised."""
    source = changes.pop("spectrum", None) or spectrum(index, n_points, e0)
    pre = 0.3 + 1e-4 * (source.energy - e0)
    step = 1.1
    fields: dict[str, Any] = {
        "energy": source.energy,
        "mu": source.mu,
        "normalised": (source.mu - pre) / step,
        "flattened": (source.mu - pre) / step,
        "pre_edge": pre,
        "post_edge": pre + step,
        "e0": e0,
        "edge_step": step,
        "edge_step_sigma": 0.01,
        "energy_shift": 0.0,
        "ranges": {
            "pre1": -60.0,
            "pre2": -20.0,
            "norm1": 60.0,
            "norm2": 175.0,
            "nnorm": 1,
            "nvict": 0,
        },
        "spectrum": source,
    }
    return NormalisedSpectrum(**(fields | changes))


def model_input(n_grid: int = 475) -> ModelInput:
    """Return a spectrum on a model grid, fully covered."""
    energy = np.linspace(7112.5, 7160.0, n_grid)
    return ModelInput(energy, white_line(energy), np.ones(n_grid, dtype=bool))


def prediction(r: float = 1.98, n_members: int = 8, n_g2: int = 50, seed: int = 0) -> Prediction:
    """Return a G2 with its first peak at `r` Å and a weaker second one 1.2 Å further."""
    rng = np.random.default_rng(seed)
    radius = np.linspace(0.5, 5.5, n_g2)
    centres = r + 0.02 * rng.standard_normal(n_members)
    members = np.stack(
        [
            6.0 * np.exp(-8.0 * (radius - c) ** 2) + 3.0 * np.exp(-4.0 * (radius - c - 1.2) ** 2)
            for c in centres
        ]
    )
    spread = float(centres.std(ddof=1))
    shell = FirstShell(r, spread, r - 2.0 * spread, r + 2.0 * spread, centres)
    peaks = (Peak(r, 6.0, "near"), Peak(r + 1.2, 3.0, "near"))
    return Prediction(radius, members.mean(0), members.std(0, ddof=1), members, shell, peaks, 8.0)


def assessment(
    confidence: Confidence = Confidence.GREEN,
    flags_: tuple[Flag, ...] = (),
    of: Prediction | None = None,
) -> Assessment:
    """Return a verdict on `of` with a band of ±2σ; without a prediction the band is empty."""
    mean = of.mean if of else np.empty(0)
    sigma = of.sigma if of else np.empty(0)
    signals = {"first_shell_sigma": of.first_shell.sigma} if of else {}
    chance = {Confidence.GREEN: 0.95, Confidence.AMBER: 0.7, Confidence.RED: 0.2}[confidence]
    return Assessment(confidence, flags_, mean - 2 * sigma, mean + 2 * sigma, chance, signals)


def spectrum_result(
    index: int = 0,
    confidence: Confidence = Confidence.GREEN,
    flags_: tuple[Flag, ...] = (),
    *,
    r: float = 1.98,
    n_points: int = 245,
) -> SpectrumResult:
    """Return a spectrum that went all the way."""
    said = prediction(r, seed=index)
    return SpectrumResult(
        index,
        normalised(index, n_points),
        model_input(),
        said,
        assessment(confidence, flags_, said),
    )


def unusable_result(index: int = 0, code: str = "no_edge", **values: object) -> SpectrumResult:
    """Return a spectrum that got no further than its channels."""
    verdict = assessment(Confidence.RED, (flags.make(code, **values),))
    return SpectrumResult(index, None, None, None, verdict)


def unusable(index: int = 0, code: str = "no_edge", **values: object) -> Unusable:
    """Return what reduction says of a sweep without an edge."""
    return Unusable(index, (flags.make(code, **values),), spectrum(index))


def result(
    n_spectra: int = 1,
    confidence: Confidence = Confidence.GREEN,
    *,
    key: str = "3d1f8a52-0a1b2c3d",
    spectra: tuple[SpectrumResult, ...] | None = None,
    **scan_changes: Any,
) -> Result:
    """Return all there is to know of one run."""
    if spectra is None:
        spectra = tuple(spectrum_result(i, confidence) for i in range(n_spectra))
    return Result(
        scan=scan(max(1, len(spectra)), **scan_changes),
        spectra=spectra,
        model=MODEL,
        config_hash="c0ffee123456",
        key=key,
        software="xanes-live 0.1.0",
    )


def flag(code: str) -> Flag:
    """Return a flag of that code with a message of its own, whatever values its template needs."""
    return Flag(code, flags.FLAGS[code].severity, f"seen: {code}", "do something")


def declined(code: str = "no_model", *, uid: str = UID, **changes: Any) -> Declined:
    """Return a copper scan for which there is no model."""
    values = changes.pop("values", {"element": "Cu", "edge": "K"})
    fields: dict[str, Any] = {
        "uid": uid,
        "flag": flags.make(code, **values),
        "element": "Cu",
        "edge": "K",
        "scan_id": 18,
        "sample": "Cu foil",
        "time": START,
        "stop_time": START + 60.0,
        "metadata": {"uid": uid, "scan_id": 18, "sample": "Cu foil", "plan_name": "xanes"},
    }
    return Declined(**(fields | changes))


class Predictor:
    """Says the same of every spectrum."""

    info = MODEL
    energy = np.linspace(7112.5, 7160.0, 475)
    radius = prediction().radius
    input_form = "flattened"
    calibration = MappingProxyType({"band_factor": 2.0})

    def predict(self, mu):
        return tuple(prediction() for _ in mu)
