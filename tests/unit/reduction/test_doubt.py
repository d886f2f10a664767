"""What a spectrum may be as well."""

import numpy as np
import pytest

from tests import measured
from tests.unit.reduction.test_normalise import cut, one
from xanes_live.config import ReductionConfig
from xanes_live.reduction.doubt import LEARNT, MOST, UNMEASURED, alternatives, with_other_steps
from xanes_live.reduction.uncertainty import range_errors


def turned(item, change):
    """Normalise again by hand, with a post-edge line turned about the middle of its range."""
    x = item.energy - item.e0
    middle = 0.5 * (item.ranges["norm1"] + item.ranges["norm2"])
    post = item.post_edge + change * item.edge_step * (1.0 - x / middle)
    step = item.edge_step * (1.0 + change)
    norm = (item.mu - item.pre_edge) / step
    flat = np.where(x > 0, norm + 1.0 - (post - item.pre_edge) / step, norm)
    return norm, flat, post


def excess(error):
    return np.sqrt(error**2 - LEARNT**2)


def test_a_certain_step_leaves_nothing_to_try():
    item = one(cut(measured.spectrum("Fe2O3"), -100, 800))
    assert with_other_steps(item, range_errors(item.ranges)) == ()
    assert with_other_steps(item, np.array([LEARNT, 0.0])) == ()
    assert with_other_steps(item, np.array([0.03, 0.03]), counting=0.02) == ()
    assert with_other_steps(item, np.array([0.03, 0.03]), counting=0.03) != ()


@pytest.mark.parametrize("name", ["Fe2O3", "FeS2_rt", "FeO_rt"])
def test_a_line_turned_about_the_middle_of_its_range(name):
    item = one(cut(measured.spectrum(name), -100, 90))
    assert item.ranges["nnorm"] == 1
    _, pair = with_other_steps(item, np.array([0.0, 0.13]))
    for other, sign in zip(pair, (1.0, -1.0), strict=True):
        change = 1.0 / (1.0 + sign * excess(0.13)) - 1.0
        norm, flat, post = turned(item, change)
        np.testing.assert_allclose(other.normalised, norm, atol=1e-9)
        np.testing.assert_allclose(other.post_edge, post, atol=1e-9)
        # one point at e0 itself may fall on either side
        assert np.sum(np.abs(other.flattened - flat) > 1e-6) <= 1
        assert other.edge_step == pytest.approx(item.edge_step * (1.0 + change))


def other_pre_edge(item, step):
    """Normalise again by hand with a pre-edge line turned about the middle of its range."""
    x, ranges = item.energy - item.e0, item.ranges
    middle = 0.5 * (ranges["pre1"] + ranges["pre2"])
    post = (x >= ranges["norm1"]) & (x <= ranges["norm2"])
    degree = int(ranges["nnorm"])

    def again(change):
        above = item.mu - (item.pre_edge - change * item.edge_step * (1.0 - x / middle))
        fit = np.polyval(np.polyfit(x[post], above[post], degree), x)
        return above, fit, float(np.interp(0.0, x, fit))

    # the change of the line that makes the step what it is to be
    slope = again(1.0)[2] - again(0.0)[2]
    above, fit, height = again((step - again(0.0)[2]) / slope)
    return np.where((x > 0) & (degree > 0), 1.0 + (above - fit) / height, above / height)


