"""How one result gets into Tiled, request by request.

What a reader sees of a result is whole from its first moment:

- with a file, the node and its arrays appear in one request;
- over HTTP, the document of one spectrum holds every number and is complete at once, and the
  arrays follow as copies that Tiled's own page can chart (`arrays`: writing → complete);
- a run of many spectra, whose document is only a summary, is 'writing' until its arrays are there.

Each step leaves Tiled and the outbox in a state from which the next one, or a repetition of this
one after a kill, goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from xanes_live import log
from xanes_live.config import TiledConfig
from xanes_live.errors import ConfigurationError, XanesLiveError
from xanes_live.publish.address import inside
from xanes_live.publish.document import Node
from xanes_live.publish.files import write_file
from xanes_live.publish.outbox import Item, Outbox, State
from xanes_live.publish.remote import Remote, UnreachableError

_log = log.get(__name__)


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
        self._written: tuple[str, int] = ("", 0)
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
            return self._create(item.node)
        return self._write_next_array(item.node)

    def _create(self, node: Node) -> State:
        """Create the node, or find out how far the one that exists has come."""
        status, arrays = self._plan(node)
        path = None
        if arrays == "complete":
            path = write_file(directory(self._config), node)
        document = {**node.metadata, "status": status, "arrays": arrays}
        if not self._remote.create(node.key, document, path):
            standing = self._remote.standing(node.key)
            if standing is None:
                raise UnreachableError(f"{node.key}: exists and does not exist")
            status, arrays = standing
        state = State.DONE if (status, arrays != "writing") == ("complete", True) else State.ARRAYS
        self._outbox.mark(node.key, state)
        if status == "complete":
            self._announce(node.key)
        if path is not None:
            self._check_file(node)
        return state

    def _plan(self, node: Node) -> tuple[str, str]:
        """Return `status` and `arrays` of a new node."""
        if not node.arrays or self._config.arrays == "none":
            return "complete", "none"
        if self._config.arrays == "file":
            return "complete", "complete"
        return ("complete" if node.whole else "writing"), "writing"

    def _write_next_array(self, node: Node) -> State:
        names = list(node.arrays)
        done = self._written[1] if self._written[0] == node.key else 0
        if done < len(names):
            name = names[done]
            self._remote.write_array(node.key, name, node.arrays[name], node.units.get(name, ""))
            self._written = (node.key, done + 1)
            return State.ARRAYS
        self._remote.amend(node.key, {"status": "complete", "arrays": "complete"})
        self._outbox.mark(node.key, State.DONE)
        if not node.whole:
            self._announce(node.key)
        return State.DONE

    def _check_file(self, node: Node) -> None:
        """Find out once whether the server can read what was registered."""
        if self._files_checked:
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
