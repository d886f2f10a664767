"""Follows Tiled and keeps the board current: the only writer of what the page shows.

Results and raw runs come through two subscriptions. A subscription alone loses what happens while
it is down, and restarts its count with the server, so after every connection the newest nodes are
searched back to those already known; and once in a while even when nothing broke.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from xanes_live import log
from xanes_live.dashboard import runs as raw
from xanes_live.dashboard.link import Link
from xanes_live.dashboard.runs import Runs
from xanes_live.dashboard.safe import mapping, number, text
from xanes_live.dashboard.state import Board
from xanes_live.dashboard.tiled import NotThereError, TiledError, TiledReader
from xanes_live.dashboard.view import SELECT, Summary, detail, is_complete, summary

_log = log.get(__name__)

FIRST_PAGE = 20
PAGE = 300
KEPT = 64
"""Documents of results kept for pages that open one."""
RECENT = 12
_RETRY_S = (0.2, 0.5, 1.0, 2.0)


class Feed:
    """Follows one Tiled server.

    Parameters
    ----------
    reader
        Of the server.
    board
        What is shown.
    results_path, raw_path
        Containers of the results and of the raw runs.
    reconcile_s
        Time between searches while a subscription is up.
    poll_s
        The same where the server has no subscriptions.
    """

    def __init__(
        self,
        reader: TiledReader,
        board: Board,
        results_path: str,
        raw_path: str,
        *,
        reconcile_s: float = 15.0,
        poll_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.reader, self.board = reader, board
        self.results_path, self.raw_path = results_path, raw_path
        self.runs = Runs(clock)
        self.link = Link(clock)
        self.loading = True
        self.points = -1
        """Points of the scan in progress; set by :class:`~xanes_live.dashboard.live.LiveScan`."""
        self._reconcile_s, self._poll_s = reconcile_s, poll_s
        self._details: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._writing: dict[str, None] = {}
        self._recent: list[Summary] = []
        self._latest = -1.0
        self._revised = 0.0

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow("results", self.results_path, self._result))
            group.create_task(self._follow("raw", self.raw_path, self._raw))
            group.create_task(self._reconcile_forever("results", self._reconcile_results))
            group.create_task(self._reconcile_forever("raw", self._reconcile_raw))

    async def detail(self, key: str) -> dict[str, Any]:
        """Return everything about one result.

        Raises
        ------
        TiledError
            If Tiled has no complete result of that name or cannot be reached.
        """
        if key not in self._details:
            metadata = await self.reader.metadata(f"{self.results_path}/{key}")
            if not is_complete(metadata):
                raise NotThereError("this result is not complete")
            self._keep(key, detail(key, metadata))
        self._details.move_to_end(key)
        return self._details[key]

    async def _follow(
        self, name: str, path: str, take: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        """Subscribe to a container, again and again."""
        tries = 0
        while True:
            try:
                async for message in self.reader.subscribe(path):
                    tries = 0
                    self.link.up(name)
                    self._dispatch(name, message, take)
            except NotThereError:
                # Nothing was published yet, or this server has no subscriptions: searched instead.
                self.link.unsubscribed(name)
                await asyncio.sleep(self._poll_s)
                continue
            except TiledError as error:
                self.link.lost(name, str(error))
            except Exception as error:  # noqa: BLE001 - whatever a message held, the page goes on
                log.event(_log, logging.ERROR, "feed failed", feed=name, error=repr(error))
            await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
            tries += 1

    def _dispatch(
        self,
        name: str,
        message: Mapping[str, Any],
        take: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        key = message.get("key")
        if isinstance(key, str):
            take(key, mapping(message.get("metadata")))
        else:
            self.link.ask(name)  # the schema: just connected, so search for what was missed

    async def _reconcile_forever(self, name: str, search: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await search()
                self.link.answered(name)
            except NotThereError:
                self.link.answered(name)
                self.loading = self.loading and name != "results"
            except TiledError as error:
                self.link.lost(name, str(error))
            except Exception as error:  # noqa: BLE001 - as above
                log.event(_log, logging.ERROR, "search failed", feed=name, error=repr(error))
            await self.link.pause(name, self._reconcile_s, self._poll_s)

    async def _reconcile_results(self) -> None:
        """Search the newest results back to a page that is known from end to end."""
        await self._finish_writing()
        cursor, limit = None, FIRST_PAGE
        while True:
            page = await self.reader.newest(self.results_path, SELECT, limit, cursor)
            known = self.board.rows.keys() | self._writing.keys()
            fresh = [(key, found) for key, found in page.items if key not in known]
            self._take_summaries(fresh)
            if cursor is None:
                await self._show_latest()
            nothing_new = not fresh and not self.loading
            full = len(self.board.rows) >= self.board.max_rows
            if nothing_new or full or page.cursor is None:
                self.loading = False
                break
            cursor, limit = page.cursor, PAGE
        await self._reconcile_revised()

    async def _reconcile_revised(self) -> None:
        """Take what was replaced while nothing was heard: it is as old as what it replaced."""
        above = ("revised", self._revised)
        page = await self.reader.newest(self.results_path, SELECT, PAGE, above=above)
        revised = [key for key, _ in page.items]
        for key in revised:
            self._details.pop(key, None)
        self._take_summaries([*page.items])
        if self._recent and self._recent[0].key in revised:
            self._promote(self._recent[0], await self.detail(self._recent[0].key))

    def _take_summaries(self, found: list[tuple[str, Any]]) -> None:
        rows = []
        for key, selected in found:
            self._revised = max(self._revised, number(mapping(selected).get("revised")) or 0.0)
            if is_complete(selected):
                rows.append(summary(key, selected))
            else:
                self._writing[key] = None
        # Newest first as found; the board's order of change is to be that of publication.
        rows.reverse()
        self._show(rows)

    def _show(self, rows: list[Summary]) -> None:
        for row in rows:
            self._writing.pop(row.key, None)
            self.runs.answered(row.raw_uid)
        self.board.add(rows)
        by_key = {row.key: row for row in (*self._recent, *rows)}
        self._recent = sorted(by_key.values(), key=_age)[:RECENT]
        self.board.put("recent", [row.row() for row in self._recent])

    async def _finish_writing(self) -> None:
        """Look again at nodes that were being written."""
        for key in list(self._writing)[:50]:
            try:
                metadata = await self.reader.metadata(f"{self.results_path}/{key}")
            except NotThereError:
                del self._writing[key]
                continue
            if is_complete(metadata):
                self._result(key, metadata)

    async def _show_latest(self) -> None:
        """Show the result of the newest scan."""
        if self._recent and (self._recent[0].time or 0.0) > self._latest:
            newest = self._recent[0]
            self._promote(newest, await self.detail(newest.key))

    def _result(self, key: str, metadata: Mapping[str, Any]) -> None:
        """Take one result from the subscription."""
        if not is_complete(metadata):
            self._writing[key] = None
            return
        row, shown = summary(key, metadata), detail(key, metadata)
        self._keep(key, shown)
        self._show([row])
        if (row.time or 0.0) >= self._latest:
            self._promote(row, shown)

    def _promote(self, row: Summary, shown: dict[str, Any]) -> None:
        self._latest = row.time or 0.0
        self.board.put("result", shown)

    def _keep(self, key: str, shown: dict[str, Any]) -> None:
        self._details[key] = shown
        self._details.move_to_end(key)
        while len(self._details) > KEPT:
            self._details.popitem(last=False)

    def _raw(self, uid: str, metadata: Mapping[str, Any]) -> None:
        self.runs.seen(text(uid), metadata, live=True)

    async def _reconcile_raw(self) -> None:
        page = await self.reader.newest(self.raw_path, raw.SELECT, 10)
        for uid, metadata in reversed(page.items):
            self.runs.seen(text(uid), metadata, live=False)


def _age(row: Summary) -> float:
    return -(row.time or 0.0)
