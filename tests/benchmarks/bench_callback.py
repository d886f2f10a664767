"""Time for each document in process: ``python tests/benchmarks/bench_callback.py``.

Prints medians; nothing is asserted, because machines differ.
"""

from __future__ import annotations

import statistics
import time

import event_model
import numpy as np

from xanes_live.documents.callback import XanesCallback


def documents(n_events: int, n_keys: int, n_array: int = 0):
    """Yield the documents of one run; `n_array` > 0 makes every value an array of that length."""
    run = event_model.compose_run()
    yield "start", run.start_doc
    keys = [f"key{i}" for i in range(n_keys)]
    shape = [n_array] if n_array else []
    described = {k: {"dtype": "number", "shape": shape, "source": ""} for k in keys}
    stream = run.compose_descriptor(name="primary", data_keys=described)
    yield "descriptor", stream.descriptor_doc
    rng = np.random.default_rng(0)
    for _ in range(n_events):
        values = rng.random((n_keys, n_array)) if n_array else rng.random(n_keys).tolist()
        yield (
            "event",
            stream.compose_event(
                data=dict(zip(keys, values, strict=True)),
                timestamps=dict.fromkeys(keys, 0.0),
                validate=False,
            ),
        )
    yield "stop", run.compose_stop()


def measure(label: str, documents_: list) -> None:
    """Print the median, the 99th percentile and the time of `stop`."""
    callback = XanesCallback(lambda record: None)
    times = []
    for name, document in documents_:
        begun = time.perf_counter()
        callback(name, document)
        times.append(1e6 * (time.perf_counter() - begun))
    events = sorted(times[2:-1])
    print(  # noqa: T201
        f"{label:40s} median {statistics.median(events):7.2f} µs"
        f"   p99 {events[int(0.99 * len(events))]:7.2f} µs   stop {times[-1]:8.1f} µs"
    )


if __name__ == "__main__":
    measure("500 events of 10 numbers", list(documents(500, 10)))
    measure("500 events of 40 numbers", list(documents(500, 40)))
    measure("5000 events of 10 numbers", list(documents(5000, 10)))
    measure("100 events of 6 arrays of 500", list(documents(100, 6, 500)))
