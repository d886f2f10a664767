"""Whether a run is an X-ray absorption scan, and what its energy, channels and edge are.

The configuration wins over everything; then come the start document, units and precision of the
descriptors, names (:mod:`xanes_live.documents.names`), and at last the data themselves.
"""

from __future__ import annotations

from xanes_live.config import BeamlineConfig
from xanes_live.documents import metadata
from xanes_live.documents.absorber import absorber
from xanes_live.documents.context import Context
from xanes_live.documents.external import read_external
from xanes_live.documents.leaves import number_of, sample
from xanes_live.documents.reading import Reading, dark, mixes_places, of_places, sweeps
from xanes_live.documents.run import RunRecord, announced_events
from xanes_live.documents.settings import hide
from xanes_live.documents.streams import Choice, choose
from xanes_live.documents.wrong import (
    energy_unread,
    exit_status,
    flags_of,
    lost,
    matters,
    nothing,
    unread_flag,
)
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
    choice = choose(record, context)
    if choice is None or not choice.best.complete:
        return _unreadable(record, None if choice is None else choice.best, context)
    channels = tuple(sweep for reading in choice.used for sweep in sweeps(reading, context))
    edge = absorber(channels, context)
    if edge is None:
        return None
    lacking = _lacking(record, choice.best, context, channels, edge)
    if lacking is not None:
        return _decline(record, context, lacking)
    return _scan(record, choice, context, channels, edge)


def _lacking(
    record: RunRecord,
    reading: Reading,
    context: Context,
    channels: tuple[Channels, ...],
    edge: Edge,
) -> Flag | None:
    """Return why a run with energy and channels is no spectrum, None if it is."""
    if not channels:
        return lost(record) or nothing(record, reading, context)
    if mixes_places(channels, context):
        reason = "the points of several places of the map cannot be told apart"
        return make("channels_unknown", reason=reason)
    return None if edge.element else make("element_unknown")


def _scan(
    record: RunRecord,
    choice: Choice,
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
        exit_status=exit_status(record),
        mode=context.config.mode or metadata.mode(context.leaves),
        dark=dark(record, choice.best, context),
        e0_announced=metadata.e0(context.leaves),
        metadata=context.start,
        source=record.source,
        flags=tuple(dict.fromkeys(flags_of(record, choice, context))),
        places=len(channels) > 1 and of_places(choice.best, context),
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
        gone = make("data_missing", missing=n, expected=n, detail=detail)
        return _decline(record, context, gone) if n >= _FEWEST else None
    scanned = reading is not None and reading.axis is not None and bool(context.element)
    told = context.announced or scanned or energy_unread(record, context)
    if not told and not hide(record, context):
        return None
    unread = next((p for p in record.problems if matters(p, reading, context)), None)
    if unread is not None:
        return _decline(record, context, unread_flag(unread))
    flag = lost(record) if reading is None or not len(reading.stream.seq_num) else None
    return _decline(record, context, flag or nothing(record, reading, context))


def _plan_name(context: Context) -> str:
    name = context.start.get("plan_name")
    return name if isinstance(name, str) else ""


def _scan_id(context: Context) -> int | None:
    number = number_of(context.start.get("scan_id"))
    return int(number) if number is not None and abs(number) < 2**53 else None
