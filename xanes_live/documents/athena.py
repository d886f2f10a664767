"""Reading Athena project files (``.prj``) without Perl, Demeter or larch.

A project is a list of Perl assignments, or, as larch writes it, one JSON object; both usually
compressed with gzip. Only what a spectrum needs is taken: energies, μ, I0 and a few parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from xanes_live.domain import Array
from xanes_live.errors import ReadError

PERL_MARK = "# Athena project file"
JSON_MARK = "____header"
_STATEMENT = re.compile(r"^[@$](old_group|args|x|y|i0)\s*=\s*", re.MULTILINE)
_TOKEN = re.compile(
    r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([()\[\]{}])|(?:,|=>)|([^\s,()\[\]{};'"]+)|;)""",
    re.DOTALL,
)
_NOT_MU = ("is_chi", "is_bkg", "is_xmudat", "is_diff", "is_pixel", "is_rsp")


@dataclass(frozen=True, slots=True)
class Group:
    """One spectrum of a project."""

    label: str
    energy: Array
    """eV as stored, before the project's own `energy_shift`."""
    mu: Array
    i0: Array | None
    parameters: Mapping[str, str]
    """Athena's parameters of the group ('bkg_z', 'bkg_eshift', …)."""

    @property
    def energy_shift(self) -> float:
        """Shift that Athena adds to the energies when it shows the group, eV."""
        return _number(self.parameters.get("bkg_eshift", ""), 0.0)


def is_project(text: str) -> bool:
    """Return whether `text` is an Athena project of either form."""
    start = text[:2000].lstrip()
    return start.startswith(PERL_MARK) or (start.startswith("{") and JSON_MARK in start)


def parse(text: str) -> tuple[Group, ...]:
    """Return all groups that hold μ(E).

    Raises
    ------
    ReadError
        If the text is not a project or no group in it holds μ(E).
    """
    records = _json_records(text) if text.lstrip().startswith("{") else _perl_records(text)
    groups = tuple(group for record in records if (group := _group(record)) is not None)
    if not groups:
        raise ReadError("the Athena project holds no group with μ(E)")
    return groups


def _json_records(text: str) -> Iterator[dict[str, Any]]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ReadError(f"damaged Athena project: {error}") from None
    for name, entry in data.items():
        if isinstance(entry, dict) and {"x", "y"} <= entry.keys():
            yield {"old_group": name, **entry}


def _perl_records(text: str) -> Iterator[dict[str, Any]]:
    record: dict[str, Any] = {}
    for match in _STATEMENT.finditer(text):
        key = match[1]
        if key == "old_group" and record:
            yield record
            record = {}
        end = text.find("\n", match.end())
        values = _flat_list(text[match.end() : end if end >= 0 else len(text)])
        if key == "args":
            record[key] = dict(zip(values[::2], values[1::2], strict=False))
        else:
            record[key] = values
    if record:
        yield record


def _flat_list(text: str) -> list[str]:
    """Return the top-level elements of a Perl list; nested lists and hashes become ''."""
    values: list[str] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        single, double, bracket, bare = match.groups()
        if bracket:
            if bracket in "[{(":
                depth += 1
                if depth == 2:
                    values.append("")
            else:
                depth -= 1
        elif depth <= 1:
            word = single if single is not None else double if double is not None else bare
            if word is not None:
                values.append(re.sub(r"\\(.)", r"\1", word))
    return values


def _group(record: Mapping[str, Any]) -> Group | None:
    args = record.get("args", {})
    parameters = {str(k): str(v) for k, v in dict(args).items()}
    if any(_number(parameters.get(name, ""), 0.0) for name in _NOT_MU):
        return None
    energy, mu = _array(record.get("x")), _array(record.get("y"))
    if energy is None or mu is None or energy.size != mu.size or energy.size < 2:
        return None
    i0 = _array(record.get("i0"))
    label = parameters.get("label") or str(record.get("old_group", ""))
    same = i0 is not None and i0.size == mu.size
    return Group(label, energy, mu, i0 if same else None, parameters)


def _array(values: Sequence[float | str] | None) -> Array | None:
    if not values:
        return None
    return np.array([_number(v, np.nan) for v in values], dtype=np.float64)


def _number(value: float | str, default: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return default
