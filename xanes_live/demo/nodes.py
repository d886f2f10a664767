"""Tiled nodes that can be written twice: what makes an interrupted raw run completable.

A request may have been carried out although its answer was lost, when the server is killed say.
Sent again it must neither fail because the node exists nor add its rows twice. These wrappers stand
between `TiledWriter` and the client and see to that, without needing permission to delete: rows
that are in a table already are not appended again, and the parts of an array are written to the
same places again.
"""
# ruff: noqa: ANN401  the Tiled client has no type information

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tiled.client.utils import ClientError


class _Wrapped:
    """Passes on everything that is not overridden."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


class Folder(_Wrapped):
    """A container whose children are created, or taken as they are when they exist."""

    @property
    def base(self) -> Folder:
        """The plain container behind a composite one."""
        return Folder(self._node.base)

    def include_data_sources(self) -> Folder:
        """As the client's."""
        return Folder(self._node.include_data_sources())

    def create_container(self, key: str, **kwargs: Any) -> Folder:
        """Create the container `key`, or return it."""
        try:
            return Folder(self._node.create_container(key=key, **kwargs))
        except ClientError as error:
            return Folder(self._existing(key, error))

    def new(self, *args: Any, key: str, **kwargs: Any) -> Any:
        """Create the node `key`, or return it."""
        try:
            return self._node.new(*args, key=key, **kwargs)
        except ClientError as error:
            return self._existing(key, error)

    def create_appendable_table(self, *, key: str, **kwargs: Any) -> Table:
        """Create the table `key`, or return it."""
        try:
            return Table(self._node.create_appendable_table(key=key, **kwargs), known_empty=True)
        except ClientError as error:
            return Table(self._existing(key, error), known_empty=False)

    def write_array(self, array: Any, *, key: str, **kwargs: Any) -> GrowingArray:
        """Write the first part of the array `key`, or write it again."""
        try:
            node = self._node.write_array(array, key=key, **kwargs)
        except ClientError as error:
            node = self._existing(key, error)
            node.patch(array, offset=(0,), extend=True)
        return GrowingArray(node, len(array))

    def _existing(self, key: str, error: ClientError) -> Any:
        if error.response.status_code != HTTPStatus.CONFLICT:
            raise error
        return self._node[key]


class GrowingArray(_Wrapped):
    """An array that is written part after part, from its beginning."""

    def __init__(self, node: Any, length: int) -> None:
        super().__init__(node)
        self._length = length

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what was written through this object; there may be more from earlier."""
        return (self._length, *self._node.shape[1:])

    def patch(self, array: Any, offset: tuple[int, ...], *, extend: bool = False) -> None:
        """As the client's."""
        self._node.patch(array, offset=offset, extend=extend)
        self._length = max(self._length, offset[0] + len(array))


class Table(_Wrapped):
    """A table that takes each row once, known by its seq_num and time."""

    def __init__(self, node: Any, *, known_empty: bool) -> None:
        super().__init__(node)
        self._there: set[tuple[int, float]] | None = set() if known_empty else None

    def append_partition(self, partition: int, rows: Any) -> None:
        """Append those rows that are not there yet."""
        there = self._read() if self._there is None else self._there
        self._there = None  # not known, if what follows fails
        names = _names(rows)
        new = [name not in there for name in names]
        if any(new):
            self._node.append_partition(partition, rows.filter(new))
        self._there = there.union(names)

    def _read(self) -> set[tuple[int, float]]:
        table = self._node.read(["seq_num", "time"])
        return set(zip(table["seq_num"].tolist(), table["time"].tolist(), strict=True))


def _names(rows: Any) -> list[tuple[int, float]]:
    return list(zip(rows["seq_num"].to_pylist(), rows["time"].to_pylist(), strict=True))
