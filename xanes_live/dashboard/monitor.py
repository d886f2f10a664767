"""What an operator is warned of: that something on the page is not current."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.service import ServiceHealth

EVERY_S = 0.25
SILENT_S = 10.0
"""A result that takes longer after the end of its scan says that the service is silent."""
NO_DATA_S = 20.0
"""A running scan without a new point for so long is worth a word."""


class Monitor:
    """Keeps the board's part 'status' current.

    Parameters
    ----------
    feed
        Knows how the page stands with Tiled and which runs wait for a result.
    about
        What does not change: name of the beamline, whether reprocessing is possible, ….
    service
        Knows what the prediction service says of its own health.
    """

    def __init__(
        self,
        feed: Feed,
        about: Mapping[str, Any],
        *,
        silent_s: float = SILENT_S,
        no_data_s: float = NO_DATA_S,
        clock: Callable[[], float] = time.time,
        service: ServiceHealth | None = None,
    ) -> None:
        self._service = service
        self._feed, self._about, self._clock = feed, about, clock
        self._silent_s, self._no_data_s = silent_s, no_data_s
        self._begun = clock()
        self._progress: tuple[str, Any] = ("", None)
        self._moved = self._begun

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            self.step()
            await asyncio.sleep(EVERY_S)

    def step(self) -> None:
        """Look once."""
        tiled = self._feed.link.state()
        self._feed.board.put(
            "status",
            {
                **self._about,
                "tiled": tiled,
                "notices": self.notices(tiled),
                "loading": self._feed.loading,
                "loaded": len(self._feed.board.rows),
            },
        )

    def notices(self, tiled: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return what is to be said, the gravest first; times are s since the epoch."""
        if tiled["state"] == "down":
            # Nothing else can be told while Tiled is away.
            return [{"code": "tiled_down", "since": tiled["since"], "reason": tiled["reason"]}]
        found: list[dict[str, Any]] = []
        if self._service is not None:
            since = self._service.since
            found += (
                {"code": "service_unwell", "since": since, "reason": reason}
                for reason in self._service.reasons
            )
        # Runs that ended before this page started were judged by whoever was there.
        late = self._feed.runs.overdue(self._silent_s, self._begun - 600.0)
        if late is not None:
            found.append({"code": "service_silent", "since": late.ended, "run": late.title()})
        running = self._feed.runs.current()
        since = self._last_movement()
        if running is not None and self._clock() - since > self._no_data_s:
            found.append({"code": "no_data", "since": since, "run": running.title()})
        return found

    def _last_movement(self) -> float:
        """Return when the scan in progress last got a point, or was first seen."""
        running = self._feed.runs.current()
        progress = (running.uid, self._feed.points) if running is not None else ("", None)
        if progress != self._progress:
            self._progress, self._moved = progress, self._clock()
        return self._moved
