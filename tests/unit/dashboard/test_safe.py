"""Whatever a document holds, what leaves these functions has a known type and a bounded size."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from xanes_live.dashboard import safe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON)
def test_every_function_takes_anything(value):
    assert len(safe.text(value, 20)) <= 21
    assert safe.number(value) is None or math.isfinite(safe.number(value))
    assert safe.integer(value) is None or abs(safe.integer(value)) <= 2**53
    assert all(v is None or math.isfinite(v) for v in safe.curve(value, 5))
    assert len(safe.curve(value, 5)) <= 5
    json.dumps([safe.numbers(value), safe.words(value), safe.items(value, 3)], allow_nan=True)


def test_a_name_of_a_megabyte_is_cut():
    assert safe.text("x" * 1_000_000) == "x" * 200 + "…"


def test_control_characters_do_not_break_lines():
    assert safe.text("a\nb\x00c\u2028d") == "a b c d"


def test_markup_stays_text():
    assert safe.text("<script>alert(1)</script>") == "<script>alert(1)</script>"


def test_numbers_are_numbers_only():
    assert safe.number(2) == 2.0
    assert safe.number(True) is None
    assert safe.number("2") is None
    assert safe.number(10**400) is None
    assert safe.number(float("nan")) is None
    assert safe.integer(2.5) is None


def test_numbers_keeps_what_is_finite():
    assert safe.numbers({"a": 1, "b": "x", "c": float("inf"), "d": None}) == {"a": 1.0}
