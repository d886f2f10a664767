"""Counts of durations by size: immutable, replaced by its single writer."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Self

BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many durations were seen up to each bound."""

    bounds: tuple[float, ...] = BOUNDS_S
    """Upper ends of the classes, s, rising; what is longer goes into one more class."""
    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    """Durations in each class."""
    total: float = 0.0
    """Sum of all durations, s."""

    def observe(self, seconds: float) -> Self:
        """Return the histogram with one duration more; a negative one counts as 0."""
        seconds = max(0.0, seconds)
        place = bisect_left(self.bounds, seconds)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return replace(self, counts=counts, total=self.total + seconds)

    def cumulative(self) -> list[tuple[str, float]]:
        """Return pairs of upper bound and number of durations up to it, as Prometheus wants."""
        pairs, seen = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            pairs.append((bound, float(seen)))
        return pairs
