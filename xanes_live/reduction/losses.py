"""Loss of intensity, told from the counters themselves: it goes at once and comes back at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xanes_live.domain import Array
from xanes_live.median import median
from xanes_live.reduction.noise import MEDIAN_TO_SIGMA
from xanes_live.reduction.runs import runs

_LOST = 0.5
"""Ratio of neighbouring I0 readings that counts as lost intensity."""
_WEAK = 0.15
"""Relative scatter of a counter from which its zeros are counting noise."""
_CERTAIN = 6.0
"""Least fall in standard deviations of the counter's noise: where little is counted, as below the
edge in fluorescence, noise alone halves a reading."""
_FEWEST = 4
"""Positive readings without which there is nothing to lose."""


def losses(counters: Mapping[str, Array], n: int) -> list[slice]:
    """Return runs of points at which most of a counter's intensity is lost and comes back."""
    lost = np.zeros(n, dtype=bool)
    for role, readings in counters.items():
        for run in _lost_runs(readings, _LOST if role == "i0" else _LOST * _LOST):
            lost[run] = True
    return runs(lost)


def _lost_runs(readings: Array, ratio: float) -> list[slice]:
    """Return runs entered and left through a jump by `ratio` in one step, or reaching an end."""
    n = readings.size
    positive = readings[readings > 0]
    if positive.size < _FEWEST:
        return []
    scatter = MEDIAN_TO_SIGMA * float(median(np.abs(np.diff(positive))))
    if scatter > _WEAK * float(median(positive)):
        return []
    peak = float(positive.max())
    level = np.maximum(readings, 1e-9 * peak)
    fallen = level[1:] < ratio * level[:-1]
    certain = _CERTAIN * scatter / np.sqrt(2.0)  # of differences of two
    fallen &= level[:-1] - level[1:] > certain
    falls = np.flatnonzero(fallen) + 1
    runs = _dark_start(level, peak, certain)
    end = runs[0].stop if runs else 0
    for start in falls:
        if start < end:
            continue
        before = level[start - 1]
        back = np.flatnonzero(level[start:] > ratio * before)
        stop = int(start + back[0]) if back.size else n
        abrupt = stop == n or level[stop] * ratio > level[stop - 1]
        if abrupt and (stop == n or stop - start <= n // 3):
            runs.append(slice(int(start), stop))
            end = stop
    return runs


def _dark_start(level: Array, peak: float, certain: float) -> list[slice]:
    """Return the run of points before a detector was switched on at all."""
    dark = level < 1e-6 * peak
    first = int(np.argmin(dark))
    if not dark[0] or dark.all() or level[first] < certain:
        return []
    return [slice(0, first)]
