"""The one thread that turns run records into results.

:meth:`Worker.submit` is called from the thread that delivers documents: it never blocks and never
raises. When the queue is full the record itself is let go and only its uid is kept; the run is
re-read from Tiled once there is time. :meth:`Worker.step` does one piece of work, for tests.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from xanes_live import log
from xanes_live.config import Config
from xanes_live.documents.complete import needs_rereading
from xanes_live.documents.run import RunRecord
from xanes_live.domain import Declined, Result
from xanes_live.pipeline import Predictors
from xanes_live.publish.document import Node
from xanes_live.service.handle import Outcome, handle
from xanes_live.service.history import History
from xanes_live.service.state import ServiceState

_log = log.get(__name__)

REREAD_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Waits before a run is looked for in Tiled (again). When all are used up the run goes on as it
is, flagged; while Tiled cannot be reached at all, the last wait repeats without end."""
STUCK_S = 300.0
"""A worker that has been busy with one run for so long does not count as working."""


class Rereader(Protocol):
    """Completes a record from Tiled."""

    def __call__(self, record: RunRecord) -> RunRecord | None:
        """Return the record, completed as far as Tiled allows; None if Tiled cannot be reached."""
        ...


class Worker:
    """Processes run records one after the other on its own thread."""

    def __init__(
        self,
        config: Config,
        predictors: Predictors,
        publish: Callable[[Node], None],
        reread: Rereader | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._predictors = config, predictors
        self._publish, self._reread, self._clock = publish, reread, clock
        self._queue: queue.Queue[RunRecord] = queue.Queue(config.service.queue)
        self._overflow: deque[RunRecord] = deque(maxlen=10_000)
        self._later: list[tuple[float, int, int, RunRecord]] = []
        self._order = itertools.count()
        self._colours: Counter[str] = Counter()
        self._history = History(config.confidence)
        self._state = ServiceState(started=time.time())
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._until = 0.0
        self._beat = clock()

    @property
    def state(self) -> ServiceState:
        """The latest snapshot."""
        return self._state

    @property
    def working(self) -> bool:
        """Whether the thread lives and is not stuck in one run."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self._clock() - self._beat < STUCK_S

    @property
    def queued(self) -> int:
        """Records that wait to be processed."""
        return self._queue.qsize() + len(self._overflow)

    def submit(self, record: RunRecord) -> None:
        """Hand over a finished run; never blocks, never raises."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._overflow.append(record.without_data())

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="xanes-worker", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what is queued, for so long at most, and end the thread; name what is left."""
        self._until = self._clock() + timeout_s
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        left = [record.uid for record in (*self._queue.queue, *self._overflow)]
        left += [record.uid for _, _, _, record in self._later]
        if left:
            name = "stopped before these runs were processed; catch up or replay takes them up"
            log.event(_log, logging.WARNING, name, uids=",".join(left))

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is queued or waiting; False if that took longer than `timeout_s`."""
        end = self._clock() + timeout_s
        while self._busy():
            if self._clock() > end:
                return False
            time.sleep(0.02)
        return True

    def _busy(self) -> bool:
        return bool(self._queue.unfinished_tasks or self._overflow or self._later or self._working)

    def _run(self) -> None:
        while not self._stop.is_set() or (self.queued and self._clock() < self._until):
            self._beat = self._clock()
            self.step(wait_s=0.2)

    def step(self, wait_s: float = 0.0) -> bool:
        """Do one piece of work if there is any; True if something was done."""
        if self._aside():
            return True
        try:
            queued = self._queue.get(timeout=wait_s) if wait_s else self._queue.get_nowait()
        except queue.Empty:
            return False
        try:
            self._first(queued)
        finally:
            self._queue.task_done()
        return True

    def _aside(self) -> bool:
        """Take up a run that was put off, or one that found the queue full."""
        # Set before anything is taken, so that `drain` never sees a run that is nowhere.
        self._working = True
        try:
            if self._later and self._later[0][0] <= self._clock():
                _, _, attempt, record = heapq.heappop(self._later)
                self._complete(record, attempt)
            elif self._queue.empty() and self._overflow:
                self._count(overflowed=self._state.overflowed + 1)
                self._first(self._overflow.popleft())
            else:
                return False
            return True
        finally:
            self._working = False

    def _first(self, record: RunRecord) -> None:
        self._count(runs=self._state.runs + 1)
        if record.stop is not None:
            self._forget_unended(record.uid)
        reason = self._lacks(record)
        if reason and self._reread is not None:
            log.event(_log, logging.WARNING, "run to be re-read", uid=record.uid, reason=reason)
            self._put_off(record, 0)
        else:
            self._finish(record)

    def _forget_unended(self, uid: str) -> None:
        """Drop what waits of a run that had been given up, now that it ended after all."""
        kept = [e for e in self._later if e[3].uid != uid or e[3].stop is not None]
        heapq.heapify(kept)
        self._later = kept
        self._count(waiting=len(kept))

    def _lacks(self, record: RunRecord) -> str | None:
        return needs_rereading(record, self._config.beamline)

    def _put_off(self, record: RunRecord, attempt: int) -> None:
        delay = REREAD_DELAYS_S[min(attempt, len(REREAD_DELAYS_S) - 1)]
        entry = (self._clock() + delay, next(self._order), attempt, record)
        heapq.heappush(self._later, entry)
        self._count(waiting=len(self._later))

    def _complete(self, record: RunRecord, attempt: int) -> None:
        self._count(waiting=len(self._later))
        completed = self._try_reread(record)
        if completed is None:
            self._put_off(record, min(attempt + 1, len(REREAD_DELAYS_S) - 1))
        elif self._lacks(completed) and attempt + 1 < len(REREAD_DELAYS_S):
            self._put_off(record, attempt + 1)
        else:
            self._count(reread=self._state.reread + 1)
            self._finish(completed)

    def _try_reread(self, record: RunRecord) -> RunRecord | None:
        if self._reread is None:
            return record
        try:
            return self._reread(record)
        except Exception as error:  # noqa: BLE001 - a defect here must not cost the run
            log.event(_log, logging.ERROR, "re-reading failed", uid=record.uid, error=repr(error))
            return record

    def _finish(self, record: RunRecord) -> None:
        begun = self._clock()
        outcome = handle(record, self._predictors, self._config, self._history)
        if outcome.node is not None:
            self._publish(outcome.node)
        self._account(outcome, self._clock() - begun)

    def _account(self, outcome: Outcome, duration_s: float) -> None:
        found = outcome.found
        if isinstance(found, Result):
            self._colours.update(s.assessment.confidence.value for s in found.spectra)
        self._count(
            ignored=self._state.ignored + (found is None),
            declined=self._state.declined + isinstance(found, Declined),
            colours=dict(self._colours),
            last_uid=outcome.uid,
            last_time=time.time(),
            last_duration_s=duration_s,
            durations=self._state.durations.observe(duration_s),
            results=self._state.results + isinstance(found, Result),
        )
        log.event(
            _log,
            logging.INFO,
            "run done",
            uid=outcome.uid,
            outcome=type(found).__name__ if found is not None else "ignored",
            ms=round(duration_s * 1e3, 1),
        )

    def _count(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
