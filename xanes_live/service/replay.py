"""Predict archived runs: the live path fed from an archive.

Results go through the same outbox as live ones, so a replay that is killed loses nothing. Which
runs were done is kept in a file beside the outbox, so that it can be resumed, and what Tiled
already holds for the same model and configuration is skipped.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from xanes_live import log
from xanes_live.config import Config
from xanes_live.documents.archive import ArchiveRun, open_archive
from xanes_live.domain import Declined, Result
from xanes_live.errors import ReadError
from xanes_live.pipeline import Predictors
from xanes_live.publish.document import Node, located
from xanes_live.publish.keys import DECLINED, result_key
from xanes_live.publish.outbox import Outbox
from xanes_live.publish.writer import Publisher
from xanes_live.service.handle import Outcome, handle
from xanes_live.service.history import History
from xanes_live.service.raw import RawRuns, close
from xanes_live.service.selection import Selection
from xanes_live.service.service import load_predictors, state_directory

FLUSH_S = 300.0
"""How long the end of a replay waits for Tiled to take what is left."""
_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one archived run."""

    uid: str
    what: str
    """'predicted', 'declined', 'ignored' or 'failed'."""
    node: Node | None = None
    reason: str = ""
    """Why it failed."""


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


def replay_run(
    run: ArchiveRun, predictors: Predictors, config: Config, history: History | None = None
) -> Replayed:
    """Predict one archived run; with a `history` it may be a repeat of those before it.

    What is published names the archive as the place of the run, or none where no Tiled has it.

    Raises
    ------
    ConnectionError
        If the archive cannot be reached; everything else is a 'failed' with its reason.
    """
    try:
        record = run.record()
    except ReadError as error:
        return Replayed(run.uid, "failed", None, str(error))
    outcome = handle(record, predictors, config, history)
    if outcome.node is not None:
        uri, path = run.place or ("", ())
        outcome = replace(outcome, node=located(outcome.node, uri, path))
    return _told(run.uid, outcome)


def _told(uid: str, outcome: Outcome) -> Replayed:
    found = outcome.found
    if found is None:
        return Replayed(uid, "ignored")
    if isinstance(found, Result):
        return Replayed(uid, "predicted", outcome.node)
    failed = isinstance(found, Declined) and found.flag.code == "internal_error"
    return Replayed(uid, "failed" if failed else "declined", outcome.node, found.flag.message)


def keys_of(uid: str, predictors: Predictors, config: Config) -> set[str]:
    """Return the keys under which run `uid` may be published with these models."""
    hashes = [DECLINED, *(predictor.info.hash for predictor in predictors.values())]
    return {result_key(uid, None, digest, config.hash()) for digest in hashes}


def replay_command(
    config: Config,
    archive: str | None,
    selection: Selection,
    *,
    dry_run: bool = False,
    force: bool = False,
    dask_address: str | None = None,
) -> int:
    """Replay an archive with a progress bar and a summary.

    Returns
    -------
    int
        How many runs failed or could not be published.

    Raises
    ------
    ConfigurationError
        If the archive does not exist.
    ConnectionError
        If it cannot be reached.
    """
    console = Console(stderr=True)
    predictors = load_predictors(config)
    where = archive or config.tiled.uri
    with ExitStack() as stack:
        opened = open_archive(where, config.tiled, config.tiled_key())
        stack.callback(close, opened.catalog)
        found = opened.runs(
            uids=selection.uids,
            since=selection.since,
            until=selection.until,
            search=dict(selection.search),
        )
        books = _Books.opened(
            config, predictors, where, selection, stack, publish=not dry_run, force=force
        )
        runs = list(found)
        todo = runs if force else books.left(runs, predictors, config)
        if dask_address is None:
            history = History(config.confidence)
            replayed: Iterable[Replayed] = (
                replay_run(r, predictors, config, history) for r in todo
            )
        else:
            from xanes_live.service.replay_dask import spread  # noqa: PLC0415 - an optional extra

            replayed = spread([run.uid for run in todo], where, config, dask_address)
        kept = books.kept(_shown(replayed, len(todo), console))
        counts = Counter(_counted(one, console if dry_run else None) for one in kept)
        counts["skipped"] = len(runs) - len(todo)
        counts["unpublished"] = books.close()
    summary = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()) if n)
    console.print(f"{len(runs)} runs: {summary or 'nothing to do'}", highlight=False)
    return counts["failed"] + counts["unpublished"]


