"""A Tiled server of a few dictionaries, with the methods of TiledReader that the page uses."""

from __future__ import annotations

import asyncio

from xanes_live.dashboard.tiled import NotThereError, Page, TiledError


class FakeTiled:
    """Containers in order of creation; subscriptions deliver what is put while they are up."""

    def __init__(self):
        self.containers = {}
        self.down = False
        self.streaming = True
        self.requests = []
        self._queues = []

    def put(self, path, key, metadata, *, announced=True):
        self.containers.setdefault(path, {})[key] = metadata
        if announced:
            for subscribed, queue in self._queues:
                if subscribed == path:
                    queue.put_nowait({"key": key, "metadata": metadata})

    def drop(self):
        """Break all subscriptions."""
        for _, queue in self._queues:
            queue.put_nowait(None)

    def _check(self):
        if self.down:
            raise TiledError("Tiled cannot be reached")

    async def newest(self, path, select, limit=300, cursor=None, above=None):
        await asyncio.sleep(0)
        self._check()
        self.requests.append(("newest", path, cursor))
        if path not in self.containers:
            raise NotThereError(f"Tiled has no {path}")
        items = list(self.containers[path].items())[::-1]
        if above is not None:
            name, least = above
            items = [(k, m) for k, m in items if isinstance(m, dict) and (m.get(name) or 0) > least]
        first = int(cursor or 0)
        found = items[first : first + limit]
        more = first + limit < len(items)
        return Page(tuple(found), str(first + limit) if more else None)

    async def metadata(self, path):
        await asyncio.sleep(0)
        self._check()
        self.requests.append(("metadata", path, None))
        container, _, key = path.rpartition("/")
        try:
            return self.containers[container][key]
        except KeyError:
            raise NotThereError(f"Tiled has no {path}") from None

    async def children(self, path, limit=300):
        await asyncio.sleep(0)
        self._check()
        return []

    async def subscribe(self, path):
        self._check()
        if not self.streaming or path not in self.containers:
            raise NotThereError("no subscriptions here")
        queue = asyncio.Queue()
        self._queues.append((path, queue))
        try:
            yield {"type": "container-schema"}
            while (message := await queue.get()) is not None:
                yield message
            raise TiledError("Tiled ended the subscription")
        finally:
            self._queues.remove((path, queue))

    async def scopes(self):
        return None

    async def close(self):
        pass


async def until(condition, timeout_s=5.0):
    """Let the event loop run until `condition()` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
