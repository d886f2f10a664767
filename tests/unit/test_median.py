import numpy as np
import pytest

from xanes_live.median import median


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (3, 8), (2, 3, 5)])
def test_it_is_that_of_numpy(shape):
    values = np.random.default_rng(0).standard_normal(shape)
    np.testing.assert_array_equal(median(values), np.median(values, axis=-1))


def test_where_a_number_is_missing_there_is_none():
    values = np.array([[1.0, np.nan, 3.0, 2.0], [4.0, 1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(median(values), [np.nan, 2.5])


def test_infinite_numbers_count_as_numbers():
    assert median(np.array([np.inf, 0.0, -np.inf])) == 0.0
