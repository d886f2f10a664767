"""Python values to what JSON, SQLite and PostgreSQL all take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_INTEGER = 2**53
"""Integers beyond this lose digits in a browser and are written as text."""


def clean(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Return `value` made of dict, list, str, int, finite float, bool and None only.

    What is not finite becomes None, keys become text, and anything unknown its `str`.
    """
    if isinstance(value, Enum):
        return clean(value.value)
    if isinstance(value, Mapping):
        return {_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return clean(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        if set(map(type, value)) == {float}:  # a curve: most of what a result holds
            return [number if math.isfinite(number) else None for number in value]
        return [clean(item) for item in value]
    return _scalar(value)


def _scalar(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, int | np.integer):
        return int(value) if abs(int(value)) <= LARGEST_INTEGER else str(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return _text(str(value))


def _text(text: str) -> str:
    """Return `text` without what UTF-8 (lone surrogates) or PostgreSQL (NUL) refuses."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def rounded(values: NDArray[np.floating[Any]], digits: int = 7) -> list[float | None]:
    """Return a 1-D array as a list with `digits` digits relative to its largest value.

    Seven keep more than any detector gives and halve the size of the text.
    """
    finite = np.isfinite(values)
    largest = float(np.abs(values[finite]).max(initial=0.0))
    numbers: list[float | None] = _round(values.astype(np.float64), largest, digits).tolist()
    if finite.all():
        return numbers
    return [n if ok else None for n, ok in zip(numbers, finite, strict=True)]


def _round(values: NDArray[np.float64], largest: float, digits: int) -> NDArray[np.float64]:
    if not 1e-200 < largest < 1e200:  # zeros, or where powers of ten overflow
        return values
    return np.round(values, digits - 1 - math.floor(math.log10(largest)))
