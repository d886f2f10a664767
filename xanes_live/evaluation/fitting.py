"""What a model's band, interval and verdict are, given how it fares on spectra it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.assess import Calibration, g2_spread
from xanes_live.confidence.experience import KINDS
from xanes_live.confidence.limits import ordinary
from xanes_live.confidence.signals import BY_NAME, NAMES, SIZES, UNITS
from xanes_live.confidence.verdict import Verdict, fit_error, fit_probability, scaled
from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array
from xanes_live.ensemble.calibration import band, conformal_quantile
from xanes_live.evaluation.judged import parent_folds
from xanes_live.evaluation.unseen import COMPUTED, THEORY, Unseen

MEASURED_SHARE, SPOILED_SHARE = 0.05, 0.05
"""Weight of all measured and of all spoiled spectra in the fit, in units of that of computed. More
makes a verdict too sure: the measured ones are a few dozen well-behaved minerals."""
RIDGE, RIDGE_BESIDE = 1e-3, 0.1
"""Penalties on squared weights: as a rule, and of signals beside others that say themselves how
probable an error is. With the former for all, what signals say of spectra of one kind spoils what
those others know of another: unseen structures are then less likely to be judged rightly."""
WIDTH_SHARE = 0.6
"""The same of measured spectra in the fit of the expected error, which is less easily fooled."""
LEAST_HELD = 0.935
"""The interval of ordinary first shells holds for this share of computed spectra at least: the
measured compounds are too few to be believed alone."""
BAND_SHARE = 0.15
"""What σ lacks, as a share of G2; see :func:`fit_band`."""
BAND_HELD = 0.959
"""Share of computed G2 that the band is made to hold: with 95 % it would hold for 89 % of the
rarest kinds of first shell, so for 90 % of each."""
MEASURED_HELD = 0.91
"""Share of the G2 of left-out measured compounds that the band is widened to hold. More would widen
it for all spectra by what a few dozen show."""
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
        self.half_width[own] = verdict.half_width(signals, ordinary_of(part))
        self.blame[np.ix_(own, columns)] = verdict.blame(signals)
        bands = Calibration.from_mapping(calibration, part.g2_mean.shape[1])
        self.g2_half_width[own] = _half_width(bands, part)
        for name, most in calibration["limits"].items():
            column = NAMES.index(name)
            self.strange[own, column] = part.signals[:, column] > most


def fitted(unseen: Unseen, radius: Array) -> dict[str, Any]:
    """Return all a model is to store: its calibration, usual distances, reach of its skill."""
    usual = np.quantile(unseen.of(THEORY).distance, np.linspace(0.0, 1.0, 101))
    return {
        **calibration_of(unseen),
        "novelty": np.round(usual, 5).tolist(),
        **_skill(unseen, radius),
    }


def calibration_of(unseen: Unseen) -> dict[str, Any]:
    """Return band, verdict and limits of signals, fitted to unseen spectra."""
    return {
        **fit_band(unseen),
        "verdict": fit_verdict(unseen).as_mapping(),
        "limits": _limits(unseen.of(THEORY)),
    }


def ordinary_of(unseen: Unseen) -> NDArray[np.bool_]:
    """Return which first shells are neither soft nor carbon nor metal, shape (n,)."""
    return ordinary(dict(zip(KINDS, unseen.heads.T, strict=True)), len(unseen))


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


def fit_band(unseen: Unseen) -> dict[str, Any]:
    """Return the band of G2 (see :class:`.Calibration`), fitted to computed and measured spectra.

    The band goes by the error that experience expects. Where there is no experience it goes by the
    members' σ: the error of G2 grows with G2 more than σ does, so a share of G2 is added to it
    before the band is fitted to computed spectra. Theory with random errors of measurement is not
    yet a measurement: a factor for each of the radii then widens the band, nowhere narrows it,
    where it would hold for too few of the left-out measured compounds, each counting once.
    """
    theory, found = unseen.of(THEORY), unseen.of("measured")
    spread, how = theory.g2_expected, {"band_expected": True, "band_share": 0.0}
    if not np.isfinite(spread).all():
        spread = g2_spread(theory.g2_mean, theory.g2_sigma, BAND_SHARE)
        how = {"band_expected": False, "band_share": BAND_SHARE}
    fit = band(np.abs(theory.g2_mean - theory.g2_truth), spread, BAND_HELD) | how
    found = found.take(found.scored & np.isfinite(found.g2_truth).all(axis=1))
    wider = _wider(found, Calibration.from_mapping(fit, theory.g2_mean.shape[1]))
    factor, floor = np.array(fit["band_factor"]), np.array(fit["band_floor"])
    return fit | {
        "band_factor": np.round(factor * wider, 3).tolist(),
        "band_floor": np.round(floor * wider, 4).tolist(),
    }


def _wider(found: Unseen, fit: Calibration) -> Array:
    """Return by what to widen the band at each radius, ≥ 1, smooth over eleven radii, (n_g2,)."""
    if not len(found):
        return np.ones(found.g2_mean.shape[1])
    ratio = np.abs(found.g2_mean - found.g2_truth) / _half_width(fit, found)
    weight = by_group(found.parent)
    worst = [weighted_quantile(column, weight, MEASURED_HELD) for column in ratio.T]
    smooth = np.array([np.mean(worst[max(0, k - 5) : k + 6]) for k in range(len(worst))])
    return np.asarray(np.maximum(1.0, smooth))


def _half_width(bands: Calibration, unseen: Unseen) -> Array:
    """Return the half-width of the band of G2, shape (n, n_g2)."""
    return bands.half_width(unseen.g2_mean, unseen.g2_sigma, unseen.g2_expected)


def by_group(group: NDArray[np.str_]) -> Array:
    """Return weights by which each group counts as one, shape (n,)."""
    _, which, count = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / count[which])


def weighted_quantile(values: Array, weight: Array, level: float = 0.95) -> float:
    """Return the least value not exceeded by a share `level` of the weight."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    place = min(int(np.searchsorted(share, level)), len(values) - 1)
    return float(values[order][place])


