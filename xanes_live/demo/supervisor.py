"""`xanes-live demo`: everything a beamline has, on this machine's loopback, supervised.

beamline ──ZMQ──► proxy ──► service ──► Tiled ──► this table
    └───────── raw runs ─────────────────┘
"""

from __future__ import annotations

import json
import queue
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from xanes_live.client import connect
from xanes_live.config import API_KEY_VARIABLE, READER_KEY_VARIABLE
from xanes_live.demo.beamline import KEY_VARIABLE
from xanes_live.demo.processes import Child
from xanes_live.demo.programme import select
from xanes_live.demo.table import LiveTable
from xanes_live.demo.verdict import Taken, compare, show
from xanes_live.documents.zmq import start_proxy
from xanes_live.errors import XanesLiveError
from xanes_live.service.tiled_server import TiledServer

RESULTS = "sandbox/xanes_live"
PATIENCE_S = 60.0
"""How long after the last scan results are waited for."""

WATCHED = ["--loop", "--pause", "2", "--time-scale", "0.01", "--batch", "15"]
"""Where somebody looks, a scan takes a few seconds and its points reach Tiled meanwhile."""

REVIVALS = 5
"""How often a process that has ended is started again."""

Event = tuple[str, Any, float]
"""Kind, content, and when it was seen (s since the epoch)."""


class DemoError(XanesLiveError, RuntimeError):
    """The demonstration cannot go on; the message ends with a log's tail."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything runs."""

    home: Path
    tiled: TiledServer
    zmq_in: str
    zmq_out: str
    children: list[Child] = field(default_factory=list)
    """Processes that are started again when they end."""


def run_demo(*, once: bool, directory: Path | None, programme: str = "full") -> int:
    """Run the demonstration until stopped, or `once` with a verdict.

    Returns
    -------
    int
        0, or 1 when `once` found something that is not as it should be.
    """
    # Both end it in order, also where a shell started it in the background with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 140)
    with ExitStack() as stack:
        home = directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home.mkdir(parents=True, exist_ok=True)
        try:
            place = _start(home.resolve(), stack, console)
            return _watch(place, stack, console, once=once, programme=programme)
        except KeyboardInterrupt:
            console.print("Stopping …")
            return 0 if not once else 130


def _start(home: Path, stack: ExitStack, console: Console) -> Place:
    console.print("Starting Tiled …", end=" ")
    tiled = stack.enter_context(TiledServer(home / "tiled", readable=[home / "detector"]))
    console.print(f"{tiled.uri}  ({tiled.start_seconds:.0f} s)")
    zmq_in, zmq_out = (f"127.0.0.1:{port}" for port in _free_ports(2))
    proxy = start_proxy(zmq_in, zmq_out)
    stack.callback(proxy.stop)
    place = Place(home, tiled, zmq_in, zmq_out)
    console.print("Starting the service …", end=" ")
    service = stack.enter_context(_service(place))
    if not service.wait_line("ready"):
        raise DemoError(f"the service did not start:\n{service.tail()}")
    _drain(service)
    place.children.append(service)
    console.print(f"listening to the proxy at {zmq_out}")
    return place


def _service(place: Place) -> Child:
    config = place.home / "beamline.toml"
    config.write_text(
        "# Written by `xanes-live demo`; the service runs with it.\n"
        f'[source]\nkind = "zmq"\naddress = "{place.zmq_out}"\nserializer = "json"\n\n'
        f'[tiled]\nuri = "{place.tiled.uri}"\nraw_path = "raw"\nresults_path = "{RESULTS}"\n'
        f'arrays = "file"\narrays_directory = "{place.tiled.arrays}"\n\n'
        f'[service]\nstate_directory = "{place.home / "state"}"\n\n'
        "[metrics]\nport = 0\n"  # two demonstrations on one machine do not meet
    )
    command = [
        sys.executable,
        "-m",
        "xanes_live",
        "--log-level",
        "INFO",
        "serve",
        "-c",
        str(config),
    ]
    return Child("service", command, place.home, {API_KEY_VARIABLE: place.tiled.keys.service})


def _page(place: Place, port: int) -> Child:
    """Return the operator's page, with a reader's key and, for reprocessing, the service's."""
    config = str(place.home / "beamline.toml")
    options = ["dashboard", "-c", config, "--port", str(port), "--reprocess"]
    keys = {
        READER_KEY_VARIABLE: place.tiled.keys.reader,
        API_KEY_VARIABLE: place.tiled.keys.service,
    }
    return Child("dashboard", [sys.executable, "-m", "xanes_live", *options], place.home, keys)


