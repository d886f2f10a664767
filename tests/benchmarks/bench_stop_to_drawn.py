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
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.evening import Evening
from tests.browser.harness import Publisher, chromium, find_chromium

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


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measure(page, evening: Evening, number: int) -> float:
    """Take one scan; return the ms from its stop document to drawn."""
    known = list(page.evaluate("window.drawn"))
    left = evening.scan(POINT_S, scan_id=number)
    page.wait_for_timeout(300)
    ended = evening.end(left)
    key = page.wait_for_function(FOUND, arg=known, timeout=PATIENCE_MS).json_value()
    return page.evaluate("key => window.drawn[key]", key) - 1e3 * ended


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
    evening = Evening(home, stack, BATCH if options.raw else None)
    publisher = Publisher(evening.tiled.uri, evening.tiled.keys.service)
    stack.callback(publisher.close)
    page = stack.enter_context(chromium(viewport={"width": 1440, "height": 900}))
    page.goto(evening.page.url)
    page.evaluate(WATCH)
    totals, bare = [], []
    for number in range(1, options.scans + WARM_UP + 1):
        total = measure(page, evening, number)
        if evening.archive is not None:
            evening.archive.drain(60.0)
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
