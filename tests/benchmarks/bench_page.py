"""The operator's page: from a result being published to it being drawn, and memory over time.

    python tests/benchmarks/bench_page.py [--count 30] [--minutes 0] [--hz 10] [--results 0]

Prints, in one run on one machine: the time of a bare request to Tiled, when Tiled says that a
result exists, when the page has drawn it; and with `--minutes` the memory of server, page and Tiled
while results, each with its spectrum and G2, come in `--hz` times a second. `--results` fills the
history first; with 20 000 it is as long as the page keeps it, so nothing may grow any more. Ends
with 1 if the memory of server or page grows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.many_results import fill
from tests.browser.harness import (
    PageServer,
    Publisher,
    chromium,
    find_chromium,
    heap,
    renderers,
    resident,
    tiled_pid,
)
from xanes_live.service.tiled_server import TiledServer

# Notes when each result is on the screen: after the frame in which it was drawn.
WATCH = """() => {
  window.drawn = {};
  new MutationObserver(() => {
    const key = document.documentElement.dataset.drawn;
    requestAnimationFrame(() => requestAnimationFrame(() => { window.drawn[key] ??= Date.now(); }));
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-drawn"] });
}"""
POSTING = 4
"""Requests under way at a time."""
GROWTH_MB = 10.0
"""More than this between the second and the last quarter is a leak."""


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


@dataclass(frozen=True)
class Memory:
    """Resident memory, MB."""

    server: float
    page: float
    heap: float
    tiled: float

    def __str__(self) -> str:
        return (
            f"page's server {self.server:6.1f} MB   browser page {self.page:6.1f} MB "
            f"(heap {self.heap:5.2f})   Tiled {self.tiled:6.1f} MB"
        )


def memory(
    page, server: PageServer, tiled: TiledServer, publisher: Publisher, minutes: float, hz: float
) -> bool:
    """Publish `hz` results a second, each with two curves, and print memory; tell if it is flat."""
    node, sent, seen, taken = publisher.node(), 0, [], []
    began = next_report = time.monotonic()
    with ThreadPoolExecutor(POSTING) as threads:
        while (now := time.monotonic()) < began + 60 * minutes:
            if (wait := began + sent / hz - now) > 0:
                page.wait_for_timeout(1e3 * wait)
            key = f"{node.key}-{sent}"
            # Not one after the other: a busy Tiled may take longer over one than 1 / hz.
            document = {**node.metadata, "raw_uid": key, "time": time.time()}
            threads.submit(publisher.put, key, document).add_done_callback(taken.append)
            sent += 1
            if now >= next_report:
                pid = tiled_pid(tiled)
                seen.append(Memory(server.rss(), renderers(), heap(page), resident(pid)))
                frames = page.get_by_test_id("frames").text_content()
                say(f"{now - began:5.0f} s   {seen[-1]}   published {len(taken)}   drawn {frames}")
                next_report += 30
    return flat(seen)


def flat(seen: list[Memory]) -> bool:
    """Compare the last quarter with the second one, which is when everything is warm."""
    if len(seen) < 8:
        say("too short to say whether memory is flat")
        return True
    quarter = len(seen) // 4
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    good = True
    for name in ("server", "page", "heap", "tiled"):
        before, after = (
            statistics.median(getattr(m, name) for m in part) for part in (early, late)
        )
        say(f"{name:8s} second quarter {before:7.1f} MB   last quarter {after:7.1f} MB")
        good = good and (name == "tiled" or after - before < GROWTH_MB)
    say("memory of page and server is flat" if good else "memory grows")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--hz", type=float, default=10)
    parser.add_argument("--results", type=int, default=0)
    options = parser.parse_args()
    if find_chromium() is None:
        say("not measured: there is no Chromium here")
        return 0
    with tempfile.TemporaryDirectory() as home, TiledServer(Path(home)) as tiled:
        if options.results:
            fill(tiled, options.results)
        publisher = Publisher(tiled.uri, tiled.keys.service)
        publisher.publish()
        server = PageServer(tiled.uri, tiled.keys.reader)
        with server, chromium(viewport={"width": 1440, "height": 900}) as page:
            began = time.monotonic()
            page.goto(server.url)
            page.wait_for_selector("[data-testid=g2][data-frames] canvas")
            say(f"{'first plot':32s} {1e3 * (time.monotonic() - began):13.0f} ms")
            latency(page, publisher, options.count)
            good = True
            if options.minutes:
                good = memory(page, server, tiled, publisher, options.minutes, options.hz)
        publisher.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
