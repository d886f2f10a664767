"""Whether a scan holds the configured ranges of the normalisation.

A range is configured once for a beamline, scans are of any length. What is left of a range that the
data hardly reach fixes no baseline: a line through two points is extrapolated to anything.
"""

from __future__ import annotations

import numpy as np

from xanes_live.config import ReductionConfig
from xanes_live.domain import Array, Flag
from xanes_live.flags import make
from xanes_live.reduction.background import ranges

_SETTINGS = {"pre-edge": ("pre1", "pre2"), "post-edge": ("norm1", "norm2")}
_FEWEST = 3
"""Points without which what is left of a range is not used."""
_FEWEST_WHOLE = 2
"""The same of a range that the data cover from end to end: larch fits a constant to two points."""
_WIDTH = 0.25
"""Least width of what is left of a range, relative to how far from the edge it reaches."""


def not_held(energy: Array, e0: float, config: ReductionConfig) -> tuple[str, ...]:
    """Return which configured ranges, 'pre-edge' and 'post-edge', a scan holds too little of.

    Parameters
    ----------
    energy
        eV, shape (n_points,), increasing.
    e0
        Edge energy, eV.
    config
        `pre1` to `norm2`; larch's defaults always lie within the data.
    """
    asked = {which: [getattr(config, n) for n in names] for which, names in _SETTINGS.items()}
    if not any(value is not None for pair in asked.values() for value in pair):
        return ()
    used = ranges(energy, e0, *asked["pre-edge"], *asked["post-edge"])
    spans = {"pre-edge": (used.pre1, used.pre2), "post-edge": (used.norm1, used.norm2)}
    return tuple(
        which for which, pair in asked.items() if not _holds(energy - e0, pair, spans[which])
    )


def _holds(x: Array, asked: list[float | None], span: tuple[float, float]) -> bool:
    """Whether the data hold enough of `span`, which larch makes of what is `asked` for."""
    given = [value for value in asked if value is not None]
    if not given:
        return True
    first, last = float(x[0]), float(x[-1])
    low, high = max(span[0], first), min(span[1], last)
    count = int(np.count_nonzero((x >= low) & (x <= high)))
    if len(given) == len(asked) and first <= min(given) and max(given) <= last:
        return count >= _FEWEST_WHOLE
    return count >= _FEWEST and high - low >= _WIDTH * max(abs(low), abs(high))


def without(config: ReductionConfig, missing: tuple[str, ...]) -> ReductionConfig:
    """Return the configuration with larch's defaults for the ranges `missing`."""
    names = [name for which in missing for name in _SETTINGS[which]]
    return config.model_copy(update=dict.fromkeys(names)) if names else config


def replaced_flags(
    missing: tuple[str, ...], config: ReductionConfig, used: dict[str, float]
) -> tuple[Flag, ...]:
    """Return a flag for each of the ranges `missing`; `used` are the ranges fitted, eV from e0."""
    return tuple(_replaced(which, config, used) for which in missing)


def _replaced(which: str, config: ReductionConfig, used: dict[str, float]) -> Flag:
    low, high = _SETTINGS[which]
    settings = ((name, getattr(config, name)) for name in (low, high))
    asked = ", ".join(f"{name} = {value:g}" for name, value in settings if value is not None)
    return make("range_replaced", which=which, asked=asked, low=used[low], high=used[high])
