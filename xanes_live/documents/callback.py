"""The Bluesky callback: it assembles the documents of each run and hands the run over.

Not built on :class:`event_model.RunRouter`, though it is a router of its own kind: RunRouter turns
every event into a page and copies it through a Filler (22 µs measured, of the 50 there are), raises
for a repeated start, for a descriptor without a start and for events of an unknown descriptor, and
never forgets a run that has no stop. Late subscriptions, lost documents and crashed RunEngines are
everyday business here.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import event_model

from xanes_live import log
from xanes_live.documents.assembly import Block, Document, OpenRun
from xanes_live.documents.run import Problem, ProblemKind, RunRecord
from xanes_live.documents.store import Columns

_log = log.get(__name__)

_SWEEP_S = 1.0
"""Time between two looks for stale runs."""
_REMEMBERED = 4096
"""Runs and descriptors remembered after they were handed over, so that stragglers are known."""
_MAX_DATUMS = 100_000
_DOCUMENT_POINTS = 64
"""What a kept document counts against the bound, in values."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a callback has seen, as one snapshot."""

    documents: int = 0
    """Documents received."""
    runs: int = 0
    """Runs handed over."""
    dropped: int = 0
    """Documents not used: unknown names, stragglers of finished runs, beyond the memory bound."""
    errors: int = 0
    """Documents that could not be understood, and failures of the receiver of runs."""
    open_runs: int = 0
    """Runs being assembled."""
    silent_s: float | None = field(default=None, compare=False)
    """Time since the last document, s; None before the first."""


