"""What is handed over when a run ends: its documents as columns, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array

_MAX_ELEMENTS = 128
"""Both sides of an image are larger than this; a detector has fewer elements."""


class ProblemKind(StrEnum):
    """What can be wrong with the documents of a run."""

    NO_START = "no_start"
    """The subscription began in mid-run: no start document."""
    NO_STOP = "no_stop"
    """The run went stale, was given up for newer ones, or its source ended."""
    EVENTS_MISSING = "events_missing"
    """Gaps in seq_num, or fewer events than num_events of the stop document."""
    TRUNCATED = "truncated"
    """Values were not kept because the bound on memory was reached."""
    EXTERNAL = "external"
    """External data could not be read."""
    NOT_REREAD = "not_reread"
    """The run should have been re-read from Tiled and could not be."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a run's documents."""

    kind: ProblemKind
    detail: str = ""
    """What happened, in words."""
    stream: str = ""
    key: str = ""
    """Data key, where only one is concerned."""
    expected: int = 0
    """Events there should be."""
    missing: int = 0
    """Events that are not there."""


@dataclass(frozen=True, slots=True)
class Stream:
    """All events of one stream, in the order of their seq_num, each seq_num once."""

    name: str
    descriptors: tuple[Mapping[str, Any], ...] = ()
    """Descriptor documents, in the order they came; empty after a late subscription."""
    columns: Mapping[str, Array] = field(default_factory=dict)
    """Values by data key, shape (n_events,) or (n_events, …); NaN where an event has none.
    Arrays of unequal length are filled up with NaN."""
    seq_num: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """shape (n_events,)."""
    time: Array = field(default_factory=lambda: np.zeros(0))
    """Event times, s since the epoch, shape (n_events,)."""

    def data_key(self, key: str) -> Mapping[str, Any]:
        """Return what the descriptors say of `key` ({} when nothing)."""
        for descriptor in self.descriptors:
            keys = descriptor.get("data_keys")
            if isinstance(keys, Mapping) and isinstance(keys.get(key), Mapping):
                return keys[key]  # type: ignore[no-any-return]
        return {}

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of one event's value as the descriptors have it, () if they do not."""
        shape = self.data_key(key).get("shape")
        if not isinstance(shape, list | tuple):
            return ()
        return tuple(int(n) for n in shape if isinstance(n, int) and n > 0)

    def may_be_channel(self, key: str) -> bool:
        """Tell whether a key can be a channel of a scan as far as its shape goes: no images."""
        shape = self.shape(key)
        return len(shape) <= 2 and not (len(shape) == 2 and min(shape) > _MAX_ELEMENTS)


@dataclass(frozen=True, slots=True)
class External:
    """Values of one data key that lie in a file and have not been read."""

    stream: str
    key: str
    resource: Mapping[str, Any]
    """The stream_resource or resource document; {} when it never came."""
    datums: tuple[Mapping[str, Any], ...]
    """stream_datum documents, or one {'seq_num', 'datum_kwargs'} for each event."""
    kind: str = "stream_resource"
    """'stream_resource' or 'resource'."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, complete or not, as it was when it ended or was given up."""

    uid: str
    start: Mapping[str, Any] | None
    """None after a late subscription."""
    stop: Mapping[str, Any] | None
    """None when the run never ended as far as is known."""
    streams: Mapping[str, Stream] = field(default_factory=dict)
    external: tuple[External, ...] = ()
    """References to files, not yet read."""
    problems: tuple[Problem, ...] = ()
    recovered: int = 0
    """Events that were lost on the way and re-read from Tiled."""
    source: str = "live"
    """'live', 'replay', …; becomes :attr:`xanes_live.domain.Scan.source`."""

    def has(self, *kinds: ProblemKind) -> bool:
        """Tell whether there is a problem of one of these kinds."""
        return any(problem.kind in kinds for problem in self.problems)

    def without_data(self) -> RunRecord:
        """Return what is needed to re-read the run from Tiled, without its values."""
        dropped = Problem(ProblemKind.TRUNCATED, "the queue of finished runs was full")
        return replace(self, streams={}, external=(), problems=(*self.problems, dropped))

    @property
    def n_events(self) -> int:
        """Events of all streams together."""
        return sum(len(stream.seq_num) for stream in self.streams.values())


def announced_events(stop: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the stop document's num_events, without entries that make no sense."""
    counts = (stop or {}).get("num_events")
    if not isinstance(counts, Mapping):
        return {}
    return {
        name: int(n)
        for name, n in counts.items()
        if isinstance(name, str) and isinstance(n, int | float) and 0 <= n < 1e12
    }


def missing_events(
    streams: Mapping[str, Stream],
    covered: Mapping[str, int],
    stop: Mapping[str, Any] | None,
) -> tuple[Problem, ...]:
    """Compare what arrived with seq_num contiguity and with num_events of the stop document.

    Parameters
    ----------
    streams
        The streams with the events that arrived.
    covered
        Rows of each stream whose values lie in files only (stream_datum); these count as arrived.
    stop
        The stop document, None when there is none.
    """
    announced = announced_events(stop)
    problems = []
    for name in sorted(streams.keys() | announced.keys() | covered.keys()):
        seq = streams[name].seq_num if name in streams else np.zeros(0, np.int64)
        span = int(seq[-1]) - min(int(seq[0]), 1) + 1 if len(seq) else 0
        have = max(len(seq), covered.get(name, 0))
        expected = max(announced.get(name, 0), span)
        if have < expected:
            problems.append(
                Problem(
                    ProblemKind.EVENTS_MISSING,
                    f"{expected - have} of {expected} events of stream {name!r} did not arrive",
                    stream=name,
                    expected=expected,
                    missing=expected - have,
                )
            )
    return tuple(problems)


def missing_rows(
    rows: Mapping[tuple[str, str], int], stop: Mapping[str, Any] | None
) -> tuple[Problem, ...]:
    """Compare the rows of values in files with num_events of the stop document.

    Parameters
    ----------
    rows
        Rows that arrived, by stream and data key.
    stop
        The stop document, None when there is none.
    """
    announced, problems = announced_events(stop), []
    for (stream, key), n in rows.items():
        most = max(count for (name, _), count in rows.items() if name == stream)
        expected = announced.get(stream, most)
        if n < expected:
            detail = f"{expected - n} of {expected} rows of {key!r} did not arrive"
            kind = ProblemKind.EVENTS_MISSING
            problems.append(Problem(kind, detail, stream, key, expected, expected - n))
    return tuple(problems)
