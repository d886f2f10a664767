"""Confidence at a glance: each figure asked for, what was found and whether it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xanes_live.evaluation.report import Report, with_ends


@dataclass(frozen=True)
class Figure:
    """One line of the summary."""

    name: str
    value: float
    low: float
    """Lower end of its 95 % interval; NaN where there is none."""
    high: float
    wanted: str
    reached: bool


def add_summary(page: Report, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Add the figures of the section that are asked for, with what is wanted; return them."""
    lines = [line for line in _lines(found) if np.isfinite(line.value)]
    page.table(
        ("in short", "found (95 % over structures or compounds)", "wanted", "reached"),
        [
            (
                line.name, with_ends(line.value, (line.low, line.high)),
                line.wanted.replace(" ", "\u00a0"), "yes" if line.reached else "no",
            )
            for line in lines
        ],
    )  # fmt: skip
    return [asdict(line) for line in lines]


def _lines(found: Mapping[str, Any]) -> list[Figure]:
    return [*_coverage(found["coverage"]), *_ranking(found["verdict"]), *_colours(found["verdict"])]


def _line(
    name: str, value: float, ends: Sequence[float] | None, low: float, high: float, wanted: str
) -> Figure:
    reached = bool(low <= value <= high)
    first, last = ends or (float("nan"), float("nan"))
    return Figure(name, value, first, last, wanted, reached)


def _coverage(rows: Sequence[Mapping[str, Any]]) -> list[Figure]:
    lines = []
    for row in rows:
        if row["stratum"] != "all" or row["source"] == "spoiled":
            continue
        lines += _measured(row) if row["source"] == "measured" else _theory(row, rows)
    return lines


def _theory(whole: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Return coverage overall and in the worst stratum.

    Band and interval are fitted to theory with all that is wrong with it: they may hold for more
    of the same spectra as if it were exact.
    """
    source = whole["source"]
    parts = [r for r in rows if r["source"] == source and r["stratum"] != "all"]
    lines = []
    for name, key, worst in (
        (f"G2 band holds, {source}", "band", {"to 2.6 Å": "near", "beyond": "far"}),
        (f"interval holds, {source}", "interval", {"": "interval"}),
    ):
        most, wanted = (1.0, "≥ 0.94") if source == "exact" else (0.96, "0.95 ± 0.01")
        lines.append(_line(name, whole[key], whole[f"{key}_95"], 0.94, most, wanted))
        lines += [line for what, k in worst.items() for line in _worst(parts, what, k)]
    return lines


def _worst(parts: Sequence[Mapping[str, Any]], what: str, key: str) -> list[Figure]:
    """Return the stratum in which something covers least."""
    known = [r for r in parts if np.isfinite(r[key])]
    if not known:
        return []
    worst = min(known, key=lambda r: float(r[key]))
    what = f"{worst['source']}, {what}" if what else worst["source"]
    name = f"… {what}, worst stratum: {worst['stratum']}"
    return [_line(name, worst[key], worst[f"{key}_95"], 0.9, 1.0, "≥ 0.90")]


def _measured(row: Mapping[str, Any]) -> list[Figure]:
    known = f"{row['g2_spectra']} with known G2"
    return [
        _line("interval holds, measured", row["interval"], row["interval_95"], 0.93, 0.97,
              "0.93–0.97"),
        _line("its median half-width / Å", row["half_width"], None, 0.0, 0.08, "≤ 0.08"),
        _line(f"G2 band holds to 2.6 Å, measured ({known})", row["near"], row["near_95"], 0.9, 1.0,
              "≥ 0.90"),
        _line("… beyond", row["far"], row["far_95"], 0.9, 1.0, "≥ 0.90"),
    ]  # fmt: skip


def _ranking(verdict: Mapping[str, Any]) -> list[Figure]:
    lines = []
    for source, part in verdict.items():
        first, few = part["ranking"][0], f"{part['wrong']} wrong, of {part['wrong_parents']}"
        lines.append(
            _line(
                f"AUROC, {source} ({few} parents)",
                first["auroc"],
                first["auroc_95"],
                0.85,
                1.0,
                "≥ 0.85",
            )
        )
        for baseline, gain in part.get("gain", {}).items():
            name = f"… above that of {baseline} alone ({gain['alone']:.3f})"
            lines.append(_line(name, gain["value"], gain["ends_95"], 0.1, 1.0, "≥ 0.10"))
    return lines


def _colours(verdict: Mapping[str, Any]) -> list[Figure]:
    lines = []
    for source, most in (("theory", 0.02), ("exact", 0.02), ("measured", 0.0)):
        if source in verdict:
            wanted = f"≤ {most:g}" if most else "none"
            key, name = "green_but_wrong", f"green but wrong, {source}"
            lines.append(_mistake(verdict[source], key, name, 0.0, most, wanted))
            key, name = "red_of_right", f"red, of those within 0.05 Å, {source}"
            lines.append(_mistake(verdict[source], key, name, 0.0, 0.1, "≤ 0.10"))
    if "spoiled" in verdict:
        part = verdict["spoiled"]
        ends = part["mistakes_95"]["green"]
        name, share = "spoiled: not green, by the prediction alone", 1.0 - part["mistakes"]["green"]
        lines.append(_line(name, share, (1.0 - ends[1], 1.0 - ends[0]), 0.95, 1.0, "≥ 0.95"))
        key, name = "wrong_not_green", "… of those off by more than 0.1 Å"
        lines.append(_mistake(part, key, name, 0.95, 1.0, "≥ 0.95"))
    return lines


def _mistake(
    part: Mapping[str, Any], key: str, name: str, low: float, high: float, wanted: str
) -> Figure:
    return _line(name, part["mistakes"][key], part["mistakes_95"][key], low, high, wanted)
