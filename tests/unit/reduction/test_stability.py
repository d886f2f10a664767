"""An edge step that depends on its ranges is said to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import measured
from xanes_live.config import ReductionConfig
from xanes_live.domain import Mode, Scan, Spectrum
from xanes_live.reduction import normalise, spectra_from_scan
from xanes_live.reduction.stability import other_steps


def of(s) -> Spectrum:
    (spectrum,) = spectra_from_scan(s.scan, *configs())
    return spectrum


def configs():
    from xanes_live.config import BeamlineConfig

    return BeamlineConfig(), ReductionConfig()


def unstable(spectrum):
    (result,) = normalise([spectrum], ReductionConfig())
    return [f for f in result.flags if f.code == "edge_step_unstable"]


@pytest.mark.parametrize("s", measured.spectra(), ids=lambda s: s.name)
def test_measured_spectra_are_stable(s):
    assert unstable(of(s)) == []


def test_a_curved_background_is_not():
    spectrum = of(measured.spectrum("Fe3O4"))
    x = spectrum.energy - 7112.0
    curved = spectrum.mu + 3.0 * np.exp(-((x / 120.0) ** 2))
    assert unstable(replace(spectrum, mu=curved))


def test_steps_of_a_clean_edge_agree_with_its_height():
    x = np.arange(-150.0, 400.0, 1.0)
    mu = 0.2 - 1e-4 * x + 0.7 * (0.5 + np.arctan(x / 0.5) / np.pi)
    ranges = {"pre1": -150.0, "pre2": -75.0, "norm1": 25.0, "norm2": 400.0, "nnorm": 1.0}
    assert other_steps(x, mu, {**ranges, "nvict": 0.0}) == pytest.approx([0.7] * 3, abs=0.01)


def test_too_few_points_are_left_out():
    x = np.array([-20.0, -10.0, 0.0, 10.0, 20.0, 30.0])
    ranges = {"pre1": -20.0, "pre2": -10.0, "norm1": 10.0, "norm2": 30.0, "nnorm": 1.0}
    assert other_steps(x, x, ranges) == []


# -- points announced and taken ------------------------------------------------------------------


def incomplete(scan: Scan):
    (spectrum,) = spectra_from_scan(scan, *configs())
    return [f.message for f in spectrum.flags if f.code == "scan_incomplete"]


def test_missing_points_are_told_unless_the_run_says_why():
    from xanes_live.flags import make

    scan = measured.spectrum("Fe2O3").scan
    points = scan.sweeps[0].energy.size
    assert incomplete(scan) == []
    assert incomplete(replace(scan, metadata={"num_points": points})) == []
    short = replace(scan, metadata={"num_points": points + 100})
    assert incomplete(short) == [f"{points} of {points + 100} announced points were taken"]
    aborted = make("scan_aborted", points=points)
    assert incomplete(replace(short, flags=(aborted,), exit_status="abort")) == []
    assert incomplete(replace(scan, metadata={"num_points": "many"})) == []


def test_the_mode_does_not_matter():
    assert of(measured.spectrum("FeO.prj")).mode is Mode.GIVEN
