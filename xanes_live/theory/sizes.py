"""How much larger or smaller than iron the other elements are.

Made structures take iron's distances from the mineral and complex data bases; those of another
absorber differ by the difference of the radii.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from xanes_live.errors import ConfigurationError

IONIC = {
    "Ti": (0.86, 0.67, 0.605), "V": (0.79, 0.64, 0.58), "Cr": (0.80, 0.615, 0.55),
    "Mn": (0.83, 0.645, 0.53), "Fe": (0.78, 0.645), "Co": (0.745, 0.61), "Ni": (0.69, 0.60),
    "Cu": (0.77, 0.73), "Zn": (0.74,),
}  # fmt: skip
"""Radii (Å) of six-fold ions in the oxidation states their compounds usually have, from M(II) (for
copper M(I)) upwards; high-spin: Shannon, Acta Cryst. A32, 751 (1976)."""
METALLIC = {
    "Ti": 1.47, "V": 1.34, "Cr": 1.28, "Mn": 1.27, "Fe": 1.26, "Co": 1.25, "Ni": 1.24,
    "Cu": 1.28, "Zn": 1.34,
}  # fmt: skip
"""Radii (Å) of twelve-fold atoms in metals: Greenwood and Earnshaw, Chemistry of the Elements
(1997)."""
BASE = "Fe"
_Radius = TypeVar("_Radius", float, tuple[float, ...])


def longer(element: str) -> float:
    """Return how much longer than iron's the bonds of `element` to anions are, Å.

    Raises
    ------
    ConfigurationError
        If no radius is known.
    """
    return float(np.mean(_radius(IONIC, element)) - np.mean(IONIC[BASE]))


def wider(element: str) -> float:
    """Return the ratio of the metallic radii of `element` and iron.

    Raises
    ------
    ConfigurationError
        If no radius is known.
    """
    return _radius(METALLIC, element) / METALLIC[BASE]


def _radius(table: Mapping[str, _Radius], element: str) -> _Radius:
    try:
        return table[element]
    except KeyError:
        raise ConfigurationError(
            f"sources 'made' and 'alloys' know the sizes of {', '.join(table)}, not of {element}"
        ) from None
