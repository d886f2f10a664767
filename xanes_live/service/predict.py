"""Prediction from files: the same way as a live scan, printed instead of published."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from xanes_live.config import Config
from xanes_live.documents.files import read_file
from xanes_live.domain import Confidence, Declined, Flag, Result, Scan, SpectrumResult
from xanes_live.errors import ReadError
from xanes_live.flags import by_importance, make
from xanes_live.pipeline import Predictors, process
from xanes_live.service.service import load_predictors
from xanes_live.service.words import interval

COLOUR = {Confidence.GREEN: "green", Confidence.AMBER: "yellow", Confidence.RED: "red"}
MARK = {Confidence.GREEN: "●", Confidence.AMBER: "▲", Confidence.RED: "■"}


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one spectrum of one file."""

    file: Path
    element: str
    edge: str
    confidence: Confidence
    flags: tuple[Flag, ...]
    result: Result | None = None
    spectrum: SpectrumResult | None = None


def predict_files(files: Sequence[Path], config: Config) -> tuple[list[Row], int]:
    """Predict every spectrum of `files`.

    Returns
    -------
    rows : list of Row
        In the order of the files; an unreadable file is a row with a red flag.
    unreadable : int
        How many files could not be read.
    """
    predictors = load_predictors(config)
    rows = [row for path in files for row in _rows(path, predictors, config)]
    return rows, sum(any(f.code == "unreadable" for f in row.flags) for row in rows)


def _rows(path: Path, predictors: Predictors, config: Config) -> Iterator[Row]:
    try:
        scans = read_file(path)
    except ReadError as error:
        flag = make("unreadable", reason=error)
        yield Row(path, "", "", Confidence.RED, (flag,))
        return
    for scan in scans:
        yield from _scan_rows(path, scan, predictors, config)


def _scan_rows(path: Path, scan: Scan, predictors: Predictors, config: Config) -> Iterator[Row]:
    found = process(scan, predictors, config)
    if isinstance(found, Declined):
        flags = by_importance((found.flag, *scan.flags))
        yield Row(path, scan.element, scan.edge, Confidence.RED, flags)
        return
    for spectrum in found.spectra:
        verdict = spectrum.assessment
        yield Row(path, scan.element, scan.edge, verdict.confidence, verdict.flags, found, spectrum)


def as_json(row: Row) -> dict[str, Any]:
    """Return the published JSON form of one row; what is not known is null."""
    spectrum = row.spectrum
    normalised = spectrum.normalised if spectrum else None
    prediction = spectrum.prediction if spectrum else None
    shell = prediction.first_shell if prediction else None
    return {
        "file": str(row.file),
        "sample": row.result.scan.sample if row.result else "",
        "index": spectrum.index if spectrum else 0,
        "element": row.element or None,
        "edge": row.edge or None,
        "e0": normalised.e0 if normalised else None,
        "edge_step": normalised.edge_step if normalised else None,
        "confidence": row.confidence.value,
        "probability": spectrum.assessment.probability if spectrum else None,
        "flags": [flag.as_dict() for flag in row.flags],
        "first_shell": {"r": shell.r, "low": shell.low, "high": shell.high} if shell else None,
        "g2": _g2(spectrum) if spectrum and prediction else None,
        "model": {"id": row.result.model.id, "version": row.result.model.version}
        if row.result
        else None,
    }


def _g2(spectrum: SpectrumResult) -> dict[str, Any]:
    prediction, verdict = spectrum.prediction, spectrum.assessment
    if prediction is None:
        return {}
    arrays = {
        "radius": prediction.radius,
        "mean": prediction.mean,
        "sigma": prediction.sigma,
        "lower": verdict.lower,
        "upper": verdict.upper,
    }
    return {name: [round(float(v), 6) for v in array] for name, array in arrays.items()}


def print_json(rows: Sequence[Row]) -> None:
    """Print JSON Lines (NaN becomes null)."""
    for row in rows:
        sys.stdout.write(orjson.dumps(as_json(row)).decode() + "\n")


def print_table(rows: Sequence[Row]) -> None:
    """Print a table for people."""
    table = Table(title=None)
    for name in ("file", "edge", "e0 / eV", "edge step", "first shell / Å", "", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    Console().print(table)


def _cells(row: Row) -> tuple[str, ...]:
    normalised = row.spectrum.normalised if row.spectrum else None
    prediction = row.spectrum.prediction if row.spectrum else None
    shell = prediction.first_shell if prediction else None
    several = row.result is not None and len(row.result.spectra) > 1
    name = row.file.name + (f" [{row.spectrum.index}]" if several and row.spectrum else "")
    colour = COLOUR[row.confidence]
    why = row.flags[0].message if row.flags else ""
    return (
        name,
        f"{row.element} {row.edge}".strip(),
        f"{normalised.e0:.2f}" if normalised else "–",
        f"{normalised.edge_step:.3g}" if normalised else "–",
        interval(shell.r, shell.low, shell.high) if shell else "–",
        f"[{colour}]{MARK[row.confidence]} {row.confidence.value}[/]",
        why,
    )
