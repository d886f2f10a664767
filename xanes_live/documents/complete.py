"""Completing a run from Tiled: late subscriptions, lost events, values in files out of reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
from tiled.queries import Key

from xanes_live.config import BeamlineConfig
from xanes_live.documents.assembly import Document, covered
from xanes_live.documents.callback import assemble
from xanes_live.documents.columnwise import from_columns, numbers
from xanes_live.documents.external import read_external, readable, wanted, with_column
from xanes_live.documents.needed import Needs
from xanes_live.documents.run import (
    External,
    Problem,
    ProblemKind,
    RunRecord,
    Stream,
    missing_events,
    missing_rows,
)
from xanes_live.domain import Array

_REASONS = {
    ProblemKind.NO_START: "no start document",
    ProblemKind.NO_STOP: "no stop document",
    ProblemKind.EVENTS_MISSING: "events missing",
    ProblemKind.TRUNCATED: "not all values were kept",
}


def needs_rereading(record: RunRecord, config: BeamlineConfig | None = None) -> str | None:
    """Return why a run should be completed from Tiled, None if it need not be.

    What is lost of keys that no spectrum is made from, such as camera images and the spectra of a
    detector whose sums were recorded, is no reason.

    Parameters
    ----------
    record
        A run as it was assembled.
    config
        How to read this beamline's documents; files that can be read by its `path_map` need no
        Tiled.
    """
    settings = config or BeamlineConfig()
    lost = [p for p in record.problems if p.kind in _REASONS and not _aside(p, record)]
    unread = [
        e for e in record.external if wanted(record, e) and not readable(e, settings.path_map)
    ]
    if unread or any(p.key for p in lost):
        needed = Needs(record, settings)
        lost = [p for p in lost if not p.key or needed(p.stream, p.key)]
        unread = [e for e in unread if not e.key or needed(e.stream, e.key)]
    reasons = [_REASONS[p.kind] for p in lost]
    if unread:
        keys = sorted({e.key or "a file" for e in unread})
        reasons.append(f"files out of reach ({', '.join(keys[:5])})")
    return "; ".join(dict.fromkeys(reasons)) or None


def _aside(problem: Problem, record: RunRecord) -> bool:
    """Whether a problem is one of camera images or the baseline: no spectrum is made of these.

    Where the whole baseline is gone, more may be: a descriptor was lost.
    """
    if problem.stream == "baseline":
        lost = problem.kind is ProblemKind.EVENTS_MISSING and problem.stream not in record.streams
        return not lost
    stream = record.streams.get(problem.stream)
    return bool(problem.key) and stream is not None and not stream.may_be_channel(problem.key)


def reread(
    record: RunRecord,
    raw: Any,  # noqa: ANN401 - tiled has no type information
    *,
    attempts: int = 1,
    delay_s: float = 0.5,
    sleep: Callable[[float], object] = time.sleep,
) -> RunRecord:
    """Complete a run from Tiled.

    The stop document may reach Tiled later than the wire, and a TiledWriter with its default batch
    size shows no events before it; hence the attempts.

    Parameters
    ----------
    record
        A run that :func:`needs_rereading`.
    raw
        Client of the container that holds the raw runs.
    attempts
        How often to look; the wait doubles from one to the next.
    delay_s
        Wait before the second attempt, s.
    sleep
        Waits so many seconds.

    Returns
    -------
    RunRecord
        Whichever of the two is more complete, with what each alone knows; what Tiled cannot give
        stays a problem.

    Raises
    ------
    ConnectionError
        If Tiled cannot be reached or answers with an error of its own (5xx).
    httpx.HTTPStatusError
        If it refuses the key (401, 403): the run may be there all the same.
    """
    for attempt in range(max(1, attempts)):
        if attempt:
            sleep(delay_s * 2 ** (attempt - 1))
        try:
            run = find_run(raw, record.uid)
            found = None if run is None else fetch(run, record.source)
        except Exception as error:
            if unreachable(error):
                raise ConnectionError(f"Tiled: {error!r:.300}") from error
            if refused(error):
                raise
            return _not_reread(record, f"{type(error).__name__}: {error}"[:300])
        if found is not None and found.stop is not None:
            return combined(record, found)
    if found is not None:
        return combined(record, found)
    return _not_reread(record, "the run was not found in Tiled")


def find_run(raw: Any, uid: str) -> Any:  # noqa: ANN401 - tiled has no type information
    """Return the client of the run `uid` in container `raw`, None if it is not there.

    A search, because ``uid in raw`` raises where the answer is no (ClientError 400).
    """
    return next(iter(raw.search(Key("start.uid") == uid).values()), None)


def unreachable(error: Exception) -> bool:
    """Whether an error says that the server is not there, and not that the request was wrong."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500
    return unanswered(error)


