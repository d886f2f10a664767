"""Pictures of the page for the README, taken from a running demonstration.

    python -m tests.browser.screenshots [--url http://127.0.0.1:8060/] [--out docs/img]

Waits until the demonstration has measured what is to be seen.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.browser.harness import chromium, find_chromium

WIDE = {"width": 1440, "height": 960}
PATIENCE_MS = 300_000


def wait(page: Any, testid: str, words: str = "", timeout: float = PATIENCE_MS) -> None:
    more = f":has-text('{words}')" if words else ""
    page.wait_for_selector(f"[data-testid={testid}]{more}", timeout=timeout)


def settled(page: Any) -> None:
    """Let plots and fonts come to rest."""
    page.wait_for_timeout(1200)


def open_result(page: Any, words: str) -> None:
    """Open the newest predicted result that the free search finds."""
    page.goto("about:blank")
    page.goto(f"{page.url_of_page}#/history")
    page.get_by_test_id("filter-text").fill(words)
    wait(page, "row")
    page.get_by_test_id("list").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    wait(page, "one")
    page.wait_for_selector("[data-testid=one] [data-testid=g2] canvas", timeout=PATIENCE_MS)


def now(page: Any, out: Path) -> None:
    page.goto(page.url_of_page)
    # A result with a distance and a colour, not one that was declined.
    page.wait_for_function(
        "() => ['green', 'amber'].includes(document.querySelector('.verdict')?.dataset.colour)",
        timeout=PATIENCE_MS,
    )
    settled(page)
    page.screenshot(path=out)


def history(page: Any, out: Path) -> None:
    page.goto(f"{page.url_of_page}#/history")
    page.get_by_test_id("filter-text").fill("Fe2O3")
    wait(page, "row")
    page.get_by_test_id("clear").click()
    for sample in ("Fe2O3", "goethite", "FeS2", "Fe3C"):
        page.get_by_test_id("filter-text").fill(sample)
        page.wait_for_selector(f"[data-testid=row]:has-text('{sample}')", timeout=PATIENCE_MS)
        page.get_by_test_id("row").first.click()
    page.get_by_test_id("clear").click()
    settled(page)
    page.screenshot(path=out)


def trend(page: Any, out: Path) -> None:
    page.get_by_test_id("tab-trend").click()
    page.get_by_label("repeats").check(force=True)
    settled(page)
    page.screenshot(path=out)


def sweeps(page: Any, out: Path) -> None:
    open_result(page, "qexafs")
    wait(page, "sweep-label", "of 20")
    settled(page)
    page.screenshot(path=out)


def reprocess(page: Any, out: Path) -> None:
    open_result(page, "hematite")
    page.get_by_test_id("re-norm2").fill("150")
    wait(page, "preview-item")
    settled(page)
    page.screenshot(path=out)


def small(path: Path) -> None:
    """Reduce the number of colours where a tool for that is at hand: the pictures are in git."""
    if (tool := shutil.which("pngquant")) is not None:
        subprocess.run([tool, "--force", "--ext", ".png", "128", str(path)], check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8060/")
    parser.add_argument("--out", type=Path, default=Path("docs/img"))
    options = parser.parse_args()
    if find_chromium() is None:
        sys.stderr.write("no Chromium here\n")
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    sets = (
        (
            {"viewport": WIDE, "color_scheme": "light"},
            {
                "now": now,
                "history": history,
                "trend": trend,
                "sweeps": sweeps,
                "reprocess": reprocess,
            },
        ),
        ({"viewport": WIDE, "color_scheme": "dark"}, {"now-dark": now}),
        ({"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}, {"phone": now}),
    )
    for context, pictures in sets:
        with chromium(**context) as page:
            page.url_of_page = options.url
            for name, take in pictures.items():
                path = options.out / f"{name}.png"
                take(page, path)
                small(path)
                sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
