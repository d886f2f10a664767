"""Metadata as they come off the wire: any type, any size, any nesting."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_MAX_TEXT = 2_000
_MAX_TOTAL = 60_000
_MAX_ITEMS = 200
_MAX_DEPTH = 6


def flat(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the leaves of a nested document by dotted lower-case path.

    Lists are leaves; nesting beyond a few levels and beyond a few hundred entries is left out.
    """
    found: dict[str, Any] = {}
    queue: list[tuple[str, Mapping[Any, Any], int]] = [("", document or {}, 0)]
    while queue and len(found) < 5 * _MAX_ITEMS:
        prefix, mapping, depth = queue.pop(0)
        for key, value in list(mapping.items())[:_MAX_ITEMS]:
            path = f"{prefix}{str(key)[:100].strip().lower()}"
            if isinstance(value, Mapping) and depth < _MAX_DEPTH:
                queue.append((path + ".", value, depth + 1))
            else:
                found.setdefault(path, value)
    return found


def number_of(value: object) -> float | None:
    """Return `value` as a finite float; None if it is not one. '7112.0' is."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | np.number):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def sample(start: Mapping[str, Any] | None, keys: Iterable[str]) -> str:
    """Return the sample's name: the first of `keys` that holds one ('a.b' looks inside)."""
    leaves = flat(start)
    for key in keys:
        lower = key.lower()
        for path in (lower, f"{lower}.name", f"{lower}.sample_name"):
            if name := _label(leaves.get(path)):
                return name
    for path in ("xdi.sample.name", "sample.name", "sample.id", "md.sample_name"):
        if name := _label(leaves.get(path)):
            return name
    return ""


def clean(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of a document that is JSON-safe and of bounded size.

    NaN and infinities become null, numpy values plain ones, unknown objects their type's name;
    texts, lists, nesting and the whole are cut where they are too long.
    """
    budget = [_MAX_TOTAL]
    cleaned = _clean(document or {}, 0, budget)
    return cleaned if isinstance(cleaned, dict) else {}


def _clean(value: object, depth: int, budget: list[int]) -> Any:  # noqa: ANN401, PLR0911 - JSON
    budget[0] -= 8
    if budget[0] <= 0 or depth > _MAX_DEPTH:
        return None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value[: min(_MAX_TEXT, budget[0])].encode("utf-8", "replace").decode()
        budget[0] -= len(text)
        return text
    if isinstance(value, np.generic):
        return _clean(value.item() if value.dtype.kind in "biuf" else str(value), depth, budget)
    if isinstance(value, int):
        return (
            value if abs(value) < 2**53 else float(f"{value:.6e}") if abs(value) < 1e300 else None
        )
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        items = list(value.items())[:_MAX_ITEMS]
        return {str(k)[:200]: _clean(v, depth + 1, budget) for k, v in items}
    if isinstance(value, np.ndarray):
        value = value.ravel()[:_MAX_ITEMS].tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(v, depth + 1, budget) for v in list(value)[:_MAX_ITEMS]]
    return type(value).__name__


def _label(value: object) -> str:
    """Return a value as the name of a sample; '' if it cannot be one."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float | np.number):
        return f"{value:g}" if math.isfinite(float(value)) else ""
    if not isinstance(value, str):
        return ""
    text = "".join(c if c.isprintable() else " " for c in value[:1000])
    return " ".join(text.split())[:200]
