"""Runs of points in a row for which something holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def runs(holds: NDArray[np.bool_]) -> list[slice]:
    """Return the runs of True in an array of shape (n,), in order."""
    if not holds.any():
        return []  # as it is as a rule
    turns = np.flatnonzero(np.diff(np.concatenate(([0], holds.astype(np.int8), [0]))))
    return [slice(int(a), int(b)) for a, b in zip(turns[::2], turns[1::2], strict=True)]
