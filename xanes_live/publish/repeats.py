"""What a document says of the repeats of a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from xanes_live.domain import Drift, FirstShell, MergedRepeats, Outlier, Repeats
from xanes_live.publish.jsonable import rounded

MAX_POINTS = 1000
"""A longer merge is thinned out; it can be made again from the spectra."""


def repeats_section(repeats: Repeats | None) -> dict[str, Any] | None:
    """Return the section `repeats`; None for a sample measured once.

    Returns
    -------
    dict or None
        `n` repeats; `of`: uid, scan_id, index (which sweep), whether it was `used` for the
        merge and `why` not, in the order they were taken; `from_first`, whether these begin with
        the first of the series; `scan_ids` without repetition; `drift`; `outlier`; `merged`
        (energy in eV, mu, sigma, first_shell in Å, its probability, confidence, flag_codes);
        `one_more_narrows_by` (Å); `advice`.
    """
    if repeats is None:
        return None
    of = [
        {"uid": r.uid, "scan_id": r.scan_id, "index": r.index, "used": r.used, "why": r.why}
        for r in repeats.of
    ]
    return {
        "n": len(of),
        "of": of,
        "from_first": repeats.from_first,
        "scan_ids": list(dict.fromkeys(r["scan_id"] for r in of if r["scan_id"] is not None)),
        "drift": _drift(repeats.drift),
        "outlier": _outlier(repeats.outlier),
        "merged": _merged(repeats.merged),
        "one_more_narrows_by": repeats.one_more_narrows_by,
        "advice": repeats.advice,
    }


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    return {
        "measure": drift.measure,
        "unit": drift.unit,
        "change": drift.change,
        "chance": drift.chance,
        "keep": drift.keep,
    }


def _outlier(outlier: Outlier | None) -> dict[str, Any] | None:
    if outlier is None:
        return None
    return {"position": outlier.position, "times": outlier.times}


def _merged(merged: MergedRepeats | None) -> dict[str, Any] | None:
    if merged is None:
        return None
    stride = int(np.ceil(merged.energy.size / MAX_POINTS)) or 1
    return {
        "count": merged.count,
        "energy": rounded(merged.energy[::stride], 9),
        "mu": rounded(merged.mu[::stride], 7),
        "sigma": rounded(merged.sigma[::stride], 5),
        "first_shell": _shell(merged.first_shell, merged.noise),
        "probability": merged.probability,
        "confidence": merged.confidence.value if merged.confidence is not None else None,
        "flag_codes": list(merged.flag_codes),
        "stride": stride,
    }


def _shell(shell: FirstShell | None, noise: float | None) -> dict[str, Any] | None:
    if shell is None:
        return None
    return {"r": shell.r, "low": shell.low, "high": shell.high, "noise": noise}
