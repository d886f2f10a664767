import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import find_peaks as scipy_peaks
from scipy.signal import peak_prominences

from xanes_live.descriptor import G2Grid, find_peaks, first_peak, g2_from_distances
from xanes_live.descriptor.peaks import prominence

RADIUS = G2Grid().radius


@given(arrays(float, st.integers(5, 40), elements=st.floats(0, 9, width=32), unique=True))
def test_prominence_is_scipys(values):
    expected = np.zeros_like(values)
    index, _ = scipy_peaks(values)
    expected[index] = peak_prominences(values, index)[0]
    np.testing.assert_allclose(prominence(values), expected, atol=1e-12)


def test_of_a_flat_top_the_first_point_counts_and_steps_and_ends_do_not():
    values = np.array([[0.0, 2, 2, 1, 3, 0, 4], [0.0, 2, 2, 3, 1, 1, 0]])
    expected = [[0.0, 1, 0, 0, 3, 0, 0], [0.0, 0, 0, 3, 0, 0, 0]]
    np.testing.assert_array_equal(prominence(values), expected)
    np.testing.assert_array_equal(prominence(np.stack((values, values)))[1], expected)


@pytest.mark.parametrize("r", [1.73, 1.95, 2.0, 2.08, 2.144, 2.264, 2.41])
def test_position_is_far_better_than_the_grid(r):
    g2 = g2_from_distances([r] * 6 + [3.4] * 4, [8] * 6 + [26] * 4)
    near, second = find_peaks(RADIUS, g2)
    assert near.r == pytest.approx(r, abs=0.006)  # the grid is 0.1 Å
    assert (near.region, second.region) == ("near", "near")
    assert first_peak(RADIUS, g2) == pytest.approx(near.r)


def test_regions_and_order():
    g2 = g2_from_distances([2.0] * 6 + [3.2] * 6 + [4.6] * 12, [8] * 6 + [26] * 18)
    peaks = find_peaks(RADIUS, g2)
    assert [p.region for p in peaks] == ["near", "near", "far"]
    assert [p.r for p in peaks] == pytest.approx([2.0, 3.2, 4.6], abs=0.05)


def test_ripples_are_no_peaks():
    g2 = g2_from_distances([2.0] * 6, [8] * 6) + 0.05 * np.cos(np.arange(50) * 2.0)
    assert [round(p.r, 1) for p in find_peaks(RADIUS, g2)] == [2.0]


def test_what_the_members_do_not_agree_on_is_no_peak():
    g2 = g2_from_distances([2.0] * 6 + [3.2] * 6, [8] * 6 + [26] * 6)
    sigma = np.where(np.abs(RADIUS - 2.0) < 0.5, 9.0, 0.1)
    assert [round(p.r, 1) for p in find_peaks(RADIUS, g2, sigma)] == [3.2]


def test_nothing_found_is_nan():
    assert find_peaks(RADIUS, np.zeros(50)) == ()
    assert np.isnan(first_peak(RADIUS, np.zeros(50)))


def test_many_at_once_as_one_by_one():
    rng = np.random.default_rng(0)
    g2 = g2_from_distances(rng.uniform(1.7, 5.5, (7, 3, 12)), rng.integers(6, 30, (7, 3, 12)))
    together = first_peak(RADIUS, g2)
    assert together.shape == (7, 3)
    for index in np.ndindex(7, 3):
        np.testing.assert_equal(together[index], first_peak(RADIUS, g2[index]))
