"""How the page stands with Tiled: whether what it shows is current."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

GRACE_S = 1.0
"""A connection that is back sooner than this was never gone, for the operator."""


class Link:
    """The state of the subscriptions and searches, one of each for results and raw runs.

    Parameters
    ----------
    clock
        s since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._subscribed: dict[str, bool] = {}
        self._down: dict[str, float] = {}
        self._reason = ""
        self._answered = 0.0
        self._asked: dict[str, asyncio.Event] = {}

    def up(self, name: str) -> None:
        """Note that a subscription delivers."""
        self._subscribed[name] = True
        self._down.pop(name, None)

    def unsubscribed(self, name: str) -> None:
        """Note that there is nothing to subscribe to."""
        self._subscribed[name] = False

    def lost(self, name: str, reason: str) -> None:
        """Note that a subscription or a search failed."""
        self._subscribed[name] = False
        self._down.setdefault(name, self._clock())
        self._reason = reason

    def answered(self, name: str) -> None:
        """Note that a search succeeded."""
        self._answered = self._clock()
        self._down.pop(name, None)

    def ask(self, name: str) -> None:
        """Have a search done at once, or again if one is under way."""
        self._asked.setdefault(name, asyncio.Event()).set()

    async def pause(self, name: str, subscribed_s: float, otherwise_s: float) -> None:
        """Wait until the next search is due."""
        wait_s = subscribed_s if self._subscribed.get(name) else otherwise_s
        asked = self._asked.setdefault(name, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await asked.wait()
        asked.clear()

    def state(self) -> dict[str, Any]:
        """Return what the page says of Tiled.

        Returns
        -------
        dict
            `state` is 'live' (subscribed), 'polling' (searched every second), 'connecting' or
            'down'; `since` is when it went down, s since the epoch.
        """
        if self._down:
            since = min(self._down.values())
            if self._clock() - since > GRACE_S:
                return {"state": "down", "since": since, "reason": self._reason}
        if not self._answered:
            return {"state": "connecting", "since": None, "reason": ""}
        live = bool(self._subscribed) and all(self._subscribed.values())
        return {"state": "live" if live else "polling", "since": None, "reason": ""}
