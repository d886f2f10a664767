"""Self-absorption is suspected where fluorescence is damped, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import measured, spoil
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.demo import samples
from xanes_live.domain import Mode, NormalisedSpectrum
from xanes_live.reduction import normalise, pre_edge, spectra_from_scan
from xanes_live.reduction.absorption import damping

HEMATITE = samples.load("fe2o3")


def flags(scan):
    (spectrum,) = spectra_from_scan(scan, BeamlineConfig(), ReductionConfig())
    (result,) = normalise([spectrum], ReductionConfig())
    assert isinstance(result, NormalisedSpectrum)
    return [f for f in result.flags if f.code == "over_absorption"]


def thin(sample, noise=0.0):
    """Return fluorescence without self-absorption beside transmission."""
    made = spoil.transmission(sample)
    norm = np.maximum(pre_edge(sample.energy, sample.mu).flat, 0.0)
    norm += noise * np.random.default_rng(0).standard_normal(norm.size)
    counts = 0.01 * spoil.beam(sample.energy) * (0.05 + norm)
    return spoil.scan(sample, replace(made, fluorescence=counts[None]), mode=Mode.FLUORESCENCE)


def test_a_thick_sample_is_damped_against_transmission():
    (flag,) = flags(spoil.self_absorbed(HEMATITE))
    assert "transmission" in flag.message
    assert "23%" in flag.message


def test_a_thin_sample_is_not_even_with_noise():
    assert flags(thin(HEMATITE)) == []
    assert flags(thin(HEMATITE, noise=0.02)) == []


def test_the_slope_is_the_one_of_the_formula():
    e = HEMATITE.energy
    flat = pre_edge(e, HEMATITE.mu).flat
    for alpha in (0.4, 1.0, 4.0):
        found = damping(e, flat * (1 + alpha) / (alpha + flat), flat)
        assert found is not None
        at_one = alpha / (1 + alpha)  # above 1, on the white line, it is damped more
        assert 0.75 * at_one < found[0] < at_one


def test_noise_in_transmission_does_not_look_like_damping():
    e = HEMATITE.energy
    flat = pre_edge(e, HEMATITE.mu).flat
    noisy = flat + 0.03 * np.random.default_rng(1).standard_normal(e.size)
    found = damping(e, flat, noisy)
    assert found is None or found[0] == pytest.approx(1.0, abs=0.1)


def test_a_transmission_of_something_else_says_nothing():
    e = HEMATITE.energy
    flat = pre_edge(e, HEMATITE.mu).flat
    other = 0.5 + np.arctan((e - 7120.0) / 1.0) / np.pi + 0.1 * np.sin(e / 4.0)
    assert damping(e, flat, other) is None


def test_fluorescence_alone_is_suspected_by_its_missing_white_line():
    (flag,) = flags(spoil.self_absorbed_alone(HEMATITE))
    assert "1.11 edge steps" in flag.message


def test_a_missing_white_line_that_transmission_shows_too_is_nothing():
    metal = thin(samples.load("fe_foil"))
    assert flags(metal) == []
    (sweep,) = metal.sweeps
    (alone,) = flags(replace(metal, sweeps=(replace(sweep, it=None),)))
    assert "edge steps only" in alone.message


def test_transmission_without_a_white_line_is_nothing():
    assert flags(spoil.good(samples.load("fe_foil"))) == []


def test_measured_fluorescence_is_not_suspected():
    gillespite = measured.spectrum("Gillepsite")
    assert flags(gillespite.scan) == []
