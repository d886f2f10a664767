"""Colours follow flags; bands follow the calibration."""

from dataclasses import replace

import numpy as np
import pytest

from tests import factories
from xanes_live.confidence import Calibration, assess, refuse
from xanes_live.confidence.assess import colour
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import Confidence
from xanes_live.flags import make

CALIBRATION = Calibration.from_mapping({"band_factor": 3.0, "band_floor": 0.05}, 50)


def judged(prediction, *scan_flags, normalised=None):
    return assess(
        prediction,
        normalised or factories.normalised(),
        factories.model_input(),
        scan_flags,
        CALIBRATION,
        ConfidenceConfig(),
    )


def with_half_width(half, r=2.0):
    prediction = factories.prediction(r=2.0)
    shell = replace(prediction.first_shell, r=r, low=2.0 - half, high=2.0 + half)
    return replace(prediction, first_shell=shell)


@pytest.mark.parametrize(
    ("half", "expected", "code"),
    [
        (0.05, Confidence.GREEN, None),
        (0.26, Confidence.AMBER, "ensemble_spread"),
        (0.61, Confidence.RED, "ensemble_spread_large"),
        (np.nan, Confidence.RED, "ensemble_spread_large"),
    ],
)
def test_spread_sets_the_colour(half, expected, code):
    verdict = judged(with_half_width(half))
    assert verdict.confidence is expected
    assert (verdict.flags[0].code if code else None) == code


def test_no_first_shell_is_red():
    verdict = judged(with_half_width(0.01, r=np.nan))
    assert verdict.confidence is Confidence.RED
    assert verdict.flags[0].code == "no_first_shell"


def test_a_distance_without_a_peak_of_g2_is_red():
    prediction = with_half_width(0.01)
    verdict = judged(replace(prediction, mean=np.zeros_like(prediction.mean)))
    assert verdict.confidence is Confidence.RED
    assert verdict.flags[0].code == "no_first_shell"
    assert "though the network gives a distance" in verdict.flags[0].message


def test_flags_of_every_stage_count_and_the_worst_comes_first():
    noisy = factories.flag("noisy")
    normalised = factories.normalised(flags=(make("not_sorted"), noisy))
    verdict = judged(with_half_width(0.01), make("scan_aborted", points=80), normalised=normalised)
    expected = ["scan_aborted", "noisy", "not_sorted", "not_calibrated"]
    assert [f.code for f in verdict.flags] == expected
    assert verdict.confidence is Confidence.RED


def test_band_is_the_calibrated_one_and_never_negative():
    prediction = factories.prediction()
    verdict = judged(prediction)
    half = np.maximum(3.0 * prediction.sigma, 0.05)
    np.testing.assert_allclose(verdict.upper, prediction.mean + half)
    np.testing.assert_allclose(verdict.lower, np.maximum(prediction.mean - half, 0))
    assert (verdict.lower >= 0).all()


def test_band_holds_a_mean_that_is_below_zero():
    prediction = factories.prediction()
    prediction = replace(prediction, mean=prediction.mean - prediction.mean.max() - 1.0)
    verdict = judged(prediction)
    assert (verdict.lower <= prediction.mean).all()
    assert (verdict.upper >= np.maximum(prediction.mean, 0.0)).all()


def test_what_sigma_lacks_widens_the_band_where_g2_is_large():
    values = {"band_factor": 3.0, "band_floor": 0.05}
    mean, sigma = np.array([0.0, 2.0]), np.array([0.1, 0.1])
    plain = Calibration.from_mapping(values, 2).half_width(mean, sigma)
    wider = Calibration.from_mapping(values | {"band_share": 0.1}, 2).half_width(mean, sigma)
    np.testing.assert_allclose(plain, [0.3, 0.3])
    np.testing.assert_allclose(wider, [0.3, 3.0 * np.hypot(0.1, 0.2)])


def test_refusal_is_red_with_an_empty_band():
    verdict = refuse((make("no_edge"),), 50)
    assert verdict.confidence is Confidence.RED
    assert np.isnan(verdict.lower).all()
    assert verdict.lower.shape == (50,)


def test_info_flags_leave_a_result_green():
    assert colour((make("not_sorted"),)) is Confidence.GREEN


def test_calibration_may_vary_with_radius():
    factors = np.linspace(1, 5, 50)
    calibration = Calibration.from_mapping({"band_factor": factors.tolist()}, 50)
    np.testing.assert_array_equal(calibration.band_factor, factors)
