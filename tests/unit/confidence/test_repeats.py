"""Repeats of a measured spectrum: drifts and odd ones are found, noise and jitter are not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests import measured
from xanes_live.confidence.drift import drift, rank_correlation
from xanes_live.confidence.merged_noise import (
    draws,
    narrower_by,
    noise_of_distance,
)
from xanes_live.confidence.odd import goes_on, outlier, scatter
from xanes_live.confidence.stacked import Stack
from xanes_live.reduction import pre_edge

ENERGY = measured.spectrum("Fe2O3").energy
E0 = 7125.6


def flat(name):
    s = measured.spectrum(name)
    return np.interp(ENERGY, s.energy, pre_edge(s.energy, s.mu).flat)


OXIDISED, REDUCED = flat("Fe2O3"), flat("FeO_rt")


def series(n, seed, *, noise=0.005, reduced=0.0, odd=None, by=0.2) -> Stack:
    """Return repeats that are reduced by and by, with the jitter of a good beamline."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        share = reduced * i / max(n - 1, 1) + (by if i == odd else 0.0)
        mu = (1 - share) * OXIDISED + share * REDUCED
        mu = np.interp(ENERGY, ENERGY + 0.02 * rng.standard_normal(), mu)
        mu = mu * (1 + 0.003 * rng.standard_normal() * (ENERGY > 7115.0))
        rows.append(mu + noise * rng.standard_normal(mu.size))
    return Stack(ENERGY, np.array(rows), np.full(n, noise), E0)


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.03])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_repeats_of_a_sample_that_keeps_still_are_left_alone(n, noise):
    alarms = [
        stack
        for seed in range(60)
        if drift(stack := series(n, seed, noise=noise)) or outlier(stack) or scatter(stack)
    ]
    assert len(alarms) <= 1


@pytest.mark.parametrize("n", [3, 4, 5, 10])
def test_reduction_by_the_beam_is_a_drift(n):
    found = [drift(series(n, seed, reduced=0.3)) for seed in range(20)]
    assert all(d is not None for d in found)
    assert all(d.chance < 0.01 and 1 <= d.keep < n for d in found if d)
    positions = [d for d in found if d and d.measure == "the edge position"]
    assert all(d.unit == "eV" and d.change < 0 for d in positions)


@pytest.mark.parametrize("noise", [0.001, 0.005, 0.02])
def test_a_steady_series_is_hardly_ever_told_to_drift_while_it_grows(noise):
    stacks = [series(12, seed, noise=noise) for seed in range(60)]
    told = sum(any(drift(stack.take(range(n))) for n in range(3, 13)) for stack in stacks)
    assert told <= 1


@pytest.mark.parametrize("first", [2, 4, 8])
def test_a_step_is_found_however_long_the_series_has_been(first):
    stack = series(12, 0)
    stepped = np.arange(12)[:, None] >= first
    mixed = Stack(ENERGY, stack.mu + 0.2 * stepped * (REDUCED - OXIDISED), stack.noise, E0)
    found = drift(mixed)
    assert found is not None
    assert found.keep == first


def test_a_first_repeat_from_which_the_others_go_on_is_told_from_a_spoiled_one():
    shares = 0.3 * (1.0 - np.exp(-np.arange(5) / 0.7))[:, None]
    for seed in range(10):
        steady = series(5, seed)
        going = Stack(ENERGY, steady.mu + shares * (REDUCED - OXIDISED), steady.noise, E0)
        assert goes_on(going)
    assert sum(goes_on(series(5, seed, odd=0)) for seed in range(40)) <= 4
    assert not goes_on(series(3, 0, odd=0))


def test_a_slow_drift_keeps_more_repeats_than_a_fast_one():
    slow, fast = drift(series(12, 0, reduced=0.15)), drift(series(12, 0, reduced=0.6))
    assert slow is not None
    assert fast is not None
    assert slow.keep > fast.keep


