"""What all open pages are shown: versioned parts with one writer and any number of readers.

A page says which version of each part it has and gets the latest of those that are newer; what
came in between is never queued for it, so a slow page costs no more memory than a fast one. The
feed (:mod:`xanes_live.dashboard.feed`) is the only writer, on the same event loop as the readers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from xanes_live.dashboard.view import Summary

ROWS_A_MESSAGE = 2000
MAX_ROWS = 20_000
"""Results kept for the history; beyond that the oldest are let go."""
_SLACK = 500


@dataclass(frozen=True, slots=True)
class Part:
    """One versioned piece of what is shown, ready to be sent."""

    version: int
    body: bytes


class Board:
    """The state of the page.

    Parameters
    ----------
    max_rows
        Results kept for the history.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.epoch = secrets.token_hex(4)
        """Another one after each start of the server: versions begin again."""
        self.version = 0
        self._parts: dict[str, Part] = {}
        # Ordered by version: an entry that changes moves to the end.
        self._rows: dict[str, tuple[int, Summary]] = {}
        self.max_rows = max_rows
        self._changed: asyncio.Event = asyncio.Event()

    @property
    def rows(self) -> Mapping[str, tuple[int, Summary]]:
        """The history by key, in the order of change."""
        return self._rows

    def put(self, name: str, value: object) -> None:
        """Replace a part; nothing happens if it is the same as before."""
        body = orjson.dumps(value)
        old = self._parts.get(name)
        if old is None or old.body != body:
            self._parts[name] = Part(self._next(), body)

    def add(self, summaries: Iterable[Summary]) -> None:
        """Add rows to the history or replace those of the same key."""
        for summary in summaries:
            old = self._rows.get(summary.key)
            if old is None or old[1] != summary:
                self._rows.pop(summary.key, None)
                self._rows[summary.key] = (self._next(), summary)
        if len(self._rows) > self.max_rows + _SLACK:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        by_age = sorted(self._rows.values(), key=lambda row: row[1].time or 0.0)
        for _, summary in by_age[: len(self._rows) - self.max_rows]:
            del self._rows[summary.key]

    def _next(self) -> int:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        return self.version

    async def message(
        self, epoch: str, have: Mapping[str, int], *, history: bool, wait_s: float
    ) -> bytes:
        """Return what is newer than a reader has, waiting up to `wait_s` for there to be any.

        Parameters
        ----------
        epoch
            The reader's; one of another life of the server makes it start again.
        have
            Version by part; the history's under 'history'.
        history
            Whether the reader shows the history at all.
        wait_s
            After this long a message without news says that server and Tiled are still there.
        """
        known = have if epoch == self.epoch else {}
        if wait_s > 0 and not self._news(known, history=history):
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
        return self._compose(known, history=history)

    def _news(self, have: Mapping[str, int], *, history: bool) -> bool:
        if any(part.version > have.get(name, 0) for name, part in self._parts.items()):
            return True
        return history and bool(self._rows) and self._last_row() > have.get("history", 0)

    def _last_row(self) -> int:
        return next(reversed(self._rows.values()))[0]

    def _compose(self, have: Mapping[str, int], *, history: bool) -> bytes:
        message: dict[str, Any] = {
            "type": "state",
            "epoch": self.epoch,
            "time": time.time(),
            "versions": {name: part.version for name, part in self._parts.items()},
            "parts": {
                name: orjson.Fragment(part.body)
                for name, part in self._parts.items()
                if part.version > have.get(name, 0)
            },
        }
        if history:
            message["history"] = self._history(have.get("history", 0))
        return orjson.dumps(message)

    def _history(self, version: int) -> dict[str, Any]:
        """Return the rows that changed after `version`, the oldest change first."""
        newer: list[tuple[int, Summary]] = []
        for changed, summary in reversed(self._rows.values()):
            if changed <= version:
                break
            newer.append((changed, summary))
        newer.reverse()
        sent = newer[:ROWS_A_MESSAGE]
        return {
            "version": sent[-1][0] if sent else version,
            "more": len(newer) > len(sent),
            "rows": [summary.row() for _, summary in sent],
        }
