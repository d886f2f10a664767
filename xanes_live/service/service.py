"""Composition root: the configuration goes in, a running service comes out.

source thread ──► XanesCallback ──► queue ──► worker thread ──► outbox ──► publisher thread
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from xanes_live import log
from xanes_live.config import Config, SourceConfig
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.run import RunRecord
from xanes_live.errors import ConfigurationError, ModelFormatError
from xanes_live.pipeline import Predictors, judge_of
from xanes_live.publish.document import Node
from xanes_live.publish.outbox import Outbox
from xanes_live.publish.writer import Publisher
from xanes_live.service.latency import Latency
from xanes_live.service.raw import RawRuns
from xanes_live.service.worker import Worker

_log = log.get(__name__)

CATCH_UP = "xanes-catch-up"
CATCH_UP_WAITS_S = (5.0, 10.0, 30.0, 60.0)
"""Pauses between looks for runs without a result, the last one again and again: a beamline may
store its runs in Tiled long after they ended."""
REMEMBERED = 10_000
"""Runs known to have been taken by this process, the latest ones."""
LOOK_BACK_S = 3600.0
"""How far back every look but the first goes."""
SOURCE_FAILED_S = 30.0
"""A source that failed so recently counts as not running."""


class Source(Protocol):
    """Delivers documents to a callback until told to stop."""

    def run(self, callback: Callable[[str, dict[str, Any]], Any], stop: threading.Event) -> None:
        """Deliver documents; returns soon after `stop` is set."""
        ...


def load_predictors(config: Config) -> Predictors:
    """Load every configured ensemble, keyed by (element, edge).

    Raises
    ------
    ConfigurationError
        If two models serve the same edge.
    UnknownModelError, ModelFormatError
        If a model is missing or damaged, or its library is, which is read here and not with the
        first scan.
    """
    from xanes_live.ensemble import Ensemble  # noqa: PLC0415 - torch only when it is needed

    predictors: dict[tuple[str, str], Any] = {}
    for name in config.model.names:
        ensemble = Ensemble.load(name, device=config.model.device)
        edge = (ensemble.info.element, ensemble.info.edge)
        if edge in predictors:
            raise ConfigurationError(f"two models serve the {edge[0]} {edge[1]} edge: keep one")
        # The first prediction of a process takes ten times as long as the next.
        ensemble.predict(np.zeros((1, ensemble.energy.size)))
        try:
            judge_of(ensemble)
        except ModelFormatError as error:
            raise ModelFormatError(f"{name}: {error}") from None
        predictors[edge] = ensemble
    return predictors


def state_directory(config: Config) -> Path:
    """Return the directory of the outbox, made if need be.

    Raises
    ------
    ConfigurationError
        If nothing can be written there.
    """
    directory = Path(config.service.state_directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"service.state_directory {directory}: {error.strerror}"
        raise ConfigurationError(said) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(f"service.state_directory {directory}: may not be written to")
    return directory


def make_source(config: SourceConfig) -> Source | None:
    """Make the configured document source; None for kind 'none'."""
    if config.kind == "zmq":
        from xanes_live.documents.zmq import ZmqSource  # noqa: PLC0415 - only one source is needed

        return ZmqSource(config.address, config.serializer, config.prefix)
    if config.kind == "kafka":
        from xanes_live.documents.kafka import KafkaSource  # noqa: PLC0415 - an optional extra

        return KafkaSource(config)
    return None


class Service:
    """Assembles, predicts and publishes until stopped; usable as a context manager."""

    def __init__(
        self,
        config: Config,
        predictors: Predictors | None = None,
        source: Source | None = None,
    ) -> None:
        self.config = config
        self.predictors = load_predictors(config) if predictors is None else predictors
        self.outbox = Outbox(state_directory(config) / "outbox.sqlite")
        self.latency = Latency()
        self.publisher = Publisher(
            config.tiled, config.tiled_key(), self.outbox, on_complete=self.latency.complete
        )
        self.raw = RawRuns(config.tiled, config.tiled_key())
        self.past = RawRuns(config.tiled, config.tiled_key())
        self.worker = Worker(config, self.predictors, self._publish, self.raw.reread)
        self._handed: deque[str] = deque(maxlen=REMEMBERED)
        self.callback = XanesCallback(
            self.submit,
            max_runs=config.service.max_runs,
            max_points=config.service.max_points,
            stale_s=config.service.stale_s,
        )
        self.source = source if source is not None else make_source(config.source)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._source_failure = (0.0, "")

    def start(self) -> Self:
        """Start all threads and look for recent runs that have no prediction yet."""
        self.publisher.start()
        self.worker.start()
        if self.source is not None:
            self._spawn("xanes-source", lambda: self._listen(self.source))
        if self.config.service.catch_up_s > 0:
            self._spawn(CATCH_UP, self._catch_up)
        log.event(_log, logging.INFO, "service started", models=list(self.predictors))
        return self

    def submit(self, record: RunRecord) -> None:
        """Hand over a finished run; never blocks."""
        self._handed.append(record.uid)
        self.worker.submit(record)

    @property
    def source_error(self) -> str:
        """Why the document source does not run; '' while it does."""
        moment, reason = self._source_failure
        return reason if reason and time.monotonic() - moment < SOURCE_FAILED_S else ""

    def threads(self) -> dict[str, bool]:
        """Tell of each thread the service needs whether it is at work."""
        needed = {
            thread.name: thread.is_alive() for thread in self._threads if thread.name != CATCH_UP
        }
        return {"worker": self.worker.working, "publisher": self.publisher.working, **needed}

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the run in hand and end; whatever is not published yet stays in the outbox."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout_s)
        self.worker.stop(timeout_s)
        self.publisher.stop(timeout_s)
        self.raw.close()
        self.past.close()
        self.outbox.close()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _publish(self, node: Node) -> None:
        self.latency.handed_over(node)
        self.publisher.put(node)

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _listen(self, source: Source | None) -> None:
        """Keep the source alive: whatever ends it short of a stop starts it again."""
        while source is not None and not self._stop.is_set():
            try:
                source.run(self.callback, self._stop)
            except Exception as error:  # noqa: BLE001 - supervision
                self._source_failure = (time.monotonic(), repr(error))
                log.event(_log, logging.ERROR, "source failed", error=repr(error))
                self._stop.wait(1.0)

    def _catch_up(self) -> None:
        """Process runs that ended while nobody listened; looks again from time to time."""
        since = time.time() - self.config.service.catch_up_s
        waits = itertools.chain(CATCH_UP_WAITS_S, itertools.repeat(CATCH_UP_WAITS_S[-1]))
        while not self._stop.is_set():
            try:
                self._look_back(since)
                since = max(since, time.time() - LOOK_BACK_S)
            except Exception as error:  # noqa: BLE001 - any kind of outage
                log.event(_log, logging.WARNING, "catch-up waits for Tiled", error=repr(error))
            self._stop.wait(next(waits))

    def _look_back(self, since: float) -> None:
        known = self.outbox.known_uids().union(self._handed)
        for record in self.past.unpredicted(since, known):
            if self._stop.is_set():
                return
            log.event(_log, logging.INFO, "run without a result found", uid=record.uid)
            self.submit(record)