class XanesCallback(event_model.DocumentRouter):  # type: ignore[misc]
    """Assembles runs from documents; never blocks and never raises, whatever it is given.

    Documents may come twice, out of order, in part, from several runs at once, or from the middle
    of a run; the record that is handed over says what is missing. It is to be called from one
    thread (a RunEngine and a source do). Whoever subscribes it must keep a reference to it where
    the publisher holds weak ones only.

    Parameters
    ----------
    on_run
        Receives the record of each run, once for each run uid, and once more for one that was
        silent too long and ended after all. It is called in the thread that delivers the
        documents, so it must return at once.
    max_runs
        Runs assembled at the same time; the one that has been silent longest is given up beyond
        that.
    max_points
        Values kept of one run, 8 bytes each. Beyond that array-valued keys are let go, the largest
        first, then further events.
    stale_s
        A run without documents for this long is handed over as one that never ended. It is kept
        while there is room for it, in case it goes on.
    clock
        Returns seconds; only differences count.
    source
        Name of the source, kept in the record.
    """

    def __init__(
        self,
        on_run: Callable[[RunRecord], object],
        *,
        max_runs: int = 64,
        max_points: int = 2_000_000,
        stale_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        source: str = "live",
    ) -> None:
        super().__init__()
        self._on_run, self._clock, self._source = on_run, clock, source
        self._max_runs, self._max_points, self._stale_s = max_runs, max_points, stale_s
        self._runs: OrderedDict[str, OpenRun] = OrderedDict()
        self._blocks: dict[str, Block] = {}
        self._orphans = OpenRun("")
        self._datums: OrderedDict[str, Document] = OrderedDict()
        self._loose_resources: OrderedDict[str, Document] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._n_documents = self._n_runs = self._n_dropped = self._n_errors = 0
        self._n_given_up = 0
        self._next_sweep = clock() + _SWEEP_S
        self._touched: float | None = None
        # a table instead of getattr(self, name): a name off the wire must not choose the method
        self._handlers: dict[object, Callable[[Any], None]] = {
            name: getattr(self, name) for name in event_model.DocumentNames.__members__
        }

    @property
    def counters(self) -> Counters:
        """A snapshot of what has been seen."""
        silent = None if self._touched is None else self._clock() - self._touched
        seen = (self._n_documents, self._n_runs, self._n_dropped, self._n_errors)
        open_runs = len(self._runs) - self._n_given_up
        return Counters(*seen, open_runs=open_runs, silent_s=silent)

    def __call__(
        self,
        name: str,
        doc: Any,  # noqa: ANN401 - whatever the wire delivers
        validate: bool = False,  # noqa: ARG002 - the router's signature
    ) -> tuple[str, Any]:
        """Take one document; `validate` is accepted and not used."""
        self._n_documents += 1
        try:
            handler = self._handlers.get(getattr(name, "name", name))
            if handler is None:
                self._n_dropped += 1
            else:
                handler(doc)
            self._touched = self._clock()
            if self._touched >= self._next_sweep:
                self.close_stale()
        except Exception as error:  # noqa: BLE001 - nothing may reach the RunEngine
            self._failed("document not understood", error)
        return name, doc

    def close_stale(self) -> None:
        """Hand over runs that have been silent too long; sources call this when nothing comes."""
        now = self._clock()
        self._next_sweep = now + _SWEEP_S
        for run in list(self._runs.values()):
            if now - run.touched >= self._stale_s and not run.given_up:
                run.given_up = True
                self._n_given_up += 1
                self._hand_over(run, None, f"no documents for {self._stale_s:g} s")
        if now - self._orphans.touched >= self._stale_s:
            self._drop_orphans()

    def close(self) -> None:
        """Hand over every open run: the source has come to its end."""
        for uid in list(self._runs):
            self._finish(uid, None, "the source of documents ended")
        self._drop_orphans()

    def start(self, doc: Document) -> None:
        """Open a run."""
        run = self._run(doc["uid"])
        if run is not None and run.start is None:
            run.start = dict(doc)

    def stop(self, doc: Document) -> None:
        """Hand the run over."""
        if self._run(doc["run_start"]) is not None:
            self._finish(doc["run_start"], dict(doc))

    def descriptor(self, doc: Document) -> None:
        """Open a stream, or further columns of one."""
        uid, run = doc["uid"], self._run(doc["run_start"])
        block = self._block(uid) if run is not None else None
        if run is None or block is None or block.descriptor is not None:
            return
        if not isinstance(doc.get("data_keys"), Mapping):
            raise TypeError("descriptor without data_keys")
        block.descriptor = dict(doc)
        self._orphans.blocks.pop(uid, None)
        block.run, run.blocks[uid] = run, block
        self._orphans.points -= block.columns.points
        self._count(run, block.columns.points + _DOCUMENT_POINTS)

    def event(self, doc: Document) -> None:
        """Keep one event."""
        block = self._block(doc["descriptor"])
        if block is None or block.run.full:
            self._n_dropped += 1
            return
        columns, run = block.columns, block.run
        before = columns.points
        columns.add(doc["seq_num"], doc.get("time"), doc["data"])
        run.touched = self._clock()
        run.points += columns.points - before
        if run.points > self._max_points:
            self._count(run, 0)

    def event_page(self, doc: Document) -> None:
        """Keep a page of events."""
        block = self._block(doc["descriptor"])
        seq = doc["seq_num"]
        if block is None or block.run.full:
            self._n_dropped += 1
        elif len(seq) > self._max_points:
            self._n_dropped += 1
            block.run.full = True
        else:
            before = block.columns.points
            block.columns.add_page(seq, doc.get("time"), doc["data"])
            self._count(block.run, block.columns.points - before)

    def stream_resource(self, doc: Document) -> None:
        """Keep where the values of a stream lie."""
        run = self._run(doc["run_start"])
        if run is not None and isinstance(doc["uid"], str):
            run.stream_resources[doc["uid"]] = dict(doc)
            self._count(run, _DOCUMENT_POINTS)

    def stream_datum(self, doc: Document) -> None:
        """Keep which rows of a file belong to a stream."""
        block = self._block(doc["descriptor"])
        if block is None or block.run.full:
            self._n_dropped += 1
            return
        block.columns.stream_datums.append(dict(doc))
        block.columns.points += _DOCUMENT_POINTS
        self._count(block.run, _DOCUMENT_POINTS)

    def resource(self, doc: Document) -> None:
        """Keep where external values lie; old documents do not say of which run they are."""
        uid, run_uid = doc["uid"], doc.get("run_start")
        run = self._run(run_uid) if isinstance(run_uid, str) else None
        if run is not None:
            run.resources[str(uid)] = dict(doc)
            self._count(run, _DOCUMENT_POINTS)
        elif run_uid is None:
            _remember(self._loose_resources, str(uid), dict(doc), _REMEMBERED)

    def datum(self, doc: Document) -> None:
        """Keep what an event refers to."""
        _remember(self._datums, str(doc["datum_id"]), dict(doc), _MAX_DATUMS)

    def datum_page(self, doc: Document) -> None:
        """Keep what a page of events refers to."""
        kwargs = doc["datum_kwargs"]
        for i, datum_id in enumerate(doc["datum_id"]):
            single = {key: values[i] for key, values in kwargs.items() if i < len(values)}
            self.datum({"datum_id": datum_id, "resource": doc["resource"], "datum_kwargs": single})

    def bulk_events(self, doc: Mapping[str, Iterable[Document]]) -> None:
        """Keep the events of the deprecated form, by stream."""
        for events in doc.values():
            for event in events:
                self.event(event)

    def bulk_datum(self, doc: Document) -> None:
        """Keep the datums of the deprecated form."""
        for datum_id, kwargs in zip(doc["datum_ids"], doc["datum_kwarg_list"], strict=False):
            self.datum({"datum_id": datum_id, "resource": doc["resource"], "datum_kwargs": kwargs})

    def _run(self, uid: object) -> OpenRun | None:
        """Return the open run `uid`, opened if need be; None when it has been handed over."""
        if not isinstance(uid, str) or not uid:
            raise TypeError(f"run uid is {type(uid).__name__}")
        run = self._runs.get(uid)
        if run is None:
            if uid in self._finished:
                self._n_dropped += 1
                return None
            run = self._runs[uid] = OpenRun(uid, self._clock())
            self._give_up_oldest()
        run.touched = self._clock()
        return run

    def _block(self, uid: object) -> Block | None:
        """Return the block of a descriptor; None when its run has been handed over."""
        if not isinstance(uid, str):
            raise TypeError(f"descriptor uid is {type(uid).__name__}")
        block = self._blocks.get(uid)
        if block is None and uid not in self._finished:
            # perhaps its descriptor is late; perhaps it was sent before we listened
            block = self._blocks[uid] = Block(uid, Columns(self._max_points), self._orphans)
            self._orphans.blocks[uid] = block
            if len(self._orphans.blocks) > self._max_runs:
                self._forget_block(next(iter(self._orphans.blocks)))
        return block

    def _count(self, run: OpenRun, points: int) -> None:
        """Count `points` more against the bound of `run`, and keep within it."""
        run.points += points
        run.touched = self._clock()
        while run.points > self._max_points and not run.full:
            if run is self._orphans:
                self._drop_orphans()
            elif not self._let_arrays_go(run):
                run.full = True

    @staticmethod
    def _let_arrays_go(run: OpenRun) -> bool:
        """Drop the largest array-valued key; False when there is none that matters."""
        largest = max(run.blocks.values(), key=lambda b: b.columns.points, default=None)
        if largest is None:
            return False
        before = largest.columns.points
        largest.columns.drop_largest_array()
        freed = before - largest.columns.points
        run.points -= freed
        return freed > 0

    def _give_up_oldest(self) -> None:
        while len(self._runs) > self._max_runs:
            oldest = min(self._runs.values(), key=lambda run: run.touched)
            self._finish(oldest.uid, None, f"given up: more than {self._max_runs} runs at once")

    def _drop_orphans(self) -> None:
        for uid in list(self._orphans.blocks):
            self._forget_block(uid)
        self._orphans = OpenRun("", self._clock())

    def _forget_block(self, uid: str) -> None:
        block = self._orphans.blocks.pop(uid)
        self._orphans.points -= block.columns.points
        self._n_dropped += len(block.columns.seq)
        self._blocks.pop(uid, None)

    def _finish(self, uid: str, stop: Document | None, why: str = "") -> None:
        """Hand the run over, unless that was done and no stop came, and forget it."""
        run = self._runs.pop(uid)
        self._n_given_up -= run.given_up
        _remember(self._finished, uid, None, _REMEMBERED)
        for descriptor_uid in run.blocks:
            self._blocks.pop(descriptor_uid, None)
            _remember(self._finished, descriptor_uid, None, _REMEMBERED)
        if stop is not None or not run.given_up:
            self._hand_over(run, stop, why)

    def _hand_over(self, run: OpenRun, stop: Document | None, why: str) -> None:
        uid = run.uid
        self._n_runs += 1
        run.resources = {**self._loose_resources, **run.resources}
        try:
            record = run.record(stop, self._datums, why, self._source)
        except Exception as error:  # noqa: BLE001 - it can still be re-read from Tiled by its uid
            self._failed("run not assembled", error)
            problem = Problem(ProblemKind.TRUNCATED, f"documents not understood: {error!r:.200}")
            record = RunRecord(uid, run.start, stop, problems=(problem,), source=self._source)
        try:
            self._on_run(record)
        except Exception as error:  # noqa: BLE001 - nothing may reach the RunEngine
            self._failed("run not handed over", error)

    def _failed(self, what: str, error: Exception) -> None:
        self._n_errors += 1
        if self._n_errors & (self._n_errors - 1) == 0:  # the 1st, 2nd, 4th, 8th, …: no flood
            log.event(_log, logging.WARNING, what, error=repr(error)[:300], count=self._n_errors)


def _remember(table: OrderedDict[str, Any], key: str, value: object, most: int) -> None:
    table[key] = value
    while len(table) > most:
        table.popitem(last=False)


def assemble(
    documents: Iterable[tuple[str, Document]],
    *,
    source: str = "replay",
    max_points: int = 20_000_000,
) -> RunRecord | None:
    """Return the first run among `documents`; None if there is none.

    Parameters
    ----------
    documents
        Pairs of name and document, as ``run.documents()`` yields them.
    source
        Name of the source, kept in the record.
    max_points
        Bound on the values kept.
    """
    records: list[RunRecord] = []
    callback = XanesCallback(records.append, max_points=max_points, source=source)
    for name, document in documents:
        callback(name, document)
    callback.close()
    return records[0] if records else None
