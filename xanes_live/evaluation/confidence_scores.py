"""Numbers by which confidence is judged: whether the band, the interval and the colour were right.

Pure functions of a table of judged spectra. Error bars come from a bootstrap over parents, since
distorted copies of a structure, or spectra of a compound, are not independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array, Confidence
from xanes_live.evaluation.judged import (
    Interval,
    Judged,
    Mask,
    interval,
    parent_weights,
    spread_of_share,
    strata,
)
from xanes_live.evaluation.scores import correlation

CLOSE = 0.05
"""A first-shell distance this near the known one should not be red, Å."""
NEAR = 2.6
"""Where the near radii of G2 end, Å: beyond, measured spectra have shown no skill."""
DRAWS = 400
"""Bootstrap draws."""
BINS, PER_BIN = 10, 40
"""Most bins of the reliability diagram, and how many spectra there should be for each."""
VERDICT = "verdict"
PEAK = "σ of the peak of G2"
"""What members disagree by without a head for the distance: the measure to be better than."""
FEWEST_WRONG = 3
"""Structures or compounds that have to be wrong, and right, before a ranking has error bars."""


@dataclass(frozen=True)
class Coverage:
    """How often the truth lies inside, in one stratum; shares with their 95 % intervals."""

    stratum: str
    spectra: int
    parents: int
    interval: float
    """Of the first-shell distance."""
    interval_95: Interval
    half_width: float
    """Median half-width of that interval, Å."""
    g2_spectra: int
    """Spectra whose G2 is known."""
    band: float
    """Of the band of G2 at all radii; NaN where no G2 is known."""
    band_95: Interval
    near: float
    """Of the band up to 2.6 Å."""
    near_95: Interval
    far: float
    """Beyond 2.6 Å."""
    far_95: Interval


def coverage(judged: Judged, *, draws: int = DRAWS, seed: int = 0) -> tuple[Coverage, ...]:
    """Return the coverage of interval and band in each stratum."""
    return tuple(
        _covered(name, judged.take(mask), draws, seed) for name, mask in strata(judged).items()
    )


def _covered(name: str, part: Judged, draws: int, seed: int) -> Coverage:
    inside = (part.truth >= part.low) & (part.truth <= part.high)
    weights = parent_weights(part.parent, draws, seed)
    near = part.radius <= NEAR
    bands = [_band(part, chosen, weights) for chosen in (near | True, near, ~near)]
    known = np.ones(len(part), dtype=np.float64)
    return Coverage(
        stratum=name,
        spectra=len(part),
        parents=len(np.unique(part.parent)),
        interval=float(inside.mean()) if len(part) else float("nan"),
        interval_95=spread_of_share(
            weights, inside.astype(np.float64), known, len(np.unique(part.parent))
        ),
        half_width=_median(0.5 * (part.high - part.low)),
        g2_spectra=int(np.isfinite(part.g2_error).any(axis=1).sum()),
        band=bands[0][0],
        band_95=bands[0][1],
        near=bands[1][0],
        near_95=bands[1][1],
        far=bands[2][0],
        far_95=bands[2][1],
    )


def _band(part: Judged, radii: Mask, weights: Array) -> tuple[float, Interval]:
    """Return the share of G2 values inside the band at some radii, with its interval."""
    error, half = np.abs(part.g2_error[:, radii]), part.g2_half_width[:, radii]
    known = np.isfinite(error)
    hits = (known & (error <= half)).sum(axis=1).astype(np.float64)
    count = known.sum(axis=1).astype(np.float64)
    if not count.sum():
        return float("nan"), (float("nan"), float("nan"))
    parents = len(np.unique(part.parent[count > 0]))
    share = float(hits.sum() / count.sum())
    return share, spread_of_share(weights, hits, count, parents)


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def auroc(score: Array, wrong: Mask, weight: Array | None = None) -> float:
    """Return the probability that a wrong prediction has the larger score.

    The area under the receiver operating characteristic: ties count half. NaN if all are wrong or
    none is, or where no score is known; unknown scores (NaN) are left out.

    Parameters
    ----------
    score
        Larger where a prediction is thought worse, shape (n,).
    wrong
        Which are, shape (n,).
    weight
        How often each counts, shape (n,).
    """
    weights = np.ones((1, len(score))) if weight is None else weight[None]
    return float(drawn_auroc(score, wrong, weights)[0])


def drawn_auroc(score: Array, wrong: Mask, weights: Array) -> Array:
    """Return :func:`auroc` for each row of `weights` (draws, n), sorting once; shape (draws,)."""
    known = np.isfinite(score)
    _, place = np.unique(score[known], return_inverse=True)
    size = int(place.max(initial=-1)) + 1
    bad, good = (weights[:, known] * mask[known] for mask in (wrong, ~wrong))
    result = np.full(len(weights), np.nan)
    for k, (b, g) in enumerate(zip(bad, good, strict=True)):
        if b.any() and g.any():
            right = np.bincount(place, g, minlength=size)
            below = (np.cumsum(right) - 0.5 * right)[place]
            result[k] = (b * below).sum() / (b.sum() * g.sum())
    return result


@dataclass(frozen=True)
class Ranking:
    """How well one score tells wrong from right."""

    name: str
    auroc: float
    auroc_95: Interval
    rank_correlation: float
    """Spearman's ρ with the error."""


