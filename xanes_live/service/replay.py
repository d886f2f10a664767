"""Predict archived runs: the live path fed from an archive.

Results go through the same outbox as live ones, so a replay that is killed loses nothing; which
runs were done is kept in a file beside the outbox, and what Tiled already holds for the same model
and configuration is skipped.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xanes_live import log
from xanes_live.config import Config
from xanes_live.documents.archive import ArchiveRun, open_archive
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.run import RunRecord
from xanes_live.domain import Declined, Result
from xanes_live.errors import ConfigurationError
from xanes_live.pipeline import Predictors
from xanes_live.publish.keys import result_key
from xanes_live.publish.outbox import Outbox
from xanes_live.publish.writer import Publisher
from xanes_live.service.handle import Outcome, handle
from xanes_live.service.raw import RawRuns
from xanes_live.service.service import load_predictors

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs of an archive are wanted."""

    uids: tuple[str, ...] = ()
    since: float | None = None
    """Start time, s since the epoch."""
    until: float | None = None
    search: tuple[tuple[str, str], ...] = ()
    """Pairs of key and value the start document must hold."""

    @classmethod
    def parse(
        cls, uids: list[str], since: str | None, until: str | None, search: list[str]
    ) -> Selection:
        """Make a selection from command-line words.

        Raises
        ------
        ConfigurationError
            If a time is not ISO 8601 or a search has no '='.
        """
        pairs = []
        for word in search:
            key, equals, value = word.partition("=")
            if not equals or not key:
                raise ConfigurationError(f"--search {word!r}: expected key=value")
            pairs.append((key, value))
        return cls(tuple(uids), _time(since), _time(until), tuple(pairs))


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a time like 2026-11-20T13:00") from None


class Progressed:
    """The uids a replay has dealt with, kept in a file so that it can be resumed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done = set(path.read_text().split()) if path.exists() else set()

    def add(self, uid: str) -> None:
        """Note that `uid` needs no more work."""
        with self._path.open("a") as file:
            file.write(uid + "\n")

    def finish(self) -> None:
        """Forget everything: the replay came to its end."""
        self._path.unlink(missing_ok=True)


def record_of(run: ArchiveRun, config: Config) -> RunRecord | None:
    """Assemble one archived run; None when its documents make no run at all."""
    records: list[RunRecord] = []
    callback = XanesCallback(records.append, max_points=config.service.max_points)
    for name, document in run.documents():
        callback(name, document)
    callback.close()
    return records[0] if records else None


def outcome_of(run: ArchiveRun, predictors: Predictors, config: Config) -> Outcome:
    """Predict one archived run."""
    record = record_of(run, config)
    if record is None:
        return Outcome(run.uid, None, None)
    return handle(record, predictors, config)


def keys_of(uid: str, predictors: Predictors, config: Config) -> set[str]:
    """Return the keys a result of run `uid` may have with the loaded models."""
    return {result_key(uid, None, p.info.hash, config.hash()) for p in predictors.values()}


def replay_command(
    config: Config,
    archive: str | None,
    selection: Selection,
    *,
    dry_run: bool,
    force: bool,
    dask_address: str | None,
) -> int:
    """Replay an archive with a progress bar and a summary; returns the number of failed runs."""
    console = Console(stderr=True)
    predictors = load_predictors(config)
    opened = open_archive(archive or config.tiled.uri, config.tiled, config.tiled_key())
    directory = Path(config.service.state_directory)
    directory.mkdir(parents=True, exist_ok=True)
    outbox = Outbox(directory / "outbox.sqlite")
    publisher = Publisher(config.tiled, config.tiled_key(), outbox)
    name = hashlib.sha256(repr((archive, selection, config.hash())).encode()).hexdigest()[:16]
    progressed = Progressed(directory / f"replay-{name}")
    published = set() if force else RawRuns(config.tiled, config.tiled_key()).published_keys()
    skip = set() if force else progressed.done
    runs = list(
        opened.runs(
            uids=selection.uids,
            since=selection.since,
            until=selection.until,
            search=dict(selection.search),
        )
    )
    todo = [
        run
        for run in runs
        if run.uid not in skip and not (keys_of(run.uid, predictors, config) & published)
    ]
    if not dry_run:
        publisher.start()
    counts: Counter[str] = Counter(skipped=len(runs) - len(todo))
    try:
        outcomes = _outcomes(todo, predictors, config, archive, dask_address)
        for outcome in _with_progress(outcomes, len(todo), console):
            counts[_settle(outcome, None if dry_run else publisher.put, progressed)] += 1
        if not dry_run:
            counts["unpublished"] = 0 if publisher.flush(timeout_s=120.0) else outbox.pending()
    finally:
        publisher.stop()
        outbox.close()
    if not counts["failed"]:
        progressed.finish()
    console.print(", ".join(f"{n} {what}" for what, n in sorted(counts.items()) if n) or "no runs")
    return counts["failed"] + counts["unpublished"]
