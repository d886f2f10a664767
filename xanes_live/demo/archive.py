"""Raw runs into Tiled, without ever holding up the scan and whatever happens to Tiled.

Documents are written by bluesky's `TiledWriter` on a thread of their own while the run goes on. If
Tiled fails, the run's documents are kept and written again, from the first to the last, once Tiled
answers; nodes that are there already are completed (:mod:`xanes_live.demo.nodes`).
"""

from __future__ import annotations

import copy
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bluesky_tiled_plugins import TiledWriter

from xanes_live import log
from xanes_live.demo.nodes import Folder

WHOLE: Final = 1_000_000
"""Points a request: more than a run has, so that each table is written when the run ends. A request
costs 20–70 ms however many rows it carries."""
WAITS_S: Final = (0.5, 1.0, 2.0, 4.0)
"""Waits between attempts to reach Tiled; the last repeats for ever."""
MAX_KEPT: Final = 2000
"""Runs kept while Tiled is away; beyond that the oldest is given up."""

_log = log.get(__name__)
Document = tuple[str, dict[str, Any]]


@dataclass
class _Run:
    uid: str
    documents: list[Document] = field(default_factory=list)
    writer: TiledWriter | None = None
    """None: Tiled failed this run, which is to be written again when it has ended."""


class Archive:
    """A RunEngine callback that stores every run in Tiled, sooner or later.

    Parameters
    ----------
    connect
        Returns a client of the container for raw runs; may raise while Tiled is away.
    batch
        Points that are written together while the run goes on.
    """

    def __init__(self, connect: Callable[[], Any], batch: int = WHOLE) -> None:
        self._connect, self._batch = connect, batch
        self._client: Any = None
        self._queue: queue.SimpleQueue[Document] = queue.SimpleQueue()
        self._run: _Run | None = None
        self._kept: deque[_Run] = deque(maxlen=MAX_KEPT)
        self._failures, self._retry_at = 0, 0.0
        self._given = self._taken = self._stored = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="archive", daemon=True)
        self._thread.start()

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        """Take a document; returns at once."""
        self._given += 1
        self._queue.put((name, copy.deepcopy(document)))

    @property
    def stored(self) -> int:
        """Runs that are complete in Tiled."""
        return self._stored

    @property
    def waiting(self) -> tuple[str, ...]:
        """Uids of runs that are not completely in Tiled yet."""
        current = self._run
        return tuple(run.uid for run in (*self._kept, *([current] if current else [])))

    def drain(self, timeout_s: float) -> bool:
        """Wait until every run is in Tiled; False if that took longer than `timeout_s`."""
        end = time.monotonic() + timeout_s
        while self._taken < self._given or self._kept:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """End the thread; what is not in Tiled by now is given up."""
        self._stop.set()
        self._thread.join(5.0)
        self._disconnect()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                document = self._queue.get(timeout=0.1)
            except queue.Empty:
                self._catch_up()
            else:
                self._take(*document)
                self._taken += 1

    def _take(self, name: str, document: dict[str, Any]) -> None:
        if name == "start":
            self._catch_up()
            self._run = _Run(document["uid"], writer=self._writer())
        run = self._run
        if run is None:
            return
        run.documents.append((name, document))
        if run.writer is not None and not self._write(run.writer, run, (name, document)):
            run.writer = None
        if name == "stop":
            self._run = None
            if run.writer is None:
                self._keep(run)
            else:
                self._stored += 1

    def _keep(self, run: _Run) -> None:
        if len(self._kept) == MAX_KEPT:
            log.event(_log, logging.ERROR, "raw run given up", uid=self._kept[0].uid)
        self._kept.append(run)

    def _catch_up(self) -> None:
        """Write kept runs, oldest first, until one fails or all are in Tiled."""
        while self._kept and not self._stop.is_set():
            run, writer = self._kept[0], self._writer()
            if writer is None or not all(self._write(writer, run, d) for d in run.documents):
                return
            self._kept.popleft()
            self._stored += 1
            log.event(_log, logging.INFO, "raw run stored late", uid=run.uid)

    def _write(self, writer: TiledWriter, run: _Run, document: Document) -> bool:
        try:
            writer(document[0], copy.deepcopy(document[1]))  # the writer changes what it is given
        except Exception as error:  # noqa: BLE001  whatever it was, the run is written again
            self._failed(run.uid, error)
            return False
        return True

    def _writer(self) -> TiledWriter | None:
        """Return a fresh writer; None while Tiled is away."""
        if time.monotonic() < self._retry_at:
            return None
        try:
            if self._client is None:
                self._client = Folder(self._connect())
            writer = TiledWriter(self._client, batch_size=self._batch, max_array_size=0)
        except Exception as error:  # noqa: BLE001  not reachable, not ready, no such container
            self._failed("", error)
            return None
        self._failures = 0
        return writer

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.context.close()
            self._client = None

    def _failed(self, uid: str, error: Exception) -> None:
        self._disconnect()
        self._retry_at = time.monotonic() + WAITS_S[min(self._failures, len(WAITS_S) - 1)]
        self._failures += 1
        log.event(_log, logging.WARNING, "Tiled failed", uid=uid, error=repr(error)[:300])
