"""An open run, and how it becomes a :class:`~xanes_live.documents.run.RunRecord`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.documents.run import (
    External,
    Problem,
    ProblemKind,
    RunRecord,
    Stream,
    missing_events,
    missing_rows,
)
from xanes_live.documents.store import NAN, Columns, corner
from xanes_live.domain import Array

Document = Mapping[str, Any]


@dataclass(slots=True)
class Block:
    """The events of one descriptor."""

    uid: str
    columns: Columns
    run: OpenRun
    """The run it belongs to; a nameless one until the descriptor has come."""
    descriptor: Document | None = None

    @property
    def name(self) -> str:
        """Stream name; documents from before streams had names belong to 'primary'."""
        name = (self.descriptor or {}).get("name", "primary")
        return name if isinstance(name, str) else "primary"


@dataclass(slots=True)
class OpenRun:
    """All documents of a run that has not been handed over yet."""

    uid: str
    touched: float = 0.0
    """When the last document came, by the callback's clock."""
    start: Document | None = None
    blocks: dict[str, Block] = field(default_factory=dict)
    """By descriptor uid."""
    stream_resources: dict[str, Document] = field(default_factory=dict)
    resources: dict[str, Document] = field(default_factory=dict)
    points: int = 0
    full: bool = False
    """The bound on memory was reached: further values are not kept."""
    given_up: bool = False
    """It was handed over as one that never ended; should it end, it is handed over whole."""

    def record(
        self, stop: Document | None, datums: Mapping[str, Document], why: str, source: str
    ) -> RunRecord:
        """Return the run as it stands.

        Parameters
        ----------
        stop
            The stop document, None when the run is given up.
        datums
            datum documents by datum_id.
        why
            Why there is no stop document, in words.
        source
            Where the documents came from.
        """
        by_name: dict[str, list[Block]] = {}
        for block in self.blocks.values():
            by_name.setdefault(block.name, []).append(block)
        streams = {name: merged(name, blocks) for name, blocks in by_name.items()}
        external = tuple(
            e
            for name, blocks in by_name.items()
            for e in (*self._streamed(name, blocks), *self._referenced(name, blocks, datums))
        )
        return RunRecord(
            uid=self.uid,
            start=self.start,
            stop=stop,
            streams=streams,
            external=external,
            problems=(
                *self._problems(stop, why),
                *missing_events(streams, covered(external), stop),
                *missing_rows(_rows(streams, external), stop),
            ),
            source=source,
        )

    def _problems(self, stop: Document | None, why: str) -> Iterable[Problem]:
        if self.start is None:
            yield Problem(ProblemKind.NO_START, "the start document was not received")
        if stop is None:
            yield Problem(ProblemKind.NO_STOP, why)
        if self.full:
            yield Problem(ProblemKind.TRUNCATED, "the run holds more values than are kept")
        for block in self.blocks.values():
            for key in sorted(block.columns.skipped):
                detail = f"{key!r} holds more values than are kept"
                yield Problem(ProblemKind.TRUNCATED, detail, stream=block.name, key=key)

    def _streamed(self, name: str, blocks: Sequence[Block]) -> Iterable[External]:
        """Group the stream_datum documents by data key."""
        by_resource: dict[str, dict[object, Document]] = {}
        for block in blocks:
            for datum in block.columns.stream_datums:
                rows = by_resource.setdefault(str(datum.get("stream_resource")), {})
                rows[datum.get("uid") or len(rows)] = datum
        for resource_uid, datums in by_resource.items():
            resource = self.stream_resources.get(resource_uid, {})
            key = str(resource.get("data_key", ""))
            yield External(name, key, resource, tuple(datums.values()))

    def _referenced(
        self, name: str, blocks: Sequence[Block], datums: Mapping[str, Document]
    ) -> Iterable[External]:
        """Group the datum_ids found among the events by data key and resource."""
        found: dict[tuple[str, str], list[Document]] = {}
        for block in blocks:
            for key, rows in block.columns.references.items():
                external = _is_external(block.descriptor, key)
                for row, datum_id in rows.items():
                    datum = datums.get(datum_id)
                    if datum is None and not external:
                        continue
                    resource = str((datum or {}).get("resource", datum_id.partition("/")[0]))
                    entry = {
                        "seq_num": block.columns.seq[row],
                        "datum_kwargs": (datum or {}).get("datum_kwargs"),
                    }
                    found.setdefault((key, resource), []).append(entry)
        for (key, resource), entries in found.items():
            document = self.resources.get(resource, {})
            yield External(name, key, document, tuple(entries), "resource")


