"""One run record in, one publishable node out: shared by live service and replay."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from xanes_live import log
from xanes_live.config import Config
from xanes_live.documents.identify import identify
from xanes_live.documents.run import RunRecord
from xanes_live.domain import Declined, Repeats, Result, Scan
from xanes_live.flags import make
from xanes_live.pipeline import Predictors, process
from xanes_live.publish.document import Node, declined_node, node
from xanes_live.service.history import History
from xanes_live.service.repeats import joined

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run: nothing to publish when it is not an XAS scan."""

    uid: str
    found: Result | Declined | None
    node: Node | None


def handle(
    record: RunRecord, predictors: Predictors, config: Config, history: History | None = None
) -> Outcome:
    """Identify, predict and lay out one run for publication; never raises for what a run holds.

    With a `history` earlier runs of the same sample count as repeats, else only the run's sweeps.

    A defect in this package is published as a declined scan with the flag ``internal_error``, so
    that an operator sees that the scan was there.
    """
    try:
        scan = identify(record, config.beamline)
        return publishable(scan, record.uid, predictors, config, history)
    except Exception as error:  # noqa: BLE001 - a defect is published, not raised
        log.event(_log, logging.ERROR, "scan not processed", uid=record.uid, error=repr(error))
        _log.debug("traceback", exc_info=True)
        return _laid_out(_defect(record, error), config)


def publishable(
    scan: Scan | Declined | None,
    uid: str,
    predictors: Predictors,
    config: Config,
    history: History | None = None,
) -> Outcome:
    """Predict `scan` where there is one and lay the result out for publication."""
    if scan is None:
        return Outcome(uid, None, None)
    found = process(scan, predictors, config) if isinstance(scan, Scan) else scan
    if isinstance(found, Declined):
        return _laid_out(found, config)
    remembered = History(config.confidence) if history is None else history
    repeats = remembered.add(found, predictors[found.scan.element, found.scan.edge])
    return _laid_out(joined(found, repeats), config, repeats)


def _laid_out(found: Result | Declined, config: Config, repeats: Repeats | None = None) -> Outcome:
    if isinstance(found, Result):
        return Outcome(found.scan.uid, found, node(found, config, repeats))
    return Outcome(found.uid, found, declined_node(found, config))


def _defect(record: RunRecord, error: Exception) -> Declined:
    start = record.start or {}
    scan_id = start.get("scan_id")
    return Declined(
        uid=record.uid,
        flag=make("internal_error", reason=f"{type(error).__name__}: {error}"),
        scan_id=scan_id if isinstance(scan_id, int) else None,
        sample=str(start.get("sample", ""))[:200],
    )
