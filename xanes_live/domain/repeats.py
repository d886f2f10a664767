"""What the repeats of a sample say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xanes_live.domain.predicted import FirstShell
from xanes_live.domain.words import Array, Confidence, Flag

REPEATABLE = 0.004
"""Scatter of one repeat beyond its counting noise, edge steps: scale and slope of normalisation."""
SHARED = 0.6
"""Root-mean-square over the XANES of what an error of the edge step does to a spectrum, relative to
it: measured spectra were given noise, normalised and compared."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A change that goes on in one direction over the repeats of a sample."""

    measure: str
    """What drifts, in words: 'the edge position'."""
    unit: str
    change: float
    """By how much from the first repeat to the last, in `unit`."""
    chance: float
    """Probability of a drift as large in repeats that do not drift."""
    keep: int
    """How many repeats, from the first, have not drifted enough to do harm; those that were left
    out beforehand are counted."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A repeat that does not agree with the others."""

    position: int
    """Which one, counted from 0 in the order they were taken."""
    times: float
    """Its distance from the others in units of what is usual among them."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One spectrum among the repeats of a sample."""

    uid: str
    scan_id: int | None
    index: int
    """Which sweep of the run."""
    used: bool = True
    """Whether it is part of the merge."""
    why: str = ""
    """Why it is not: 'short', 'coarse', 'odd', 'drift', or 'two' that do not agree."""


@dataclass(frozen=True, slots=True)
class MergedRepeats:
    """The mean of the repeats that agree, and what the ensemble says of it."""

    energy: Array
    """eV, shape (n_points,)."""
    mu: Array
    """Mean of normalised μ, shape (n_points,)."""
    sigma: Array
    """Standard error of the mean, edge steps, shape (n_points,)."""
    count: int
    """How many were merged."""
    first_shell: FirstShell | None = None
    """Its 95 % interval has the noise of the merge in it."""
    noise: float | None = None
    """Standard deviation of the first-shell distance by the noise of the merge, Å."""
    probability: float | None = None
    """Probability that the distance is right within 0.1 Å; None for a model without a verdict."""
    confidence: Confidence | None = None
    """By the thresholds of the configuration, and no better than a warning allows."""
    flag_codes: tuple[str, ...] = ()
    """What keeps it from being green."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the repeats of a sample taken so far say together."""

    of: tuple[Repeat, ...]
    """In the order they were taken; the present run's last."""
    drift: Drift | None
    outlier: Outlier | None
    """The present run's if it has one, else the worst; further ones are not `used` either."""
    merged: MergedRepeats | None
    """None where there are but two and they do not agree."""
    one_more_narrows_by: float | None
    """By how much another repeat would narrow the half-width of the interval of the merge, Å."""
    advice: str = ""
    """The same in a sentence."""
    flags: tuple[Flag, ...] = ()
    """What all sweeps of the present run are flagged with."""
    own: Mapping[int, Flag] = field(default_factory=dict)
    """What single sweeps of the present run are flagged with, by their index."""
    from_first: bool = True
    """Whether `of` begins with the first of the series; else it has outgrown what is compared."""
