"""What each signal adds to the verdict: fitted again without it, and with it alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from xanes_live.confidence.signals import BY_NAME
from xanes_live.confidence.verdict import fit_probability, scaled
from xanes_live.domain import Array
from xanes_live.evaluation.confidence_scores import DRAWS, auroc, drawn_auroc
from xanes_live.evaluation.fitting import balance, ridges
from xanes_live.evaluation.judged import (
    Interval,
    Judged,
    Mask,
    interval,
    parent_folds,
    parent_weights,
)

Fit = Callable[[Judged], Callable[[Array], Array]]
"""Given spectra with some of the signals, by name, returns what gives the probability of being
right for the same signals (m, k) of others."""

FOLDS = 5
"""Folds over parents."""


@dataclass(frozen=True)
class Without:
    """One line of the ablation."""

    signal: str
    auroc: float
    """Of the verdict fitted without it."""
    loss: float
    """AUROC lost by leaving it out."""
    loss_95: Interval
    alone: float
    """AUROC of the verdict fitted with it alone."""


@dataclass(frozen=True)
class Ablation:
    """What the signals are worth on some of the spectra."""

    auroc: float
    """With all signals."""
    without: tuple[Without, ...]
    """One line for each signal, the most missed first."""


def verdict_again(part: Judged) -> Callable[[Array], Array]:
    """Fit the verdict itself to some spectra, by the signals they still have."""
    units = np.stack([BY_NAME[name].sizes for name in part.signal_names])
    weight = balance(part.source, part.parent, part.scored & np.isfinite(part.error))
    right = part.right.astype(np.float64)
    x, ridge = scaled(part.signals, units), ridges(part.signal_names)
    weights, intercept = fit_probability(x, right, weight, ridge)
    return lambda signals: np.asarray(expit(intercept - scaled(signals, units) @ weights))


def ablation(
    judged: Judged,
    groups: Mapping[str, Mask],
    fit: Fit = verdict_again,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Ablation]:
    """Fit the verdict with and without each signal, cross-validated over parents.

    Parameters
    ----------
    judged
        Spectra to fit on, all sources together as in calibration.
    groups
        Which of them to score on, by name; each needs right and wrong ones.
    fit
        How a verdict is fitted.
    draws, seed
        Of the bootstrap over parents.
    """
    everything = np.ones(len(judged.signal_names), dtype=bool)
    whole = cross_fitted(judged, fit, everything)
    said = {}
    for k, name in enumerate(judged.signal_names):
        own = np.arange(len(everything)) == k
        said[name] = (cross_fitted(judged, fit, ~own), cross_fitted(judged, fit, own))
    return {
        group: _scored(judged, mask, whole, said, draws, seed) for group, mask in groups.items()
    }


def _scored(
    judged: Judged,
    mask: Mask,
    whole: Array,
    said: Mapping[str, tuple[Array, Array]],
    draws: int,
    seed: int,
) -> Ablation:
    wrong, weights = ~judged.right[mask], parent_weights(judged.parent[mask], draws, seed)
    full, drawn = auroc(-whole[mask], wrong), drawn_auroc(-whole[mask], wrong, weights)
    lines = []
    for name, (rest, alone) in said.items():
        lost = drawn - drawn_auroc(-rest[mask], wrong, weights)
        left = auroc(-rest[mask], wrong)
        line = Without(name, left, full - left, interval(lost), auroc(-alone[mask], wrong))
        lines.append(line)
    return Ablation(full, tuple(sorted(lines, key=lambda line: -line.loss)))


def cross_fitted(judged: Judged, fit: Fit, chosen: NDArray[np.bool_]) -> Array:
    """Return each spectrum's probability by a fit to the other folds of parents, shape (n,).

    With no signal chosen, or none that any fold gives weight, it is the same for all: folds differ
    in how many are right, which would rank those of a fold below the others for being right.
    """
    if not chosen.any() or not len(judged):
        return np.zeros(len(judged))
    fold = parent_folds(judged.parent, FOLDS, 0)
    part = with_signals(judged, chosen)
    said = np.empty(len(judged))
    for k in np.unique(fold):
        own = fold == k
        rest = ~own if (~own).any() else own
        said[own] = fit(part.take(rest))(part.signals[own])
    silent = all(np.ptp(said[fold == k]) == 0.0 for k in np.unique(fold))
    return np.zeros(len(judged)) if silent else said


def with_signals(judged: Judged, chosen: NDArray[np.bool_]) -> Judged:
    """Return the table with some of the signals only."""
    names = tuple(n for n, c in zip(judged.signal_names, chosen, strict=True) if c)
    return replace(judged, signals=judged.signals[:, chosen], signal_names=names)
