"""What tells one training from another: the recipe, and the content of what it learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.ensemble.recipe import Recipe

PATHS = {"data": {"path"}, "measured": {"path"}, "discrepancy": {"path"}}
"""Where files are says nothing of what is in them."""


def fingerprint(recipe: Recipe, arrays: Iterable[NDArray[Any] | None]) -> str:
    """Return what changes with a recipe, its paths apart, or with what it learns from.

    Parameters
    ----------
    recipe
        How to train.
    arrays
        What is learnt from, always in the same order; None for what there is not.

    Returns
    -------
    str
        sha256 in hex digits.
    """
    found = hashlib.sha256(recipe.model_dump_json(exclude=PATHS).encode())
    for array in arrays:
        found.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
