"""What the prediction service says of its own health, for the operator's page.

The page reads Tiled with a key of its own, so it cannot know that the service's key is refused or
that its disk is full. The service tells both at /healthz.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import orjson

from xanes_live.config import MetricsConfig
from xanes_live.dashboard.safe import SENTENCE, items, mapping, text

EVERY_S = 5.0
MAX_REASONS = 10
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - where it listens, not where we do


class ServiceHealth:
    """Asks the service from time to time.

    Parameters
    ----------
    config
        Where the service says how it is; port 0: nowhere.
    transport
        Instead of the network, for tests.
    clock
        s since the epoch.
    """

    def __init__(
        self,
        config: MetricsConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        host = _ANY.get(config.host, config.host)
        self._url = f"http://{host}:{config.port}/healthz" if config.port else ""
        self._transport, self._clock = transport, clock
        self.reasons: tuple[str, ...] = ()
        """One sentence for each thing that is wrong; none if it is well or cannot be asked."""
        self.since = 0.0
        """Since when something has been wrong, s since the epoch."""

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        if not self._url:
            return
        # never through a facility's proxy: the service is a neighbour
        async with httpx.AsyncClient(
            timeout=EVERY_S, transport=self._transport, trust_env=False
        ) as http:
            while True:
                await self.ask(http)
                await asyncio.sleep(EVERY_S)

    async def ask(self, http: httpx.AsyncClient) -> None:
        """Ask once; a service that cannot be asked from here is not a service in trouble."""
        try:
            said = mapping(orjson.loads((await http.get(self._url)).content))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            said = {}
        told = (text(reason, SENTENCE) for reason in items(said.get("reasons"), MAX_REASONS))
        reasons = tuple(filter(None, told))
        if reasons and not self.reasons:
            self.since = self._clock()
        self.reasons = reasons
