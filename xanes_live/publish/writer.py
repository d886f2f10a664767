"""The thread that takes results from the outbox to Tiled.

Documents go before arrays, so a scan's result never waits for the charts of the one before it.
Faults of the server are retried for ever with growing pauses; a refused key likewise, but slowly
and loudly; a single result that the server rejects is put aside for a while and others pass.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from xanes_live import log
from xanes_live.config import TiledConfig
from xanes_live.publish.delivery import Delivery
from xanes_live.publish.document import Node
from xanes_live.publish.outbox import Counts, Item, Outbox, State
from xanes_live.publish.remote import (
    RefusedError,
    RejectedError,
    Remote,
    ServerFaultError,
    UnreachableError,
)

_log = log.get(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0
"""Between tries while Tiled cannot be reached."""
REFUSED_PAUSE_S = 60.0
"""Between tries with a key that Tiled refuses."""
REJECTED_PAUSE_S, LONGEST_REJECTED_PAUSE_S = 30.0, 3600.0
"""Between tries of one result that Tiled rejects."""
CHARTS_BEHIND = 64
"""From so many results without arrays on, arrays and new documents take turns."""
_IDLE_S = 3600.0


class Condition(StrEnum):
    """How publication is doing."""

    OK = "ok"
    RETRYING = "retrying"
    """Tiled cannot be reached; results wait and nothing is lost."""
    PARKED = "parked"
    """Tiled refuses the key; somebody has to look at it."""


@dataclass(frozen=True, slots=True)
class PublisherHealth:
    """A snapshot of how publication is doing."""

    condition: Condition
    message: str
    counts: Counts
    last_success: float
    """When Tiled last took something, s since the epoch; 0 for never."""
    errors: int = 0
    """Requests that failed, since the start."""


@dataclass(frozen=True, slots=True)
class _Last:
    condition: Condition = Condition.OK
    message: str = ""
    success: float = 0.0
    errors: int = 0


class Publisher:
    """Publishes what is in an outbox, on a thread of its own.

    Parameters
    ----------
    config
        Where to and how.
    key
        API key of the service.
    outbox
        What :meth:`put` writes to.
    on_complete
        Called on the publishing thread with the key of each result that has become complete.
    remote
        Instead of the server of `config`, for tests.

    Raises
    ------
    ConfigurationError
        If results would lie among the raw runs, or files have no directory.
    """

    def __init__(
        self,
        config: TiledConfig,
        key: str | None,
        outbox: Outbox,
        *,
        on_complete: Callable[[str], None] | None = None,
        remote: Remote | None = None,
    ) -> None:
        self._outbox, self._on_complete = outbox, on_complete
        self._remote = remote if remote is not None else Remote(config, key)
        self._delivery = Delivery(config, self._remote, outbox, self._announce)
        self._last = _Last()
        self._failures = 0
        self._charts: Item | None = None
        self._charts_turn = False
        self._unsaved: deque[Node] = deque(maxlen=1000)
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def health(self) -> PublisherHealth:
        """The state of publication now; from any thread."""
        last = self._last
        counts = self._outbox.counts()
        return PublisherHealth(last.condition, last.message, counts, last.success, last.errors)

    @property
    def working(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> Self:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="xanes-publisher", daemon=True)
        self._thread.start()
        return self

    def put(self, node: Node) -> None:
        """Take `node`; it is durable when this returns, and in Tiled some time later."""
        try:
            self._outbox.put(node)
        except sqlite3.Error as error:
            self._unsaved.append(node)
            log.event(_log, logging.ERROR, "outbox cannot be written", error=repr(error))
        self._wake.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is in Tiled; False if that took longer than `timeout_s`."""
        end = time.monotonic() + timeout_s
        while self._unsaved or self._outbox.pending():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread after the request in hand; what is left stays in the outbox."""
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._remote.close()

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.clear()
            try:
                pause = self.step()
            except Exception as error:  # noqa: BLE001 - this thread has to outlive any disk fault
                pause = self._failed(Condition.RETRYING, error, 1.0)
            # After a fault a new result does not shorten the pause: it would fail the same way.
            (self._end if self._failures else self._wake).wait(pause)

    def step(self) -> float:
        """Do one piece of work, for the thread and for tests.

        Returns
        -------
        float
            After how many seconds to come again; 0 for at once.
        """
        while self._unsaved:
            self._outbox.put(self._unsaved[0])
            self._unsaved.popleft()
        item = self._choose()
        if item is None:
            return self._idle()
        try:
            state = self._delivery.advance(item)
        except RefusedError as error:
            return self._failed(Condition.PARKED, error, REFUSED_PAUSE_S)
        except ServerFaultError as error:
            return self._faulty(item, error)
        except (UnreachableError, OSError) as error:
            return self._failed(Condition.RETRYING, error, _pause(self._failures))
        except Exception as error:  # noqa: BLE001 - rejected, or a defect: must not stop others
            return self._rejected(item, error)
        if state is not State.ARRAYS:
            self._charts = None if item is self._charts else self._charts
        self._succeeded()
        return 0.0

    def _choose(self) -> Item | None:
        if self._charts is not None and not self._outbox.holds(self._charts):
            self._charts = None  # a later result of the same key has taken its place
        self._charts = self._charts or self._outbox.next(State.ARRAYS)
        self._charts_turn = not self._charts_turn
        if self._charts and self._charts_turn and self._outbox.counts().arrays > CHARTS_BEHIND:
            return self._charts
        return self._outbox.next(State.PENDING) or self._charts

    def _idle(self) -> float:
        self._failures = 0
        moment = self._outbox.next_time()
        return _IDLE_S if moment is None else max(0.05, moment - time.time())

    def _announce(self, key: str) -> None:
        log.event(_log, logging.INFO, "result complete", result_key=key)
        if self._on_complete is None:
            return
        try:
            self._on_complete(key)
        except Exception:  # noqa: BLE001 - an observer's fault is not publication's
            _log.exception("an observer of publication failed")

    def _failed(self, condition: Condition, error: Exception, pause: float) -> float:
        changed = self._last.condition is not condition
        self._failures += 1
        self._last = _Last(condition, str(error), self._last.success, self._last.errors + 1)
        loud = logging.ERROR if condition is Condition.PARKED else logging.WARNING
        name = f"publication {condition.value}"
        quiet = condition is Condition.RETRYING and not changed
        log.event(_log, logging.DEBUG if quiet else loud, name, error=str(error), again_in_s=pause)
        return pause

    def _faulty(self, item: Item, error: ServerFaultError) -> float:
        """Let others pass: a fault of the server may be due to this one result."""
        self._outbox.put_off(item.node.key, _pause(item.attempts), repr(error))
        self._charts = None
        self._failed(Condition.RETRYING, error, 0.0)
        self._failures = 0
        return FIRST_PAUSE_S

    def _rejected(self, item: Item, error: Exception) -> float:
        pause = min(LONGEST_REJECTED_PAUSE_S, REJECTED_PAUSE_S * 2.0 ** min(item.attempts, 10))
        self._outbox.put_off(item.node.key, pause, repr(error))
        self._charts = None
        self._last = replace(self._last, message=str(error), errors=self._last.errors + 1)
        name = "a result was rejected and is put aside"
        values = {"result_key": item.node.key, "error": repr(error), "again_in_s": pause}
        log.event(_log, logging.ERROR, name, **values)
        if not isinstance(error, RejectedError):
            _log.debug("traceback", exc_info=error)
        return 0.0

    def _succeeded(self) -> None:
        if self._last.condition is not Condition.OK:
            log.event(_log, logging.INFO, "publication works again")
        self._failures = 0
        self._last = _Last(Condition.OK, "", time.time(), self._last.errors)


def _pause(failures: int) -> float:
    """Return the next pause, s: doubling, bounded, and never the same for two services."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)