@pytest.mark.parametrize(
    ("name", "nnorm"),
    [("Fe2O3", None), ("FeS2_rt", None), ("FeO_rt", None), ("FeS2_rt", 0), ("FeO_rt", 0)],
)
def test_a_pre_edge_line_turned_about_the_middle_of_its_range(name, nnorm):
    s = cut(measured.spectrum(name), -20, 200)
    item = one(s, ReductionConfig(nnorm=nnorm))
    errors = range_errors(item.ranges)
    assert errors[0] > 0.1
    pair, _ = with_other_steps(item, errors)
    near = (item.energy > item.e0 - 15.0) & (item.energy < item.e0 + 60.0)
    near &= np.abs(item.energy - item.e0) > 1.0  # flattening begins at either of two points
    for other in pair:
        by_hand = other_pre_edge(item, other.edge_step)
        # points are not equally spaced: the middle of a range is not quite that of its points
        np.testing.assert_allclose(other.flattened[near], by_hand[near], rtol=0.02, atol=6e-3)
        jump = np.abs(np.diff(other.flattened))[np.abs(item.energy[1:] - item.e0) < 2.0]
        usual = np.abs(np.diff(item.flattened))[np.abs(item.energy[1:] - item.e0) < 2.0]
        assert jump.max() < 2.0 * usual.max()


def test_a_constant_only_changes_the_scale():
    item = one(cut(measured.spectrum("FeO_rt"), -60, 60), ReductionConfig(nnorm=0))
    assert item.ranges["nnorm"] == 0
    _, (lower, higher) = with_other_steps(item, np.array([0.0, 0.25]))
    np.testing.assert_allclose(lower.flattened, item.flattened * (1.0 + excess(0.25)))
    np.testing.assert_allclose(higher.flattened, item.flattened * (1.0 - excess(0.25)))


def test_a_step_that_is_not_known_at_all_stays_a_step():
    item = one(cut(measured.spectrum("FeO_rt"), -60, 90))
    for pair in with_other_steps(item, np.array([3.0, 4.0])):
        for other, change in zip(pair, (1.0 / (1.0 + MOST), 1.0 / (1.0 - MOST)), strict=True):
            assert other.edge_step == pytest.approx(item.edge_step * change)
            assert np.isfinite(other.flattened).all()


@pytest.mark.parametrize("name", ["Fe2O3", "FeO_rt", "Fe3O4"])
@pytest.mark.parametrize(("low", "high", "which"), [(-100, 80, 1), (-15, 800, 0)])
def test_what_a_short_range_gets_wrong_lies_in_what_is_tried(name, low, high, which):
    """The full scan's spectrum is nearer to one of those tried than to what the range gives."""
    s = measured.spectrum(name)
    short, full = one(cut(s, low, high)), one(cut(s, -100, 800))
    near = (short.energy > short.e0) & (short.energy < short.e0 + 40.0)
    truth = np.interp(short.energy, full.energy, full.flattened)

    def off(item):
        return np.sqrt(np.mean((item.flattened - truth)[near] ** 2))

    pair = with_other_steps(short, range_errors(short.ranges))[which]
    assert min(map(off, pair)) < 0.6 * off(short)


GRID = np.arange(7112.5, 7160.0, 0.5)


def test_energies_beyond_the_data_may_be_anything_usual():
    whole = one(cut(measured.spectrum("FeO_rt"), -100, 800))
    assert alternatives(whole, GRID, "flattened") is None
    item = one(cut(measured.spectrum("FeO_rt"), -100, 25))
    steps, beyond = (
        alternatives(item, GRID, "flattened")[:-1],
        alternatives(item, GRID, "flattened")[-1],
    )
    assert len(steps) == 2
    higher, lower = beyond
    known = item.energy[-1] >= GRID
    np.testing.assert_array_equal(higher[known], lower[known])
    assert (higher - lower)[-1] == pytest.approx(2.0 * UNMEASURED, rel=0.1)
    assert (np.diff((higher - lower)[~known]) > 0).all()


def test_a_range_that_is_certain_enough_leaves_what_was_not_measured():
    """A model that asks for more than a good scan has: only that is in doubt."""
    item = one(cut(measured.spectrum("FeO_rt"), -100, 200))
    grid = np.arange(7112.5, item.energy[-1] + 20.0, 0.5)
    assert len(alternatives(item, grid, "flattened")) == 1
    assert alternatives(item, grid, "normalised").shape == (1, 2, grid.size)
