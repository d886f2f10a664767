"""The raw runs and the published results as the service sees them in Tiled."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from xanes_live import log
from xanes_live.config import TiledConfig
from xanes_live.documents.complete import reread
from xanes_live.documents.run import Problem, ProblemKind, RunRecord
from xanes_live.publish.remote import UnreachableError
from xanes_live.publish.tiled import connect, faults, listing, walk

_log = log.get(__name__)


class RawRuns:
    """Connects when first needed, and again after an outage; used by one thread at a time."""

    def __init__(self, config: TiledConfig, api_key: str | None) -> None:
        self._config, self._api_key = config, api_key
        self._root: Any = None

    def reread(self, record: RunRecord) -> RunRecord | None:
        """Complete `record` from Tiled; None when Tiled cannot be reached.

        Where Tiled answers and has no container of raw runs, the record stays as it is.
        """
        try:
            with faults():
                raw = walk(self._connected(), self._config.raw_path)
                if raw is not None:
                    return reread(record, raw, attempts=1)
        except OSError as error:
            self.close()
            log.event(_log, logging.WARNING, "Tiled not reachable", error=repr(error))
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

        with faults():
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
