"""Everything the service can say of itself at one moment, gathered from snapshots.

Nothing is counted twice: the callback, the worker, the outbox and the publisher keep their own
numbers, and this module only reads them, in the thread of whoever asks.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xanes_live.documents.callback import Counters
from xanes_live.domain import ModelInfo
from xanes_live.publish.outbox import Counts
from xanes_live.publish.writer import Condition, PublisherHealth
from xanes_live.service.histogram import Histogram
from xanes_live.service.raw import Trouble
from xanes_live.service.service import Service
from xanes_live.service.state import ServiceState


def _unstarted() -> PublisherHealth:
    return PublisherHealth(Condition.OK, "", Counts(), 0.0)


@dataclass(frozen=True, slots=True)
class Readings:
    """One consistent view of a running service."""

    now: float
    """s since the epoch."""
    state: ServiceState
    counters: Counters = field(default_factory=Counters)
    publisher: PublisherHealth = field(default_factory=_unstarted)
    publication: Histogram = field(default_factory=Histogram)
    """From the stop document's time to a complete result in Tiled."""
    queued: int = 0
    """Runs waiting to be processed."""
    queue_limit: int = 0
    last_document: float = 0.0
    """s since the epoch; 0 before the first one."""
    threads: Mapping[str, bool] = field(default_factory=dict)
    """Whether each thread the service needs is at work."""
    source_error: str = ""
    """Why the document source is not running; '' while it is."""
    raw: Trouble | None = None
    """Why raw runs cannot be read; None while they can."""
    models: tuple[ModelInfo, ...] = ()
    disk_free: int = 0
    """Bytes free where the outbox is."""
    device_memory: Mapping[str, int] = field(default_factory=dict)
    """Bytes in use by device; empty on a CPU."""


def take(service: Service) -> Readings:
    """Read all snapshots of `service`."""
    directory = Path(service.config.service.state_directory)
    now, counters = time.time(), service.callback.counters
    return Readings(
        now=now,
        state=service.worker.state,
        counters=counters,
        publisher=service.publisher.health,
        publication=service.latency.histogram,
        queued=service.worker.queued,
        queue_limit=service.config.service.queue,
        last_document=0.0 if counters.silent_s is None else now - counters.silent_s,
        threads=service.threads(),
        source_error=service.source_error,
        raw=service.raw.trouble or service.past.trouble,
        models=tuple(predictor.info for predictor in service.predictors.values()),
        disk_free=shutil.disk_usage(directory).free,
        device_memory=_device_memory(),
    )


def _device_memory() -> dict[str, int]:
    if (
        "torch" not in sys.modules
    ):  # then nothing was put onto a device, and importing takes seconds
        return {}
    from xanes_live.ensemble.memory import in_use  # noqa: PLC0415

    return in_use()
