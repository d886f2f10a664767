"""What the page shows of the repeats of a sample, typed and bounded as everything it shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xanes_live.dashboard.safe import (
    SENTENCE,
    curve,
    integer,
    items,
    mapping,
    number,
    numbers,
    text,
)

MAX_REPEATS = 200
MAX_CODES = 20
_CURVES = ("energy", "mu", "sigma")


def repeats(value: object) -> dict[str, Any] | None:
    """Read a document's section `repeats` (:func:`xanes_live.publish.repeats.repeats_section`).

    Returns
    -------
    dict or None
        None for a sample measured once, and for anything that is no such section.
    """
    section = mapping(value)
    of = [_repeat(mapping(item)) for item in items(section.get("of"), MAX_REPEATS)]
    if not of:
        return None
    return {
        "n": integer(section.get("n")) or len(of),
        "of": of,
        "from_first": section.get("from_first") is not False,
        "drift": _drift(mapping(section.get("drift"))),
        "outlier": integer(mapping(section.get("outlier")).get("position")),
        "merged": _merged(mapping(section.get("merged"))),
        "narrows": number(section.get("one_more_narrows_by")),
        "advice": text(section.get("advice"), SENTENCE),
    }


def _repeat(repeat: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uid": text(repeat.get("uid")),
        "scan_id": integer(repeat.get("scan_id")),
        "index": integer(repeat.get("index")) or 0,
        "used": repeat.get("used") is not False,
        "why": text(repeat.get("why"), 20),
    }


def _drift(drift: Mapping[str, Any]) -> dict[str, Any] | None:
    if not drift:
        return None
    return {
        "measure": text(drift.get("measure"), 60),
        "unit": text(drift.get("unit"), 30),
        **{name: number(drift.get(name)) for name in ("change", "chance")},
        "keep": integer(drift.get("keep")),
    }


def _merged(merged: Mapping[str, Any]) -> dict[str, Any] | None:
    if not merged:
        return None
    curves = {name: curve(merged.get(name)) for name in _CURVES}
    known = merged.get("confidence")
    same = len({len(c) for c in curves.values()}) == 1 and None not in curves["energy"]
    return {
        "count": integer(merged.get("count")),
        "shell": numbers(merged.get("first_shell")),
        "probability": _probability(merged.get("probability")),
        "colour": known if known in ("green", "amber", "red") else "",
        "codes": [text(code, 40) for code in items(merged.get("flag_codes"), MAX_CODES)],
        **(curves if same else {}),
    }


def _probability(value: object) -> float | None:
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None
