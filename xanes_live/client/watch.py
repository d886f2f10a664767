"""Hearing of results as they become complete.

Tiled announces a new node before its arrays exist, forgets its sequence numbers when it restarts,
and keeps announcements in memory only. So an announcement counts only when the document says
'complete', and after every (re)connection, and now and then without one, the container is listed
and what was missed is delivered. Without any announcements (a server without a streaming cache)
the listing alone does the work, some seconds later.

Tiled's own `Subscription` is not used: it asks for a key that may create keys, which a reader has
no business with, and without one waits for ever.
"""
# ruff: noqa: ANN401  the Tiled client has no type information

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from xanes_live import log
from xanes_live.errors import XanesLiveError
from xanes_live.publish.tiled import PAGE, faults, listing

_log = log.get(__name__)

REMEMBERED = 10_000
"""Delivered keys kept to tell what is new."""
BASELINE = 1000
"""How many of the results that exist at the start are put down as known."""
LARGEST_MESSAGE = 64 << 20
_FIELDS = "{status: status, revised: revised}"


class Watch:
    """Delivers each complete result once, and again when another took its place.

    See :meth:`xanes_live.client.Results.watch`.

    Parameters
    ----------
    container
        Returns the Tiled client of the results, or None while there are none.
    deliver
        Called with key and document.
    reconcile_s
        Interval between listings while announcements come.
    retry_s
        Longest pause before a broken connection is taken up again.
    """

    def __init__(
        self,
        container: Callable[[], Any | None],
        deliver: Callable[[str, Mapping[str, Any]], None],
        *,
        reconcile_s: float = 30.0,
        retry_s: float = 3.0,
    ) -> None:
        self._container, self._deliver = container, deliver
        self._reconcile_s, self._retry_s = reconcile_s, retry_s
        self._seen: dict[str, float] = {}
        """When each was last replaced, s since the epoch; 0 if never."""
        self._baseline = False
        self._end, self._listening = threading.Event(), threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xanes-watch", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether announcements arrive at the moment."""
        return self._listening.is_set()

    def start(self, timeout_s: float = 10.0) -> Self:
        """Start; returns when it is known what exists already, or after `timeout_s`."""
        self._thread.start()
        self._ready.wait(timeout_s)
        return self

    def close(self, timeout_s: float = 5.0) -> None:
        """End the watch; no callback comes after this returns."""
        self._end.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        """Return the watch, which is running."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()

    def _run(self) -> None:
        pause = 0.1
        while not self._end.is_set():
            try:
                self._listen()
                pause = 0.1
            except Exception as error:  # noqa: BLE001 - whatever it is, the watch goes on
                log.event(_log, logging.INFO, "watch interrupted", error=repr(error))
            finally:
                self._listening.clear()
            self._try_reconcile()
            self._end.wait(pause)
            pause = min(self._retry_s, 2.0 * pause)

    def _listen(self) -> None:
        """Follow the announcements until the connection ends."""
        from websockets.sync.client import connect

        container = self._container()
        if container is None:
            return
        context = container.context
        key = context.api_key
        headers = {"Authorization": f"Apikey {key}"} if key else {}
        with connect(
            _address(container), additional_headers=headers, max_size=LARGEST_MESSAGE
        ) as socket:
            self._reconcile()  # after the connection, so that nothing falls between
            self._listening.set()
            self._follow(socket)

    def _follow(self, socket: Any) -> None:
        due = time.monotonic() + self._reconcile_s
        while not self._end.is_set():
            try:
                message = socket.recv(timeout=0.25)
            except TimeoutError:
                message = None
            if message is not None:
                self._hear(message)
            if time.monotonic() > due:
                self._reconcile()
                due = time.monotonic() + self._reconcile_s

    def _hear(self, message: str | bytes) -> None:
        try:
            content = json.loads(message)
        except ValueError:
            return
        if isinstance(content, Mapping) and isinstance(content.get("metadata"), Mapping):
            self._offer(str(content.get("key")), content["metadata"])

    def _try_reconcile(self) -> None:
        try:
            self._reconcile()
        except (XanesLiveError, OSError) as error:
            log.event(_log, logging.DEBUG, "listing failed", error=repr(error))

    def _reconcile(self) -> None:
        """Deliver what is complete and was not heard of; at first, take note of what exists."""
        container = self._container()
        if not self._baseline:
            self._take_note(container)
        elif container is not None:
            for key in reversed(self._missed(container)):
                with faults():
                    metadata = container[key].metadata
                self._offer(key, metadata)

    def _take_note(self, container: Any | None) -> None:
        if container is not None:
            for number, (key, found) in enumerate(listing(container, _FIELDS)):
                if found.get("status") == "complete":
                    self._remember(key, found)
                if number + 1 >= BASELINE:
                    break
        self._baseline = True
        self._ready.set()

    def _missed(self, container: Any) -> list[str]:
        """Return complete keys that are new, the youngest first.

        The listing ends after a whole page without any: results become complete out of order by
        a few, not by a page.
        """
        missed: list[str] = []
        quiet = 0
        for key, found in listing(container, _FIELDS):
            if self._knows(key, found):
                quiet += 1
            elif found.get("status") == "complete":
                missed.append(key)
                quiet = 0
            if quiet >= PAGE:
                break
        return missed

    def _offer(self, key: str, metadata: Mapping[str, Any]) -> None:
        if metadata.get("status") != "complete" or self._end.is_set():
            return
        if self._knows(key, metadata):
            return
        self._remember(key, metadata)
        try:
            self._deliver(key, metadata)
        except Exception:  # noqa: BLE001 - the fault of one callback is not the end of the watch
            _log.exception("a watch callback failed")

    def _knows(self, key: str, found: Mapping[str, Any]) -> bool:
        return key in self._seen and self._seen[key] >= _revised(found)

    def _remember(self, key: str, found: Mapping[str, Any]) -> None:
        self._seen[key] = _revised(found)
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]


def _revised(found: Mapping[str, Any]) -> float:
    moment = found.get("revised")
    return float(moment) if isinstance(moment, int | float) else 0.0


def _address(container: Any) -> str:
    """Return the address of the announcements about the children of `container`."""
    scheme, _, rest = str(container.uri).partition("://")
    place = rest.replace("/metadata/", "/stream/single/", 1)
    return f"{'wss' if scheme == 'https' else 'ws'}://{place}?envelope_format=json"
