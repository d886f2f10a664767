"""Everything an evening at a beamline needs, in processes of their own as `make demo` has them."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.browser.harness import PATIENCE_S, PageServer, free_port, raw_client
from tests.runs import FE, PLAIN, xas
from xanes_live.config import API_KEY_VARIABLE
from xanes_live.demo.archive import WHOLE, Archive
from xanes_live.demo.processes import Child
from xanes_live.demo.wire import DocumentPublisher
from xanes_live.documents.zmq import start_proxy
from xanes_live.service.tiled_server import TiledServer


class Evening:
    """Tiled, proxy, service and page's server; scans go out by ZMQ and, if wanted, into Tiled.

    Parameters
    ----------
    home
        For everything they write.
    stack
        Ends them.
    raw
        Points of the raw run written to Tiled at a time; None writes none.
    """

    def __init__(self, home: Path, stack: ExitStack, raw: int | None = WHOLE) -> None:
        self.tiled = stack.enter_context(TiledServer(home / "tiled"))
        zmq_in, zmq_out = (f"127.0.0.1:{free_port()}" for _ in range(2))
        stack.callback(start_proxy(zmq_in, zmq_out).stop)
        config = home / "beamline.toml"
        config.write_text(
            f'[source]\nkind = "zmq"\naddress = "{zmq_out}"\nserializer = "json"\n'
            f'[tiled]\nuri = "{self.tiled.uri}"\narrays = "file"\n'
            f'arrays_directory = "{self.tiled.arrays}"\ntimeout_s = {PATIENCE_S}\n'
            f'[service]\nstate_directory = "{home / "state"}"\n[metrics]\nport = 0\n'
        )
        command = [sys.executable, "-m", "xanes_live", "serve", "-c", str(config)]
        key = {API_KEY_VARIABLE: self.tiled.keys.service}
        self.service = Child("service", command, home, key)
        stack.callback(self.kill_service)
        self.start_service()
        wire = DocumentPublisher(zmq_in, "json")
        stack.callback(wire.close)
        if not wire.wait_connected(PATIENCE_S):
            raise RuntimeError("the proxy does not answer")
        self._sinks: list[Any] = [wire]
        self.archive: Archive | None = None
        if raw is not None:
            keys, uri = self.tiled.keys, self.tiled.uri
            self.archive = Archive(lambda: raw_client(uri, keys.writer), raw)
            stack.callback(self.archive.close)
            self._sinks.append(self.archive)
        self.page = stack.enter_context(
            PageServer(self.tiled.uri, self.tiled.keys.reader, config=config)
        )

    def start_service(self) -> None:
        """Start the service and wait until it listens."""
        self.service.start()
        if not self.service.wait_line("ready"):
            raise RuntimeError(self.service.tail())

    def kill_service(self) -> None:
        """End the service at once, as a crash would."""
        if self.service.returncode is None:
            self.service.kill()
            self.service.output.close()

    def scan(self, point_s: float = 0.0, **start: Any) -> list[tuple[str, Any]]:
        """Take a scan but for its end; return the document that is left."""
        *before, last = xas(PLAIN, {**FE, "time": time.time(), **start})
        for name, document in before:
            self.say(name, document)
            time.sleep(point_s)
        return [last]

    def say(self, name: str, document: Any) -> None:
        for sink in self._sinks:
            sink(name, document)

    def end(self, left: list[tuple[str, Any]]) -> float:
        """End the scan; return when that was, s since the epoch."""
        ended = time.time()
        for name, document in left:
            self.say(name, {**document, "time": ended})
        return ended
