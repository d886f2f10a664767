"""Times of several pieces of work, taken in turns so that whatever else runs hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Work = Callable[[], object]
BURST = 5
"""Runs of one piece of work in a row: as in use, its weights are in the cache from the last run."""
SLOW_S = 0.05
"""Work that takes so long is run once at a time and not warmed up before each burst."""


@dataclass(frozen=True, slots=True)
class Times:
    """What some runs took, s."""

    seconds: tuple[float, ...]
    """By the clock."""
    busy: tuple[float, ...] = ()
    """Processor time of all threads of this process: says more where others use the machine."""

    @property
    def median(self) -> float:
        """The usual time, s."""
        return float(np.median(self.seconds))

    @property
    def p99(self) -> float:
        """The time 99 % of the runs keep, s; the longest where there are fewer than 100."""
        return float(np.quantile(self.seconds, 0.99, method="higher"))

    @property
    def processor(self) -> float | None:
        """The usual processor time, s; None if not measured."""
        return float(np.median(self.busy)) if self.busy else None

    def scaled(self, factor: float) -> Times:
        """Return the times of `factor` times the work."""
        return Times(*(tuple(factor * s for s in taken) for taken in (self.seconds, self.busy)))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, ms."""
        return {
            "median_ms": round(1e3 * self.median, 4),
            "p99_ms": round(1e3 * self.p99, 4),
            "processor_ms": round(1e3 * self.processor, 4) if self.processor is not None else None,
            "runs": len(self.seconds),
        }


def once(work: Work) -> tuple[float, float]:
    """Return what one run takes by the clock and in processor time, s."""
    begun, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - busy


def in_turns(
    works: Mapping[str, Work], budget_s: float, *, least: int = 3, most: int = 500
) -> dict[str, Times]:
    """Run each piece of work in bursts, one after the other, until the time is used up.

    Parameters
    ----------
    works
        By name; each waits for its own result.
    budget_s
        Roughly how long to measure altogether.
    least, most
        Runs of each piece of work, whatever the budget.
    """
    first = {name: once(work) for name, work in works.items()}  # libraries start, buffers are made
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    end = time.perf_counter() + budget_s
    while min(map(len, times.values())) < least or (
        time.perf_counter() < end and min(map(len, times.values())) < most
    ):
        for name, work in works.items():
            times[name] += _burst(work, slow=first[name][0] > SLOW_S)
    return {name: Times(*zip(*taken, strict=True)) for name, taken in times.items()}


def _burst(work: Work, *, slow: bool) -> list[tuple[float, float]]:
    if slow:
        return [once(work)]
    work()
    return [once(work) for _ in range(BURST)]
