"""The raw runs of late: which one is being measured, and which wait for their result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xanes_live.dashboard.safe import integer, mapping, text
from xanes_live.dashboard.view import moment

SELECT = "{start: start, stop: stop}"
"""JMESPath of what is read of each raw run."""
MAX_RUNS = 50
ABANDONED_S = 12 * 3600.0
"""A run without a stop document this long after its start is no longer taken for running."""
_SAMPLE_KEYS = ("sample", "sample_name", "sample_id", "name")


@dataclass(frozen=True, slots=True)
class Run:
    """One raw run as far as it is known."""

    uid: str
    start: Mapping[str, Any]
    stop: Mapping[str, Any] | None = None
    started: float = 0.0
    """Start of the run, s since the epoch; when it was first seen if the document has no time."""
    ended: float | None = None
    """When it was first seen to have ended, s since the epoch; None while it runs."""
    expected: bool | None = None
    """Whether the service is to publish something of it; None while that is not known."""
    read: bool = False
    """Whether its data have been read since it ended."""

    def title(self) -> dict[str, Any]:
        """Return what the page calls it by."""
        return {
            "uid": text(self.uid),
            "scan_id": integer(self.start.get("scan_id")),
            "sample": sample_of(self.start),
            "plan": text(self.start.get("plan_name"), 80),
            "started": self.started,
        }


def sample_of(start: Mapping[str, Any]) -> str:
    """Return the sample's name where a start document commonly has it."""
    for key in _SAMPLE_KEYS:
        value = start.get(key)
        found = text(mapping(value).get("name") if isinstance(value, Mapping) else value)
        if found:
            return found
    return ""


class Runs:
    """The latest raw runs; written by the feed alone.

    Parameters
    ----------
    clock
        s since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._with_result: dict[str, None] = {}

    def seen(self, uid: str, metadata: object, *, live: bool) -> None:
        """Take note of a run's metadata.

        Parameters
        ----------
        uid
            Its key in Tiled.
        metadata
            With `start`, and `stop` once it ended.
        live
            Whether this is news; False when it is read back and may have ended long ago.
        """
        data = mapping(metadata)
        start, stop = mapping(data.get("start")), mapping(data.get("stop"))
        now = self._clock()
        known = self._runs.get(uid)
        run = known or Run(uid, start, started=moment(start.get("time")) or now)
        if stop and run.stop is None:
            # A stop read back counts from when it was written, if that can be told.
            ended = now if live else min(now, moment(stop.get("time")) or now)
            run = replace(run, stop=stop, ended=ended)
        self._runs[uid] = replace(run, start=start or run.start)
        while len(self._runs) > MAX_RUNS:
            del self._runs[next(iter(self._runs))]

    def answered(self, uid: str) -> None:
        """Take note that there is a result of run `uid`."""
        self._with_result[uid] = None
        while len(self._with_result) > 4 * MAX_RUNS:
            del self._with_result[next(iter(self._with_result))]

    def judged(self, uid: str, *, expected: bool | None) -> None:
        """Take note of whether a run that ended is an XAS scan, after reading it."""
        if uid in self._runs:
            self._runs[uid] = replace(self._runs[uid], expected=expected, read=True)

    def current(self) -> Run | None:
        """Return the run being measured: the last one started, if it has not ended."""
        latest = self.latest()
        if latest is None or latest.ended is not None or latest.uid in self._with_result:
            return None  # a result may be there before the stop document of the raw run
        return latest if self._clock() - latest.started < ABANDONED_S else None

    def latest(self) -> Run | None:
        """Return the run started last."""
        return max(self._runs.values(), key=lambda run: run.started, default=None)

    def unread(self) -> Run | None:
        """Return the last run if it ended and was not read since."""
        latest = self.latest()
        return None if latest is None or latest.ended is None or latest.read else latest

    def has_result(self, uid: str) -> bool:
        """Whether a result of the run was seen."""
        return uid in self._with_result

    def overdue(self, patience_s: float, since: float) -> Run | None:
        """Return the last run that should have a result by now and has none.

        A run before one that has a result is not meant: the service has been heard since.

        Parameters
        ----------
        patience_s
            How long a result may take.
        since
            Runs that ended before this time, s since the epoch, are not complained about.
        """
        now = self._clock()
        answered = (run.started for uid, run in self._runs.items() if uid in self._with_result)
        heard = max(answered, default=0.0)
        late = [
            run
            for run in self._runs.values()
            if run.ended is not None
            and run.ended >= since
            and run.started > heard
            and run.expected is True
            and now - run.ended > patience_s
            and run.uid not in self._with_result
        ]
        return max(late, key=lambda run: run.started, default=None)
