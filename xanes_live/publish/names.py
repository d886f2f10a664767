"""Under which names the arrays of a result lie in Tiled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def children_of(document: Mapping[str, Any], present: Collection[str]) -> dict[str, str]:
    """Return the children of a result's node by the name of the array.

    Nearly always the two are the same. A result that replaced one with arrays of another shape has
    them beside the old ones, under the names that `array_names` of the document tells, and what
    its `units` do not name is left from the old one.

    Parameters
    ----------
    document
        Of the result.
    present
        Names of the children.
    """
    renamed = document.get("array_names") or {}
    if document.get("revised") is None:
        return {name: name for name in present}
    names = {name: renamed.get(name, name) for name in document.get("units") or ()}
    return {name: child for name, child in names.items() if child in present}
