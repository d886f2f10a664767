"""From a scan's `stop` document to its result drawn on the page, through everything between.

    python tests/benchmarks/bench_stop_to_drawn.py [--scans 25] [--raw] [--limit-ms 300]

Proxy, service, Tiled and page's server are processes of their own, as `make demo` starts them; the
page is looked at in a headless Chromium. With `--raw` the raw run goes into Tiled too, as the
demonstration's beamline writes it: 15 points at a time while the scan is taken, the rest after
`stop`, so that Tiled has two writers just then. After each scan a document of the same length is
published alone, so that what Tiled itself needs is known from the same minute on the same machine.
Ends with 1 if the median is above the limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.harness import (
    PageServer,
    Publisher,
    chromium,
    find_chromium,
    free_port,
    raw_client,
)
from tests.runs import FE, PLAIN, xas
from xanes_live.config import API_KEY_VARIABLE
from xanes_live.demo.archive import Archive
from xanes_live.demo.processes import Child
from xanes_live.demo.wire import DocumentPublisher
from xanes_live.documents.zmq import start_proxy
from xanes_live.service.tiled_server import TiledServer

# Notes when each result is on the screen: after the frame in which it was drawn.
WATCH = """() => {
  window.drawn = {};
  new MutationObserver(() => {
    const key = document.documentElement.dataset.drawn;
    requestAnimationFrame(() => requestAnimationFrame(() => { window.drawn[key] ??= Date.now(); }));
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-drawn"] });
}"""
FOUND = "known => Object.keys(window.drawn).find((key) => !known.includes(key))"
PATIENCE_MS = 60_000
POINT_S = 0.004
BATCH = 15
WARM_UP = 2

Sink = Callable[[str, dict], None]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def start(home: Path, stack: ExitStack) -> tuple[TiledServer, DocumentPublisher, PageServer]:
    tiled = stack.enter_context(TiledServer(home / "tiled"))
    zmq_in, zmq_out = (f"127.0.0.1:{free_port()}" for _ in range(2))
    stack.callback(start_proxy(zmq_in, zmq_out).stop)
    config = home / "beamline.toml"
    config.write_text(
        f'[source]\nkind = "zmq"\naddress = "{zmq_out}"\nserializer = "json"\n'
        f'[tiled]\nuri = "{tiled.uri}"\narrays = "file"\narrays_directory = "{tiled.arrays}"\n'
        f'[service]\nstate_directory = "{home / "state"}"\n[metrics]\nport = 0\n'
    )
    command = [sys.executable, "-m", "xanes_live", "serve", "-c", str(config)]
    service = Child("service", command, home, {API_KEY_VARIABLE: tiled.keys.service})
    stack.enter_context(service)
    if not service.wait_line("ready"):
        raise RuntimeError(service.tail())
    wire = DocumentPublisher(zmq_in, "json")
    stack.callback(wire.close)
    if not wire.wait_connected(10.0):
        raise RuntimeError("the proxy does not answer")
    page = stack.enter_context(PageServer(tiled.uri, tiled.keys.reader, config=config))
    return tiled, wire, page


def measure(page, sinks: list[Sink], number: int) -> tuple[float, str]:
    """Take one scan; return the ms from its stop document to drawn, and the result's key."""
    *before, (_, stop) = xas(PLAIN, {**FE, "scan_id": number, "time": time.time()})
    known = list(page.evaluate("window.drawn"))
    for name, document in before:
        for sink in sinks:
            sink(name, document)
        time.sleep(POINT_S)
    page.wait_for_timeout(300)
    ended = time.time()
    for sink in sinks:
        sink("stop", {**stop, "time": ended})
    key = page.wait_for_function(FOUND, arg=known, timeout=PATIENCE_MS).json_value()
    return page.evaluate("key => window.drawn[key]", key) - 1e3 * ended, key


def alone(publisher: Publisher, number: int) -> float:
    """Return the ms that Tiled takes for a document of the same length."""
    node = publisher.node(age_s=1000.0 - number)
    began = time.perf_counter()
    publisher.put(node.key, node.metadata)
    return 1e3 * (time.perf_counter() - began)


def show(name: str, values: list[float]) -> float:
    ordered, middle = sorted(values), statistics.median(values)
    high = ordered[int(0.95 * (len(ordered) - 1))]
    say(f"{name:42s} median {middle:5.0f} ms   least {ordered[0]:5.0f}   95 % {high:5.0f}")
    return middle


def run(options: argparse.Namespace, home: Path, stack: ExitStack) -> int:
    tiled, wire, server = start(home, stack)
    publisher = Publisher(tiled.uri, tiled.keys.service)
    stack.callback(publisher.close)
    sinks: list[Sink] = [wire]
    if options.raw:
        archive = Archive(lambda: raw_client(tiled.uri, tiled.keys.writer), BATCH)
        stack.callback(archive.close)
        sinks.append(archive)
    page = stack.enter_context(chromium(viewport={"width": 1440, "height": 900}))
    page.goto(server.url)
    page.evaluate(WATCH)
    totals, bare = [], []
    for number in range(1, options.scans + WARM_UP + 1):
        total, _ = measure(page, sinks, number)
        if options.raw:
            archive.drain(60.0)
        page.wait_for_timeout(500)
        requested = alone(publisher, number)
        if number > WARM_UP:
            totals.append(total)
            bare.append(requested)
        page.wait_for_timeout(300)
    say(f"{len(totals)} scans, raw runs in Tiled: {'yes' if options.raw else 'no'}; load {load()}")
    median = show("stop -> drawn", totals)
    show("of which Tiled: one such document alone", bare)
    show("the rest", [t - b for t, b in zip(totals, bare, strict=True)])
    return int(median > options.limit_ms)


def load() -> str:
    return f"{os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=25)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--limit-ms", type=float, default=300.0)
    options = parser.parse_args()
    if find_chromium() is None:
        say("not measured: there is no Chromium here")
        return 0
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        return run(options, Path(home), stack)


if __name__ == "__main__":
    sys.exit(main())
