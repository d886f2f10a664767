"""What was measured, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xanes_live.bench.timing import Times


@dataclass(frozen=True, slots=True)
class Floor:
    """The least time the device would need, s, by what it was measured to do."""

    arithmetic: float
    """All multiplications and additions at the rate of a large matrix product."""
    bandwidth: float
    """Weights, input and result moved once at the rate of a large copy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    section: str
    """'inference', 'training', 'reduction', 'scattering' or 'live'."""
    work: str
    """What was done, in words."""
    size: int
    """How many spectra, scans, … at a time."""
    ours: Times | None = None
    plain: Times | None = None
    """The same done the plain way."""
    floor: Floor | None = None
    target: float | None = None
    """Least ratio wanted on this kind of device."""
    limit: float | None = None
    """Longest median wanted, s."""
    missing: str = ""
    """Why something was not measured; '' if all was."""

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is, by medians."""
        if self.ours is None or self.plain is None:
            return None
        return self.plain.median / self.ours.median

    @property
    def processor_ratio(self) -> float | None:
        """The same by processor time; None where a device other than the CPU works."""
        ours, plain = (t.processor if t else None for t in (self.ours, self.plain))
        return plain / ours if ours and plain else None

    @property
    def met(self) -> bool | None:
        """Whether target and limit are met; None if there is none, or it was not measured."""
        found: list[bool] = []
        if self.target is not None and self.ratio is not None:
            found.append(self.ratio >= self.target)
        if self.limit is not None and self.ours is not None:
            found.append(self.ours.median <= self.limit)
        return all(found) if found else None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; times in ms, null where nothing was measured."""
        floor = self.floor
        return {
            "section": self.section,
            "work": self.work,
            "size": self.size,
            "ours": self.ours.as_dict() if self.ours else None,
            "plain": self.plain.as_dict() if self.plain else None,
            "ratio": round(self.ratio, 3) if self.ratio is not None else None,
            "processor_ratio": round(r, 3) if (r := self.processor_ratio) is not None else None,
            "floor": {
                "arithmetic_ms": round(1e3 * floor.arithmetic, 5),
                "bandwidth_ms": round(1e3 * floor.bandwidth, 5),
            }
            if floor
            else None,
            "target_ratio": self.target,
            "limit_ms": 1e3 * self.limit if self.limit is not None else None,
            "met": self.met,
            "not_measured": self.missing or None,
        }


HEAD = ("", "ours", "p99", "plain", "p99", "ratio", "by processor time", "wanted", "floor")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, ms."""
    lines = [HEAD, *(_cells(row) for row in rows)]
    width = [max(len(line[k]) for line in lines) for k in range(len(HEAD))]
    text = []
    for line, row in zip(lines, (None, *rows), strict=True):
        cells = [line[0].ljust(width[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:], width[1:], strict=True)]
        text.append("  ".join(cells).rstrip())
        if row is not None and row.missing:
            text.append(f"  not measured: {row.missing}")
    return "\n".join(text)


def _cells(row: Row) -> tuple[str, ...]:
    floor = max(row.floor.arithmetic, row.floor.bandwidth) if row.floor else None
    return (
        row.work,
        *_pair(row.ours),
        *_pair(row.plain),
        *(f"{r:.2f}" if r is not None else "–" for r in (row.ratio, row.processor_ratio)),
        _wanted(row),
        _ms(floor),
    )


def _pair(times: Times | None) -> tuple[str, str]:
    return (_ms(times.median), _ms(times.p99)) if times else ("–", "–")


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e3 * seconds:.3g}"


def _wanted(row: Row) -> str:
    parts = [f"≥ {row.target:g}"] if row.target is not None else []
    parts += [f"≤ {1e3 * row.limit:g} ms"] if row.limit is not None else []
    mark = {True: " ✓", False: " ✗", None: ""}[row.met]
    return ", ".join(parts) + mark if parts else "–"