def conformal_by_group(scores: Array, group: NDArray[np.str_], level: float = 0.95) -> float:
    """Return the value that one more group's scores do not exceed with probability ≥ `level`.

    The conformal quantile where each group counts as one; as there, the one to come counts as
    worse than all, and the largest is returned if there are too few groups.
    """
    weight = np.append(by_group(group), 1.0)
    return weighted_quantile(np.append(scores, scores.max()), weight, level)


def weights_of(unseen: Unseen, measured: float = MEASURED_SHARE) -> Array:
    """Return how much each spectrum counts in a fit, shape (n,); see :func:`balance`."""
    kind = np.array([source.partition(":")[0] for source in unseen.source.tolist()])
    usable = unseen.scored & np.isfinite(unseen.error)
    return balance(kind, unseen.parent, usable, measured)


def balance(
    source: NDArray[np.str_],
    parent: NDArray[np.str_],
    usable: NDArray[np.bool_],
    measured: float = MEASURED_SHARE,
) -> Array:
    """Return how much each spectrum counts in a fit, shape (n,).

    Computed ones count alike, measured ones and spoiled ones have a share of their own in which
    compounds count alike; what is not usable does not count.
    """
    weight = np.zeros(len(source))
    computed = np.isin(source, COMPUTED)
    weight[computed] = 1.0
    total = max(float(computed.sum()), 1.0)
    for kind, share in (("measured", measured), ("spoiled", SPOILED_SHARE)):
        chosen = (source == kind) & usable
        each = by_group(parent[chosen])
        weight[chosen] = share * total / max(each.sum(), 1.0) * each
    return np.where(usable, weight, 0.0)


def ridges(names: Sequence[str]) -> Array:
    """Return the penalty on the squared weight of each signal at each size, in one row."""
    learnt = np.array([BY_NAME[name].learnt for name in names], dtype=bool)
    beside = learnt.any() & ~learnt
    return np.repeat(np.where(beside, RIDGE_BESIDE, RIDGE), len(SIZES))


def fit_verdict(unseen: Unseen) -> Verdict:
    """Fit probability and interval to unseen spectra."""
    used = np.isfinite(unseen.signals).any(axis=0)
    weight = weights_of(unseen)
    usable = weight > 0
    part, weight = unseen.take(usable), weight[usable]
    x = scaled(part.signals[:, used], UNITS[used])
    error = np.abs(part.error)
    right = np.asarray(error <= RIGHT, dtype=np.float64)
    names = tuple(np.array(NAMES)[used])
    weights, intercept = fit_probability(x, right, weight, ridges(names))
    widths, base = fit_error(x, error, weights_of(unseen, WIDTH_SHARE)[usable])
    shape = UNITS[used].shape
    raw = Verdict(
        names=names, units=UNITS[used], weights=weights.reshape(shape),
        intercept=intercept, widths=widths.reshape(shape), base=base, quantile=1.0,
    )  # fmt: skip
    quantile, own = _quantiles(part, error / raw.expected_error(part.signals[:, used]))
    return replace(raw, quantile=quantile, quantile_ordinary=own)


def _quantiles(part: Unseen, ratio: Array) -> tuple[float, float | None]:
    """Return half-widths in units of the expected error: of any first shell, of ordinary ones.

    The interval is a statement about measured spectra. Where enough compounds of known structure
    are like it, they say how wide it must be, as long as it holds for most computed spectra;
    elsewhere theory with realistic errors of measurement must do, and nothing measured may
    contradict it.
    """
    theory, found = part.source == THEORY, part.source == "measured"
    any_kind = [conformal_quantile(ratio[theory])]
    if found.any():
        any_kind.append(weighted_quantile(ratio[found], by_group(part.parent[found])))
    alike = ordinary_of(part)
    found, theory = found & alike, theory & alike
    if len(np.unique(part.parent[found])) < LEAST_COMPOUNDS:
        return float(np.nanmax(any_kind)), None
    own = [conformal_by_group(ratio[found], part.parent[found])]
    own.append(conformal_quantile(ratio[theory], LEAST_HELD))
    return float(np.nanmax(any_kind)), float(np.nanmax(own))


def cross_fitted(unseen: Unseen, n_folds: int = 5, seed: int = 0) -> CrossFitted:
    """Judge every spectrum by what was fitted without its structure or compound."""
    fold = parent_folds(unseen.parent, n_folds, seed)
    found = CrossFitted.empty(*unseen.g2_mean.shape)
    for k in range(n_folds):
        own = fold == k
        found.put(own, unseen.take(own), calibration_of(unseen.take(~own)))
    return found