def rankings(judged: Judged, *, draws: int = DRAWS, seed: int = 0) -> tuple[Ranking, ...]:
    """Return the ranking by the verdict, by each signal alone, by :data:`PEAK`."""
    weights = parent_weights(judged.parent, draws, seed)
    wrong, error = ~judged.right, judged.error
    if not enough(judged):
        weights = weights[:0]
    return tuple(
        Ranking(
            name,
            auroc(score, wrong),
            _varied(drawn_auroc(score, wrong, weights)),
            rank_correlation(score, error),
        )
        for name, score in _named(judged).items()
    )


def _named(judged: Judged) -> dict[str, Array]:
    """Return what errors may be told by, larger where worse, by name; each of shape (n,)."""
    signals = dict(zip(judged.signal_names, judged.signals.T, strict=True))
    return {VERDICT: 1.0 - judged.probability, **signals, PEAK: judged.peak_sigma}


def enough(judged: Judged) -> bool:
    """Return whether enough structures or compounds are wrong, and right, for error bars."""
    found = (judged.parent[~judged.right], judged.parent[judged.right])
    return all(len(np.unique(parents)) >= FEWEST_WRONG for parents in found)


def gain(
    judged: Judged, baseline: str, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, Interval]:
    """Return the AUROC of the verdict less that of one score alone, in the same draws.

    Parameters
    ----------
    judged
        Spectra.
    baseline
        Name of a signal, or :data:`PEAK`.
    draws, seed
        Of the bootstrap over parents.
    """
    wrong, weights = ~judged.right, parent_weights(judged.parent, draws, seed)
    named = _named(judged)
    both = (named[VERDICT], named[baseline])
    value = auroc(both[0], wrong) - auroc(both[1], wrong)
    if not enough(judged):
        weights = weights[:0]
    first, second = (drawn_auroc(score, wrong, weights) for score in both)
    return value, _varied(first - second)


def _varied(values: Array) -> Interval:
    """Return the 95 % interval; NaN where all draws agree, which says nothing about the next."""
    known = values[np.isfinite(values)]
    return interval(known if len(known) and np.ptp(known) > 1e-9 else known[:0])


def rank_correlation(a: Array, b: Array) -> float:
    """Return Spearman's ρ, ties sharing their mean rank; NaN if one of the two does not vary.

    Unknown values (NaN) are left out; an infinite one is the largest.
    """
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3 or len(np.unique(a[known])) < 2 or len(np.unique(b[known])) < 2:
        return float("nan")
    return float(np.corrcoef(_ranks(a[known]), _ranks(b[known]))[0, 1])


def band_against_error(judged: Judged) -> dict[str, float]:
    """Return how well the width of the band of G2 foretells how far off G2 is.

    Correlations of the mean squared half-width and the mean squared error of each spectrum: as they
    are, of their logarithms, and of their ranks. The first is that of a few very wrong spectra.
    """
    width, error = (judged.g2_half_width**2).mean(axis=1), (judged.g2_error**2).mean(axis=1)
    known = np.isfinite(width) & np.isfinite(error)
    width, error = width[known], error[known]
    return {
        "spectra": len(width),
        "correlation": correlation(width, error),
        "log_correlation": correlation(np.log(width + 1e-9), np.log(error + 1e-9)),
        "rank_correlation": rank_correlation(width, error),
    }


