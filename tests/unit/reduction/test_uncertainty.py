"""A spectrum as it would be with another edge step."""

from dataclasses import replace

import numpy as np
import pytest

from tests import measured
from tests.unit.reduction.test_normalise import cut, one
from xanes_live.config import ReductionConfig
from xanes_live.reduction.uncertainty import LEARNT, MOST, with_other_steps


def uncertain(item, error):
    return replace(item, edge_step_sigma=error * item.edge_step)


def turned(item, change):
    """Normalise again by hand, with a post-edge line turned about the middle of its range."""
    x = item.energy - item.e0
    middle = 0.5 * (item.ranges["norm1"] + item.ranges["norm2"])
    post = item.post_edge + change * item.edge_step * (1.0 - x / middle)
    step = item.edge_step * (1.0 + change)
    norm = (item.mu - item.pre_edge) / step
    flat = np.where(x > 0, norm + 1.0 - (post - item.pre_edge) / step, norm)
    return norm, flat


def test_a_certain_step_leaves_nothing_to_try():
    item = one(cut(measured.spectrum("Fe2O3"), -100, 800))
    assert with_other_steps(item) == ()
    assert with_other_steps(uncertain(item, LEARNT)) == ()
    assert with_other_steps(replace(item, edge_step_sigma=None)) == ()


@pytest.mark.parametrize("name", ["Fe2O3", "FeS2_rt", "FeO_rt"])
def test_a_line_turned_about_the_middle_of_its_range(name):
    item = uncertain(one(cut(measured.spectrum(name), -60, 90)), 0.13)
    assert item.ranges["nnorm"] == 1
    others = with_other_steps(item)
    for other, change in zip(others, (-0.12, 0.12), strict=True):
        norm, flat = turned(item, change)
        np.testing.assert_allclose(other.normalised, norm, atol=1e-9)
        # one point at e0 itself may fall on either side
        assert np.sum(np.abs(other.flattened - flat) > 1e-6) <= 1
        assert other.edge_step == pytest.approx(item.edge_step * (1.0 + change))


def test_a_constant_only_changes_the_scale():
    s = measured.spectrum("FeO_rt")
    config = ReductionConfig(nnorm=0)
    item = uncertain(one(cut(s, -60, 60), config), 0.25)
    lower, higher = with_other_steps(item)
    assert item.ranges["nnorm"] == 0
    excess = np.sqrt(0.25**2 - LEARNT**2)
    np.testing.assert_allclose(lower.flattened, item.flattened / (1.0 - excess))
    np.testing.assert_allclose(higher.flattened, item.flattened / (1.0 + excess))


def test_a_step_that_is_not_known_at_all_stays_a_step():
    item = one(cut(measured.spectrum("FeO_rt"), -60, 90))
    lower, _ = with_other_steps(uncertain(item, 3.0))
    assert lower.edge_step == pytest.approx(item.edge_step * (1.0 - MOST))
    assert np.isfinite(lower.flattened).all()


@pytest.mark.parametrize("name", ["Fe2O3", "FeO_rt", "Fe3O4"])
def test_what_a_short_range_gets_wrong_lies_in_what_is_tried(name):
    """The full scan's spectrum is nearer to one of the two than to what the short range gives."""
    s = measured.spectrum(name)
    short, full = one(cut(s, -100, 80)), one(cut(s, -100, 800))
    truth = full.flattened[: short.energy.size]
    near = (short.energy > short.e0) & (short.energy < short.e0 + 40.0)

    def off(item):
        return np.sqrt(np.mean((item.flattened - truth)[near] ** 2))

    assert min(map(off, with_other_steps(short))) < 0.6 * off(short)
