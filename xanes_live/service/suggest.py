"""What the last runs of a beamline say about how to read them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xanes_live import log
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.context import Context
from xanes_live.documents.external import read_external
from xanes_live.documents.identify import identify
from xanes_live.documents.names import words
from xanes_live.documents.reading import read
from xanes_live.documents.run import RunRecord
from xanes_live.domain import Scan

_log = log.get(__name__)

KEYS = ("energy", "i0", "it", "ir", "fluorescence")
"""Settings of [beamline] that a run can suggest."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """How one run was read."""

    title: str
    """Scan, plan and sample, for people."""
    mapping: dict[str, str | tuple[str, ...]]
    """Data keys by role; empty when the run is no absorption scan."""
    guessed: bool = False
    """Names did not tell; the data did."""
    edge: str = ""
    """'Fe K', '' when unknown."""
    reason: str = ""
    """Why it could not be read, when it could not."""


def recognise(record: RunRecord, config: BeamlineConfig | None = None) -> Recognised:
    """Return how `record` would be read."""
    settings = config or BeamlineConfig()
    record = read_external(record, settings.path_map)
    context = Context.of(record, settings)
    reading = read(record, context)
    found = identify(record, settings)
    title = _title(record)
    if found is None:
        return Recognised(title, {}, reason="no absorption scan")
    edge = f"{found.element} {found.edge}".strip()
    if not isinstance(found, Scan) or reading is None or reading.axis is None:
        reason = "" if isinstance(found, Scan) else found.flag.message
        return Recognised(title, {}, edge=edge, reason=reason)
    roles = reading.roles
    named = {"energy": reading.axis.key, "i0": roles.i0, "it": roles.it, "ir": roles.ir}
    mapping: dict[str, str | tuple[str, ...]] = {k: v for k, v in named.items() if v is not None}
    if roles.fluorescence:
        mapping["fluorescence"] = roles.fluorescence
    return Recognised(title, mapping, roles.guessed, edge)


def _title(record: RunRecord) -> str:
    start = record.start or {}
    words_ = (start.get("scan_id"), start.get("plan_name"), start.get("sample"))
    told = [str(word)[:40] for word in words_ if isinstance(word, str | int) and word != ""]
    return f"{record.uid[:8]} ({', '.join(told)})" if told else record.uid[:8]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Settings of [beamline] that would read all these runs."""

    settings: dict[str, str | tuple[str, ...]]
    """Where all runs that have a role agree on its key."""
    doubtful: dict[str, str]
    """Why other roles are left to be recognised run by run."""


def propose(runs: Sequence[Recognised]) -> Proposal:
    """Return what all `runs` agree on.

    A key that names the element (a region of interest, say) differs from edge to edge and is never
    proposed; nor is one that only some of the runs have, because a key that is set has to be there.
    """
    read_ = [run for run in runs if run.mapping]
    settings: dict[str, str | tuple[str, ...]] = {}
    doubtful: dict[str, str] = {}
    for role in KEYS:
        keys = [run.mapping.get(role) for run in read_]
        found = list(dict.fromkeys(key for key in keys if key is not None))
        if not found:
            continue
        if len(found) > 1:
            doubtful[role] = "runs differ: " + " or ".join(shown(key) for key in found)
        elif None in keys:
            doubtful[role] = f"{shown(found[0])}, but only in some runs"
        elif any(_names_element(found[0], run.edge) for run in read_):
            doubtful[role] = f"{shown(found[0])} is for one element only"
        else:
            settings[role] = found[0]
    return Proposal(settings, doubtful)


def shown(key: str | tuple[str, ...]) -> str:
    """Return the key or keys of a role for people."""
    return key if isinstance(key, str) else " + ".join(key)


def _names_element(key: str | tuple[str, ...], edge: str) -> bool:
    symbol = edge.partition(" ")[0].lower()
    keys = (key,) if isinstance(key, str) else key
    return bool(symbol) and any(_spells(words(name), symbol) for name in keys)


def _spells(text: str, symbol: str) -> bool:
    """Whether a word is the element's symbol, alone or with its line: 'fe', 'feka', 'fek1'."""
    lines = ("", "k", "ka", "ka1", "ka2", "kb", "l", "la", "lb")
    parts = text.strip("_").split("_")
    return any(part.rstrip("0123456789") in {symbol + line for line in lines} for part in parts)


def last_runs(container: Any, count: int) -> Iterator[RunRecord]:  # noqa: ANN401 - tiled is untyped
    """Yield the last `count` runs of a Tiled container, the youngest first; unreadable ones not."""
    for node in reversed(container.values().tail(count)):
        try:
            record = assemble(node.documents())
        except Exception as error:  # noqa: BLE001 - one damaged run must not hide the others
            log.event(_log, logging.WARNING, "run not readable", error=repr(error)[:200])
            continue
        if record is not None:
            yield record
