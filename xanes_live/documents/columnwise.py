"""Reading a run from Tiled column by column, where the server does not give out its documents.

Reading a stream as a whole returns short arrays as text; reading each such column by itself is
exact, for one request more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xanes_live.documents.assembly import latest_of_each
from xanes_live.documents.external import with_column
from xanes_live.documents.run import Problem, ProblemKind, RunRecord, Stream, missing_events
from xanes_live.domain import Array

_MAX_VALUES = 20_000_000
_MAX_IMAGE = 128
"""Both sides of an image are larger than this; a detector has fewer elements."""


def from_columns(run: Any, source: str = "replay") -> RunRecord:  # noqa: ANN401 - tiled has no types
    """Return a run of a Tiled server, read stream by stream.

    Parameters
    ----------
    run
        Client of a BlueskyRun of either layout (SQL-backed 3.0, Mongo-backed 2.0).
    source
        Name of the source, kept in the record.
    """
    start, stop = run.metadata.get("start"), run.metadata.get("stop")
    streams = {name: _stream(name, run[name]) for name in run}
    problems = [] if stop else [Problem(ProblemKind.NO_STOP, "Tiled has no stop document")]
    return RunRecord(
        uid=str((start or {}).get("uid", "")),
        start=start,
        stop=stop,
        streams=streams,
        problems=(*problems, *missing_events(streams, {}, stop)),
        source=source,
    )


def numbers(values: object) -> Array | None:
    """Return values off the server as float64, None if they are no numbers."""
    try:
        found = np.asarray(values)
        return np.asarray(found, np.float64) if found.dtype.kind in "biuf" else None
    except (TypeError, ValueError):
        return None


def _stream(name: str, client: Any) -> Stream:  # noqa: ANN401 - tiled has no types
    base = getattr(client, "base", client)
    parts = list(base)
    stream = Stream(name, _descriptors(name, client))
    if "internal" in parts:
        stream = _with_table(stream, client, base["internal"].read())
        arrays = {key: base[key] for key in parts if key != "internal"}
    elif "data" in parts:
        arrays = {key: base["data"][key] for key in base["data"]}
    else:
        arrays = {key: base[key] for key in parts}
    for key, array in arrays.items():
        column = numbers(array.read()) if _is_column(array) else None
        if column is not None and column.ndim:
            values = {i + 1: row for i, row in enumerate(column)}
            stream = with_column(stream, key, values)
    return _timed(stream)


def _with_table(stream: Stream, client: Any, table: Any) -> Stream:  # noqa: ANN401 - no types
    """Return the stream with the columns of its internal table."""
    columns: dict[str, Array] = {}
    for key in table.columns:
        if key not in ("seq_num", "time") and not key.startswith("ts_"):
            column = numbers(table[key].to_numpy())
            if column is None and stream.data_key(key).get("dtype") == "array":
                column = numbers(client[key].read())
            if column is not None:
                columns[key] = column
    n = len(table)
    seq = numbers(table["seq_num"].to_numpy()) if "seq_num" in table else None
    time = numbers(table["time"].to_numpy()) if "time" in table else None
    seq = np.arange(1.0, n + 1.0) if seq is None else seq
    time = np.full(n, np.nan) if time is None else time
    keep = latest_of_each(seq, time)  # an append that was retried may be there twice
    return Stream(
        stream.name,
        stream.descriptors,
        {key: column[keep] for key, column in columns.items()},
        seq[keep].astype(np.int64),
        time[keep],
    )


def _timed(stream: Stream) -> Stream:
    """Take the times of a Mongo-backed stream from its column 'time'."""
    if "time" not in stream.columns:
        return stream
    columns = dict(stream.columns)
    return Stream(stream.name, stream.descriptors, columns, stream.seq_num, columns.pop("time"))


def _is_column(array: Any) -> bool:  # noqa: ANN401 - tiled has no types
    """Whether an array node can be a channel: camera images and tables are not."""
    shape = getattr(array, "shape", None)
    if not isinstance(shape, tuple) or not shape or int(np.prod(shape, dtype=float)) > _MAX_VALUES:
        return False
    return len(shape) < 3 or min(shape[1:]) <= _MAX_IMAGE


def _descriptors(name: str, client: Any) -> tuple[Mapping[str, Any], ...]:  # noqa: ANN401 - no types
    metadata = client.metadata
    if isinstance(metadata.get("descriptors"), list):
        return tuple(metadata["descriptors"])
    return ({**metadata, "name": name},)
