"""Child processes that never outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process of its own session; its standard error goes to a file.

    Parameters
    ----------
    name
        Of the log file and in messages.
    command
        Program and arguments.
    directory
        Where the log goes.
    environment
        Added to this process's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self._command = name, list(command)
        self.log = directory / f"{name}.log"
        self._environment = {**os.environ, **(environment or {})}
        self.starts = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start the process, or start it again."""
        self.starts += 1
        with self.log.open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # A terminal's Ctrl-C goes to the parent only, which ends its children in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads touch it
            )
        return self

    @property
    def output(self) -> IO[str]:
        """Standard output of the running process, line by line."""
        if self._process is None or self._process.stdout is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.stdout

    @property
    def returncode(self) -> int | None:
        """Exit status; None while the process runs."""
        return self._process.poll() if self._process is not None else None

    def wait_line(self, word: str) -> bool:
        """Read standard output until a line holds `word`; False if the process ends before."""
        return any(word in line for line in self.output)

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the process: politely first, then for certain."""
        if self._process is None or self._process.poll() is not None:
            return
        for number, patience in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            break

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def tail(self, lines: int = 15) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()
