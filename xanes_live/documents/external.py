"""Values that lie in files: read on the worker's thread, never in the callback.

HDF5 is read directly; other forms of stream_resource through bluesky's consolidators (they need the
adapters of ``tiled[server]``), resource documents through the handlers that installed packages
announce (entry points ``databroker.handlers``: area-detector-handlers, ophyd). What cannot be read
becomes a problem of the record, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import h5py
import numpy as np

from xanes_live.documents.assembly import datum_seq_nums
from xanes_live.documents.run import (
    External,
    Problem,
    ProblemKind,
    RunRecord,
    Stream,
    missing_rows,
)
from xanes_live.documents.store import NAN
from xanes_live.domain import Array
from xanes_live.errors import ReadError

Handler = Callable[..., Callable[..., Any]]
"""``handler(path, **resource_kwargs)`` returns ``read(**datum_kwargs)``."""

MAX_VALUES = 20_000_000
"""More values than this of one key are not read: no channel of a scan has so many."""


def wanted(record: RunRecord, external: External) -> bool:
    """Whether values in a file can be a channel of a scan: camera images are not."""
    stream = record.streams.get(external.stream)
    return stream is None or stream.may_be_channel(external.key)


def readable(external: External, path_map: Mapping[str, str]) -> bool:
    """Whether the file is there, seen from here."""
    try:
        return bool(external.resource) and _path(external, path_map).exists()
    except (ReadError, OSError):
        return False


def read_external(
    record: RunRecord,
    path_map: Mapping[str, str] | None = None,
    handlers: Mapping[str, Handler] | None = None,
) -> RunRecord:
    """Return the record with the values that lie in files among its columns.

    Parameters
    ----------
    record
        A run; returned as it is when nothing lies in files.
    path_map
        Prefixes of file paths as the documents name them, and where they are found here.
    handlers
        Readers by spec for resource documents; None takes those of the installed packages.

    Returns
    -------
    RunRecord
        What could not be read stays in ``external``, with a problem that says why.
    """
    streams, left, problems = dict(record.streams), [], list(record.problems)
    rows: dict[tuple[str, str], int] = {}
    for external in record.external:
        if not wanted(record, external):
            left.append(external)
            continue
        stream = streams.get(external.stream, Stream(external.stream))
        try:
            values = _values(external, stream, path_map or {}, handlers)
        except Exception as error:  # noqa: BLE001 - file formats fail in every way
            left.append(external)
            problems.append(_problem(external, error))
        else:
            streams[external.stream] = with_column(stream, external.key, values)
            if external.kind == "stream_resource":
                at = external.stream, external.key
                rows[at] = rows.get(at, 0) + len(values)
    kept = [p for p in problems if p.kind is not ProblemKind.EVENTS_MISSING or _at(p) not in rows]
    found = (*kept, *missing_rows(rows, record.stop))
    return replace(
        record, streams=streams, external=tuple(left), problems=tuple(dict.fromkeys(found))
    )


def with_column(stream: Stream, key: str, values: Mapping[int, Array]) -> Stream:
    """Return a stream with values by seq_num as a further column, and rows only these have.

    Where the key already has values (a resource that was continued in a second file), the new ones
    win.
    """
    if not values:
        return stream
    seq = np.union1d(stream.seq_num, np.fromiter(values, np.int64, len(values)))
    rows = {int(n): i for i, n in enumerate(seq)}
    old = np.array([rows[int(n)] for n in stream.seq_num], np.intp)

    def spread(column: Array) -> Array:
        wide = np.full((len(seq), *column.shape[1:]), NAN)
        wide[old] = column
        return wide

    columns = {name: spread(column) for name, column in stream.columns.items()}
    shape = np.shape(next(iter(values.values())))
    column = columns.get(key)
    if column is None or column.shape[1:] != shape:
        column = np.full((len(seq), *shape), NAN)
    for n, value in values.items():
        if np.shape(value) == shape:
            column[rows[n]] = value
    return replace(stream, columns={**columns, key: column}, seq_num=seq, time=spread(stream.time))


def _values(
    external: External,
    stream: Stream,
    path_map: Mapping[str, str],
    handlers: Mapping[str, Handler] | None,
) -> dict[int, Array]:
    """Return the values of one key by seq_num.

    Raises
    ------
    ReadError
        If the documents do not say how to read them; anything else comes from the reader.
    """
    if not external.resource:
        raise ReadError("the document that names the file did not arrive")
    if external.kind == "resource":
        return _handled(external, path_map, handlers)
    rows = datum_seq_nums(external.datums)
    if not rows:
        raise ReadError("no rows of the file were announced")
    shape = stream.shape(external.key)
    if max(rows.values()) * int(np.prod(shape, dtype=float)) > MAX_VALUES:
        raise ReadError("more values than a scan has")
    parameters = external.resource.get("parameters") or {}
    if external.resource.get("mimetype") == "application/x-hdf5" and not parameters.get("slice"):
        data = _hdf5(external, max(rows.values()) + 1, shape, path_map)
    else:
        data = _consolidated(external, stream, path_map)
    return {n: np.squeeze(data[i]) for n, i in rows.items() if i < len(data)}


def _hdf5(external: External, n: int, shape: Sequence[int], path_map: Mapping[str, str]) -> Array:
    """Read rows 0 … n of a dataset; shape (n, …), one entry an event."""
    path = _path(external, path_map)
    dataset = external.resource.get("parameters", {}).get("dataset")
    if not isinstance(dataset, str):
        raise ReadError("the document does not name the dataset")
    with _opened(path) as file:
        found = file[dataset]
        if not isinstance(found, h5py.Dataset):
            raise ReadError(f"{dataset!r} is no dataset")
        # frames of one event lie under each other unless they have an axis of their own
        frames = int(shape[0]) if shape and len(shape) == found.ndim else 1
        data = np.asarray(found[: n * frames], np.float64)
    if frames > 1:
        data = data[: len(data) // frames * frames].reshape(-1, frames, *data.shape[1:])
    return data


def _opened(path: Path) -> h5py.File:
    """Open a file that its writer may not have closed yet."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError:
        return h5py.File(path, "r", swmr=True, locking=False)


