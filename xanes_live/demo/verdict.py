"""Compares what is in Tiled with what the programme says should be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from xanes_live.demo.programme import Entry, Expected


@dataclass(frozen=True, slots=True)
class Taken:
    """One run as the beamline reported it."""

    entry: Entry
    repeat: int
    uid: str
    exit_status: str


@dataclass(frozen=True, slots=True)
class Check:
    """One run compared: what is wrong with it, in words."""

    taken: Taken
    found: str
    """What is in Tiled, in short."""
    faults: tuple[str, ...]


def compare(taken: Taken, nodes: Sequence[Any]) -> Check:
    """Compare one run with the nodes in Tiled that carry its uid."""
    expected = taken.entry.expected
    faults = list(_outcome_faults(taken, expected, nodes))
    if nodes and expected.outcome != "ignored":
        faults += _document_faults(expected, nodes[0].metadata)
        if expected.outcome == "result":
            faults += _array_faults(nodes[0])
    return Check(taken, _short(nodes), tuple(faults))


def _outcome_faults(taken: Taken, expected: Expected, nodes: Sequence[Any]) -> Iterable[str]:
    wanted = 0 if expected.outcome == "ignored" else 1
    if len(nodes) != wanted:
        yield f"{len(nodes)} results instead of {wanted}"
    if taken.exit_status != expected.exit_status:
        yield f"the run ended with {taken.exit_status!r} instead of {expected.exit_status!r}"


def _document_faults(expected: Expected, metadata: Mapping[str, Any]) -> Iterable[str]:
    if metadata.get("status") != "complete":
        yield f"status is {metadata.get('status')!r}"
    codes = set(metadata.get("flag_codes") or ())
    if expected.flags and not codes & expected.flags:
        yield f"none of {sorted(expected.flags)} among the flags {sorted(codes)}"
    if expected.outcome == "declined":
        return
    if metadata.get("confidence") not in expected.colours:
        yield f"{metadata.get('confidence')} instead of {' or '.join(sorted(expected.colours))}"
    if metadata.get("n_spectra") != expected.n_spectra:
        yield f"{metadata.get('n_spectra')} spectra instead of {expected.n_spectra}"
    yield from _distance_faults(expected, metadata.get("first_shell") or {})


def _distance_faults(expected: Expected, shell: Mapping[str, Any]) -> Iterable[str]:
    if expected.first_shell is None:
        return
    r = shell.get("r")
    if r is None or abs(r - expected.first_shell) > expected.tolerance:
        yield f"first shell {r} Å instead of {expected.first_shell} ± {expected.tolerance} Å"


def _array_faults(node: Any) -> Iterable[str]:  # noqa: ANN401 - tiled is untyped
    """Compare the 1-D arrays, where a prediction has them, with the document."""
    document = node.metadata.get("g2")
    if not document or node.metadata.get("n_spectra") != 1:
        return
    if node.metadata.get("arrays") not in {"complete", None}:
        yield f"arrays are {node.metadata.get('arrays')!r}"
        return
    for name in ("radius", "mean", "sigma"):
        if name not in node:
            yield f"array {name!r} is missing"
        elif not np.allclose(node[name].read(), document[name], rtol=1e-5, atol=1e-6):
            yield f"array {name!r} differs from the document"


def _short(nodes: Sequence[Any]) -> str:
    if not nodes:
        return "nothing"
    metadata = nodes[0].metadata
    if metadata.get("kind") == "declined":
        return "declined"
    shell = metadata.get("first_shell") or {}
    r = shell.get("r")
    return f"{metadata.get('confidence')}" + (f", {r:.2f} Å" if r is not None else "")


def show(checks: Sequence[Check], console: Console) -> bool:
    """Print the comparison and the verdict; True if everything is as it should be."""
    table = Table(title="What is in Tiled, compared with what should be there")
    for name in ("scan", "found", "as expected"):
        table.add_column(name, overflow="fold")
    for check in checks:
        name = check.taken.entry.name + (
            f" #{check.taken.repeat + 1}" if check.taken.repeat else ""
        )
        mark = "[green]✓[/]" if not check.faults else "[red]✗ " + "; ".join(check.faults) + "[/]"
        table.add_row(name, check.found, mark)
    console.print(table)
    return not any(check.faults for check in checks)
