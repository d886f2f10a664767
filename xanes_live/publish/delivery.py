"""How one result gets into Tiled, request by request.

What a reader sees of a result is whole from its first moment:

- with a file, the node and its arrays appear in one request;
- over HTTP, the document of one spectrum holds every number and is complete at once, and the
  arrays follow as copies that Tiled's own page can chart (`arrays`: writing → complete);
- a run of many spectra, whose document is only a summary, is 'writing' until its arrays are there.

A result that exists stays as it is, unless the new one is meant to replace it or is the first of
the ended run: then it gets the new document (Tiled keeps the old one as a revision) and then the
new arrays. Nothing is deleted, which no key of the service may do.

Each step leaves Tiled and the outbox in a state from which the next one, or a repetition of this
one after a kill, goes on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xanes_live import log
from xanes_live.config import TiledConfig
from xanes_live.errors import ConfigurationError, XanesLiveError
from xanes_live.publish.address import inside
from xanes_live.publish.document import Node
from xanes_live.publish.files import file_of, write_file
from xanes_live.publish.outbox import Item, Outbox, State
from xanes_live.publish.remote import GoneError, RejectedError, Remote, Standing

_log = log.get(__name__)


@dataclass(slots=True)
class _Progress:
    """The arrays of one result that are in Tiled."""

    item: tuple[str, int | None] = ("", None)
    done: int = 0
    names: dict[str, str] = field(default_factory=dict)
    """Under which name, where it is not their own."""


class Delivery:
    """Takes results forward, one step at a time; used by one thread.

    Parameters
    ----------
    config
        Decides between file, HTTP and no arrays.
    remote
        The server.
    outbox
        Where progress is noted.
    announce
        Called with the key of each result that has become complete for readers; again for one
        that was complete already when it was tried again.

    Raises
    ------
    ConfigurationError
        If results would lie among the raw runs, or files have no directory.
    """

    def __init__(
        self,
        config: TiledConfig,
        remote: Remote,
        outbox: Outbox,
        announce: Callable[[str], None],
    ) -> None:
        _check(config)
        self._config, self._remote, self._outbox = config, remote, outbox
        self._announce = announce
        self._progress = _Progress()
        self._files_checked = False

    def advance(self, item: Item) -> State:
        """Do the next step for `item` and return how far it has come.

        Raises
        ------
        UnreachableError, RefusedError, RejectedError
            From the server.
        OSError
            If a file could not be written.
        """
        if item.state is State.PENDING:
            return self._publish(item)
        try:
            return self._write_arrays(item)
        except GoneError:
            # somebody removed the node: it is made again, with everything
            self._progress = _Progress()
            self._outbox.mark(item.node.key, State.PENDING, item.number)
            return State.PENDING

    def _write_arrays(self, item: Item) -> State:
        """Write the next array, or the file with all of them."""
        if self._config.arrays == "file" and self._existing(item.node).file:
            return self._write_file_again(item)
        return self._write_next_array(item)

    def _publish(self, item: Item) -> State:
        """Create the node, or see to the one that exists."""
        node = item.node
        # A file that is there may be what Tiled reads: looked for before it is written.
        look_first = node.replaces or (
            self._plan(node)[1] == "complete" and self._file(node).exists()
        )
        standing = self._remote.standing(node.key) if look_first else None
        if standing is None:
            if self._create(node):
                state = self._noted(item, *self._plan(node))
                self._check_file(node)
                return state
            standing = self._existing(node)
        if node.replaces or (_has_ended(node) and not standing.ended):
            return self._replace(item, standing)
        return self._noted(item, standing.status, standing.arrays)

    def _create(self, node: Node) -> bool:
        """Create the node; False if there is one."""
        status, arrays = self._plan(node)
        path = write_file(directory(self._config), node) if arrays == "complete" else None
        document = {**node.metadata, "status": status, "arrays": arrays}
        return self._remote.create(node.key, document, path)

    def _existing(self, node: Node) -> Standing:
        standing = self._remote.standing(node.key)
        if standing is None:
            raise GoneError(f"{node.key} exists in Tiled, and the service's key may not read it")
        return standing

    def _replace(self, item: Item, standing: Standing) -> State:
        """Give the node that exists this document; the arrays follow."""
        node = item.node
        with_arrays = bool(node.arrays) and self._config.arrays != "none"
        if with_arrays and standing.file:
            self._must_be_ours(node, standing.file)
        arrays = "writing" if with_arrays else "none"
        status = "writing" if with_arrays and not node.whole else "complete"
        document = {**node.metadata, "status": status, "arrays": arrays, "revised": time.time()}
        self._remote.replace(node.key, document)
        log.event(_log, logging.INFO, "published result replaced", result_key=node.key)
        return self._noted(item, status, arrays)

    def _file(self, node: Node) -> Path:
        return file_of(directory(self._config), node.key)

    def _must_be_ours(self, node: Node, file: str) -> None:
        """Refuse to replace a result whose file this configuration does not write."""
        if self._config.arrays != "file" or str(self._file(node)) != file:
            raise RejectedError(
                f"{node.key} cannot be replaced, Tiled reads its arrays from {file}: set [tiled] "
                "arrays = 'file' and arrays_directory as they were when it was published"
            )

    def _noted(self, item: Item, status: str, arrays: str) -> State:
        """Note how far the node has come, and tell if readers have it whole."""
        state = State.DONE if status == "complete" and arrays != "writing" else State.ARRAYS
        self._outbox.mark(item.node.key, state, item.number)
        if status == "complete":
            self._announce(item.node.key)
        return state

    def _plan(self, node: Node) -> tuple[str, str]:
        """Return `status` and `arrays` of a new node."""
        if not node.arrays or self._config.arrays == "none":
            return "complete", "none"
        if self._config.arrays == "file":
            return "complete", "complete"
        return ("complete" if node.whole else "writing"), "writing"

    def _write_next_array(self, item: Item) -> State:
        node = item.node
        if self._progress.item != (node.key, item.number):
            self._progress = _Progress((node.key, item.number))
        names, done = list(node.arrays), self._progress.done
        if done == len(names):
            return self._arrays_complete(item, self._progress.names)
        name = names[done]
        values, units = node.arrays[name], node.units.get(name, "")
        found = self._remote.write_array(node.key, name, values, units)
        if found != name:
            self._progress.names[name] = found
        self._progress.done += 1
        return State.ARRAYS

    def _write_file_again(self, item: Item) -> State:
        """Put the arrays of a replaced result where Tiled reads those of the old one."""
        write_file(directory(self._config), item.node)
        return self._arrays_complete(item, {})

    def _arrays_complete(self, item: Item, names: dict[str, str]) -> State:
        node = item.node
        changes: dict[str, object] = {"status": "complete", "arrays": "complete"}
        if names:
            changes["array_names"] = names
        self._remote.amend(node.key, changes)
        self._outbox.mark(node.key, State.DONE, item.number)
        if not node.whole:
            self._announce(node.key)
        return State.DONE

    def _check_file(self, node: Node) -> None:
        """Find out once whether the server can read what was registered."""
        if self._files_checked or self._plan(node)[1] != "complete":
            return
        self._files_checked = True
        try:
            self._remote.read(node.key, next(iter(node.arrays)))
        except XanesLiveError as error:
            log.event(
                _log,
                logging.ERROR,
                "Tiled cannot read the arrays: add the directory to its readable_storage",
                directory=self._config.arrays_directory,
                error=str(error),
            )


def _has_ended(node: Node) -> bool:
    return bool(node.metadata.get("stop_time"))  # 0 of a run that has not


def directory(config: TiledConfig) -> Path:
    """Return where HDF5 files go.

    Raises
    ------
    ConfigurationError
        If no directory is configured.
    """
    if config.arrays_directory is None:
        raise ConfigurationError("tiled.arrays = 'file' needs tiled.arrays_directory")
    return config.arrays_directory


def _check(config: TiledConfig) -> None:
    if inside(config.results_path, config.raw_path):
        raise ConfigurationError(
            f"tiled.results_path {config.results_path!r} lies inside tiled.raw_path "
            f"{config.raw_path!r}: results below a run break its replay"
        )
    if not config.results_path.strip("/"):
        raise ConfigurationError("tiled.results_path names no container")
    if config.arrays == "file":
        directory(config)
