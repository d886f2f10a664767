"""Progress of a long computation: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from xanes_live.theory.dataset import Progress as State
    from xanes_live.theory.store import Record

LINE_EVERY_S = 60.0


class Display:
    """Reports records; call it with the state and each record.

    Parameters
    ----------
    limit
        Spectra the file is to hold at most, None for no limit.
    tasks
        What there is to compute, at most; None if not known.
    console
        Where to; None is standard error.
    """

    def __init__(
        self, limit: int | None = None, tasks: int | None = None, console: Console | None = None
    ) -> None:
        self.limit, self.tasks = limit, tasks
        self.console = console or Console(stderr=True)
        self._last = time.monotonic()
        self._bar = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("spectra", total=self._total(0), rate="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, state: State, record: Record) -> None:
        """Show the state after `record`."""
        rate = f"{state.rate * 3600:,.0f}/h, {state.failed} failed"
        total = self._total(state.failed + state.skipped - state.held)
        self._bar.update(self._task, completed=state.held + state.computed, total=total, rate=rate)
        if not record["ok"]:
            self.console.print(f"failed {record['id']}: {record['error']}", markup=False)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._last > LINE_EVERY_S:
            self._last = now
            self.console.print(self._line(state, rate), markup=False)

    def _total(self, failed: int) -> int | None:
        """Return how many spectra there will be, if those that failed remain without one."""
        there_will_be = [] if self.tasks is None else [max(0, self.tasks - failed)]
        return min([*there_will_be, *([] if self.limit is None else [self.limit])], default=None)

    def _line(self, state: State, rate: str) -> str:
        left, total = "", self._total(state.failed + state.skipped - state.held)
        if total is not None and state.rate > 0:
            left = f", {(total - state.held - state.computed) / state.rate / 60:.0f} min left"
        return f"{time.strftime('%H:%M:%S')} {state.held + state.computed} spectra, {rate}{left}"
