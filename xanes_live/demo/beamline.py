"""The simulated beamline as a process: ``python -m xanes_live.demo.beamline``.

A real RunEngine takes the scans of the programme. Documents go out on ZMQ and, independently of it,
into Tiled as raw runs. Standard output carries one JSON object a line (`ready`, one `run` for each
scan, `done`); everything else goes to standard error. The key for Tiled comes from the environment
variable ``XANES_LIVE_WRITER_KEY``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from xanes_live import log
from xanes_live.demo.devices import Bench
from xanes_live.demo.plans import PLANS, Hall
from xanes_live.demo.programme import Entry, select
from xanes_live.demo.samples import load
from xanes_live.demo.simulation import Experiment
from xanes_live.errors import ConfigurationError

if TYPE_CHECKING:
    from xanes_live.demo.archive import Archive
    from xanes_live.demo.wire import DocumentPublisher
    from xanes_live.documents.wire import Serializer

KEY_VARIABLE: Final = "XANES_LIVE_WRITER_KEY"
TIME_SCALE: Final = 0.001
"""Real seconds per second of beamtime."""

_log = log.get(__name__)


class Beamline:
    """A RunEngine, its devices and where its documents go.

    Parameters
    ----------
    directory
        Where detectors write files.
    seed
        Of all randomness: the same seed gives the same counts.
    time_scale
        Real seconds per second of beamtime.
    output
        Where the JSON lines go.
    """

    def __init__(
        self,
        directory: Path,
        seed: int = 0,
        time_scale: float = TIME_SCALE,
        output: IO[str] = sys.stdout,
    ) -> None:
        self._seed, self._time_scale, self._output = seed, time_scale, output
        self._hall = Hall(
            Bench(Experiment(load("fe_foil"), np.random.default_rng(seed), time_scale=time_scale)),
            directory,
        )
        # Without its own handler for Ctrl-C, which would pause and wait for a human.
        self.engine = RunEngine(
            {"beamline_id": "DEMO", "facility": "simulated"}, context_managers=[]
        )
        self.engine.subscribe(self._remember)
        self._documents: dict[str, dict[str, Any]] = {}
        self._ended = threading.Event()

    def _remember(self, name: str, document: dict[str, Any]) -> None:
        if name in {"start", "stop"}:
            self._documents[name] = document

    def run(self, entry: Entry) -> None:
        """Take the scans of `entry`; a scan that fails ends itself only."""
        for repeat in range(entry.repeats):
            if self._ended.is_set():
                return
            self._mount(entry, repeat)
            self._documents = {}
            try:
                self.engine(PLANS[entry.plan](self._hall, entry))
            except RunEngineInterrupted:
                if self.engine.state == "paused":
                    self.engine.abort("stopped by the operator")
            except Exception as error:  # noqa: BLE001  the run's stop document says "fail"
                log.event(_log, logging.ERROR, "scan failed", entry=entry.name, error=repr(error))
            self._report(entry, repeat)

    def _mount(self, entry: Entry, repeat: int) -> None:
        seeds = [self._seed, zlib.crc32(entry.name.encode()), repeat]
        self._hall.bench.experiment = Experiment(
            load(entry.sample),
            np.random.default_rng(seeds),
            fault=entry.fault,
            time_scale=self._time_scale,
        )

    def _report(self, entry: Entry, repeat: int) -> None:
        start, stop = self._documents.get("start", {}), self._documents.get("stop", {})
        self.say(
            "run",
            entry=entry.name,
            repeat=repeat,
            uid=start.get("uid"),
            scan_id=start.get("scan_id"),
            sample=load(entry.sample).name,
            exit_status=stop.get("exit_status"),
            start_time=start.get("time"),
            stop_time=stop.get("time"),
            num_events=stop.get("num_events"),
        )

    def say(self, event: str, **values: object) -> None:
        """Print one JSON line."""
        self._output.write(json.dumps({"event": event, **values}) + "\n")
        self._output.flush()

    def end(self) -> None:
        """Take no further scan and abort the one that runs; may be called from a signal handler."""
        if not self._ended.is_set():
            self._ended.set()
            # Not from the main thread, which is waiting inside the RunEngine.
            threading.Thread(target=self._abort, daemon=True).start()

    def _abort(self) -> None:
        if not self.engine.state.is_idle:
            self.engine.abort("the beamline is being shut down")

    @property
    def ended(self) -> threading.Event:
        """Set once no further scan will be taken."""
        return self._ended


def _archive(uri: str, raw_path: str, batch: int) -> Archive:
    # Tiled's client reads these when it is imported. With its defaults it tries for 45 s, in which
    # a run that fails would hold up the next.
    os.environ.setdefault("TILED_RETRY_ATTEMPTS", "3")
    os.environ.setdefault("TILED_RETRY_TIMEOUT", "10")
    from tiled.client import from_uri  # noqa: PLC0415

    from xanes_live.demo.archive import Archive  # noqa: PLC0415

    key = os.environ.get(KEY_VARIABLE)

    def connect() -> Any:  # noqa: ANN401  the Tiled client has no type information
        node = from_uri(uri, api_key=key)
        for part in filter(None, raw_path.split("/")):
            node = node[part]
        return node

    return Archive(connect, batch) if batch else Archive(connect)


def _publisher(address: str, serializer: Serializer) -> DocumentPublisher:
    from xanes_live.demo.wire import DocumentPublisher  # noqa: PLC0415

    publisher = DocumentPublisher(address, serializer)
    if not publisher.wait_connected(10.0):
        log.event(_log, logging.WARNING, "no ZMQ proxy answers", address=address)
    return publisher


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m xanes_live.demo.beamline", description=__doc__)
    parser.add_argument("--tiled", metavar="URI", help="Tiled server for the raw runs")
    parser.add_argument("--raw-path", default="raw", help="container for the raw runs")
    parser.add_argument("--zmq", metavar="HOST:PORT", help="in side of the ZMQ proxy")
    parser.add_argument("--serializer", choices=("json", "msgpack"), default="json")
    parser.add_argument("--programme", default="full", help="'full' or entries, comma-separated")
    often = parser.add_mutually_exclusive_group()
    often.add_argument("--once", action="store_true", help="take the programme once (default)")
    often.add_argument("--loop", action="store_true", help="begin again until stopped")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between scans")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-scale", type=float, default=TIME_SCALE)
    parser.add_argument(
        "--batch", type=int, default=0, help="points written to Tiled at a time (0: a whole run)"
    )
    parser.add_argument("--data", type=Path, help="where detectors write files (temporary)")
    parser.add_argument(
        "--drain",
        type=float,
        default=60.0,
        help="seconds without progress after which Tiled is no longer waited for at the end",
    )
    return parser.parse_args(arguments)


def _take(beamline: Beamline, entries: Sequence[Entry], options: argparse.Namespace) -> None:
    while not beamline.ended.is_set():
        for entry in entries:
            beamline.run(entry)
            if beamline.ended.wait(options.pause):
                break
        if not options.loop:
            break


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the programme.

    Returns
    -------
    int
        0, or 1 when raw runs could not be stored in Tiled, or 2 for options that make no sense.
    """
    options = _options(arguments)
    try:
        entries = select(options.programme)
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    log.configure("WARNING")
    # The RunEngine logs the traceback of every scan that is aborted, on purpose or not.
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    # TiledWriter logs the traceback of what it then raises.
    logging.getLogger("bluesky_tiled_plugins").setLevel(logging.CRITICAL)
    # ophyd (1.11) changes a dictionary of its tracing while iterating over it and logs that, after
    # the move was marked as finished.
    logging.getLogger("ophyd.objects").setLevel(logging.CRITICAL)
    output = sys.stdout
    with contextlib.ExitStack() as stack:
        # The RunEngine prints when it pauses and aborts.
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        directory = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        beamline = Beamline(directory, options.seed, options.time_scale, output)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: beamline.end())
        archive = None
        if options.zmq:
            publisher = _publisher(options.zmq, options.serializer)
            stack.callback(publisher.close)
            beamline.engine.subscribe(publisher)
        if options.tiled:
            archive = _archive(options.tiled, options.raw_path, options.batch)
            stack.callback(archive.close)
            beamline.engine.subscribe(archive)
        beamline.say("ready", entries=[entry.name for entry in entries], pid=os.getpid())
        _take(beamline, entries, options)
        missing = _drain(archive, beamline.ended, options.drain)
        beamline.say("done", stored=archive.stored if archive else 0, missing=missing)
    return 1 if missing else 0


def _drain(archive: Archive | None, ended: threading.Event, patience_s: float) -> list[str]:
    """Return the runs Tiled does not take: none came for `patience_s`, or the beamline is ended."""
    if archive is None:
        return []
    stored, since = archive.stored, time.monotonic()
    while not archive.drain(2.0):
        if archive.stored > stored:
            stored, since = archive.stored, time.monotonic()
        if ended.is_set() or time.monotonic() - since > patience_s:
            return list(archive.waiting)
    return []


if __name__ == "__main__":
    sys.exit(main())