def _ranks(values: Array) -> Array:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - 0.5 * (count - 1))[place], dtype=np.float64)


@dataclass(frozen=True)
class Reliability:
    """Whether a probability of 0.8 is right eight times in ten."""

    edges: Array
    """Ends of each occupied bin, shape (b, 2)."""
    said: Array
    """Mean probability in each, shape (b,)."""
    found: Array
    """Share right in it, shape (b,)."""
    low: Array
    """2.5 % of the bootstrap, shape (b,)."""
    high: Array
    """97.5 %, shape (b,)."""
    count: NDArray[np.int64]
    """Spectra in it, shape (b,)."""
    brier: float
    """Mean squared difference of probability and outcome."""
    off: float
    """Mean |said − found| over spectra (expected calibration error)."""


def reliability(
    judged: Judged, bins: int | None = None, *, draws: int = DRAWS, seed: int = 0
) -> Reliability:
    """Return the reliability diagram of the verdict, bins of equal width.

    As many of them as the spectra allow unless said otherwise. Spectra without a probability (NaN)
    are left out.
    """
    judged = judged.take(np.isfinite(judged.probability))
    bins = bins or int(np.clip(len(judged) // PER_BIN, 3, BINS))
    p, right = judged.probability, judged.right.astype(np.float64)
    place = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    used = np.flatnonzero(count)
    said = np.bincount(place, p, minlength=bins)[used] / count[used]
    found = np.bincount(place, right, minlength=bins)[used] / count[used]
    weights = parent_weights(judged.parent, draws, seed)
    bars = [
        spread_of_share(
            weights, right * (place == b), (place == b).astype(np.float64),
            len(np.unique(judged.parent[place == b])),
        )
        for b in used
    ]  # fmt: skip
    return Reliability(
        np.stack([used, used + 1], axis=1) / bins,
        said, found, np.array([b[0] for b in bars]), np.array([b[1] for b in bars]), count[used],
        brier=float(np.mean((p - right) ** 2)) if len(p) else float("nan"),
        off=float(np.sum(count[used] * np.abs(said - found)) / max(len(p), 1)),
    )  # fmt: skip


def share_of_mistakes(judged: Judged) -> dict[str, float]:
    """Return how often a colour misleads.

    Returns
    -------
    dict
        ``green``, ``amber``, ``red``: share of each colour. ``green_but_wrong``: spectra green and
        off by more than 0.1 Å, as a share of all, ``green_wrong_of_green`` of the green ones.
        ``red_but_right``: red and within 0.05 Å, as a share of all, ``red_of_right`` of those
        within 0.05 Å. ``wrong_not_green``: of those off by more than 0.1 Å, the share that is not
        green. NaN where there is nothing to take a share of.
    """
    return {name: _share(hit, among) for name, (hit, among) in _mistakes(judged).items()}


def spread_of_mistakes(judged: Judged, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """Return the 95 % interval of each of :func:`share_of_mistakes`."""
    weights = parent_weights(judged.parent, draws, seed)
    found = {}
    for name, (hit, among) in _mistakes(judged).items():
        parents = len(np.unique(judged.parent[among]))
        hits = (hit & among).astype(np.float64)
        found[name] = spread_of_share(weights, hits, among.astype(np.float64), parents)
    return found


def _mistakes(judged: Judged) -> dict[str, tuple[Mask, Mask]]:
    """Return what is counted among what."""
    green, red = judged.colour == Confidence.GREEN, judged.colour == Confidence.RED
    wrong, close = ~judged.right, judged.error <= CLOSE
    everything = np.ones(len(judged), dtype=bool)
    return {
        **{str(c): (judged.colour == c, everything) for c in Confidence},
        "green_but_wrong": (green & wrong, everything),
        "green_wrong_of_green": (wrong, green),
        "red_but_right": (red & close, everything),
        "red_of_right": (red, close),
        "wrong_not_green": (~green, wrong),
    }


def _share(hit: Mask, among: Mask) -> float:
    return float(hit[among].mean()) if among.any() else float("nan")


def confidently_wrong(judged: Judged) -> NDArray[np.int64]:
    """Return which spectra are green and off by more than 0.1 Å, the worst first."""
    index = np.flatnonzero((judged.colour == Confidence.GREEN) & ~judged.right)
    return index[np.argsort(-judged.error[index], kind="stable")]
