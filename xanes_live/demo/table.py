"""The live table of the demonstration: one line for each result as it can be read in Tiled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from xanes_live.service.words import interval

WIDTHS = {
    "time": 8,
    "scan": 5,
    "sample": 22,
    "e0 / eV": 8,
    "step": 6,
    "first shell / Å": 17,
    "": 9,
    "most important flag": 44,
    "ms": 6,
}
"""Columns and their widths; 'ms' is from the run's stop document to readable in Tiled."""
MARKS = {"green": "[green]● green[/]", "amber": "[yellow]▲ amber[/]", "red": "[red]■ red[/]"}


class LiveTable:
    """Prints a heading once and then a line a result; plain text where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = False

    def add(self, metadata: Mapping[str, Any], readable: float) -> None:
        """Print the result whose document is `metadata`, read at time `readable` (s, epoch)."""
        grid = Table.grid(padding=(0, 1))
        for name, width in WIDTHS.items():
            right = name in {"scan", "e0 / eV", "step", "ms"}
            grid.add_column(
                width=width, justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
            )
        if not self._begun:
            grid.add_row(*(f"[bold]{name}[/]" for name in WIDTHS))
            self._begun = True
        grid.add_row(*cells(metadata, readable))
        self._console.print(grid)


def cells(metadata: Mapping[str, Any], readable: float) -> tuple[str, ...]:
    """Return one line of the table; unknown values are a dash."""
    stop = metadata.get("stop_time") or 0.0
    flags = metadata.get("flags") or []
    shell = metadata.get("first_shell") or {}
    return (
        time.strftime("%H:%M:%S", time.localtime(readable)),
        str(metadata.get("scan_id") or "–"),
        str(metadata.get("sample") or "–"),
        number(metadata.get("e0"), 2),
        number(metadata.get("edge_step"), 3),
        interval(*(shell.get(name) for name in ("r", "low", "high"))),
        MARKS.get(str(metadata.get("confidence")), "declined"),
        str(flags[0]["message"]) if flags else "",
        f"{(readable - stop) * 1e3:.0f}" if stop else "–",
    )


def number(value: object, digits: int) -> str:
    """Return `value` with `digits` decimals, or a dash."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"
