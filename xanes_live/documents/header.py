"""Fields of a file's header: element, edge, energies, sample, time, however programs write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from xanes_live.edges import ELEMENTS

ELEMENT_KEYS = ("element.symbol", "element", "scanparameters.element", "scan.element", "symbol",
                 "absorber", "atom")  # fmt: skip
EDGE_KEYS = ("element.edge", "edge", "scanparameters.edge", "scan.edge", "absorption edge")
E0_KEYS = ("scan.edge_energy", "scanparameters.e0", "e0", "edge energy", "edge_energy")
SAMPLE_KEYS = ("sample.name", "sample", "name", "target", "sample name", "sample.formula", "title")
TIME_KEYS = ("scan.start_time", "start_time", "date", "time", "start")
D_KEYS = ("mono.d_spacing", "mono.dspacing", "d_spacing")


def first(header: Mapping[str, str], keys: tuple[str, ...]) -> str:
    """Return the first of the fields that is there and not empty, else ''."""
    return next((header[key] for key in keys if header.get(key)), "")


def element_of(text: str | None) -> str:
    """Return the symbol of an element, '' when `text` is none."""
    symbol = (text or "").strip().capitalize()
    return symbol if symbol in ELEMENTS else ""


def edge_of(text: str | None) -> str:
    """Return 'K', 'L3', 'L2' or 'L1', '' when `text` is none of them."""
    name = (text or "").strip().upper().replace("-EDGE", "").replace(" EDGE", "")
    name = {"LIII": "L3", "LII": "L2", "LI": "L1"}.get(name, name)
    return name if name in {"K", "L3", "L2", "L1"} else ""


def number(text: str | None) -> float | None:
    """Return the number that `text` begins with, None when it does not."""
    match = re.match(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?", (text or "").strip())
    value = float(match[0]) if match else math.nan
    return value if math.isfinite(value) else None


def energy_of(text: str | None) -> float | None:
    """Return an energy in eV; numbers below 200 are keV. None when `text` is none."""
    value = number(text)
    if value is None or value <= 0:
        return None
    return value * 1000.0 if value < 200.0 else value


@dataclass(frozen=True, slots=True)
class _Form:
    """A way of writing date and time."""

    pattern: str
    length: int


_FORMS = (_Form("%m/%d/%Y %H:%M:%S", 19), _Form("%a %b %d %H:%M:%S %Y", 24),
          _Form("%Y/%m/%d %H:%M:%S", 19))  # fmt: skip


def time_of(text: str) -> float:
    """Return seconds since the epoch, 0 when the text is no date; without a zone it is UTC."""
    moment: datetime | None = None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        for form in _FORMS:
            try:
                moment = datetime.strptime(text.strip()[: form.length], form.pattern)  # noqa: DTZ007
                break
            except ValueError:
                continue
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
