"""Which streams of a run are read, and which hold a scan that is left aside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xanes_live.documents.context import Context
from xanes_live.documents.reading import Reading, readings
from xanes_live.documents.run import RunRecord

_COVERED = 0.5
"""Share of the energies of the best stream that another covers if it is the same scan again."""

_NARROWEST = 30.0
"""A stream over less than this, eV, adjusts something and is no scan that is missed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The streams of a run that are read together."""

    best: Reading
    again: tuple[Reading, ...] = ()
    """Further streams with the same scan by the same keys: up and down, repeats."""
    aside: tuple[Reading, ...] = ()
    """Streams that hold another scan, or the same by other detectors: not used."""

    @property
    def used(self) -> tuple[Reading, ...]:
        """All that are read, in the order they were taken."""
        if not self.again:
            return (self.best,)
        return tuple(sorted((self.best, *self.again), key=_begun))

    def reading_of(self, stream: str) -> Reading | None:
        """Return how `stream` is read, None if it is not."""
        return next((r for r in self.used if r.stream.name == stream), None)


def choose(record: RunRecord, context: Context) -> Choice | None:
    """Return which streams are read; None when there is none that could be."""
    found = readings(record, context)
    if not found:
        return None
    best, *others = found
    if not best.complete:
        return Choice(best)
    whole = [other for other in others if other.complete]
    again = tuple(other for other in whole if _is_again(other, best))
    names = {other.stream.name for other in again}
    aside = tuple(r for r in whole if r.stream.name not in names and _is_scan(r))
    return Choice(best, again, aside)


def told(aside: Iterable[Reading]) -> str:
    """Name streams with the keys of their channels, for people."""
    return "; ".join(f"{r.stream.name!r} ({', '.join(_keys(r))})" for r in aside)


def _keys(reading: Reading) -> tuple[str, ...]:
    keys = ((reading.axis.key,) if reading.axis is not None else ()) + reading.roles.keys
    return (*keys[:6], "…") if len(keys) > 6 else keys


def _is_scan(reading: Reading) -> bool:
    """Whether a stream holds a spectrum, and no alignment or energy at rest."""
    axis = reading.axis
    return axis is not None and axis.span > _NARROWEST and not reading.guessed


def _is_again(other: Reading, best: Reading) -> bool:
    a, b = other.axis, best.axis
    if a is None or b is None or a.key != b.key or other.roles.keys != best.roles.keys:
        return False
    common = min(a.limits[1], b.limits[1]) - max(a.limits[0], b.limits[0])
    return common > _COVERED * max(a.span, b.span) and _one_after_the_other(other, best)


def _one_after_the_other(one: Reading, other: Reading) -> bool:
    """Whether streams were taken at different times: a copy of a stream is no repeat of it."""
    (a, b), (c, d) = _times(one), _times(other)
    return not (a < d and c < b)


def _times(reading: Reading) -> tuple[float, float]:
    """Return when the first and the last event was, s since the epoch; NaN where unknown."""
    known = reading.stream.time[np.isfinite(reading.stream.time)]
    return (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)


def _begun(reading: Reading) -> float:
    return float(np.nan_to_num(_times(reading)[0]))
