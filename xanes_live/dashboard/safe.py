"""Values of unknown origin to values of known type and bounded size.

A node in Tiled can hold anything: another version's document, a hand-written one, NaN written as
text, megabytes in a sample's name. Nothing of it reaches the page without passing through here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NAME = 200
"""Longest name shown, characters."""
SENTENCE = 600
"""Longest sentence shown, characters."""
POINTS = 5000
"""Longest curve shown, points."""
_KEYS = 64


def text(value: object, limit: int = NAME) -> str:
    """Return `value` as one line of at most `limit` characters; '' for None and containers."""
    if value is None or isinstance(value, Mapping | list | tuple):
        return ""
    # Cut before anything looks at every character: a name may be megabytes long.
    cut = str(value)[: limit + 1]
    line = "".join(c if c.isprintable() else " " for c in cut)
    return line[:limit] + "…" if len(line) > limit else line


def number(value: object) -> float | None:
    """Return a finite float, or None for everything that is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if math.isfinite(converted) else None


def integer(value: object) -> int | None:
    """Return an integer that a browser can hold exactly, or None."""
    found = number(value)
    if found is None or not found.is_integer() or abs(found) > 2**53:
        return None
    return int(found)


def mapping(value: object) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object, limit: int) -> list[Any]:
    """Return at most `limit` items of a list, none of anything else."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return []
    return list(value[:limit])


def curve(value: object, limit: int = POINTS) -> list[float | None]:
    """Return at most `limit` numbers of a list, None where there is no finite one."""
    return [number(item) for item in items(value, limit)]


def numbers(value: object, limit: int = _KEYS) -> dict[str, float]:
    """Return the finite numbers of a mapping by name."""
    found = {}
    for key, item in list(mapping(value).items())[:limit]:
        if (converted := number(item)) is not None:
            found[text(key, 80)] = converted
    return found


def words(value: object, limit: int = _KEYS) -> dict[str, str]:
    """Return the scalars of a mapping as text by name."""
    pairs = list(mapping(value).items())[:limit]
    return {text(key, 80): text(item) for key, item in pairs if text(item)}
