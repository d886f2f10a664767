"""Tiled nodes that can be written twice: what makes an interrupted raw run completable.

A request may have been carried out although its answer was lost, when the server is killed say.
Sent again it must neither fail because the node exists nor add its rows twice. These wrappers stand
between `TiledWriter` and the client and see to that, without needing permission to delete. They
rely on each table and array being written in one piece (see :mod:`xanes_live.demo.archive`).
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

    def write_array(self, array: Any, *, key: str, **kwargs: Any) -> Any:
        """Write the array `key`, or write its contents again."""
        try:
            return self._node.write_array(array, key=key, **kwargs)
        except ClientError as error:
            node = self._existing(key, error)
            node.write(array)
            return node

    def _existing(self, key: str, error: ClientError) -> Any:
        if error.response.status_code != HTTPStatus.CONFLICT:
            raise error
        return self._node[key]


class Table(_Wrapped):
    """A table that takes its rows once."""

    def __init__(self, node: Any, *, known_empty: bool) -> None:
        super().__init__(node)
        self._known_empty = known_empty

    def append_partition(self, partition: int, rows: Any) -> None:
        """Append all rows of the run, unless they are there."""
        if not self._known_empty and len(self._node.read(["seq_num"])):
            return
        self._known_empty = False
        self._node.append_partition(partition, rows)
