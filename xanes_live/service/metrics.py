"""The service's numbers in the form Prometheus collects.

Names follow Prometheus' rules: base units, `_total` for what only grows. They are part of the
published interface (alerts and dashboards use them): add, never rename.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from xanes_live import __version__
from xanes_live.domain import Confidence
from xanes_live.publish.writer import Condition
from xanes_live.service.health import judge
from xanes_live.service.histogram import Histogram
from xanes_live.service.readings import Readings

PREFIX = "xanes_live_"


class ReadingsCollector(Collector):
    """Turns one set of readings into metrics whenever it is asked.

    Parameters
    ----------
    take
        Returns the readings of the moment.
    """

    def __init__(self, take: Callable[[], Readings]) -> None:
        self._take = take

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        readings = self._take()
        for group in (_identity, _documents, _runs, _publication, _health):
            yield from group(readings)

    def describe(self) -> Iterator[Metric]:
        """Say nothing: registration must not take readings."""
        return iter(())


def registry(take: Callable[[], Readings]) -> CollectorRegistry:
    """Return a registry of its own for one service, with the process's memory and CPU time."""
    own = CollectorRegistry()
    own.register(ReadingsCollector(take))
    ProcessCollector(registry=own)
    PlatformCollector(registry=own)
    return own


def _identity(readings: Readings) -> Iterator[Metric]:
    build = {"version": __version__, "python": platform.python_version()}
    yield InfoMetricFamily(f"{PREFIX}build", "Version of the software.", build)
    models = GaugeMetricFamily(
        f"{PREFIX}model_info", "Loaded models.", labels=("model", "version", "hash", "edge")
    )
    for model in readings.models:
        edge = f"{model.element} {model.edge}"
        models.add_metric((model.id, model.version, model.hash, edge), 1)
    yield models
    yield _gauge("start_time_seconds", "Start of the service.", readings.state.started)


def _documents(readings: Readings) -> Iterator[Metric]:
    seen = readings.counters
    yield _counter("documents", "Bluesky documents received.", seen.documents)
    yield _counter("documents_dropped", "Documents not used.", seen.dropped)
    yield _counter("document_errors", "Documents that could not be understood.", seen.errors)
    moment = readings.last_document
    yield _gauge("last_document_time_seconds", "When the last document came; 0: never.", moment)
    yield _gauge("runs_open", "Runs being assembled.", seen.open_runs)


def _runs(readings: Readings) -> Iterator[Metric]:
    state = readings.state
    outcomes = {"result": state.results, "declined": state.declined, "ignored": state.ignored}
    yield _counters("runs", "Runs dealt with.", "outcome", outcomes)
    colours = {colour.value: state.colours.get(colour.value, 0) for colour in Confidence}
    yield _counters("predictions", "Predicted spectra by colour.", "colour", colours)
    yield _counter("runs_reread", "Runs completed from Tiled.", state.reread)
    yield _counter("queue_overflows", "Runs put off because the queue was full.", state.overflowed)
    yield _gauge("runs_waiting", "Runs waiting to be re-read from Tiled.", state.waiting)
    yield _gauge("queue_depth", "Runs waiting to be processed.", readings.queued)
    yield _gauge("queue_limit", "Runs that may wait.", readings.queue_limit)
    yield _histogram("processing", "From hand-over to the outbox.", state.durations)


def _publication(readings: Readings) -> Iterator[Metric]:
    publisher = readings.publisher
    counts = publisher.counts
    waiting = {"document": counts.pending, "arrays": counts.arrays}
    yield _gauges("outbox_pending", "Results on their way to Tiled.", "part", waiting)
    yield _gauge("outbox_refused", "Results Tiled rejected, put aside.", counts.refused)
    yield _counter("tiled_errors", "Requests that failed.", publisher.errors)
    conditions = {c.value: float(publisher.condition is c) for c in Condition}
    yield _gauges("publisher_condition", "1 for the present one.", "condition", conditions)
    moment = publisher.last_success
    yield _gauge("last_publication_time_seconds", "When Tiled last took something.", moment)
    yield _histogram("publication", "From stop to a complete result.", readings.publication)


def _health(readings: Readings) -> Iterator[Metric]:
    health = judge(readings)
    yield _gauge("healthy", "1 when nobody needs to look.", float(health.ok))
    threads = {name: float(works) for name, works in readings.threads.items()}
    yield _gauges("thread_working", "1 while the thread is at work.", "thread", threads)
    yield _gauge("disk_free_bytes", "Space where the outbox is.", readings.disk_free)
    memory = readings.device_memory
    yield _gauges("device_memory_bytes", "Memory in use on accelerators.", "device", memory)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _histogram(name: str, text: str, seen: Histogram) -> Metric:
    return HistogramMetricFamily(
        f"{PREFIX}{name}_seconds", text, buckets=seen.cumulative(), sum_value=seen.total
    )
