"""On the model's grid: averaged where dense, interpolated where coarse, never silently made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from tests import factories, measured
from xanes_live.config import ReductionConfig
from xanes_live.domain import Mode, Spectrum
from xanes_live.flags import make
from xanes_live.reduction import (
    merge,
    normalise,
    pre_edge,
    resample,
    resample_array,
    resample_wide,
)
from xanes_live.reduction.cubics import MonotoneCubics
from xanes_live.reduction.standard_error import smooth_sigma

grid = np.linspace(7112.5, 7160.0, 475)


def normalised(name="Fe2O3"):
    s = measured.spectrum(name)
    raw = Spectrum(energy=s.energy, mu=s.mu, mode=Mode.GIVEN, element="Fe", edge="K", noise=1e-3)
    return normalise([raw], ReductionConfig())[0]


def smooth(energy):
    return factories.white_line(energy, 7120.0)


# -- where data are dense ------------------------------------------------------------------------


@pytest.mark.parametrize("density", [2, 5, 10, 30])
def test_dense_data_are_averaged_over_the_cells(density):
    """Noise falls with the square root of the points in a cell, and the curve is not moved."""
    rng = np.random.default_rng(0)
    energy = np.arange(7100.0, 7175.0, 0.1 / density)
    noise = 0.01 * rng.standard_normal((50, energy.size))
    error = resample_array(energy, smooth(energy) + noise, grid).mu - smooth(grid)
    assert error.std() == pytest.approx(0.01 / np.sqrt(density), rel=0.12)
    assert abs(error.mean()) < 2e-4


def test_no_noise_folds_back_from_dense_data():
    """An oscillation faster than the grid vanishes; picking points would leave all of it."""
    energy = np.arange(7100.0, 7175.0, 0.005)
    wiggle = np.sin(2 * np.pi * energy / 0.033)
    assert np.abs(resample_array(energy, wiggle, grid).mu).max() < 0.12


def test_the_area_under_the_curve_is_kept():
    energy = np.linspace(7105.0, 7170.0, 9001)
    mu = 1.0 + smooth(energy)
    got = resample_array(energy, mu, grid)
    inside = (energy >= grid[0] - 0.05) & (energy <= grid[-1] + 0.05)
    exact = np.trapezoid(mu[inside], energy[inside])
    assert got.mu.sum() * 0.1003 == pytest.approx(exact, rel=2e-3)


# -- where data are coarse -----------------------------------------------------------------------


@pytest.mark.parametrize(("step", "limit"), [(0.25, 2e-4), (0.5, 1e-3), (1.0, 5e-3)])
def test_coarse_data_are_interpolated_to_within_what_they_can_tell(step, limit):
    energy = np.arange(7100.03, 7175.0, step)
    error = resample_array(energy, smooth(energy), grid).mu - smooth(grid)
    assert np.sqrt(np.mean(error**2)) < limit
    linear = np.interp(grid, energy, smooth(energy)) - smooth(grid)
    assert np.sqrt(np.mean(error**2)) < 0.7 * np.sqrt(np.mean(linear**2))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3.0))
def test_interpolation_never_overshoots(seed, step):
    rng = np.random.default_rng(seed)
    energy = 7100.0 + np.cumsum(rng.uniform(0.5 * step, 1.5 * step, 60))
    mu = rng.standard_normal(60)
    inside = grid[(grid > energy[0]) & (grid < energy[-1])]
    got = resample_array(energy, mu, inside).mu
    right = np.searchsorted(energy, inside).clip(1, 59)
    low = np.minimum(mu[right], mu[right - 1])
    high = np.maximum(mu[right], mu[right - 1])
    assert np.all(got >= low - 1e-9)
    assert np.all(got <= high + 1e-9)


@pytest.mark.parametrize("points", [3, 4, 60])
@pytest.mark.parametrize("seed", range(5))
def test_the_cubics_are_those_of_scipy(points, seed):
    rng = np.random.default_rng(seed)
    energy = 7100.0 + np.cumsum(rng.uniform(0.05, 3.0, points))
    mu = rng.standard_normal((2, points)).round(seed)  # rounded: flat pieces, equal neighbours
    ours, theirs = MonotoneCubics(energy, mu), PchipInterpolator(energy, mu, axis=1)
    at = np.sort(np.concatenate((energy, rng.uniform(energy[0], energy[-1], 50))))
    np.testing.assert_allclose(ours(at), theirs(at), atol=1e-12)
    integral = theirs.antiderivative()
    mean = (integral(at[7:]) - integral(at[:-7])) / (at[7:] - at[:-7])
    np.testing.assert_allclose(ours.mean(at[:-7], at[7:]), mean, atol=1e-9)


@pytest.mark.parametrize("what", ["equal", "descending", "no energy", "no value"])
def test_what_cannot_be_interpolated_is_refused(what):
    energy = np.arange(7100.0, 7180.0)
    mu = smooth(energy)
    if what == "descending":
        energy, mu = energy[::-1], mu[::-1]
    elif what == "equal":
        energy[40] = energy[39]
    else:
        (energy if what == "no energy" else mu)[40] = np.nan
    with pytest.raises(ValueError, match="increase strictly"):
        MonotoneCubics(energy, mu)
    if what != "descending":  # which covers nothing
        with pytest.raises(ValueError, match="increase strictly"):
            resample_array(energy, mu, grid)


def test_data_on_the_grid_pass_unchanged():
    mu = smooth(grid)
    np.testing.assert_allclose(resample_array(grid, mu, grid).mu, mu, atol=1e-12)


def test_a_straight_line_stays_one_on_any_mixture_of_densities():
    rng = np.random.default_rng(1)
    energy = np.unique(np.concatenate([rng.uniform(7100, 7130, 2000), np.arange(7130, 7170, 1.3)]))
    line = 0.2 + 0.01 * (energy - 7100.0)
    got = resample_array(energy, line, grid).mu
    np.testing.assert_allclose(got, 0.2 + 0.01 * (grid - 7100.0), atol=3e-4)


def test_a_batch_gives_what_single_spectra_give():
    rng = np.random.default_rng(2)
    energy = np.sort(rng.uniform(7100.0, 7170.0, 400))
    many = smooth(energy) + 0.01 * rng.standard_normal((20, 400))
    together = resample_array(energy, many, grid)
    assert together.mu.shape == (20, grid.size)
    for row, got in zip(many, together.mu, strict=True):
        np.testing.assert_allclose(resample_array(energy, row, grid).mu, got, rtol=1e-12)


# -- where there are none ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["normalised", "flattened"])
@pytest.mark.parametrize("missing", [0.0, 6.0, 20.0])
def test_a_wider_grid_gives_the_same_in_the_middle(form, missing):
    wide = grid[0] + (grid[1] - grid[0]) * np.arange(-80, grid.size + 80)
    n = normalised()
    cut = (n.energy > grid[0] + missing) & (n.energy < grid[-1] - missing if missing else True)
    curves = ("energy", "normalised", "flattened", "pre_edge", "post_edge")
    n = replace(n, **{name: getattr(n, name)[cut] for name in curves}) if missing else n
    given, mu = resample_wide(n, wide, grid, slice(80, -80), form)
    alone = resample(n, grid, form)
    np.testing.assert_allclose(given.mu, alone.mu, atol=1e-9)
    assert np.array_equal(given.covered, alone.covered)
    assert (given.flags, given.energy is grid) == (alone.flags, True)
    np.testing.assert_allclose(mu, resample(n, wide, form).mu, atol=1e-12)


@pytest.mark.parametrize("form", ["normalised", "flattened"])
def test_a_covering_spectrum_is_not_flagged(form):
    result = resample(normalised(), grid, form)
    assert result.flags == ()
    assert result.covered.all()
    n = normalised()
    curve = n.flattened if form == "flattened" else n.normalised
    np.testing.assert_allclose(result.mu, np.interp(grid, n.energy, curve), atol=0.01)


@pytest.mark.parametrize("form", ["normalised", "flattened"])
def test_missing_ends_are_marked_filled_and_flagged(form):
    n = normalised()
    keep = (n.energy > 7116.0) & (n.energy < 7150.0)
    curves = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    cut = replace(n, **{curve: getattr(n, curve)[keep] for curve in curves})
    result = resample(cut, grid, form)
    low, high = cut.energy[0], cut.energy[-1]
    np.testing.assert_array_equal(result.covered, (grid > low - 0.06) & (grid < high + 0.06))
    assert np.all(result.mu[grid < low - 0.06] == 0.0)
    above = result.mu[grid > high + 0.06]
    assert np.isfinite(above).all()
    assert abs(above[0] - result.mu[result.covered][-1]) < 0.02, "the curve goes on where it ends"
    assert abs(above[-1] - 1.0) < abs(above[0] - 1.0), "and tends to the post-edge"
    (flag,) = result.flags
    assert flag.code == "grid_not_covered"
    assert f"{100 * np.mean(~result.covered):.0f} %" in flag.message


def test_what_an_ensemble_can_do_without_need_not_be_covered():
    n = normalised()
    keep = n.energy < 7150.0
    curves = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    cut = replace(n, **{curve: getattr(n, curve)[keep] for curve in curves})
    enough, short = (resample(cut, grid, "flattened", needed) for needed in (7149.0, 7155.0))
    assert not enough.flags
    assert not enough.covered.all(), "it is not said to be measured"
    (flag,) = short.flags
    assert "7155" in flag.message
    assert "Scan from" in flag.remedy
    assert "7155" in flag.remedy
    np.testing.assert_array_equal(enough.mu, resample(cut, grid, "flattened").mu)


def test_a_grid_entirely_outside_is_all_made_up_and_says_so():
    for shift in (-500.0, 500.0):
        result = resample_array(grid + shift, smooth(grid), grid)
        assert not result.covered.any()
        assert np.isfinite(result.mu).all()


def test_half_a_cell_beyond_the_data_still_counts():
    energy = np.arange(7112.54, 7159.97, 0.5)
    energy = np.append(energy, 7159.96)
    assert resample_array(energy, smooth(energy), grid).covered.all()


def test_an_unknown_form_is_an_error():
    with pytest.raises(ValueError, match="form"):
        resample(normalised(), grid, "flat")
    with pytest.raises(ValueError, match="2 points"):
        resample_array(np.array([1.0]), np.array([1.0]), grid)


# -- merging -------------------------------------------------------------------------------------


def repeats(count, noise=0.01, seed=3):
    rng = np.random.default_rng(seed)
    n = normalised()
    return [
        replace(n, normalised=n.normalised + noise * rng.standard_normal(n.energy.size))
        for _ in range(count)
    ]


def test_a_merge_is_the_mean_with_its_standard_error():
    spectra = repeats(9)
    merged = merge(spectra)
    assert merged.count == 9
    rows = np.array([s.normalised for s in spectra])
    np.testing.assert_allclose(merged.normalised, merged.share @ rows)
    np.testing.assert_allclose(merged.share, 1.0 / 9.0)  # noise is not known well enough
    assert np.median(merged.sigma) == pytest.approx(0.01 / 3.0, rel=0.1)
    pull = (merged.normalised - normalised().normalised) / merged.sigma
    assert np.mean(np.abs(pull) < 2.31) == pytest.approx(0.95, abs=0.03)  # Student's t, 8 degrees


def with_noise(item, level, rng):
    mu = item.normalised + level * rng.standard_normal(item.energy.size)
    return replace(item, normalised=mu)


def test_a_noisy_repeat_counts_for_what_it_is_worth():
    """Errors of the weighted mean are those of the good ones, and told as honestly, in 60 draws."""
    n = normalised()
    pulls, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        merged = merge([with_noise(n, level, rng) for level in (0.005, 0.005, 0.005, 0.1)])
        assert merged.share[3] < 0.02
        errors.append(merged.normalised - n.normalised)
        pulls.append(errors[-1] / merged.sigma)
    assert np.std(errors) == pytest.approx(0.005 / np.sqrt(3.0), rel=0.15)
    # pooled over neighbouring points, so that it is no Student's t of 2 degrees
    assert np.mean(np.abs(pulls) < 1.96) == pytest.approx(0.95, abs=0.02)


def test_of_two_repeats_the_good_one_is_believed():
    n = normalised()
    errors, said = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        merged = merge([with_noise(n, 0.002, rng), with_noise(n, 0.1, rng)])
        errors.append(merged.normalised - n.normalised)
        said.append(merged.sigma)
    assert np.std(errors) < 0.004
    assert np.sqrt(np.mean(np.square(said))) == pytest.approx(0.0045, abs=0.0015)


def test_a_repeat_that_is_quiet_since_its_detector_hangs_is_not_preferred():
    n, rng = normalised(), np.random.default_rng(2)
    hung, *others = (with_noise(n, level, rng) for level in (0.0, 0.02, 0.02, 0.02))
    flag = make("channel_frozen", channel="It", count=9, low=7150.0, high=7170.0)
    assert merge([hung, *others]).share[0] > 0.8
    assert merge([replace(hung, flags=(flag,)), *others]).share[0] < 0.3


def test_noise_is_compared_on_common_energies():
    """A fine scan is averaged before it is merged with a coarse one: it is worth more then."""
    n, rng = normalised(), np.random.default_rng(3)
    energy = np.arange(n.energy[0], n.energy[-1], 0.1)
    curves = {
        name: np.interp(energy, n.energy, getattr(n, name))
        for name in ("normalised", "flattened", "mu", "pre_edge", "post_edge")
    }
    fine = with_noise(replace(n, energy=energy, **curves), 0.015, rng)
    merged = merge([with_noise(n, 0.01, rng), with_noise(n, 0.01, rng), fine])
    assert merged.share[2] > 0.25


@pytest.mark.parametrize("order", [1, -1])
def test_a_coarse_repeat_does_not_set_the_grid_of_the_others(order):
    """The merge has the finest energies there are, and what is interpolated gains no weight."""
    fine, second = repeats(2, noise=0.01)
    kept = fine.energy[::4]
    curves = {
        name: getattr(second, name)[::4]
        for name in ("normalised", "flattened", "mu", "pre_edge", "post_edge")
    }
    coarse = replace(second, energy=kept, **curves)
    merged = merge([coarse, fine, fine][::order])
    np.testing.assert_array_equal(merged.energy, fine.energy[fine.energy <= kept[-1]])
    assert merged.share[[0, -1][order < 0]] < 0.4


def test_repeats_on_other_grids_and_ranges_merge_on_what_they_share():
    first, second = repeats(2, noise=0.0)
    keep = (second.energy > 7000.0) & (second.energy < 7500.0)
    keep[::3] = False
    second = replace(second, energy=second.energy[keep], normalised=second.normalised[keep],
                     flattened=second.flattened[keep])  # fmt: skip
    merged = merge([first, second])
    assert merged.energy[0] >= second.energy[0]
    assert merged.energy[-1] <= second.energy[-1]
    np.testing.assert_allclose(merged.normalised, np.interp(merged.energy, first.energy,
                               first.normalised), atol=0.01)  # fmt: skip


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("noise", [0.002, 0.02])
def test_the_error_of_a_merge_keeps_its_word_for_few_repeats_too(count, noise):
    """±1.96 σ holds the spectrum without noise, its edge step included, at 95 % of the points."""
    s = measured.spectrum("Fe2O3")
    kept = (s.energy > 7012.0) & (s.energy < 7412.0)
    mu = s.mu[kept] / pre_edge(s.energy, s.mu).edge_step

    def taken(rng, level):
        noisy = mu + level * rng.standard_normal(mu.size)
        raw = Spectrum(s.energy[kept], noisy, Mode.GIVEN, "Fe", "K", noise=level)
        return normalise([raw], ReductionConfig(e0=7126.0))[0]

    truth = taken(np.random.default_rng(0), 0.0)
    near = (truth.energy > 7092.0) & (truth.energy < 7202.0)
    held = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        merged = merge([taken(rng, noise) for _ in range(count)])
        held.append(np.abs(merged.normalised - truth.normalised) < 1.96 * merged.sigma)
    assert 0.91 < np.mean([row[near] for row in held]) < 0.99


def test_repeats_that_agree_by_accident_are_as_uncertain_as_their_noise():
    n = normalised()
    n = replace(n, spectrum=replace(n.spectrum, noise=0.01 * n.edge_step))
    assert merge([n, n]).sigma.min() > 0.5 * 0.01
    many = merge([n] * 20).sigma
    assert many.max() < 0.3 * merge([n, n]).sigma.min()


def test_repeats_that_differ_by_more_than_noise_are_not_made_to_agree():
    n = normalised()
    n = replace(n, spectrum=replace(n.spectrum, noise=0.001 * n.edge_step))
    merged = merge([n, replace(n, normalised=n.normalised + 0.1)])
    np.testing.assert_allclose(merged.sigma, 0.05, rtol=1e-6)


def test_sigma_is_smoothed_without_a_bias():
    rng = np.random.default_rng(0)
    sigma = np.abs(rng.standard_normal(400)) * 0.01
    smooth = smooth_sigma(sigma)
    assert smooth.shape == sigma.shape
    assert np.sqrt((smooth**2).mean()) == pytest.approx(np.sqrt((sigma**2).mean()), rel=0.05)
    assert smooth.std() < 0.5 * sigma.std()
    for size in (1, 2, 3, 4, 16):
        assert smooth_sigma(np.ones(size)) == pytest.approx(np.ones(size))


def test_one_spectrum_merges_to_itself_with_its_own_noise():
    (only,) = repeats(1, noise=0.0)
    merged = merge([only])
    np.testing.assert_array_equal(merged.normalised, only.normalised)
    counted = only.spectrum.noise / only.edge_step
    assert counted < merged.sigma[0] < 1.6 * counted  # and what it does to the edge step


def test_nothing_and_nothing_in_common_cannot_be_merged():
    with pytest.raises(ValueError, match="nothing"):
        merge([])
    (only,) = repeats(1)
    with pytest.raises(ValueError, match="in common"):
        merge([only, replace(only, energy=only.energy + 1e5)])
