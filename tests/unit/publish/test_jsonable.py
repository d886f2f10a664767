import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xanes_live.domain import Quality
from xanes_live.publish.jsonable import clean, rounded

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.binary()
    | st.sampled_from(Quality)
    | st.floats(width=32).map(np.float32)
    | st.integers(-100, 100).map(np.int8)
    | arrays(np.float64, st.integers(0, 4))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner)
    ),
)


@given(values)
def test_whatever_goes_in_strict_json_comes_out(value):
    cleaned = clean(value)
    text = orjson.dumps(cleaned)
    assert json.loads(text) == cleaned
    json.dumps(cleaned, allow_nan=False).encode()


def test_kinds():
    assert clean({"a": np.float64("nan"), "b": math.inf, 3: (1, 2)}) == {
        "a": None,
        "b": None,
        "3": [1, 2],
    }
    assert clean(np.arange(3)) == [0, 1, 2]
    assert clean(Quality.GOOD) == "good"
    assert clean(np.bool_(True)) is True
    assert clean(2**60) == str(2**60)
    assert clean("a\0b\ud800") == "ab?"
    assert clean(np.array(2.5)) == 2.5


@given(
    arrays(
        np.float64, st.integers(0, 30), elements=st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_rounding_is_relative_to_the_largest(array):
    largest = np.abs(array).max(initial=0.0)
    numbers = np.array(rounded(array, 7), dtype=float)
    assert np.all(np.abs(numbers - array) <= 5.1e-7 * largest)


def test_rounding_shortens_and_keeps_gaps():
    assert rounded(np.array([1.23456789, np.nan, -np.inf, 0.1 + 0.2]), 4) == [
        1.235,
        None,
        None,
        0.3,
    ]
    assert rounded(np.array([1.2e-9, 3.4567891e-9]), 3) == [1.2e-9, 3.46e-9]
    assert rounded(np.array([])) == []
    assert rounded(np.array([np.nan])) == [None]


@pytest.mark.parametrize("value", [object(), {1, 2}, frozenset({3})])
def test_other_things_become_something_json_takes(value):
    orjson.dumps(clean(value))
