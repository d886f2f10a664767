"""Named limits of the theory a model learnt from.

Muffin-tin multiple scattering is not equally good for all kinds of first shell. What kind it is,
the network says itself (its further outputs), and each kind with a known weakness raises a flag
that says what tends to go wrong (David et al., *Digital Discovery* 2023, 2, 1461, name Fe–S shells,
linear Fe–C–O and Fe–C–N and five-coordinate haem; metals are our own finding).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array, Flag
from xanes_live.flags import make

LIKELY = 0.5
"""Probability of a kind from which its flag is raised."""
SHORT_CARBON = 1.97
"""Carbon this near (Å) is that of a carbonyl or cyanide, not of an aromatic ring or an alkyl."""
FEW_NEIGHBOURS = 5.5
"""Fewer neighbours than this are too few for the usual octahedron."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the network says of the kind of first shell."""

    soft: float = 0.0
    """Probability that most neighbours are P, S, As, Se, …."""
    carbon: float = 0.0
    metal: float = 0.0
    coordination: float | None = None
    """Number of neighbours."""

    @classmethod
    def of(cls, said: Mapping[str, float]) -> Kind:
        """Read the network's further outputs by name; what it does not give is unknown."""
        # learnt by least squares, they may come out beyond 0 and 1
        soft, carbon, metal = (
            min(max(said.get(name, 0.0), 0.0), 1.0) for name in ("soft", "carbon", "metal")
        )
        return cls(
            soft=soft,
            carbon=carbon,
            metal=metal,
            coordination=said.get("coordination"),
        )


def ordinary(said: Mapping[str, Array], n: int) -> NDArray[np.bool_]:
    """Return which of n spectra have a first shell that is neither soft nor carbon nor metal.

    So it is with most compounds of known structure. Where the network does not say, it is not.
    """
    unknown = np.full(n, np.nan)
    kinds = [said.get(name, unknown) < LIKELY for name in ("soft", "carbon", "metal")]
    return np.asarray(np.logical_and.reduce(kinds))


def limits(kind: Kind, r: float) -> tuple[Flag, ...]:
    """Return a flag for each known weakness of the theory that applies.

    Parameters
    ----------
    kind
        What the first shell probably consists of.
    r
        Predicted first-shell distance, Å.
    """
    flags = []
    if kind.soft >= LIKELY:
        flags.append(make("limit_soft", percent=100 * kind.soft))
    if kind.metal >= LIKELY:
        flags.append(make("limit_metallic", percent=100 * kind.metal))
    if kind.carbon >= LIKELY and r < SHORT_CARBON:
        flags.append(make("limit_linear_carbon", percent=100 * kind.carbon))
    few = kind.coordination is not None and kind.coordination < FEW_NEIGHBOURS
    if few and kind.metal < LIKELY:
        flags.append(make("limit_under_coordinated", number=kind.coordination))
    return tuple(flags)
