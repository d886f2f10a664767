"""What the service knows of itself: one immutable snapshot, replaced by its single writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xanes_live.service.histogram import Histogram


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A consistent view of the service at one moment."""

    started: float
    """s since the epoch."""
    runs: int = 0
    """Runs handed over by the callback."""
    ignored: int = 0
    """Runs that are not XAS scans."""
    declined: int = 0
    """XAS scans without a model."""
    results: int = 0
    """XAS scans that were predicted."""
    colours: Mapping[str, int] = field(default_factory=dict)
    """Published spectra by confidence."""
    reread: int = 0
    """Runs completed by re-reading them from Tiled."""
    waiting: int = 0
    """Runs waiting to be re-read."""
    overflowed: int = 0
    """Runs put down as to be re-read because the queue was full."""
    last_uid: str = ""
    last_time: float = 0.0
    """When the last run was finished, s since the epoch."""
    last_duration_s: float = 0.0
    """From hand-over to result in the outbox."""
    durations: Histogram = field(default_factory=Histogram)
    """From hand-over to result in the outbox, all runs."""
    last_error: str = ""
