"""What is wrong with the documents of a run, as flags an operator understands."""

from __future__ import annotations

from collections.abc import Iterable

from xanes_live.documents.channels import Roles
from xanes_live.documents.context import CLEAR, Context, is_stage
from xanes_live.documents.lacking import listed
from xanes_live.documents.names import channel_points, energy_points
from xanes_live.documents.needed import is_needed, may_be_used
from xanes_live.documents.reading import Reading, uneven, without_energy
from xanes_live.documents.run import Problem, ProblemKind, RunRecord
from xanes_live.documents.settings import no_stream, unmet
from xanes_live.documents.streams import Choice, told
from xanes_live.domain import Flag
from xanes_live.flags import make


def unread_flag(problem: Problem) -> Flag:
    """Return the flag of a key that was not read or not kept and that the scan lacks."""
    if problem.kind is ProblemKind.TRUNCATED:
        return make("data_truncated", reason=problem.detail)
    return make("external_unread", key=problem.key, reason=problem.detail)


def nothing(record: RunRecord, reading: Reading | None, context: Context) -> Flag:
    """Return the flag of a run without energy or channels."""
    reason = reading.lacking if reading is not None else no_stream(record, context)
    others = _elsewhere(record, reading)
    return make("channels_unknown", reason=(reason or "the run has no events") + others)


def _elsewhere(record: RunRecord, reading: Reading | None) -> str:
    """Name what other streams hold beside one that is lacking something, '' if nothing."""
    if reading is None:
        return ""
    others = [s for n, s in record.streams.items() if n not in (reading.stream.name, "baseline")]
    told_ = ", ".join(f"{s.name!r} ({listed(s)})" for s in others[:4] if s.columns)
    return f"; in other streams: {told_}" if told_ else ""


def lost(record: RunRecord) -> Flag | None:
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


def flags_of(record: RunRecord, choice: Choice, context: Context) -> Iterable[Flag]:
    """Yield what is wrong with the run as far as it concerns the channels in use."""
    best = choice.best
    ended = _ended_badly(record, sum(len(reading.stream.seq_num) for reading in choice.used))
    if ended is not None:
        yield ended
    for problem in record.problems:
        yield from _flag_of(problem, choice, context)
    if record.recovered:
        yield make("data_recovered", count=record.recovered)
    energy = best.axis.key if best.axis is not None and best.axis.guessed else ""
    if best.roles.guessed or energy:
        yield make("channels_guessed", roles=_named(best.roles, energy))
    if choice.aside:
        yield make("streams_unused", streams=told(choice.aside), used=best.stream.name)
    for reason in unmet(best, context):
        yield make("channel_absent", reason=reason)
    if best.axis is not None and best.axis.corrected:
        yield make(
            "units_corrected",
            key=best.axis.key,
            configured=context.config.energy_units,
            found=best.axis.corrected,
        )
    if blind := sum(without_energy(reading) for reading in choice.used):
        yield make("points_dropped", count=blind, reason="no energy was read")
    if left_out := sum(uneven(reading) for reading in choice.used):
        yield make("points_dropped", count=left_out, reason="channels of different length")


def _flag_of(problem: Problem, choice: Choice, context: Context) -> Iterable[Flag]:
    """Yield the flag of one problem of the documents, if it concerns what is in use."""
    reading = choice.reading_of(problem.stream) or choice.best
    if problem.kind is ProblemKind.NO_START:
        yield make("start_missing")
    elif problem.kind is ProblemKind.EVENTS_MISSING and _concerns(problem, reading):
        detail = f" ({problem.key})" if problem.key else ""
        missing, expected = problem.missing, problem.expected
        yield make("data_missing", missing=missing, expected=expected, detail=detail)
    elif problem.kind is ProblemKind.EXTERNAL and is_needed(problem.key, reading, context):
        yield make("external_unread", key=problem.key, reason=problem.detail)
    elif problem.kind is ProblemKind.TRUNCATED and _spoils(problem, reading, context):
        yield make("data_truncated", reason=problem.detail)


def _ended_badly(record: RunRecord, points: int) -> Flag | None:
    status = exit_status(record)
    if status == "":
        return make("no_stop")
    if status == "abort":
        return make("scan_aborted", points=points)
    if status == "fail":
        reason = (record.stop or {}).get("reason")
        text = " ".join(reason.split())[:300] if isinstance(reason, str) else ""
        return make("scan_failed", reason=text or "no reason given")
    return None


def exit_status(record: RunRecord) -> str:
    """Return 'success', 'abort', 'fail', or '' for a run without stop document."""
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


def matters(problem: Problem, reading: Reading | None, context: Context) -> bool:
    """Whether a key that was not read or not kept may be what a run without channels lacks."""
    if problem.kind not in (ProblemKind.EXTERNAL, ProblemKind.TRUNCATED) or not problem.key:
        return False
    return reading is None or may_be_used(problem.key, context)


def energy_unread(record: RunRecord, context: Context) -> bool:
    """Tell whether an energy was recorded beside an I0 and nothing of it arrived.

    Whether it was scanned is not known then; a plan that scans something else says so.
    """
    if context.scanned and all(is_stage(name) for name in context.scanned):
        return False
    unread = (ProblemKind.EXTERNAL, ProblemKind.TRUNCATED, ProblemKind.EVENTS_MISSING)
    there = {key for stream in record.streams.values() for key in stream.columns}
    lacking = {p.key for p in record.problems if p.key and p.kind in unread} - there
    energy = any(energy_points(key).get("energy", 0.0) >= CLEAR for key in lacking)
    return energy and any("i0" in channel_points(key) for key in there | lacking)


def _named(roles: Roles, energy: str) -> str:
    pairs = [("energy", energy or None), ("I0", roles.i0), ("It", roles.it), ("Ir", roles.ir)]
    found = [f"{role} = {key}" for role, key in pairs if key is not None]
    if roles.fluorescence:
        found.append(f"fluorescence = {' + '.join(roles.fluorescence)}")
    return ", ".join(found)
