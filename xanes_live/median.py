"""The median of a few hundred numbers."""

from __future__ import annotations

import numpy as np

from xanes_live.domain import Array


def median(values: Array) -> Array:
    """Return the median along the last axis, NaN where there is a NaN: ``np.median``, but quicker.

    For the few hundred numbers of a spectrum the checks of ``np.median`` take several times as
    long as sorting does, and a scan on its way to a result needs about thirty medians.

    Parameters
    ----------
    values
        Shape (..., n), n ≥ 1.

    Returns
    -------
    Array
        Shape (...).
    """
    ordered = np.array(values)
    ordered.sort()  # NaN comes last
    half = ordered.shape[-1] // 2
    found = ordered[..., half]
    if ordered.shape[-1] % 2 == 0:
        found = 0.5 * (ordered[..., half - 1] + found)
    unknown = np.isnan(ordered[..., -1])
    if unknown.any():
        found = np.where(unknown, np.nan, found)
    return np.asarray(found, dtype=np.float64)
