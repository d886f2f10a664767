"""The raw runs and the published results as the service sees them in Tiled."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import httpx

from xanes_live import log
from xanes_live.config import TiledConfig
from xanes_live.documents.complete import reread
from xanes_live.documents.run import Problem, ProblemKind, RunRecord
from xanes_live.publish.address import api_root, quoted, segments

# The client reads these when it is imported; its defaults try one request for 45 s.
os.environ.setdefault("TILED_RETRY_ATTEMPTS", "3")
os.environ.setdefault("TILED_RETRY_TIMEOUT", "10")

PAGE = 100
_log = log.get(__name__)


class RawRuns:
    """Connects when first needed, and again after an outage; used by one thread at a time."""

    def __init__(self, config: TiledConfig, api_key: str | None) -> None:
        self._config, self._api_key = config, api_key
        self._raw: Any = None

    def reread(self, record: RunRecord) -> RunRecord | None:
        """Complete `record` from Tiled; None when Tiled cannot be reached."""
        try:
            return reread(record, self.container(), attempts=1)
        except (httpx.HTTPError, OSError) as error:
            self._raw = None
            log.event(_log, logging.WARNING, "Tiled not reachable", error=repr(error))
            return None

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
        httpx.HTTPError, OSError
            If Tiled cannot be reached.
        """
        from tiled.queries import Comparison  # noqa: PLC0415 - slow to import

        skip = known | {uid for _, uid in self.published()}
        recent = self.container().search(Comparison("ge", "start.time", since))
        for node in recent.values():
            start, stop = node.metadata.get("start"), node.metadata.get("stop")
            if not isinstance(start, dict) or not stop or start.get("uid") in skip:
                continue
            missing = Problem(ProblemKind.TRUNCATED, "ended while the service was not running")
            yield RunRecord(str(start.get("uid")), start, dict(stop), problems=(missing,))

    def published(self) -> Iterator[tuple[str, str]]:
        """Yield key and raw uid of every complete result, with a few small requests.

        Raises
        ------
        httpx.HTTPError
            If Tiled cannot be reached or refuses.
        """
        headers = {"Authorization": f"Apikey {self._api_key}"} if self._api_key else {}
        api = api_root(self._config.uri)
        where = f"{api}/search/{quoted(*segments(self._config.results_path))}"
        chosen = "{raw_uid: raw_uid, status: status}"
        query = {"fields": "metadata", "select_metadata": chosen, "page[limit]": str(PAGE)}
        url: str | None = str(httpx.URL(where, params=query))
        with httpx.Client(headers=headers, timeout=self._config.timeout_s) as http:
            while url:
                response = http.get(url)
                if response.status_code == httpx.codes.NOT_FOUND:
                    return  # nothing was ever published
                page = response.raise_for_status().json()
                for item in page["data"]:
                    metadata = item["attributes"]["metadata"]
                    entry = metadata.get("selected", metadata) or {}
                    if entry.get("status") == "complete":
                        yield str(item["id"]), str(entry.get("raw_uid"))
                url = page["links"].get("next")

    def container(self) -> Any:  # noqa: ANN401 - tiled is untyped
        """Return the client of the container with the raw runs."""
        if self._raw is None:
            from tiled.client import from_uri  # noqa: PLC0415 - slow to import

            path = quoted(*segments(self._config.raw_path))
            uri = f"{api_root(self._config.uri)}/metadata/{path}"
            self._raw = from_uri(uri, api_key=self._api_key)
        return self._raw