def _beamline(place: Place, *, once: bool, programme: str) -> Child:
    data = place.home / "detector"
    data.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "xanes_live.demo.beamline", "--tiled", place.tiled.uri]
    command += ["--zmq", place.zmq_in, "--data", str(data), "--programme", programme]
    command += ["--once"] if once else WATCHED
    return Child("beamline", command, place.home, {KEY_VARIABLE: place.tiled.keys.writer})


def _watch(place: Place, stack: ExitStack, console: Console, *, once: bool, programme: str) -> int:
    results = connect(place.tiled.uri, place.tiled.keys.reader, path=RESULTS)
    events: queue.Queue[Event] = queue.Queue()
    watch = results.watch(lambda node: events.put(("result", node, time.time())))
    stack.callback(watch.close)
    if not once:  # nobody looks at a page that is gone in a minute
        (port,) = _free_ports(1)
        place.children.append(stack.enter_context(_page(place, port)))
        console.print(f"The operator's page: http://127.0.0.1:{port}/")
    beamline = stack.enter_context(_beamline(place, once=once, programme=programme))
    threading.Thread(target=_read, args=(beamline, events), daemon=True).start()
    console.print(
        f"Results: {place.tiled.uri}/ui/browse/{RESULTS} "
        f"(the reader's key is in {place.tiled.directory})\n"
        "Scans come in from a simulated beamline that plays back measured spectra; "
        "Ctrl-C ends everything.\n"
    )
    taken = _follow(events, LiveTable(console), programme, lambda: _revive(place, console))
    if beamline.returncode not in {None, 0}:
        console.print(f"the beamline ended with {beamline.returncode}:\n{beamline.tail()}")
    if not once:
        return 1
    checks = [compare(run, results.for_run(run.uid)) for run in taken]
    good = show(checks, console) and bool(checks)
    console.print(
        "[green]Everything is as it should be.[/]" if good else "[red]Not as it should be.[/]"
    )
    return 0 if good else 1


def _revive(place: Place, console: Console) -> None:
    """Start again what has ended.

    Raises
    ------
    XanesLiveError
        If it keeps ending.
    """
    if not place.tiled.running:
        console.print("[yellow]Tiled has ended and is started again.[/]")
        place.tiled.start()
    for child in place.children:
        if child.returncode is None:
            continue
        if child.starts > REVIVALS:
            raise DemoError(f"the {child.name} keeps ending:\n{child.tail()}")
        console.print(f"[yellow]The {child.name} has ended and is started again.[/]")
        child.start()
        _drain(child)


def _follow(
    events: queue.Queue[Event], table: LiveTable, programme: str, revive: Callable[[], None]
) -> list[Taken]:
    """Print results until the beamline is done and every expected one is there, or late."""
    entries = {entry.name: entry for entry in select(programme)}
    taken: list[Taken] = []
    seen: set[str] = set()
    deadline: float | None = None
    while deadline is None or time.monotonic() < deadline:
        revive()
        try:
            kind, content, moment = events.get(timeout=0.2)
        except queue.Empty:
            kind = ""
        if kind == "run":
            entry = entries[content["entry"]]
            taken.append(Taken(entry, content["repeat"], content["uid"], content["exit_status"]))
        elif kind == "result":
            seen.add(str(content.metadata.get("raw_uid")))
            table.add(content.metadata, moment)
        elif kind == "done":
            deadline = time.monotonic() + PATIENCE_S
        wanted = {run.uid for run in taken if run.entry.expected.outcome != "ignored"}
        if deadline is not None and wanted <= seen:
            break
    return taken


def _read(beamline: Child, events: queue.Queue[Event]) -> None:
    """Pass on what the beamline says; 'done' when it ends, however it ends."""
    for line in beamline.output:
        message = json.loads(line)
        if message["event"] == "run" and message.get("uid"):
            events.put(("run", message, time.time()))
    events.put(("done", None, time.time()))


def _drain(child: Child) -> None:
    """Keep reading what nobody needs, so that the pipe never fills."""

    def read() -> Iterator[str]:
        yield from child.output

    threading.Thread(target=lambda: list(read()), daemon=True).start()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