@dataclass
class _Books:
    """Outbox, publisher and list of done runs of one replay."""

    outbox: Outbox
    publisher: Publisher | None
    progressed: Progressed
    published: set[str]
    replaces: bool = False
    """Whether what is published already is to give way."""
    failed: bool = False

    @classmethod
    def opened(
        cls,
        config: Config,
        predictors: Predictors,
        where: str,
        selection: Selection,
        stack: ExitStack,
        *,
        publish: bool,
        force: bool,
    ) -> _Books:
        directory = state_directory(config)
        outbox = Outbox(directory / "outbox.sqlite")
        stack.callback(outbox.close)
        publisher = None
        if publish:
            publisher = Publisher(config.tiled, config.tiled_key(), outbox).start()
            stack.callback(publisher.stop)
        # the hashes: a model that was trained anew may have kept its name
        models = sorted(predictor.info.hash for predictor in predictors.values())
        same = repr((where, selection, config.hash(), models, publish))
        name = f"replay-{hashlib.sha256(same.encode()).hexdigest()[:16]}.done"
        progressed = Progressed(directory / name)
        return cls(outbox, publisher, progressed, _published(config, publish), force)

    def left(
        self, runs: Sequence[ArchiveRun], predictors: Predictors, config: Config
    ) -> list[ArchiveRun]:
        """Return the runs that are neither published nor done."""
        return [
            run
            for run in runs
            if run.uid not in self.progressed.done
            and not keys_of(run.uid, predictors, config) & self.published
        ]

    def kept(self, replayed: Iterable[Replayed]) -> Iterator[Replayed]:
        """Publish each and note that it is done."""
        for one in replayed:
            if one.what == "failed":
                self.failed = True
                log.event(_log, logging.ERROR, "run failed", uid=one.uid, reason=one.reason)
            else:
                if self.publisher is not None and one.node is not None:
                    self.publisher.put(replace(one.node, replaces=self.replaces))
                self.progressed.add(one.uid)
            yield one

    def close(self) -> int:
        """Wait for Tiled; returns how many results it has not taken."""
        left = 0
        if self.publisher is not None and not self.publisher.flush(FLUSH_S):
            left = self.outbox.pending()
        if not left and not self.failed:
            self.progressed.finish()
        return left


def _published(config: Config, publish: bool) -> set[str]:
    """Return the keys that are in Tiled; a dry run does without where Tiled is away."""
    raw = RawRuns(config.tiled, config.tiled_key())
    try:
        return {key for key, _ in raw.published()}
    except ConnectionError:
        if publish:
            raise
        return set()
    finally:
        raw.close()


def _counted(one: Replayed, console: Console | None) -> str:
    """Return what became of a run, having printed it on a dry run."""
    if console is not None:
        said = one.node.metadata if one.node is not None else {}
        shell = (said.get("first_shell") or {}).get("r")
        distance = f"{shell:.2f} Å" if shell is not None else ""
        words = (one.uid[:8], said.get("sample"), one.what, said.get("confidence"), distance)
        console.print("  ".join(str(w) for w in (*words, one.reason) if w), highlight=False)
    return one.what


def _shown(replayed: Iterable[Replayed], total: int, console: Console) -> Iterator[Replayed]:
    """Show a bar with rate and time left."""
    columns = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("replay", total=total, rate="")
        for one in replayed:
            speed = progress.tasks[task].speed
            progress.update(task, advance=1, rate=f"{speed:.1f} runs/s" if speed else "")
            yield one
