"""The scan in progress: its points as they reach Tiled, and whether they do."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from xanes_live import log
from xanes_live.config import Config
from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.rawrun import RawRuns
from xanes_live.dashboard.runs import Run
from xanes_live.dashboard.safe import integer
from xanes_live.dashboard.tiled import NotThereError, TiledError
from xanes_live.documents.run import RunRecord
from xanes_live.domain import Array, Channels, Declined, Mode, Scan

_log = log.get(__name__)

EVERY_S = 0.4
"""Time between reads of a running scan; one read costs Tiled about 30 ms."""
MAX_SHOWN = 1500
"""Points sent to a page; more are thinned out."""
_FEWEST = 2
_GIVE_UP = 3
_NOTHING: dict[str, Any] = {"state": "idle"}


class LiveScan:
    """Keeps the board's part 'scan' current.

    Parameters
    ----------
    feed
        Knows which run is being measured.
    config
        Says how to read this beamline's documents.
    """

    def __init__(self, feed: Feed, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._feed, self._config, self._clock = feed, config, clock
        self._raw = RawRuns(feed.reader, feed.raw_path)
        self._uid = ""
        self._points = -1
        self._moved = 0.0
        self._curve: dict[str, Any] = {}
        self._failures = 0

    async def run(self) -> None:
        """Read again and again until cancelled."""
        while True:
            try:
                await self.step()
            except (TiledError, KeyError, ValueError, TypeError) as error:
                self._failed(error)
            await asyncio.sleep(EVERY_S)

    async def step(self) -> None:
        """Read the scan in progress, or the one just ended, once."""
        running = self._feed.runs.current()
        run = running or self._feed.runs.unread()
        if run is not None:
            self._turn_to(run)
            record = await self._raw.record(run)
            await self._take(run, record)
        self._show(self._feed.runs.latest())

    def _turn_to(self, run: Run) -> None:
        if run.uid != self._uid:
            self._uid, self._points, self._curve = run.uid, -1, {}
            self._moved, self._failures = self._clock(), 0

    async def _take(self, run: Run, record: RunRecord) -> None:
        points = max((len(s.seq_num) for s in record.streams.values()), default=0)
        if points != self._points or run.ended is not None:
            scan = await asyncio.to_thread(recognised, record, self._config)
            self._curve = drawn(scan)
            if points != self._points:
                self._points, self._moved = points, self._clock()
                self._feed.points = points
            if run.ended is not None:
                self._feed.runs.judged(run.uid, expected=scan is not None)
        self._failures = 0

    def _failed(self, error: Exception) -> None:
        """Go on; a run that cannot be read after its end is not tried for ever."""
        self._failures += 1
        log.event(_log, logging.DEBUG, "live scan not read", error=repr(error))
        run = self._feed.runs.unread()
        if run is not None and not _outage(error) and self._failures >= _GIVE_UP:
            self._feed.runs.judged(run.uid, expected=None)
        self._show(self._feed.runs.latest())

    def _show(self, run: Run | None) -> None:
        if run is None:
            self._feed.board.put("scan", _NOTHING)
            return
        mine = run.uid == self._uid
        self._feed.board.put(
            "scan",
            {
                **run.title(),
                "state": self._state(run),
                "ended": run.ended,
                "expected": run.expected,
                "points": max(self._points, 0) if mine else 0,
                "of": integer(run.start.get("num_points")),
                "moved": self._moved if mine else None,
                **(self._curve if mine else {}),
            },
        )

    def _state(self, run: Run) -> str:
        """Return 'running', 'processing' (a result is due), 'done' or 'ignored'."""
        runs = self._feed.runs
        if runs.has_result(run.uid):
            return "done"
        if run.ended is None:
            return "running" if runs.current() is not None else "abandoned"
        return "ignored" if run.read and run.expected is False else "processing"


def _outage(error: Exception) -> bool:
    return isinstance(error, TiledError) and not isinstance(error, NotThereError)


def recognised(record: RunRecord, config: Config) -> Scan | Declined | None:
    """Read the record as the service would."""
    from xanes_live.documents.identify import identify  # noqa: PLC0415 - slow to import

    return identify(record, config.beamline)


def drawn(scan: Scan | Declined | None) -> dict[str, Any]:
    """Return μ(E) of the sweep in progress, as far as it goes, without any correction."""
    if not isinstance(scan, Scan) or not scan.sweeps:
        return {}
    channels = scan.sweeps[-1]
    signal, kind = simple_mu(channels, scan.mode)
    good = np.isfinite(channels.energy) & np.isfinite(signal)
    energy, signal = channels.energy[good], signal[good]
    if energy.size < _FEWEST:
        return {}
    order = np.argsort(energy, kind="stable")[:: max(1, -(-energy.size // MAX_SHOWN))]
    return {
        "energy": energy[order].tolist(),
        "mu": signal[order].tolist(),
        "kind": kind,
        "sweep": len(scan.sweeps),
        "element": scan.element,
        "edge": scan.edge,
    }


def simple_mu(channels: Channels, mode: Mode | None) -> tuple[Array, str]:
    """Return μ(E) and what it was made from; dark counts and outliers are left in.

    Returns
    -------
    mu : ndarray
        shape (n_points,); NaN where it cannot be formed.
    kind : str
        Name of the formula.
    """
    if channels.mu is not None:
        return channels.mu, "μ(E) as given"
    fluorescence = channels.fluorescence
    wanted = mode is Mode.FLUORESCENCE or channels.it is None
    with np.errstate(divide="ignore", invalid="ignore"):
        if fluorescence is not None and wanted:
            i0 = channels.i0 if channels.i0 is not None else np.ones_like(channels.energy)
            return _finite(np.nansum(fluorescence, axis=0) / i0), "fluorescence: If / I0"
        if channels.it is not None and channels.i0 is not None:
            return _finite(np.log(channels.i0 / channels.it)), "transmission: ln(I0 / It)"
    return np.full(channels.energy.shape, np.nan), ""


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)
