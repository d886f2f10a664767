"""What a model's band, interval and verdict are, given how it fares on spectra it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.signals import NAMES, UNITS
from xanes_live.confidence.verdict import RIGHT, Verdict, fit_error, fit_probability, scaled
from xanes_live.domain import Array
from xanes_live.ensemble.calibration import band, conformal_quantile
from xanes_live.evaluation.unseen import Unseen

MEASURED_SHARE, SPOILED_SHARE = 0.5, 0.25
"""Weight of all measured and of all spoiled spectra in the fit, in units of that of theory."""
LEAST_COMPOUNDS = 5
"""Fewer measured compounds say nothing about how far G2 can be trusted."""
WORTH = 0.8
"""Squared error, in units of that of always saying the mean, from which a prediction is worth
nothing."""


@dataclass(frozen=True)
class CrossFitted:
    """What verdicts say of spectra they were not fitted to."""

    probability: Array
    half_width: Array
    """Å."""


def fitted(unseen: Unseen, radius: Array) -> dict[str, Any]:
    """Return the calibration a model is to store: band, verdict, usual distances."""
    theory = unseen.of("theory")
    error = np.abs(theory.g2_mean - theory.g2_truth)
    usual = np.quantile(theory.distance, np.linspace(0.0, 1.0, 101))
    return {
        **measured_too(band(error, theory.g2_sigma), unseen),
        "verdict": fit_verdict(unseen).as_mapping(),
        "novelty": np.round(usual, 5).tolist(),
        "limits": _limits(theory),
        **_skill(unseen, radius),
    }


def _limits(theory: Unseen) -> dict[str, float]:
    """Return sizes of signals that hardly any unseen computed spectrum exceeds."""
    score = theory.signals[:, NAMES.index("cyclic")]
    found = {"novelty": float(np.max(theory.distance))}
    if np.isfinite(score).any():
        found["cyclic"] = float(np.nanquantile(score, 0.99))
    return {name: round(value, 4) for name, value in found.items()}


def _skill(unseen: Unseen, radius: Array) -> dict[str, float]:
    """Return how far G2 of measured spectra is predicted better than by the mean, if known.

    The mean is that of the other compounds; radii are taken 0.5 Å at a time from the first shell
    on, and the reach ends where the squared error is no longer below 0.8 of the mean's.
    """
    found = unseen.of("measured")
    found = found.take(found.scored & np.isfinite(found.g2_truth).all(axis=1))
    if len(np.unique(found.parent)) < LEAST_COMPOUNDS:
        return {}
    ratio = skill(found)
    reach = float(radius[0])
    for start in np.arange(1.6, radius[-1], 0.1):
        window = (radius >= start) & (radius < start + 0.5)
        if not window.any() or ratio[0][window].sum() > WORTH * ratio[1][window].sum():
            break
        reach = float(start + 0.25)
    return {"skill_to": round(reach, 2)}


def skill(found: Unseen) -> tuple[Array, Array]:
    """Return the squared error of G2 and that of the other compounds' mean, each (n_g2,).

    Compounds count alike.
    """
    names, which, count = np.unique(found.parent, return_inverse=True, return_counts=True)
    weight = 1.0 / count[which]
    truth = np.array([found.g2_truth[which == k].mean(axis=0) for k in range(len(names))])
    others = (truth.sum(axis=0) - truth) / (len(names) - 1)
    own = (weight[:, None] * (found.g2_mean - found.g2_truth) ** 2).sum(axis=0)
    mean = (weight[:, None] * (others[which] - found.g2_truth) ** 2).sum(axis=0)
    return own, mean


def measured_too(calibration: dict[str, list[float]], unseen: Unseen) -> dict[str, list[float]]:
    """Widen the band of G2 where measured spectra of known structure ask for it.

    Theory with random errors of measurement is not yet a measurement. One factor for each of the
    radii below and beyond 2.6 Å … is found so that 95 % of the values of left-out compounds lie
    inside, each compound counting once.
    """
    found = unseen.of("measured")
    found = found.take(found.scored & np.isfinite(found.g2_truth).all(axis=1))
    if not len(found):
        return calibration
    factor, floor = np.array(calibration["band_factor"]), np.array(calibration["band_floor"])
    half = np.maximum(factor * found.g2_sigma, floor)
    ratio = np.abs(found.g2_mean - found.g2_truth) / half
    worst = np.array([_weighted(column, found.parent) for column in ratio.T])
    smooth = np.array([worst[max(0, k - 5) : k + 6].mean() for k in range(len(worst))])
    wider = np.maximum(1.0, smooth)
    return {
        "band_factor": np.round(factor * wider, 3).tolist(),
        "band_floor": np.round(floor * wider, 4).tolist(),
    }


def _weighted(values: Array, group: NDArray[np.str_], level: float = 0.95) -> float:
    """Return the quantile of values, each group counting as one."""
    _, which, count = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(values)
    share = np.cumsum((1.0 / count[which])[order]) / len(count)
    place = min(int(np.searchsorted(share, level)), len(values) - 1)
    return float(values[order][place])


def weights_of(unseen: Unseen) -> Array:
    """Return how much each spectrum counts in a fit; compounds count alike, shape (n,)."""
    weight = np.zeros(len(unseen))
    theory = unseen.source == "theory"
    weight[theory] = 1.0
    total = max(float(theory.sum()), 1.0)
    spoiled = np.char.startswith(unseen.source, "spoiled")
    for mask, share in ((unseen.source == "measured", MEASURED_SHARE), (spoiled, SPOILED_SHARE)):
        chosen = mask & unseen.scored
        _, which, count = np.unique(unseen.parent[chosen], return_inverse=True, return_counts=True)
        weight[chosen] = share * total / max(len(count), 1) / count[which]
    return np.where(np.isfinite(unseen.error), weight, 0.0)


def fit_verdict(unseen: Unseen) -> Verdict:
    """Fit probability and interval to unseen spectra."""
    used = np.isfinite(unseen.signals).any(axis=0)
    weight = weights_of(unseen)
    part = unseen.take(weight > 0)
    weight = weight[weight > 0]
    x = scaled(part.signals[:, used], UNITS[used])
    error = np.abs(part.error)
    right = np.asarray(error <= RIGHT, dtype=np.float64)
    weights, intercept = fit_probability(x, right, weight)
    widths, base = fit_error(x, error, weight)
    raw = Verdict(
        names=tuple(np.array(NAMES)[used]), units=UNITS[used], weights=weights,
        intercept=intercept, widths=widths, base=base, quantile=1.0,
    )  # fmt: skip
    ratio = error / raw.expected_error(part.signals[:, used])
    theory = part.source == "theory"
    quantiles = [conformal_quantile(ratio[theory])]
    if (part.source == "measured").any():
        own = part.source == "measured"
        quantiles.append(_weighted(ratio[own], part.parent[own]))
    return Verdict(
        names=raw.names, units=raw.units, weights=weights, intercept=intercept, widths=widths,
        base=base, quantile=float(np.nanmax(quantiles)),
    )  # fmt: skip


def cross_fitted(unseen: Unseen, n_folds: int = 5, seed: int = 0) -> CrossFitted:
    """Judge every spectrum by a verdict fitted without its structure or compound."""
    parents, which = np.unique(unseen.parent, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(parents))[which] % n_folds
    chance, half = np.full(len(unseen), np.nan), np.full(len(unseen), np.nan)
    for k in range(n_folds):
        verdict = fit_verdict(unseen.take(fold != k))
        columns = [NAMES.index(name) for name in verdict.names]
        signals = unseen.signals[fold == k][:, columns]
        chance[fold == k] = verdict.probability(signals)
        half[fold == k] = verdict.half_width(signals)
    return CrossFitted(chance, half)
