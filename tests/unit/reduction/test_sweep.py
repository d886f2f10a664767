"""Energies come out increasing, each once, whatever way the monochromator went."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xanes_live.reduction.sweep import SAME, put_in_order

GRID = np.concatenate([np.arange(7000.0, 7090.0, 5.0), np.arange(7090.0, 7160.0, 0.5)])


def signal(energy):
    return 1.0 + np.arctan(energy - 7112.0)


def test_a_proper_sweep_passes_untouched():
    order = put_in_order(GRID)
    assert order.energy is not None
    np.testing.assert_array_equal(order.energy, GRID)
    np.testing.assert_array_equal(order.apply(signal(GRID)), signal(GRID))
    assert (order.dropped, order.merged, order.rearranged) == (0, 0, False)


def test_a_downward_sweep_is_turned_round_and_told():
    order = put_in_order(GRID[::-1])
    np.testing.assert_array_equal(order.energy, GRID)
    np.testing.assert_array_equal(order.apply(signal(GRID)[::-1]), signal(GRID))
    assert order.rearranged
    assert order.merged == 0


def test_back_and_forth_is_averaged_onto_one_grid():
    rng = np.random.default_rng(0)
    there, back = GRID, GRID[::-1] + rng.uniform(-0.1, 0.1, GRID.size)
    energy = np.concatenate([there, back])
    readings = signal(energy) + 0.01 * rng.standard_normal(energy.size)
    order = put_in_order(energy)
    assert order.energy.size == GRID.size
    assert np.diff(order.energy).min() > 0.2
    assert order.merged == 2 * GRID.size
    error = order.apply(readings) - signal(order.energy)
    assert np.sqrt(np.mean(error**2)) < 0.01, "two passes are to have less noise than one"


def test_three_legs_of_different_reach_keep_what_only_one_covers():
    energy = np.concatenate([GRID[:120], GRID[119:40:-1], GRID[40:]])
    order = put_in_order(energy)
    np.testing.assert_allclose(order.energy, GRID, atol=1e-9)


def test_a_trembling_encoder_leaves_no_tiny_steps():
    rng = np.random.default_rng(1)
    energy = np.arange(7050.0, 7200.0, 0.25) + 0.2 * rng.standard_normal(600)
    order = put_in_order(energy)
    assert order.rearranged
    assert np.diff(order.energy).min() > 0.02
    assert order.energy.size > 400


def test_repeated_energies_are_averaged_ignoring_nan():
    energy = np.array([7000.0, 7001.0, 7001.0, 7001.0, 7002.0])
    order = put_in_order(energy)
    np.testing.assert_array_equal(order.energy, [7000.0, 7001.0, 7002.0])
    values = np.array([[1.0, 2.0, np.nan, 4.0, 5.0], [np.nan, np.nan, np.nan, np.nan, 1.0]])
    np.testing.assert_array_equal(order.apply(values), [[1.0, 3.0, 5.0], [np.nan, np.nan, 1.0]])


@pytest.mark.parametrize("bad", [[], [np.nan] * 5, [-1.0, 0.0, np.inf]])
def test_no_valid_energy_leaves_no_points(bad):
    order = put_in_order(np.array(bad))
    assert order.energy.size == 0
    assert order.dropped == len(bad)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.floats(7000.0, 7200.0), st.sampled_from([np.nan, np.inf, 0.0, -7.0])),
                max_size=60))  # fmt: skip
def test_anything_comes_out_strictly_increasing(energies):
    energy = np.array(energies)
    order = put_in_order(energy)
    assert np.all(np.diff(order.energy) >= SAME / 2)
    assert order.picked.size + order.dropped == energy.size
    good = energy[np.isfinite(energy) & (energy > 0)]
    if good.size:
        assert good.min() - 1e-9 <= order.energy[0]
        assert order.energy[-1] <= good.max() + 1e-9
        # the mean over all raw points is the mean of the groups, weighted
        counts = np.diff(np.append(order.starts, order.picked.size))
        np.testing.assert_allclose(order.energy @ counts, good.sum(), rtol=1e-12)


def test_points_in_no_order_are_sorted_and_kept_apart():
    order = put_in_order(np.random.default_rng(2).permutation(GRID))
    np.testing.assert_array_equal(order.energy, GRID)
    assert (order.merged, order.rearranged) == (0, True)
