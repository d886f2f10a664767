"""The page in front of a real Tiled with thousands of results: how soon, and how much memory.

    python tests/benchmarks/bench_history.py [--results 10000]

Prints when the page's server answers, when the first plot is drawn in a headless Chromium, when
the whole history is there, how long a filter takes, and the memory of Tiled, server and page; last
the same of a page opened while everything is loaded.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.many_results import fill
from tests.browser.harness import (
    PageServer,
    chromium,
    expect,
    find_chromium,
    heap,
    resident,
    tiled_pid,
)
from xanes_live.service.tiled_server import TiledServer

PLOT = "[data-testid=g2][data-frames] canvas"


def say(name: str, value: float, unit: str) -> None:
    sys.stdout.write(f"{name:58s} {value:8.2f} {unit}\n")
    sys.stdout.flush()


class Watch:
    """Seconds since it was made, said with a name."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, name: str) -> None:
        say(name, time.monotonic() - self._began, "s")


def counted(page, words: str) -> None:
    expect(page.get_by_test_id("count")).to_have_text(re.compile(f"^{words}$"))


def look(url: str, server: PageServer, count: int, began: Watch, when: str) -> None:
    with chromium(viewport={"width": 1440, "height": 900}) as page:
        opened = Watch()
        page.goto(url)
        page.wait_for_selector(PLOT)
        opened.say(f"{when}: page opened -> first plot")
        say(f"{when}: memory of the page's server", server.rss(), "MB")
        page.goto(f"{url}#/history")
        counted(page, f"{count} of {count}")
        began.say(f"{when}: whole history listed in the page")
        typed = Watch()
        page.get_by_test_id("filter-text").fill("goethite dropout")
        counted(page, rf"[1-9]\d* of {count}")
        typed.say(f"{when}: words typed -> list filtered")
        rows = page.get_by_test_id("row").count()
        say(f"{when}: rows in the document", rows, "")
        say(f"{when}: memory of the page's server", server.rss(), "MB")
        say(f"{when}: JavaScript heap of the page", heap(page), "MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=10_000)
    options = parser.parse_args()
    if find_chromium() is None:
        sys.stdout.write("not measured: there is no Chromium here\n")
        return
    with tempfile.TemporaryDirectory() as home, TiledServer(Path(home)) as tiled:
        filling = Watch()
        fill(tiled, options.results)
        filling.say("(results put into the catalogue)")
        server = PageServer(tiled.uri, tiled.keys.reader)
        began = Watch()
        with server:
            began.say("started -> the page's server answers")
            look(server.url, server, options.results, began, "just started")
            look(server.url, server, options.results, Watch(), "running")
        say("memory of Tiled", resident(tiled_pid(tiled)), "MB")


if __name__ == "__main__":
    main()
