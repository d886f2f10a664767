"""Whether a run is an X-ray absorption scan, and what its energy, channels and edge are.

The configuration wins over everything; then come the start document, units and precision of the
descriptors, names (:mod:`xanes_live.documents.names`), and at last the data themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

from xanes_live.config import BeamlineConfig
from xanes_live.documents import metadata
from xanes_live.documents.absorber import absorber
from xanes_live.documents.axes import Context
from xanes_live.documents.channels import Roles
from xanes_live.documents.external import read_external
from xanes_live.documents.leaves import number_of, sample
from xanes_live.documents.needed import is_needed, may_be_used
from xanes_live.documents.reading import (
    Reading,
    dark,
    mixes_places,
    of_places,
    read,
    sweeps,
    uneven,
)
from xanes_live.documents.run import Problem, ProblemKind, RunRecord, announced_events
from xanes_live.domain import Channels, Declined, Flag, Scan
from xanes_live.edges import Edge
from xanes_live.flags import make

_FEWEST = 8
"""A run of fewer events of which nothing else is known is not worth a word."""


def identify(record: RunRecord, config: BeamlineConfig) -> Scan | Declined | None:
    """Read a run as an absorption scan.

    Values that lie in files are read here if the record still has some.

    Parameters
    ----------
    record
        A run, complete or not.
    config
        How to read this beamline's documents.

    Returns
    -------
    Scan
        With flags for whatever is wrong with the run.
    Declined
        An absorption scan that cannot be read, and why.
    None
        No absorption scan: to be ignored.
    """
    context = Context.of(record, config)
    if config.plans and record.start is not None and _plan_name(context) not in config.plans:
        return None
    record = read_external(record, config.path_map)
    reading = read(record, context)
    if reading is None or reading.axis is None or not reading.roles.complete:
        return _unreadable(record, reading, context)
    channels = sweeps(reading, context)
    edge = absorber(channels, context)
    if edge is None:
        return None
    lacking = _lacking(record, reading, context, channels, edge)
    if lacking is not None:
        return _decline(record, context, lacking)
    return _scan(record, reading, context, channels, edge)


def _lacking(
    record: RunRecord,
    reading: Reading,
    context: Context,
    channels: tuple[Channels, ...],
    edge: Edge,
) -> Flag | None:
    """Return why a run with energy and channels is no spectrum, None if it is."""
    if not channels:
        return _lost(record) or _nothing(reading)
    if mixes_places(channels, context):
        reason = "the points of several places of the map cannot be told apart"
        return make("channels_unknown", reason=reason)
    return None if edge.element else make("element_unknown")


def _scan(
    record: RunRecord,
    reading: Reading,
    context: Context,
    channels: tuple[Channels, ...],
    edge: Edge,
) -> Scan:
    return Scan(
        uid=record.uid,
        sweeps=channels,
        element=edge.element,
        edge=edge.edge,
        scan_id=_scan_id(context),
        sample=sample(context.start, context.config.sample_keys),
        plan_name=_plan_name(context)[:200],
        time=number_of(context.start.get("time")) or 0.0,
        stop_time=number_of((record.stop or {}).get("time")) or 0.0,
        exit_status=_exit_status(record),
        mode=context.config.mode or metadata.mode(context.leaves),
        dark=dark(record, reading, context),
        e0_announced=metadata.e0(context.leaves),
        metadata=context.start,
        source=record.source,
        flags=tuple(dict.fromkeys(_flags(record, reading, context))),
        places=len(channels) > 1 and of_places(reading, context),
    )


def _decline(record: RunRecord, context: Context, flag: Flag) -> Declined:
    return Declined(
        uid=record.uid,
        flag=flag,
        element=context.element,
        edge=context.edge,
        scan_id=_scan_id(context),
        sample=sample(context.start, context.config.sample_keys),
        time=number_of(context.start.get("time")) or 0.0,
        stop_time=number_of((record.stop or {}).get("time")) or 0.0,
        metadata=context.start,
    )


def _unreadable(record: RunRecord, reading: Reading | None, context: Context) -> Declined | None:
    """Decide whether a run without energy or channels is worth a word to the operator."""
    if record.start is None and not record.streams:
        # nothing but a stop document: what it was cannot be told
        n = sum(announced_events(record.stop).values())
        detail = ": the service started after the run and did not find it in Tiled"
        lost = make("data_missing", missing=n, expected=n, detail=detail)
        return _decline(record, context, lost) if n >= _FEWEST else None
    scanned = reading is not None and reading.axis is not None and bool(context.element)
    if not context.announced and not scanned:
        return None
    unread = next((p for p in record.problems if _matters(p, reading, context)), None)
    if unread is not None:
        return _decline(record, context, _unread(unread))
    flag = _lost(record) if reading is None or not len(reading.stream.seq_num) else None
    return _decline(record, context, flag or _nothing(reading))


def _unread(problem: Problem) -> Flag:
    if problem.kind is ProblemKind.TRUNCATED:
        return make("data_truncated", reason=problem.detail)
    return make("external_unread", key=problem.key, reason=problem.detail)


def _nothing(reading: Reading | None) -> Flag:
    reason = reading.lacking if reading is not None else ""
    return make("channels_unknown", reason=reason or "the run has no events")


def _lost(record: RunRecord) -> Flag | None:
    """Return why an announced scan has no data, None if nothing is known of it."""
    ended = _ended_badly(record, 0)
    if ended is not None:
        return ended
    missing = [p for p in record.problems if p.kind is ProblemKind.EVENTS_MISSING]
    if missing:
        worst = max(missing, key=lambda p: p.missing)
        return make("data_missing", missing=worst.missing, expected=worst.expected, detail="")
    kept = [p.detail for p in record.problems if p.kind is ProblemKind.TRUNCATED]
    return make("data_truncated", reason=kept[0]) if kept else None


def _flags(record: RunRecord, reading: Reading, context: Context) -> Iterable[Flag]:
    """Yield what is wrong with the run as far as it concerns the channels in use."""
    ended = _ended_badly(record, len(reading.stream.seq_num))
    if ended is not None:
        yield ended
    for problem in record.problems:
        if problem.kind is ProblemKind.NO_START:
            yield make("start_missing")
        elif problem.kind is ProblemKind.EVENTS_MISSING and _concerns(problem, reading):
            yield make(
                "data_missing",
                missing=problem.missing,
                expected=problem.expected,
                detail=f" ({problem.key})" if problem.key else "",
            )
        elif problem.kind is ProblemKind.EXTERNAL and is_needed(problem.key, reading, context):
            yield make("external_unread", key=problem.key, reason=problem.detail)
        elif problem.kind is ProblemKind.TRUNCATED and _spoils(problem, reading, context):
            yield make("data_truncated", reason=problem.detail)
    if record.recovered:
        yield make("data_recovered", count=record.recovered)
    energy = reading.axis.key if reading.axis is not None and reading.axis.guessed else ""
    if reading.roles.guessed or energy:
        yield make("channels_guessed", roles=_named(reading.roles, energy))
    if left_out := uneven(reading):
        yield make("points_dropped", count=left_out, reason="channels of different length")


def _ended_badly(record: RunRecord, points: int) -> Flag | None:
    status = _exit_status(record)
    if status == "":
        return make("no_stop")
    if status == "abort":
        return make("scan_aborted", points=points)
    if status == "fail":
        reason = (record.stop or {}).get("reason")
        text = " ".join(reason.split())[:300] if isinstance(reason, str) else ""
        return make("scan_failed", reason=text or "no reason given")
    return None


def _exit_status(record: RunRecord) -> str:
    if record.stop is None:
        return ""
    status = record.stop.get("exit_status", "success")
    return status if isinstance(status, str) and status in ("abort", "fail") else "success"


def _concerns(problem: Problem, reading: Reading) -> bool:
    """Whether a problem touches the stream and the keys in use."""
    axis = reading.axis.key if reading.axis is not None else ""
    return problem.stream in ("", reading.stream.name) and (
        not problem.key or problem.key == axis or problem.key in reading.roles.keys
    )


def _spoils(problem: Problem, reading: Reading, context: Context) -> bool:
    """Whether values were let go that would be used; a key that was let go has no column."""
    if not problem.key:
        return _concerns(problem, reading)
    return problem.stream == reading.stream.name and is_needed(problem.key, reading, context)


def _matters(problem: Problem, reading: Reading | None, context: Context) -> bool:
    """Whether a key that was not read or not kept may be what a run without channels lacks."""
    if problem.kind not in (ProblemKind.EXTERNAL, ProblemKind.TRUNCATED) or not problem.key:
        return False
    return reading is None or may_be_used(problem.key, context)


def _named(roles: Roles, energy: str) -> str:
    pairs = [("energy", energy or None), ("I0", roles.i0), ("It", roles.it), ("Ir", roles.ir)]
    found = [f"{role} = {key}" for role, key in pairs if key is not None]
    if roles.fluorescence:
        found.append(f"fluorescence = {' + '.join(roles.fluorescence)}")
    return ", ".join(found)


def _plan_name(context: Context) -> str:
    name = context.start.get("plan_name")
    return name if isinstance(name, str) else ""


def _scan_id(context: Context) -> int | None:
    number = number_of(context.start.get("scan_id"))
    return int(number) if number is not None and abs(number) < 2**53 else None
