"""A page server as a process of its own, things to show on it, and a Chromium to look at it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests import factories
from tests.runs import documents
from xanes_live.config import Config
from xanes_live.domain import Confidence, Flag, Severity
from xanes_live.publish.document import Node, declined_node, node
from xanes_live.publish.keys import result_key
from xanes_live.publish.remote import Remote
from xanes_live.service.tiled_process import READY_FILE
from xanes_live.service.tiled_server import TiledServer

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_S = 180.0
"""How long anything may take before a test says no: machines that run tests are busy."""
_SERVE = """
import json, os
from pathlib import Path
from xanes_live import log
from xanes_live.config import load
from xanes_live.dashboard.server import run_dashboard
log.configure("WARNING")
o = json.loads(os.environ.pop("PAGE_OPTIONS"))
config = load(Path(o["config"]) if o["config"] else None)
run_dashboard("127.0.0.1", o["port"], o["uri"], o["key"], writer_key=o["writer"], config=config)
"""


def expect(target: Any) -> Any:
    """Return Playwright's assertions of `target`, which look again until they hold."""
    from playwright.sync_api import expect as assertions

    assertions.set_options(timeout=1e3 * PATIENCE_S)
    return assertions(target)


def shows(page: Any, testid: str, expected: Any) -> None:
    """Wait until the text of `testid` contains `expected` (a string or a pattern)."""
    expect(page.get_by_test_id(testid).first).to_contain_text(expected)


def drawn(page: Any, key: str) -> None:
    """Wait until the page has drawn the result `key` as the latest one."""
    expect(page.locator("html")).to_have_attribute("data-drawn", key)


def find_chromium() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class PageServer:
    """`run_dashboard` in a process of its own, on one port for all its lives."""

    def __init__(
        self,
        uri: str,
        key: str,
        writer: str | None = None,
        config: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self.port = free_port()
        options = {"port": self.port, "uri": uri, "key": key, "writer": writer}
        self._options = json.dumps({**options, "config": str(config) if config else None})
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> Self:
        environment = {**os.environ, "PAGE_OPTIONS": self._options}
        output = self._log.open("ab") if self._log else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE], env=environment, stdout=output, stderr=output
        )
        if self._log:
            output.close()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.url, trust_env=False, timeout=PATIENCE_S).is_success:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        self.kill()
        raise RuntimeError("the page server did not start")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def rss(self) -> float:
        """Return the resident memory of the process, MB."""
        return resident(self.pid)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def tiled_pid(server: TiledServer) -> int:
    """Return the process of a Tiled server."""
    return int(json.loads((server.directory / READY_FILE).read_text())["pid"])


def heap(page: Any) -> float:
    """Return what JavaScript of a page holds after a garbage collection, MB."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    found = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return found["JSHeapUsedSize"] / 2**20


def renderers() -> float:
    """Return the resident memory of this process's Chromium renderers, MB."""
    mine, total = {os.getpid()}, 0.0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda p: int(p.parent.name)):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent not in mine:
                continue
            pid = int(stat.parent.name)
            mine.add(pid)
            if b"--type=renderer" in (stat.parent / "cmdline").read_bytes():
                total += resident(pid)
        except (OSError, StopIteration):
            continue
    return total


class Publisher:
    """Puts results into Tiled with the service's key, one request each."""

    def __init__(self, uri: str, key: str) -> None:
        self.config = Config.model_validate({"tiled": {"uri": uri, "timeout_s": PATIENCE_S}})
        self.remote = Remote(self.config.tiled, key)
        self.scan_id = 100

    def node(
        self,
        confidence: Confidence = Confidence.GREEN,
        *,
        n_spectra: int = 1,
        r: float = 1.98,
        flags: tuple[Any, ...] = (),
        age_s: float = 0.0,
        **scan: Any,
    ) -> Node:
        self.scan_id += 1
        uid = scan.pop("uid", None) or str(uuid.uuid4())
        spectra = tuple(
            factories.spectrum_result(i, confidence, flags, r=r + 0.01 * i)
            for i in range(n_spectra)
        )
        now = time.time() - age_s
        given = {"scan_id": self.scan_id, "sample": "goethite", "time": now - 0.5, "stop_time": now}
        result = factories.result(spectra=spectra, uid=uid, **(given | scan))
        key = result_key(uid, None, result.model.hash, result.config_hash)
        return node(dataclasses.replace(result, key=key), self.config)

    def publish(self, confidence: Confidence = Confidence.GREEN, **options: Any) -> str:
        made = self.node(confidence, **options)
        self.put(made.key, made.metadata)
        return made.key

    def decline(self, **scan: Any) -> str:
        now = time.time()
        given = {"uid": str(uuid.uuid4()), "time": now - 0.5, "stop_time": now}
        made = declined_node(factories.declined(**(given | scan)), self.config)
        self.put(made.key, made.metadata)
        return made.key

    def put(self, key: str, metadata: Any) -> None:
        self.remote.create(key, metadata)

    def close(self) -> None:
        self.remote.close()


AMBER = (
    Flag(
        "short_post_edge",
        Severity.WARNING,
        "only 62 eV above the edge: the edge step is uncertain by 12 %",
        "Scan further above the edge.",
    ),
    Flag("aligned", Severity.INFO, "energies shifted by +0.31 eV (foil)"),
)
RED = (
    Flag(
        "dropout",
        Severity.ERROR,
        "intensity dropped out at 7122.4 eV for 3 points",
        "Repeat the scan.",
    ),
)


class RawRun:
    """Writes a run into Tiled point by point, as a beamline does."""

    def __init__(self, client: Any, columns: Any, start: Any, batch: int = 5) -> None:
        from bluesky_tiled_plugins import TiledWriter

        self._writer = TiledWriter(client, batch_size=batch, max_array_size=0)
        self._documents = documents(columns, {"time": time.time(), **start})
        self.uid = self._documents[0][1]["uid"]
        self._at = 0
        self.scan = dict(start)

    def advance(self, count: int) -> None:
        """Write the next `count` documents."""
        for name, document in self._documents[self._at : self._at + count]:
            now = {"time": time.time()} if name == "stop" else {}
            self._writer(name, {**document, **now})
        self._at += count

    def finish(self) -> None:
        """Write what is left; nothing if the run has ended."""
        self.advance(len(self._documents) - self._at)


def raw_client(uri: str, key: str) -> Any:
    """Return a client of the raw runs that waits rather than sends rows a second time."""
    from tiled.client import from_uri

    return from_uri(uri, api_key=key, timeout=httpx.Timeout(PATIENCE_S))["raw"]


@contextmanager
def chromium(**context: Any) -> Any:
    """Open a browser and one page in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        try:
            yield browser.new_context(**context).new_page()
        finally:
            browser.close()
