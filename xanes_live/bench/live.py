"""From the `stop` document of a scan to its assessed prediction in memory, through the service.

The documents go to the callback, the record over the queue to the worker's thread, the result to
the hand-over for publication; only Tiled is left out.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import event_model

from xanes_live.bench.reduction import channels
from xanes_live.bench.rows import Row
from xanes_live.bench.timing import Times, once
from xanes_live.config import Config
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.identify import identify
from xanes_live.documents.run import RunRecord
from xanes_live.domain import Result, Scan
from xanes_live.pipeline import Predictors, process
from xanes_live.publish.document import Node
from xanes_live.service.worker import Worker

LIMIT_S = {"cpu": 5e-3, "cuda": 2e-3}
SCANS = 40
TIMEOUT_S = 60.0

Documents = list[tuple[str, dict[str, Any]]]


def documents(number: int, name: str = "FeO_rt_01.xdi") -> Documents:
    """Return the documents of one step scan of a measured compound."""
    scan = channels(name)
    columns = {"energy": scan.energy, "i0": scan.i0, "it": scan.it}
    given = {key: values for key, values in columns.items() if values is not None}
    start = {"plan_name": "xas_scan", "element": "Fe", "edge": "K", "scan_id": number}
    run = event_model.compose_run(metadata={**start, "sample": f"bench {number}"})
    keys = {key: {"dtype": "number", "shape": [], "source": "bench"} for key in given}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    found: Documents = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    for i in range(len(scan.energy)):
        data = {key: float(values[i]) for key, values in given.items()}
        stamps = dict.fromkeys(data, 0.0)
        event = stream.compose_event(data=data, timestamps=stamps, validate=False)
        found.append(("event", event))
    found.append(("stop", run.compose_stop()))
    return found


def assembled(number: int) -> RunRecord:
    """Return the record of one scan, as the callback hands it over."""
    records: list[RunRecord] = []
    callback = XanesCallback(records.append)
    for name, document in documents(number):
        callback(name, document)
    return records[0]


def live(predictors: Predictors, config: Config, kind: str) -> list[Row]:
    """Measure scans one after the other, each through the worker's thread and by itself."""
    limit = LIMIT_S.get(kind)
    scan = identify(assembled(0), config.beamline)
    if not isinstance(scan, Scan) or not isinstance(process(scan, predictors, config), Result):
        missing = "no model for the Fe K edge is installed"
        return [Row("live", "stop → assessed prediction", 1, limit=limit, missing=missing)]
    through = Times(tuple(_through_worker(predictors, config)))
    alone = Times(*zip(*(_alone(k, predictors, config) for k in range(SCANS)), strict=True))
    return [
        Row("live", "stop → assessed prediction, in one thread", 1, alone, limit=limit),
        Row("live", "stop → handed over for publication, callback to worker", 1, through),
    ]


def _alone(number: int, predictors: Predictors, config: Config) -> tuple[float, float]:
    """Return what it takes from the `stop` document to the assessed prediction, without threads."""
    *before, (name, stop) = documents(number)
    records: list[RunRecord] = []
    callback = XanesCallback(records.append)
    for document in before:
        callback(*document)

    def work() -> None:
        callback(name, stop)
        scan = identify(records[0], config.beamline)
        if isinstance(scan, Scan):
            process(scan, predictors, config)

    return once(work)


def _through_worker(predictors: Predictors, config: Config) -> list[float]:
    """Return s from each `stop` document to the hand-over."""
    done, ended = threading.Event(), [0.0]

    def publish(_: Node) -> None:
        ended[0] = time.perf_counter()
        done.set()

    worker = Worker(config, predictors, publish)
    callback = XanesCallback(worker.submit)
    worker.start()
    seconds = []
    try:
        for number in range(SCANS):
            *before, (name, stop) = documents(number)
            for document in before:
                callback(*document)
            done.clear()
            begun = time.perf_counter()
            callback(name, stop)
            if not done.wait(TIMEOUT_S):
                raise TimeoutError(f"a scan was not predicted within {TIMEOUT_S:g} s")
            seconds.append(ended[0] - begun)
    finally:
        worker.stop()
    return seconds[1:]
