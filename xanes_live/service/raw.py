"""The raw runs and the published results as the service sees them in Tiled."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from xanes_live import log
from xanes_live.config import TiledConfig
from xanes_live.documents.complete import reread
from xanes_live.documents.run import Problem, ProblemKind, RunRecord
from xanes_live.publish.address import segments
from xanes_live.publish.remote import UnreachableError
from xanes_live.publish.tiled import connect, faults, listing, walk

_log = log.get(__name__)

REFUSED = (
    "Tiled refuses the service's key for the raw runs in /{path} ({why}). Give the service a key "
    "with read:metadata and read:data there (the environment's XANES_LIVE_TILED_API_KEY, else "
    "[tiled] api_key) and start it again, or extend the rights of the one it has"
)
"""What to tell; never with the key."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why raw runs cannot be read at the moment."""

    since: float
    """s since the epoch."""
    message: str
    refused: bool
    """Whether the key is refused, and not Tiled away."""


class RawRuns:
    """Connects when first needed, and again after an outage; used by one thread at a time."""

    def __init__(self, config: TiledConfig, api_key: str | None) -> None:
        self._config, self._api_key = config, api_key
        self._root: Any = None
        self._trouble: Trouble | None = None

    @property
    def trouble(self) -> Trouble | None:
        """Why raw runs could not be read when last tried; None if they could. From any thread."""
        return self._trouble

    def reread(self, record: RunRecord) -> RunRecord | None:
        """Complete `record` from Tiled; None when Tiled cannot be reached or refuses the key.

        Where Tiled answers and has no container of raw runs, the record stays as it is.
        """
        try:
            with self._watched():
                raw = walk(self._connected(), self._config.raw_path)
                if raw is not None:
                    return reread(record, raw, attempts=1)
        except OSError:
            return None
        name = "no container of raw runs in Tiled: correct [tiled] raw_path"
        log.event(_log, logging.ERROR, name, raw_path=self._config.raw_path, uid=record.uid)
        return record

    def unpredicted(self, since: float, known: set[str]) -> Iterator[RunRecord]:
        """Yield runs that ended, started after `since` and have no result.

        The records hold no data: they are to be re-read.

        Parameters
        ----------
        since
            s since the epoch.
        known
            Uids not to look at.

        Raises
        ------
        UnreachableError, RefusedError
            If Tiled cannot be reached or refuses the key.
        """
        from tiled.queries import Comparison  # noqa: PLC0415 - slow to import

        with self._watched():
            recent = self.container().search(Comparison("ge", "start.time", since))
            ended = {
                str(node.metadata["start"].get("uid")): node
                for node in recent.values()
                if isinstance(node.metadata.get("start"), dict) and node.metadata.get("stop")
            }
        if not ended.keys() - known:
            return  # every minute's case: the results need not be listed
        published = {uid for _, uid in self.published()}
        for uid, node in ended.items():
            if uid in known or uid in published:
                continue
            missing = Problem(ProblemKind.TRUNCATED, "ended while the service was not running")
            start, stop = dict(node.metadata["start"]), dict(node.metadata["stop"])
            yield RunRecord(uid, start, stop, problems=(missing,))

    def published(self) -> Iterator[tuple[str, str]]:
        """Yield key and raw uid of every complete result, with a few small requests.

        Raises
        ------
        UnreachableError, RefusedError
            If Tiled cannot be reached or refuses the key.
        """
        results = walk(self._connected(), self._config.results_path)
        for key, entry in listing(results) if results is not None else ():
            if entry.get("status") == "complete":
                yield key, str(entry.get("raw_uid"))

    def container(self) -> Any:  # noqa: ANN401 - tiled is untyped
        """Return the client of the container with the raw runs.

        Raises
        ------
        UnreachableError
            Also when there is no such container (yet).
        """
        found = walk(self._connected(), self._config.raw_path)
        if found is None:
            raise UnreachableError(f"no container {self._config.raw_path!r} in Tiled")
        return found

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Keep and tell in which trouble reading is; connect anew after any."""
        try:
            with faults():
                yield
        except OSError as error:
            self.close()
            self._in_trouble(error)
            raise
        self._trouble = None

    def _in_trouble(self, error: OSError) -> None:
        refused = isinstance(error, PermissionError)
        message = repr(error)
        if refused:
            unknown = "401" in str(error)
            why = "401: wrong, expired or revoked" if unknown else "403: it may not read there"
            message = REFUSED.format(path="/".join(segments(self._config.raw_path)), why=why)
        old = self._trouble
        if old is None or old.message != message:
            name = message if refused else "Tiled not reachable"
            log.event(_log, logging.ERROR if refused else logging.WARNING, name, error=repr(error))
        same = old is not None and old.refused == refused
        self._trouble = Trouble(old.since if old and same else time.time(), message, refused)

    def _connected(self) -> Any:  # noqa: ANN401 - tiled is untyped
        if self._root is None:
            self._root = connect(self._config, self._api_key)
        return self._root

    def close(self) -> None:
        """Close the connection; the next call opens one again."""
        if self._root is not None:
            close(self._root)
            self._root = None


def close(client: Any) -> None:  # noqa: ANN401 - tiled is untyped
    """Close the connections of a Tiled client, if it is one."""
    context = getattr(client, "context", None)
    if context is not None:
        context.http_client.close()
