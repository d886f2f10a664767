"""A raw run of Tiled as the record that the live service would have assembled of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.dashboard.runs import Run
from xanes_live.dashboard.safe import mapping
from xanes_live.dashboard.tiled import TiledReader
from xanes_live.documents.assembly import latest_of_each
from xanes_live.documents.run import RunRecord, Stream
from xanes_live.domain import Array

MAX_COLUMN = 2_000_000
"""Longer arrays (images, say) are no channels of an absorption scan and are not read."""
_LAYOUTS = 8


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the data of one stream are."""

    name: str
    descriptor: Mapping[str, Any]
    tables: tuple[str, ...]
    arrays: Mapping[str, Mapping[str, Any]]
    """Structure by key."""


class RawRuns:
    """Reads runs of one container, also while they are being written.

    Parameters
    ----------
    reader
        Of the server.
    path
        Of the container of raw runs.
    """

    def __init__(self, reader: TiledReader, path: str) -> None:
        self._reader, self._path = reader, path
        self._layouts: OrderedDict[str, tuple[_Layout, ...]] = OrderedDict()

    async def find(self, uid: str) -> Run:
        """Return what the container says of run `uid`.

        Raises
        ------
        NotThereError
            If it has no such run.
        """
        metadata = await self._reader.metadata(f"{self._path}/{uid}")
        return Run(uid, mapping(metadata.get("start")), mapping(metadata.get("stop")) or None)

    async def record(self, run: Run) -> RunRecord:
        """Return the documents of a run as far as they are in Tiled.

        Raises
        ------
        TiledError
            If Tiled cannot be reached or has no such run.
        """
        layouts = await self._layout(run)
        streams = {layout.name: await self._stream(run.uid, layout) for layout in layouts}
        return RunRecord(run.uid, dict(run.start), run.stop, streams, source="replay")

    async def _layout(self, run: Run) -> tuple[_Layout, ...]:
        """Return where the data are; asked again unless a table is all there is to grow."""
        known = self._layouts.get(run.uid)
        # The structure of an array says how long it is, that of a table does not.
        settled = known and all(layout.tables and not layout.arrays for layout in known)
        if known and settled and run.stop is None:
            return known
        children = await self._reader.children(f"{self._path}/{run.uid}")
        layouts = [
            await self._of_stream(run.uid, child)
            for child in children
            if child.get("structure_family") == "container"
        ]
        self._layouts[run.uid] = tuple(layouts)
        while len(self._layouts) > _LAYOUTS:
            self._layouts.popitem(last=False)
        return self._layouts[run.uid]

    async def _of_stream(self, uid: str, child: Mapping[str, Any]) -> _Layout:
        name = str(child["key"])
        inside = await self._reader.children(f"{self._path}/{uid}/{name}")
        arrays = {
            str(c["key"]): mapping(c.get("structure"))
            for c in inside
            if c.get("structure_family") == "array"
        }
        tables = tuple(str(c["key"]) for c in inside if c.get("structure_family") == "table")
        descriptor = {**mapping(child.get("metadata")), "name": name}
        return _Layout(name, descriptor, tables, arrays)

    async def _stream(self, uid: str, layout: _Layout) -> Stream:
        path = f"{self._path}/{uid}/{layout.name}"
        columns: dict[str, Array] = {}
        for table in layout.tables:
            found = await self._reader.table(f"{path}/{table}")
            columns |= {str(k): v for k, v in _numeric(found).items()}
        arrays = {
            key: await self._reader.array(f"{path}/{key}", structure)
            for key, structure in layout.arrays.items()
            if np.prod(structure.get("shape") or [0]) <= MAX_COLUMN
        }
        return _assembled(layout, columns, arrays)


def _numeric(table: Mapping[str, Any]) -> dict[str, Array]:
    columns = {}
    for key, values in table.items():
        try:
            columns[key] = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            continue  # text, or arrays of unequal length
    return columns


def _assembled(layout: _Layout, columns: dict[str, Array], arrays: Mapping[str, Array]) -> Stream:
    """Return the stream in the order of seq_num, each once, without Tiled's own columns."""
    lengths = [len(c) for c in columns.values()] or [len(c) for c in arrays.values() if c.ndim]
    length = max(lengths, default=0)
    seq_num = columns.pop("seq_num", np.arange(1.0, length + 1.0))
    time = columns.pop("time", np.full(len(seq_num), np.nan))
    keep = latest_of_each(seq_num, time)
    seq = seq_num[keep].astype(np.int64)
    data_keys = mapping(layout.descriptor.get("data_keys"))
    kept = {
        key: column[keep] if len(column) == len(seq_num) else column
        for key, column in columns.items()
        if key in data_keys or not key.startswith("ts_")
    }
    kept |= {key: _rows(array, seq) for key, array in arrays.items() if array.ndim}
    return Stream(layout.name, (layout.descriptor,), kept, seq, time[keep])


def _rows(array: Array, seq: NDArray[np.int64]) -> Array:
    """Return the rows of an array that belong to `seq` (from 1), NaN for those not written yet.

    While a run is written its arrays are a few rows ahead of its table, or behind it.
    """
    there = (seq >= 1) & (seq <= len(array))
    rows = np.full((len(seq), *array.shape[1:]), np.nan)
    rows[there] = array[seq[there] - 1]
    return rows
