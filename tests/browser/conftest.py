"""A page in a real browser, in front of a Tiled made of dictionaries or of a real one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.browser.harness import ARGUMENTS, PATIENCE_S, Publisher, find_chromium, free_port
from tests.faketiled import FakeTiled

pytest.importorskip("playwright", reason="the page is looked at through Playwright")
uvicorn = pytest.importorskip("uvicorn", reason="the page's server is an optional extra")

PATH = "sandbox/xanes_live"


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.nodeid.replace("\\", "/"):
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(900))


# Playwright keeps an event loop running in this thread until it is closed; no other test may find
# it there, so the browser lasts as long as one file.
@pytest.fixture(scope="module")
def chromium():
    if find_chromium() is None:
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def look(chromium) -> Iterator:
    """Open pages; afterwards none of them may have complained or asked outside."""
    contexts, complaints = [], []

    def open_page(url, **options):
        home = options.pop("home", url.split("#")[0])
        context = chromium.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1e3 * PATIENCE_S)
        page.on("pageerror", lambda error: complaints.append(f"error {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("console", lambda m: complaints.append(m.text) if "Policy" in m.text else None)
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith((home, "blob:", "data:"))
                else complaints.append(f"request {r.url}")
            ),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


class LocalPage:
    """The page's server on a thread, in front of a FakeTiled."""

    def __init__(self):
        self.tiled = FakeTiled()
        self.tiled.containers = {PATH: {}, "raw": {}}
        self.publisher = Publisher("http://127.0.0.1:9", "")
        self.port = free_port()
        from xanes_live.dashboard.server import create_app

        app = create_app("http://tiled.example", None, reader=self.tiled)
        settings = uvicorn.Config(
            app, port=self.port, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while not self._server.started:
            threading.Event().wait(0.01)

    def _run(self):
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def do(self, function, *arguments, **options):
        """Call something on the server's own thread and wait for it."""
        done = threading.Event()

        def call():
            function(*arguments, **options)
            done.set()

        self._loop.call_soon_threadsafe(call)
        assert done.wait(PATIENCE_S)

    def put(self, key, metadata):
        self.do(self.tiled.put, PATH, key, metadata)

    def publish(self, *arguments, **options):
        made = self.publisher.node(*arguments, **options)
        self.put(made.key, made.metadata)
        return made.key

    def stop(self):
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        self.publisher.close()


@pytest.fixture
def local():
    page = LocalPage()
    yield page
    page.stop()