def _consolidated(external: External, stream: Stream, path_map: Mapping[str, str]) -> Array:
    """Read through bluesky's consolidators; shape (n, …), one entry an event."""
    from bluesky.consolidators import consolidator_factory  # noqa: PLC0415 - slow, rarely needed

    if not stream.descriptors:
        raise ReadError("no descriptor says what the file holds")
    mapped = {**external.resource, "uri": _mapped_uri(external, path_map)}
    consolidator = consolidator_factory(mapped, stream.descriptors[0])
    for datum in external.datums:
        consolidator.consume_stream_datum(datum)
    data = np.asarray(consolidator.get_adapter().read(), np.float64)
    frames = consolidator.datum_shape[0] if consolidator.datum_shape else 1
    if consolidator.join_method == "concat" and frames > 1:
        data = data[: len(data) // frames * frames].reshape(-1, frames, *data.shape[1:])
    return data


def _handled(
    external: External, path_map: Mapping[str, str], handlers: Mapping[str, Handler] | None
) -> dict[int, Array]:
    """Read a resource through the handler of its spec."""
    spec = str(external.resource.get("spec", ""))
    handler = (installed_handlers(spec) if handlers is None else handlers).get(spec)
    if handler is None:
        raise ReadError(f"no handler for {spec!r} is installed")
    read = handler(_path(external, path_map), **external.resource.get("resource_kwargs", {}))
    values: dict[int, Array] = {}
    for datum in external.datums:
        if datum.get("datum_kwargs") is None:
            raise ReadError("the documents that name the rows did not arrive")
        value = np.squeeze(np.asarray(read(**datum["datum_kwargs"]), np.float64))
        values[int(datum["seq_num"])] = value
        if value.size * len(external.datums) > MAX_VALUES:
            raise ReadError("more values than a scan has")
    return values


def installed_handlers(spec: str) -> dict[str, Handler]:
    """Return the handler that an installed package announces for `spec`, if any does."""
    found = entry_points(group="databroker.handlers", name=spec)
    return {entry.name: entry.load() for entry in found}


def _path(external: External, path_map: Mapping[str, str]) -> Path:
    """Return where the file is, seen from here.

    Raises
    ------
    ReadError
        If the document does not name a file, or it is no regular file.
    """
    resource = external.resource
    if external.kind == "resource":
        text = str(Path(str(resource.get("root", "/"))) / str(resource.get("resource_path", "")))
        return Path(_mapped(text, path_map))
    path = Path(_mapped(_file_of(str(resource.get("uri", ""))), path_map))
    if not path.is_file():
        raise ReadError(f"{path}: no such file")
    return path


def _file_of(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or not parts.path.startswith("/"):
        raise ReadError(f"{uri[:200]!r} is no file")
    return unquote(parts.path)


def _mapped(path: str, path_map: Mapping[str, str]) -> str:
    """Replace the longest prefix that is in the map."""
    for prefix in sorted(path_map, key=len, reverse=True):
        if path.startswith(prefix):
            return path_map[prefix] + path[len(prefix) :]
    return path


def _mapped_uri(external: External, path_map: Mapping[str, str]) -> str:
    uri = str(external.resource.get("uri", ""))
    return f"file://localhost{_mapped(_file_of(uri), path_map)}"


def _at(problem: Problem) -> tuple[str, str]:
    return problem.stream, problem.key


def _problem(external: External, error: Exception) -> Problem:
    text = str(error) if isinstance(error, ReadError) else f"{type(error).__name__}: {error}"
    return Problem(
        ProblemKind.EXTERNAL, text[:300], stream=external.stream, key=external.key or "a file"
    )