def merged(name: str, blocks: Sequence[Block]) -> Stream:
    """Return the events of all descriptors of one stream in the order of seq_num, each once.

    Of several events with one seq_num the one with the latest time stays: after a pause the
    RunEngine goes back to the last checkpoint and takes points again under the same numbers.
    """
    parts = [block.columns for block in blocks]
    seq = np.concatenate([np.array(p.seq, np.int64) for p in parts])
    time = np.concatenate([np.array(p.time, np.float64) for p in parts])
    keep = latest_of_each(seq, time)
    keys = dict.fromkeys(key for part in parts for key in part.keys())  # noqa: SIM118 - a method
    columns = {key: _joined([(p.column(key), len(p.seq)) for p in parts])[keep] for key in keys}
    descriptors = tuple(b.descriptor for b in blocks if b.descriptor is not None)
    return Stream(name, descriptors, columns, seq[keep], time[keep])


def covered(external: Iterable[External]) -> dict[str, int]:
    """Return how many rows of each stream were announced to lie in files."""
    found: dict[str, int] = {}
    for e in external:
        if e.kind == "stream_resource":
            found[e.stream] = max(found.get(e.stream, 0), len(datum_seq_nums(e.datums)))
    return found


def _rows(
    streams: Mapping[str, Stream], external: Iterable[External]
) -> dict[tuple[str, str], int]:
    """Return the rows announced of every channel that the descriptors say lies in a file."""
    found = {
        (name, key): 0
        for name, stream in streams.items()
        for descriptor in stream.descriptors
        for key, entry in descriptor["data_keys"].items()
        if isinstance(entry, Mapping)
        and str(entry.get("external")).startswith("STREAM:")
        and stream.may_be_channel(key)
    }
    for e in external:
        if (e.stream, e.key) in found:
            found[e.stream, e.key] += len(datum_seq_nums(e.datums))
    return found


def datum_seq_nums(datums: Iterable[Document]) -> dict[int, int]:
    """Return row index by seq_num from stream_datum documents; entries without sense are left out.

    A document whose ranges are of unequal length covers none.
    """
    found: dict[int, int] = {}
    for datum in datums:
        seq, rows = _range(datum.get("seq_nums")), _range(datum.get("indices"))
        if rows and not seq:
            # old documents and some collectors leave seq_nums at 0…0: rows count from 1
            seq = range(rows.start + 1, rows.stop + 1)
        if len(seq) == len(rows):
            found.update(zip(seq, rows, strict=True))
    return found


def _range(value: object) -> range:
    start, stop = (value.get("start"), value.get("stop")) if isinstance(value, dict) else (0, 0)
    if not isinstance(start, int) or not isinstance(stop, int) or not 0 <= start <= stop:
        return range(0)
    return range(start, stop) if stop - start <= 10_000_000 else range(0)


def _is_external(descriptor: Document | None, key: str) -> bool:
    keys = (descriptor or {}).get("data_keys")
    entry = keys.get(key) if isinstance(keys, Mapping) else None
    return isinstance(entry, Mapping) and "external" in entry


def latest_of_each(seq: NDArray[np.int64] | Array, time: Array) -> NDArray[np.intp]:
    """Return the rows to keep, in the order of seq_num: of each number the one of latest time.

    Of rows that agree in both the first stays: a Tiled writer whose request was carried out and not
    answered sends the same rows again.

    Parameters
    ----------
    seq
        seq_num, shape (n_rows,).
    time
        Event times, s since the epoch, shape (n_rows,); NaN counts as earliest.

    Returns
    -------
    ndarray
        Row indices, shape (n_kept,).
    """
    arrival = np.arange(len(seq))
    if (seq[1:] > seq[:-1]).all():
        return arrival  # as they nearly always come
    # ties of seq and time: the first to arrive comes last and stays
    order = np.lexsort((-arrival, np.nan_to_num(time, nan=-np.inf), seq))
    last = np.ones(len(order), bool)
    last[:-1] = seq[order][1:] != seq[order][:-1]
    return order[last]


def _joined(parts: Sequence[tuple[Array | None, int]]) -> Array:
    """Put columns of several descriptors under each other; NaN where one lacks the key."""
    if len(parts) == 1 and parts[0][0] is not None:
        return parts[0][0]
    shapes = [column.shape[1:] for column, _ in parts if column is not None]
    ndim = max(len(shape) for shape in shapes)
    fitting = [shape for shape in shapes if len(shape) == ndim]
    shape = tuple(int(n) for n in np.max(fitting, axis=0)) if ndim else ()
    joined = np.full((sum(n for _, n in parts), *shape), NAN)
    first = 0
    for column, n in parts:
        if column is not None and column.ndim == ndim + 1:
            joined[first : first + n][corner(column.shape)] = column
        first += n
    return joined
