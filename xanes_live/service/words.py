"""Numbers as people read them, the same in every table and picture."""

from __future__ import annotations

import math


def interval(r: float | None, low: float | None, high: float | None) -> str:
    """Return '2.03 (1.98–2.08)', or '–' when there is no distance (None or NaN)."""
    if r is None or not math.isfinite(r):
        return "–"
    if low is None or high is None or not math.isfinite(low + high):
        return f"{r:.2f}"
    return f"{r:.2f} ({low:.2f}–{high:.2f})"
