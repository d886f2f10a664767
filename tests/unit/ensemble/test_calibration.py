import numpy as np
import pytest

from xanes_live.descriptor import first_shell
from xanes_live.ensemble.calibration import band, conformal_quantile, coverage, shell_interval


def test_quantile_by_hand():
    assert conformal_quantile(np.arange(1.0, 20.0)) == 19.0  # ⌈20·0.95⌉ = 19th of 19
    assert conformal_quantile(np.arange(1.0, 40.0)) == 38.0  # ⌈40·0.95⌉ = 38th
    assert conformal_quantile(np.arange(1.0, 5.0)) == 4.0  # too few: the largest
    assert np.isnan(conformal_quantile(np.array([np.nan])))


def test_quantile_covers_the_next_one():
    rng = np.random.default_rng(0)
    hits = [conformal_quantile(x[:30]) >= x[30] for x in rng.exponential(size=(4000, 31))]
    assert np.mean(hits) >= 0.945


def test_band_covers_unseen_spectra_at_every_radius():
    rng = np.random.default_rng(1)
    scale = np.linspace(0.2, 3.0, 8)  # each radius over-confident to its own degree
    sigma = rng.uniform(0.5, 2.0, (6000, 8))
    error = np.abs(rng.standard_normal((6000, 8)) * sigma * scale)
    calibration = band(error[:3000], sigma[:3000])
    assert coverage(error[3000:], sigma[3000:], calibration) == pytest.approx(0.95, abs=0.01)
    half = np.maximum(np.array(calibration["band_factor"]) * sigma, calibration["band_floor"])
    assert np.all(np.abs(np.mean(error[3000:] <= half[3000:], axis=0) - 0.95) < 0.02)


def test_shell_interval_covers_and_takes_the_bias_off():
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.01, 0.05, 4000)
    error = 0.03 + 2.5 * np.hypot(sigma, 0.02) * rng.standard_normal(4000)
    found = shell_interval(error[:2000], sigma[:2000])
    assert found["offset"] == pytest.approx(-0.03, abs=0.01)
    covered = []
    for e, s in zip(error[2000:], sigma[2000:], strict=True):
        votes = 2.0 + e + s * np.array([-1.0, 0.0, 1.0])  # their σ (ddof 1) is s
        shell = first_shell(votes, **found)
        covered.append(shell.low <= 2.0 <= shell.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_a_compound_counts_once():
    error = np.array([0.1] * 20 + [0.0, 0.01, -0.01])
    group = np.array(["foil"] * 20 + ["a", "b", "c"])
    sigma = np.full(23, 0.01)
    assert shell_interval(error, sigma)["offset"] == pytest.approx(-0.1)
    assert shell_interval(error, sigma, group=group)["offset"] == pytest.approx(-0.005)


def test_unknown_errors_are_left_out():
    error = np.array([0.02, np.nan, 0.02])
    assert shell_interval(error, np.full(3, 0.01))["offset"] == pytest.approx(-0.02)
