"""Spectra of known structure with what was said of them, the groups they fall into, error bars."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array
from xanes_live.evaluation.unseen import COMPUTED, MEASURED

FEWEST = 5
"""Structures or compounds a stratum needs to be listed."""
SOURCES = (*COMPUTED, MEASURED, "spoiled")
"""In the order they are reported."""

Z95 = 1.96
Mask = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Judged:
    """Spectra of known structure with what was said of them; all arrays share the first axis."""

    id: NDArray[np.str_]
    parent: NDArray[np.str_]
    """Structure or compound: what must never be split, shape (n,)."""
    source: NDArray[np.str_]
    """'theory', 'exact', 'measured' or 'spoiled', shape (n,)."""
    detail: NDArray[np.str_]
    """How a spoiled one was spoiled, shape (n,); '' for others."""
    scored: Mask
    """Whether the known distance is trusted enough to score against, shape (n,)."""
    first_shell_element: NDArray[np.str_]
    """Commonest element of the first shell, shape (n,); '' where unknown."""
    coordination: Array
    """Neighbours in the first shell, shape (n,); NaN where unknown."""
    truth: Array
    """Known first-shell distance, Å, shape (n,)."""
    predicted: Array
    """Predicted one, shape (n,); NaN where there is none, which counts as wrong."""
    low: Array
    """Lower end of its 95 % interval, Å, shape (n,)."""
    high: Array
    """Upper end, Å, shape (n,)."""
    probability: Array
    """Of being right within 0.1 Å, shape (n,)."""
    colour: NDArray[np.str_]
    """'green', 'amber' or 'red', shape (n,)."""
    flags: tuple[tuple[str, ...], ...]
    """Codes of the flags of each, most important first."""
    signals: Array
    """What the verdict was made from, shape (n, k)."""
    signal_names: tuple[str, ...]
    peak_sigma: Array
    """σ of the members' first peaks of G2, Å, shape (n,)."""
    radius: Array
    """Centres of the G2 functions, Å, shape (n_g2,)."""
    g2_error: Array
    """Predicted − known G2, shape (n, n_g2); NaN where unknown."""
    g2_half_width: Array
    """Half-width of its 95 % band, shape (n, n_g2)."""

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.id)

    def __post_init__(self) -> None:
        """Refuse columns of different lengths; ValueError."""
        shared = {f.name for f in fields(self)} - {"signal_names", "radius"}
        wrong = [name for name in sorted(shared) if len(getattr(self, name)) != len(self)]
        if wrong:
            raise ValueError(f"not {len(self)} long: {', '.join(wrong)}")

    @property
    def error(self) -> Array:
        """|predicted − known|, Å, shape (n,); infinite without a prediction."""
        size = np.abs(self.predicted - self.truth)
        return np.where(np.isfinite(size), size, np.inf)

    @property
    def right(self) -> Mask:
        """Which first-shell distances are within 0.1 Å, shape (n,)."""
        return self.error <= RIGHT

    def take(self, chosen: Mask | NDArray[np.int64]) -> Judged:
        """Return the spectra selected by a mask or by indices."""
        index = np.arange(len(self))[chosen]
        kept = {
            f.name: getattr(self, f.name)[index]
            for f in fields(self)
            if f.name not in {"flags", "signal_names", "radius"}
        }
        return replace(self, **kept, flags=tuple(self.flags[i] for i in index))


def by_source(judged: Judged) -> dict[str, Judged]:
    """Return the scored spectra of each source there is, in the order of :data:`SOURCES`."""
    known = [s for s in SOURCES if (judged.scored & (judged.source == s)).any()]
    return {s: judged.take(judged.scored & (judged.source == s)) for s in known}


def strata(judged: Judged) -> dict[str, Mask]:
    """Return the groups coverage is looked at in: all, by ligand, coordination, way of spoiling.

    Distorted copies of one structure are no stratum: at least :data:`FEWEST` parents are needed.
    """
    found = {"all": np.ones(len(judged), dtype=bool)}
    for detail in sorted(set(judged.detail.tolist()) - {""}):
        found[detail] = judged.detail == detail
    for element in sorted(set(judged.first_shell_element.tolist()) - {""}):
        found[f"first shell {element}"] = judged.first_shell_element == element
    number = judged.coordination
    for name, low, high in (("≤ 3", 0, 3), ("4", 4, 4), ("5", 5, 5), ("6", 6, 6), ("≥ 7", 7, 99)):
        found[f"coordination {name}"] = (number >= low) & (number <= high)
    return {
        name: mask
        for name, mask in found.items()
        if name == "all" or len(np.unique(judged.parent[mask])) >= FEWEST
    }


def parent_folds(parent: NDArray[np.str_], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (0 … n_folds − 1) in which each spectrum is judged, whole parents together.

    Parameters
    ----------
    parent
        Structure or compound of each spectrum, shape (n,).
    n_folds, seed
        How many folds, and which parents are in which.
    """
    names, which = np.unique(parent, return_inverse=True)
    fold: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(names))[which] % n_folds
    return fold


def parent_weights(parent: NDArray[np.str_], draws: int, seed: int) -> Array:
    """Return how often each spectrum is in each bootstrap draw of parents, (draws, n)."""
    if not len(parent):
        return np.empty((draws, 0))
    names, which = np.unique(parent, return_inverse=True)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=draws)
    return np.asarray(times[:, which], dtype=np.float64)


def spread_of_share(weights: Array, hits: Array, count: Array, parents: int) -> Interval:
    """Return the 95 % interval of Σ hits / Σ count over the draws.

    Where all are hits, or none is, every draw says the same; the interval is then Wilson's (*J. Am.
    Stat. Assoc.* 22, 209 (1927)) for as many trials as there are parents.
    """
    if parents and hits.sum() in {0.0, count.sum()}:
        reach = Z95**2 / (parents + Z95**2)
        return (1.0 - reach, 1.0) if hits.sum() else (0.0, reach)
    total = weights @ count
    values = (weights @ hits)[total > 0] / total[total > 0]
    return interval(values)


def interval(values: Array) -> Interval:
    """Return the 95 % interval of bootstrap values; NaN where none is known."""
    values = values[np.isfinite(values)]
    if not len(values):
        return (float("nan"), float("nan"))
    low, high = np.percentile(values, (2.5, 97.5))
    return (float(low), float(high))
