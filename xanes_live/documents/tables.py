"""Reading text files of columns: header, names and numbers, whatever program wrote them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xanes_live.documents.columns import recognise
from xanes_live.domain import Array
from xanes_live.errors import ReadError

_COMMENT = "#%;!*"
_NUMBER = re.compile(
    r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?$|^[+-]?(?:nan|inf)$", re.IGNORECASE
)
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$")
_FIELD = re.compile(r"^([A-Za-z][\w.\-/&+() ]*?)\s*[:=]\s*(.*)$")
_COLUMN = re.compile(r"^column\.(\d+)\s*[:=]\s*(\S+)\s*([^|\s]*)", re.IGNORECASE)
_SPEC_SCAN = re.compile(r"^#S\s", re.MULTILINE)
_MAX_FIELDS = 500


@dataclass(frozen=True, slots=True)
class Table:
    """One block of numbers with what its header says."""

    values: Array
    """shape (n_rows, n_columns)."""
    names: tuple[str, ...]
    """One name a column, or empty when the file names none."""
    units: Mapping[str, str]
    """Units by lower-case column name, where the header states them."""
    header: Mapping[str, str]
    """Header fields, 'Element.symbol: Fe' as {'element.symbol': 'Fe'}."""
    skipped: int
    """Lines among the data that are not numbers, or not as many as the others."""


def parse(text: str) -> tuple[Table, ...]:
    """Return the table in `text`, or one for each scan of a SPEC file.

    Raises
    ------
    ReadError
        If the text holds no table of at least two columns and two rows.
    """
    starts = [m.start() for m in _SPEC_SCAN.finditer(text)]
    if not starts:
        return (_table(text.splitlines()),)
    ends = [*starts[1:], len(text)]
    return tuple(_table(text[a:b].splitlines()) for a, b in zip(starts, ends, strict=True))


def _table(lines: Sequence[str]) -> Table:
    rows: list[list[str]] = []
    head: list[str] = []
    unread = waiting = 0  # lines that hold no numbers: among the data, and perhaps only after them
    for line in lines:
        stripped = line.strip().lstrip("\ufeff")
        tokens = _numbers(stripped)
        if tokens is not None:
            rows.append(tokens)
            unread, waiting = unread + waiting, 0
        elif stripped and not rows:
            head.append(stripped)
        elif stripped and stripped[0] not in _COMMENT:
            waiting += 1
    values, skipped = _rectangle(rows)
    fields, columns = _fields(head)
    names, units = _names(head, columns, values.shape[1])
    return Table(values, names, units, fields, skipped + unread)


def _numbers(line: str) -> list[str] | None:
    """Return the numbers of a line of data as text; None for any other line."""
    if not line or line[0] in _COMMENT:
        return None
    tokens = re.split(r"[\s;]+", line.strip(" \t;,"))
    if "," in line:
        if all(_DECIMAL_COMMA.match(t) or _NUMBER.match(t) for t in tokens) and len(tokens) > 1:
            tokens = [t.replace(",", ".") for t in tokens]
        else:
            tokens = re.split(r"[\s;,]+", line.strip(" \t;,"))
    return tokens if tokens and all(_NUMBER.match(t) for t in tokens) else None


def _rectangle(rows: Sequence[Sequence[str]]) -> tuple[Array, int]:
    """Turn the rows of the commonest length into numbers; count the others."""
    if not rows:
        raise ReadError("no table of numbers found")
    width = Counter(map(len, rows)).most_common(1)[0][0]
    kept = [row for row in rows if len(row) == width]
    if width < 2 or len(kept) < 2:
        raise ReadError("no table of at least two columns and two rows found")
    flat = " ".join(" ".join(row) for row in kept).replace("D", "E").replace("d", "e")
    values = np.array(flat.split(), dtype=np.float64).reshape(len(kept), width)
    return values, len(rows) - len(kept)


def _fields(head: Sequence[str]) -> tuple[dict[str, str], dict[int, tuple[str, str]]]:
    fields: dict[str, str] = {}
    columns: dict[int, tuple[str, str]] = {}
    for line in head:
        body = line.lstrip(_COMMENT).strip()
        column = _COLUMN.match(body)
        if column:
            columns[int(column[1])] = (column[2], column[3])
            continue
        match = _FIELD.match(body)
        if match and len(fields) < _MAX_FIELDS:
            value = match[2].split("||")[0].strip()
            fields.setdefault(" ".join(match[1].lower().split()), value)
    return fields, columns


def _names(
    head: Sequence[str], columns: Mapping[int, tuple[str, str]], width: int
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Take names from XDI's Column.N fields, else from the last line that names an energy."""
    if columns:
        names = tuple(columns.get(i + 1, (f"column{i + 1}", ""))[0] for i in range(width))
        units = {name.lower(): unit for name, unit in columns.values() if unit}
        return names, units
    for line in reversed(head):
        body = re.sub(r"^L\s(?=\s*\S)", "", line.lstrip(_COMMENT).strip())
        for separator in (r"\t+|\s{2,}", r"[\s,;]+"):
            tokens = [t for t in re.split(separator, body.strip(" ,;\t")) if t]
            if len(tokens) != width:
                continue
            names, units = _split_units(tokens)
            roles = recognise(names)
            if roles.energy is not None or roles.angle is not None:
                return names, units
    return (), {}


def _split_units(tokens: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Separate 'Energy (eV)' and 'energy[keV]' into name and unit."""
    names: list[str] = []
    units: dict[str, str] = {}
    for token in tokens:
        match = re.match(r"^(.*?)\s*[(\[]\s*([A-Za-z.]+)\s*[)\]]$", token)
        if match and match[1] and match[2].lower() in {"ev", "kev", "deg", "degrees", "rad"}:
            names.append(match[1])
            units[match[1].lower()] = match[2]
        else:
            names.append(token)
    return tuple(names), units
