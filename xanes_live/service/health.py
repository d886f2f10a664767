"""Is the service well? One answer for a probe, an alert and systemd."""

from __future__ import annotations

from dataclasses import dataclass

from xanes_live.publish.writer import Condition
from xanes_live.service.readings import Readings

UNREACHABLE_S = 120.0
"""Tiled may be away this long before somebody should look."""
LEAST_DISK_BYTES = 200 << 20


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong, if anything."""

    reasons: tuple[str, ...] = ()
    """One sentence each; empty when all is well."""
    alive: bool = True
    """Whether every thread is at work. What starting again would not mend does not count."""

    @property
    def ok(self) -> bool:
        """Whether nobody needs to look."""
        return not self.reasons


def judge(readings: Readings) -> Health:
    """Return what is wrong with the service at the moment of `readings`."""
    dead = [
        f"thread {name} is not at work" for name, works in readings.threads.items() if not works
    ]
    reasons = [*dead, *_source(readings), *_publication(readings), *_raw(readings)]
    reasons += _room(readings)
    return Health(tuple(reasons), alive=not dead)


def _source(readings: Readings) -> list[str]:
    if not readings.source_error:
        return []
    return [f"the document source fails: {readings.source_error}"]


def _publication(readings: Readings) -> list[str]:
    publisher = readings.publisher
    if publisher.condition is Condition.PARKED:
        remedy = (
            "give the service a key that may write there (the environment's "
            "XANES_LIVE_TILED_API_KEY, else [tiled] api_key) and start it again"
        )
        waiting = publisher.counts.pending + publisher.counts.arrays
        said = f"Tiled refuses the service's key for results: {publisher.message}"
        return [f"{said}; {waiting} results wait: {remedy}"]
    away = readings.now - max(publisher.last_success, readings.state.started)
    if publisher.condition is Condition.RETRYING and away > UNREACHABLE_S:
        waiting = publisher.counts.pending
        return [f"Tiled unreachable for {away:.0f} s, {waiting} results wait: {publisher.message}"]
    if publisher.counts.refused:
        return [f"{publisher.counts.refused} results were rejected by Tiled: {publisher.message}"]
    return []


def _raw(readings: Readings) -> list[str]:
    """Tell why runs wait to be re-read, or cannot be caught up with."""
    trouble, waiting = readings.raw, readings.state.waiting
    if trouble is None:
        return []
    if trouble.refused:
        return [f"{trouble.message}; {waiting} runs wait to be read again"]
    away = readings.now - trouble.since
    if not waiting or away <= UNREACHABLE_S:
        return []
    return [f"raw runs unreachable for {away:.0f} s, {waiting} wait to be read: {trouble.message}"]


def _room(readings: Readings) -> list[str]:
    reasons = []
    if readings.queue_limit and readings.queued >= readings.queue_limit:
        reasons.append(f"the queue is full ({readings.queued} runs)")
    if readings.disk_free < LEAST_DISK_BYTES:
        reasons.append(f"only {readings.disk_free >> 20} MB left for the outbox")
    return reasons