def test_what_goes_up_and_down_is_no_drift():
    stack = series(6, 0)
    swing = np.array([0.0, 0.3, 0.0, 0.3, 0.0, 0.3])[:, None]
    mixed = Stack(ENERGY, stack.mu + swing * (REDUCED - OXIDISED), stack.noise, E0)
    assert drift(mixed) is None


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_odd_one_is_found_wherever_it_is(n):
    for seed in range(n):
        found = outlier(series(n, seed, odd=seed % n))
        assert found is not None
        assert found.position == seed % n
        assert found.times > 3.5


def test_another_normalisation_is_no_disagreement():
    stack = series(4, 0)
    above = np.clip((ENERGY - E0) / 50.0, 0.0, None)
    mu = stack.mu.copy()
    mu[2] = 1.06 * mu[2] + 0.03 * above * mu[2]
    assert outlier(Stack(ENERGY, mu, stack.noise, E0)) is None


@pytest.mark.parametrize("odd", [0, 1])
def test_of_two_that_do_not_agree_none_is_blamed(odd):
    stack = series(2, 0, odd=odd)
    assert outlier(stack) is None
    times = scatter(stack)
    assert times is not None
    assert times > 3.5
    assert outlier(series(1, 0)) is None
    assert scatter(series(1, 0)) is None


def test_the_ends_of_a_drift_are_no_outliers():
    for seed in range(10):
        stack = series(8, seed, reduced=0.4)
        assert outlier(stack, drift(stack)) is None


def test_an_odd_one_in_a_drift_is_found_too():
    stack = series(8, 0, reduced=0.2, odd=3, by=0.4)
    found = outlier(stack, drift(stack))
    assert found is not None
    assert found.position == 3


def test_measures_that_cannot_be_taken_are_passed_over():
    x = np.linspace(8000.0, 8010.0, 20)
    nothing = Stack(x, np.zeros((4, 20)), np.zeros(4), 7112.0)
    assert drift(nothing) is None
    assert outlier(nothing) is None


def test_rank_correlation():
    assert rank_correlation(np.array([1.0, 5.0, 6.0])) == pytest.approx(1.0)
    assert rank_correlation(np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert rank_correlation(np.ones(4)) == 0.0


def test_draws_are_pairs_and_the_same_every_time():
    noise = draws(np.full(50, 0.1), 0.1, 4)
    np.testing.assert_array_equal(noise[:4], -noise[4:])
    np.testing.assert_array_equal(noise, draws(np.full(50, 0.1), 0.1, 4))
    assert noise.std() == pytest.approx(0.1, rel=0.2)


def test_what_is_more_than_counting_noise_all_points_have_in_common():
    noise = draws(np.full(50, 0.1), 0.06, 400)
    assert noise.std() == pytest.approx(0.1, rel=0.1)
    assert noise.mean(axis=1).std() == pytest.approx(0.08, rel=0.1)
    assert np.diff(noise, axis=1).std() == pytest.approx(0.06 * np.sqrt(2.0), rel=0.05)
    quiet = draws(np.zeros(50), 0.06, 2)
    assert not quiet.any()


def test_only_what_is_linear_in_the_noise_counts():
    weights = np.linspace(-1.0, 1.0, 50)
    noise = draws(np.full(50, 0.1), np.inf, 200)
    distances = 2.0 + noise @ weights + 3.0
    expected = 0.1 * np.sqrt((weights**2).sum())
    assert noise_of_distance(distances) == pytest.approx(expected, rel=0.15)
    assert noise_of_distance(2.0 + np.abs(noise @ weights)) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(noise_of_distance(np.full(4, np.nan)))


def test_another_repeat_helps_where_noise_matters_only():
    assert narrower_by(0.08, 0.0, 3) == 0.0
    assert narrower_by(0.0, 0.1, 1) == pytest.approx(0.196 * (1 - np.sqrt(0.5)))
    gains = [narrower_by(0.08, 0.05 / np.sqrt(n), n) for n in (1, 2, 5, 20)]
    assert all(a > b > 0 for a, b in pairwise(gains))
