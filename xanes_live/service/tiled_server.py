"""A Tiled server of one's own, for the demonstration and for tests.

Runs as a process of its own on loopback, with an SQLite catalogue, local files, an in-memory cache
for subscriptions and one scoped key each for the beamline, the service and readers. Started again
on the same directory it comes back with the same keys and, unless told otherwise, the same port.
A facility has its own server; this one is not meant for a network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from xanes_live.errors import XanesLiveError
from xanes_live.service import tiled_process

LOG_FILE = "server.log"
ARRAYS = "arrays"


class TiledServerError(XanesLiveError, RuntimeError):
    """The server did not start; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class TiledKeys:
    """One key for each role; none of them may delete, and the reader may not write."""

    writer: str = field(repr=False)
    service: str = field(repr=False)
    reader: str = field(repr=False)


class TiledServer:
    """A Tiled server in a process of its own.

    Parameters
    ----------
    directory
        Where everything is kept; created if absent.
    port
        On 127.0.0.1; 0 picks a free one at the first start and keeps it after that.
    readable
        Folders whose files may be registered, besides :attr:`arrays`.

    Examples
    --------
    >>> with TiledServer(Path("tiled")) as server:  # doctest: +SKIP
    ...     client = tiled.client.from_uri(server.uri, api_key=server.keys.reader)
    """

    def __init__(self, directory: Path, port: int = 0, readable: Sequence[Path] = ()) -> None:
        self.directory = Path(directory).resolve()
        self.arrays = self.directory / ARRAYS
        self.port = port
        self.start_seconds = 0.0
        self._readable = [self.arrays, *(Path(path).resolve() for path in readable)]
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def started(
        cls, directory: Path, port: int = 0, readable: Sequence[Path] = (), timeout_s: float = 90.0
    ) -> Self:
        """Return a server that answers."""
        server = cls(directory, port, readable)
        server.start(timeout_s)
        return server

    @property
    def uri(self) -> str:
        """Address without path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> TiledKeys:
        """The keys, from the file only the owner can read."""
        return TiledKeys(**json.loads((self.directory / tiled_process.KEYS_FILE).read_text()))

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 90.0) -> None:
        """Start the process and wait until it answers.

        Raises
        ------
        TiledServerError
            If it ends or does not answer within `timeout_s`.
        """
        if self.running:
            return
        began = time.monotonic()
        self.arrays.mkdir(parents=True, exist_ok=True)
        ready = self.directory / tiled_process.READY_FILE
        ready.unlink(missing_ok=True)
        with (self.directory / LOG_FILE).open("ab") as log:
            self._process = _spawn(self.directory, self.port, self._readable, log)
        self._wait(ready, began + timeout_s)
        self.port = int(json.loads(ready.read_text())["uri"].rpartition(":")[2])
        self.start_seconds = time.monotonic() - began

    def _wait(self, ready: Path, deadline: float) -> None:
        while not ready.exists():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                tail = (self.directory / LOG_FILE).read_text(errors="replace")[-2000:]
                raise TiledServerError(f"Tiled did not start in {self.directory}:\n{tail}")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask the server to end; kill it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._release()

    def _release(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()


def _spawn(
    directory: Path, port: int, readable: Sequence[Path], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", __name__, "--directory", str(directory)]
    command += ["--port", str(port), "--until-eof"]
    for path in readable:
        command += ["--readable", str(path)]
    # A session of its own: Ctrl-C in a terminal reaches the supervisor alone, which then stops
    # the processes in order; the pipe on stdin ends this one if the supervisor is killed.
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve from the command line; the keys are in `keys.json` of the directory."""
    parser = argparse.ArgumentParser(description="Tiled for the demonstration, on 127.0.0.1 only.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--readable", type=Path, action="append", default=[])
    parser.add_argument("--until-eof", action="store_true", help="stop when stdin ends")
    options: Any = parser.parse_args(arguments)
    directory = options.directory.resolve()
    readable = [directory / ARRAYS, *(path.resolve() for path in options.readable)]
    directory.mkdir(parents=True, exist_ok=True)
    tiled_process.serve(directory, options.port, readable, until_eof=options.until_eof)


if __name__ == "__main__":
    main()
