"""The operator's page: from a result being published to it being drawn, and memory over time.

    python tests/benchmarks/bench_page.py [--count 30] [--minutes 0] [--hz 10] [--results 0]

Prints, in one run on one machine: the time of a bare request to Tiled, when Tiled says that a
result exists, when the page has drawn it; and with `--minutes` the memory of server and page while
results and a scan in progress change `--hz` times a second. `--results` fills the history first.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.harness import PageServer, Publisher, chromium, find_chromium
from xanes_live.service.tiled_server import TiledServer

# Notes when each result is on the screen: after the frame in which it was drawn.
WATCH = """() => {
  window.drawn = {};
  new MutationObserver(() => {
    const key = document.documentElement.dataset.drawn;
    requestAnimationFrame(() => requestAnimationFrame(() => { window.drawn[key] ??= Date.now(); }));
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-drawn"] });
}"""
COUNT = "Object.keys(window.drawn).length"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def latency(page, publisher: Publisher, count: int) -> None:
    page.evaluate(WATCH)
    posted, ended, keys = [], [], []
    for _ in range(count):
        node = publisher.node()
        keys.append(node.key)
        posted.append(time.time())
        publisher.put(node.key, node.metadata)
        ended.append(time.time())
        page.wait_for_timeout(700)
    drawn = page.evaluate("window.drawn")
    seen = [i for i, key in enumerate(keys) if key in drawn]
    request = [1e3 * (ended[i] - posted[i]) for i in seen]
    total = [drawn[keys[i]] - 1e3 * posted[i] for i in seen]
    own = [t - r for t, r in zip(total, request, strict=True)]
    show("Tiled's request", request)
    show("request sent -> drawn", total)
    show("of which after Tiled answered", own)
    say(f"{len(seen)} of {count} drawn")


def show(name: str, values: list[float]) -> None:
    ordered = sorted(values)
    high = ordered[int(0.95 * (len(ordered) - 1))]
    say(f"{name:32s} median {statistics.median(values):6.0f} ms   95 % {high:6.0f} ms")


def memory(page, server: PageServer, publisher: Publisher, minutes: float, hz: float) -> None:
    """Publish `hz` results a second and print memory once in a while."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    end = time.monotonic() + 60 * minutes
    next_report, sent, began = time.monotonic(), 0, time.monotonic()
    node = publisher.node()
    while time.monotonic() < end:
        due = began + sent / hz
        if (wait := due - time.monotonic()) > 0:
            page.wait_for_timeout(1e3 * wait)
        key = f"{node.key}-{sent}"
        publisher.put(key, {**node.metadata, "raw_uid": key, "time": time.time()})
        sent += 1
        if time.monotonic() >= next_report:
            session.send("HeapProfiler.collectGarbage")
            got = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
            frames = page.get_by_test_id("frames").text_content()
            say(
                f"{time.monotonic() - began:6.0f} s  server {server.rss():6.1f} MB"
                f"  page heap {got['JSHeapUsedSize'] / 2**20:6.2f} MB  nodes {got['Nodes']:6.0f}"
                f"  published {sent:6d}  frames {frames}"
            )
            next_report += 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--hz", type=float, default=10)
    parser.add_argument("--results", type=int, default=0)
    options = parser.parse_args()
    if find_chromium() is None:
        say("not measured: there is no Chromium here")
        return
    with tempfile.TemporaryDirectory() as home, TiledServer(Path(home)) as tiled:
        publisher = Publisher(tiled.uri, tiled.keys.service)
        for _ in range(options.results):
            publisher.publish(age_s=3600)
        publisher.publish()
        server = PageServer(tiled.uri, tiled.keys.reader)
        with server, chromium(viewport={"width": 1440, "height": 900}) as page:
            began = time.monotonic()
            page.goto(server.url)
            page.wait_for_selector("[data-testid=g2][data-frames] canvas")
            say(f"{'first plot':32s} {1e3 * (time.monotonic() - began):13.0f} ms")
            latency(page, publisher, options.count)
            if options.minutes:
                memory(page, server, publisher, options.minutes, options.hz)
        publisher.close()


if __name__ == "__main__":
    main()
