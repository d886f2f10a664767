"""Growing columns: 8 bytes for each scalar, so that a bound on values is a bound on memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from xanes_live.domain import Array

NAN = float("nan")
_MAX_KEYS = 1000
"""Data keys kept of one descriptor; a broken publisher may invent them without end."""


class Columns:
    """The events of one descriptor while its run is open.

    A key may deliver numbers in one event and arrays in the next; both are kept, by row.

    Parameters
    ----------
    max_array
        Arrays with more values than this are not kept (camera images).
    """

    __slots__ = (
        "arrays",
        "max_array",
        "points",
        "references",
        "scalars",
        "seq",
        "skipped",
        "stream_datums",
        "time",
    )

    def __init__(self, max_array: int = 2_000_000) -> None:
        self.max_array = max_array
        self.seq = array("q")
        self.time = array("d")
        self.scalars: dict[str, array[float]] = {}
        """Each as long as `seq`."""
        self.arrays: dict[str, dict[int, Array]] = {}
        """By key and row."""
        self.references: dict[str, dict[int, str]] = {}
        """Text values by key and row: datum_ids, if the key turns out to be external."""
        self.stream_datums: list[Mapping[str, Any]] = []
        self.skipped: set[str] = set()
        """Keys of which something was not kept."""
        self.points = 0
        """Values kept, in units of 8 bytes."""

    def add(self, seq: int, time: object, data: Mapping[str, Any]) -> None:
        """Append one event.

        Raises
        ------
        TypeError, OverflowError
            If `seq` is not a 64-bit integer or `data` is no mapping; nothing is appended then.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"event data are {type(data).__name__}, not a mapping")
        self.seq.append(seq)
        scalars = self.scalars
        try:
            self.time.append(time)  # type: ignore[arg-type]
            for key, value in data.items():
                scalars[key].append(value)
        except Exception:  # noqa: BLE001 - whatever is not a number of a known key, told apart there
            self._add_odd_row(time, data)
        if len(data) != len(scalars):
            self._fill_up()
        self.points += len(scalars) + 2

    def add_page(self, seq: Sequence[int], time: object, data: Mapping[str, Any]) -> None:
        """Append a page of events, whose `data` holds a sequence for each key.

        Raises
        ------
        TypeError, ValueError, OverflowError
            If `seq` is not a sequence of 64-bit integers or `data` is no mapping; nothing is
            appended then.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"page data are {type(data).__name__}, not a mapping")
        seqs = array("q", [int(s) for s in seq])
        first = len(self.seq)
        self.seq.extend(seqs)
        self.time.extend(_numbers(time, len(seqs)))
        for key, values in data.items():
            if self._takes(key):
                self._add_column(key, values, first, len(seqs))
        self._fill_up()
        self.points += (len(self.scalars) + 2) * len(seqs)

    def drop_largest_array(self) -> str | None:
        """Let go of the array-valued key that holds most values; return it (None: there is none).

        Camera images among the data are what usually reaches the bound; the channels stay.
        """
        sizes = {k: sum(v.size for v in rows.values()) for k, rows in self.arrays.items()}
        if not sizes:
            return None
        key = max(sizes, key=sizes.__getitem__)
        del self.arrays[key]
        self.skipped.add(key)
        self.points -= sizes[key]
        return key

    def keys(self) -> list[str]:
        """Return the keys that have numbers."""
        return [*self.scalars, *(k for k in self.arrays if k not in self.scalars)]

    def column(self, key: str) -> Array | None:
        """Return all rows of `key`, NaN where a row has no number; None if the key has none.

        Returns
        -------
        ndarray or None
            shape (n_rows,), or (n_rows, …) if any row is an array.
        """
        rows, scalars = self.arrays.get(key), self.scalars.get(key)
        numbers = None if scalars is None else np.array(scalars, np.float64)
        if not rows:
            return numbers
        shape = _common_shape(rows.values())
        column = np.full((len(self.seq), *shape), NAN)
        if numbers is not None:
            column.reshape(len(column), -1)[:, 0] = numbers
        for row, value in rows.items():
            if value.ndim == len(shape):
                column[row][corner(value.shape)] = value
        return column

    def _add_odd_row(self, time: object, data: Mapping[str, Any]) -> None:
        """Do the work of :meth:`add` again for an event that is not all numbers of known keys."""
        row = len(self.seq) - 1
        del self.time[row:]
        self.time.append(_number(time))
        for column in self.scalars.values():
            del column[row:]
        for key, value in data.items():
            self._add_value(key, value, row)
        self._fill_up()

    def _add_column(self, key: str, values: object, first: int, n: int) -> None:
        flat = _flat(values)
        if flat is not None and len(flat) == n:
            self._scalar(key, first).frombytes(flat.tobytes())
        elif isinstance(values, Sequence | np.ndarray) and not isinstance(values, str | bytes):
            for row, value in enumerate(values[:n], first):
                self._add_value(key, value, row)

    def _takes(self, key: object) -> TypeGuard[str]:
        if not isinstance(key, str):
            return False
        known = len(self.scalars) + len(self.arrays) + len(self.references)
        return key in self.scalars or known < _MAX_KEYS

    def _add_value(self, key: object, value: object, row: int) -> None:
        """Keep one value of any kind, or nothing."""
        if not self._takes(key):
            return
        if key in self.skipped or _size(value) > self.max_array:
            self.skipped.add(key)
            return
        kept = text_or_array(value)
        if isinstance(kept, str):
            self.references.setdefault(key, {})[row] = kept
            self.points += 8 + len(kept) // 8
        elif kept.size == 1:
            column = self._scalar(key, row)
            if len(column) == row:
                column.append(float(kept.flat[0]))
        elif kept.size:
            self.arrays.setdefault(key, {})[row] = kept
            self.points += kept.size

    def _scalar(self, key: str, rows: int) -> array[float]:
        """Return the scalar column of `key`, filled up to `rows` rows."""
        column = self.scalars.setdefault(key, array("d"))
        if (lacking := rows - len(column)) > 0:
            column.extend([NAN] * lacking)
            self.points += lacking
        return column

    def _fill_up(self) -> None:
        rows = len(self.seq)
        for key, column in self.scalars.items():
            if len(column) != rows:
                del column[rows:]
                self._scalar(key, rows)


def corner(shape: Iterable[int]) -> tuple[slice, ...]:
    """Return the index of the first block of `shape` in an array of as many dimensions."""
    return tuple(slice(n) for n in shape)


def text_or_array(value: object) -> str | Array:
    """Return `value` as text or as float64 array; what is neither becomes an array of one NaN."""
    if isinstance(value, str):
        try:
            return np.array([float(value)])
        except ValueError:
            return value
    if isinstance(value, bytes | Mapping | complex) or value is None:
        return np.array([NAN])
    try:
        if isinstance(value, np.ndarray) and value.dtype.kind not in "biufO":
            return np.array([NAN])
        return np.array(value, dtype=np.float64)
    except Exception:  # noqa: BLE001 - foreign objects may raise anything when made a number
        return np.array([NAN])


def _size(value: object) -> int:
    """Return about how many numbers `value` holds, without converting it."""
    size = getattr(value, "size", None)
    if isinstance(size, int):
        return size
    if isinstance(value, list | tuple) and value:
        return len(value) * max(_size(value[0]), 1)
    return len(value) // 8 if isinstance(value, str) else 1


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - foreign objects may raise anything when made a number
        return NAN


def _numbers(values: object, n: int) -> array[float]:
    flat = _flat(values)
    if flat is None or len(flat) != n:
        flat = np.full(n, NAN)
    return array("d", flat.tobytes())


def _flat(values: object) -> Array | None:
    """Return `values` as a 1-D float array, None standing for NaN; None if they are not that."""
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind not in "biufO":
            return None
        found = np.asarray(values, dtype=np.float64)
    except Exception:  # noqa: BLE001 - foreign objects may raise anything when made a number
        return None
    return found if found.ndim == 1 else None


def _common_shape(values: Iterable[Array]) -> tuple[int, ...]:
    """Return the smallest shape that holds all arrays of the most frequent dimensionality."""
    shapes = [value.shape for value in values]
    dims = [len(shape) for shape in shapes]
    ndim = max(set(dims), key=dims.count)
    return tuple(int(n) for n in np.max([s for s in shapes if len(s) == ndim], axis=0))
