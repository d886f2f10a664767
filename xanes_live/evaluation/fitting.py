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

MEASURED_SHARE, SPOILED_SHARE = 0.05, 0.05
"""Weight of all measured and of all spoiled spectra in the fit, in units of that of theory. More
makes a verdict too sure: the measured ones are a few dozen well-behaved minerals."""
NEAR = 2.6
"""Where the first shell ends and the next begins, Å."""
LEAST_COMPOUNDS = 5
"""Fewer measured compounds say nothing about how far G2 can be trusted."""
WORTH = 0.8
"""Squared error, in units of that of always saying the mean, from which a prediction is worth
nothing."""


@dataclass(frozen=True)
class CrossFitted:
    """What is said of spectra by a calibration not fitted to them."""

    probability: Array
    """Of the first shell being right, shape (n,)."""
    half_width: Array
    """Of its 95 % interval, Å, shape (n,)."""
    blame: Array
    """Log-odds each signal costs, shape (n, len(NAMES))."""
    g2_half_width: Array
    """Of the 95 % band of G2, shape (n, n_g2)."""
    strange: NDArray[np.bool_]
    """Signals beyond what unseen computed spectra show, shape (n, len(NAMES))."""

    @classmethod
    def empty(cls, n: int, n_g2: int) -> CrossFitted:
        """Return a table to be filled."""
        k = len(NAMES)
        return cls(
            np.full(n, np.nan), np.full(n, np.nan), np.zeros((n, k)), np.full((n, n_g2), np.nan),
            np.zeros((n, k), dtype=bool),
        )  # fmt: skip

    def put(self, own: NDArray[np.bool_], part: Unseen, calibration: dict[str, Any]) -> None:
        """Fill the rows of some spectra as a live scan would be judged."""
        verdict = Verdict.from_mapping(calibration["verdict"])
        columns = np.array([NAMES.index(name) for name in verdict.names])
        signals = part.signals[:, columns]
        self.probability[own] = verdict.probability(signals)
        self.half_width[own] = verdict.half_width(signals)
        self.blame[np.ix_(own, columns)] = verdict.weights * scaled(signals, verdict.units)
        factor, floor = (np.array(calibration[f"band_{k}"]) for k in ("factor", "floor"))
        self.g2_half_width[own] = np.maximum(factor * part.g2_sigma, floor)
        for name, most in calibration["limits"].items():
            column = NAMES.index(name)
            self.strange[own, column] = part.signals[:, column] > most


def fitted(unseen: Unseen, radius: Array) -> dict[str, Any]:
    """Return all a model is to store: its calibration, usual distances, reach of its skill."""
    usual = np.quantile(unseen.of("theory").distance, np.linspace(0.0, 1.0, 101))
    return {
        **calibration_of(unseen),
        "novelty": np.round(usual, 5).tolist(),
        **_skill(unseen, radius),
    }


def calibration_of(unseen: Unseen) -> dict[str, Any]:
    """Return band, verdict and limits of signals, fitted to unseen spectra."""
    theory = unseen.of("theory")
    error = np.abs(theory.g2_mean - theory.g2_truth)
    return {
        **measured_too(band(error, theory.g2_sigma), unseen),
        "verdict": fit_verdict(unseen).as_mapping(),
        "limits": _limits(theory),
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

    The mean is that of the other compounds. The first shell, up to 2.6 Å, is judged as a whole,
    and from there on half an ångström at a time; the reach ends where the squared error is no
    longer below 0.8 of the mean's.
    """
    found = unseen.of("measured")
    found = found.take(found.scored & np.isfinite(found.g2_truth).all(axis=1))
    if len(np.unique(found.parent)) < LEAST_COMPOUNDS:
        return {}
    own, mean = skill(found)
    reach = 0.0
    for start, stop in ((0.0, NEAR), *((k, k + 0.5) for k in np.arange(NEAR, radius[-1], 0.5))):
        window = (radius >= start) & (radius < stop)
        if not window.any() or own[window].sum() > WORTH * mean[window].sum():
            break
        reach = float(stop)
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
    """Return how much each spectrum counts in a fit, shape (n,); see :func:`balance`."""
    kind = np.array([source.partition(":")[0] for source in unseen.source.tolist()])
    return balance(kind, unseen.parent, unseen.scored & np.isfinite(unseen.error))


def balance(source: NDArray[np.str_], parent: NDArray[np.str_], usable: NDArray[np.bool_]) -> Array:
    """Return how much each spectrum counts in a fit, shape (n,).

    Computed ones count alike, measured ones and spoiled ones have a share of their own in which
    compounds count alike; what is not usable does not count.
    """
    weight = np.zeros(len(source))
    theory = source == "theory"
    weight[theory] = 1.0
    total = max(float(theory.sum()), 1.0)
    for kind, share in (("measured", MEASURED_SHARE), ("spoiled", SPOILED_SHARE)):
        chosen = (source == kind) & usable
        _, which, count = np.unique(parent[chosen], return_inverse=True, return_counts=True)
        weight[chosen] = share * total / max(len(count), 1) / count[which]
    return np.where(usable, weight, 0.0)


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
    """Judge every spectrum by what was fitted without its structure or compound."""
    parents, which = np.unique(unseen.parent, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(parents))[which] % n_folds
    found = CrossFitted.empty(*unseen.g2_mean.shape)
    for k in range(n_folds):
        own = fold == k
        found.put(own, unseen.take(own), calibration_of(unseen.take(~own)))
    return found