def refused(error: Exception) -> bool:
    """Whether an error says that the key may not read there."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in {401, 403}


def unanswered(error: Exception) -> bool:
    """Whether an error says that no answer came at all."""
    return isinstance(error, httpx.TransportError | ConnectionError | TimeoutError)


def fetch(run: Any, source: str = "replay") -> RunRecord:  # noqa: ANN401 - tiled has no types
    """Read a whole run from Tiled.

    ``run.documents()`` where the server has it (exact), else column by column; what then still lies
    in files out of reach is read through the server.

    Parameters
    ----------
    run
        Client of a BlueskyRun.
    source
        Name of the source, kept in the record.
    """
    try:
        record = assemble(run.documents(), source=source)
    except Exception as error:
        # 406: no exporter is configured; 500: something else was written under the run
        if unanswered(error) or refused(error):
            raise
        record = None
    if record is None or record.start is None:
        record = from_columns(run, source)
    return through_tiled(read_external(record), run)


def through_tiled(record: RunRecord, run: Any) -> RunRecord:  # noqa: ANN401 - tiled has no types
    """Read values that lie in files out of reach through the server."""
    streams, left = dict(record.streams), []
    rows: dict[tuple[str, str], int] = {}
    for external in record.external:
        values = _remote(run, external) if wanted(record, external) else {}
        if not values:
            left.append(external)
            continue
        stream = streams.get(external.stream, Stream(external.stream))
        streams[external.stream] = with_column(stream, external.key, values)
        rows[external.stream, external.key] = len(values)
    kept = (p for p in record.problems if not p.key or (p.stream, p.key) not in rows)
    problems = (*kept, *missing_rows(rows, record.stop))
    return replace(record, streams=streams, external=tuple(left), problems=problems)


def combined(live: RunRecord, tiled: RunRecord) -> RunRecord:
    """Return the more complete of two records of one run, with what each alone knows."""
    start, stop = live.start or tiled.start, live.stop or tiled.stop
    ours, theirs = _judged(live, start, stop), _judged(tiled, start, stop)
    if _incomplete(ours) < _incomplete(theirs):
        return ours
    return replace(
        theirs,
        uid=live.uid,
        recovered=max(0, theirs.n_events - ours.n_events),
        source=live.source,
    )


def _judged(record: RunRecord, start: Document | None, stop: Document | None) -> RunRecord:
    """Return the record with these start and stop documents, and what is wrong in their light."""
    known = {
        ProblemKind.NO_START: start is not None,
        ProblemKind.NO_STOP: stop is not None,
        ProblemKind.EVENTS_MISSING: True,
    }
    kept = [p for p in record.problems if not known.get(p.kind, False) or p.key]
    missing = missing_events(record.streams, covered(record.external), stop)
    return replace(record, start=start, stop=stop, problems=(*kept, *missing))


def _incomplete(record: RunRecord) -> tuple[int, int]:
    """Return the events that are missing, and how much else is."""
    missing = [p.missing for p in record.problems if p.kind is ProblemKind.EVENTS_MISSING]
    unread = [e for e in record.external if wanted(record, e)]
    return sum(missing), len(unread) + record.has(ProblemKind.TRUNCATED)


def _not_reread(record: RunRecord, reason: str) -> RunRecord:
    others = tuple(p for p in record.problems if p.kind is not ProblemKind.NOT_REREAD)
    return replace(record, problems=(*others, Problem(ProblemKind.NOT_REREAD, reason)))


def _remote(run: Any, external: External) -> dict[int, Array]:  # noqa: ANN401 - tiled has no types
    """Return the values of a key by seq_num as the server reads them; {} if it cannot."""
    try:
        column = numbers(run[external.stream][external.key].read())
    except Exception as error:
        if unreachable(error) or refused(error):
            raise
        return {}
    return {} if column is None else {i + 1: row for i, row in enumerate(column)}
