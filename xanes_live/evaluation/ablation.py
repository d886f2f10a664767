"""What each signal adds to the verdict: fitted again without it, and with it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from xanes_live.domain import Array
from xanes_live.evaluation.confidence_scores import DRAWS, auroc, drawn_auroc
from xanes_live.evaluation.judged import Interval, Judged, interval, parent_weights

Fit = Callable[[Array, NDArray[np.bool_]], Callable[[Array], Array]]
"""Given signals (n, k) and which predictions were right (n,), returns what gives the probability
of being right for other signals (m, k)."""

FOLDS = 5
"""Folds over parents."""
NEWTON_STEPS = 50


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


def ablation(
    judged: Judged, fit: Fit | None = None, *, draws: int = DRAWS, seed: int = 0
) -> tuple[float, tuple[Without, ...]]:
    """Fit the verdict with and without each signal, cross-validated over parents.

    Parameters
    ----------
    judged
        Spectra to fit on and to be scored on.
    fit
        How a verdict is fitted; by default a plain logistic regression (:class:`Logistic`).
    draws, seed
        Of the bootstrap over parents.

    Returns
    -------
    tuple
        AUROC with all signals, and one line for each signal, the most missed first.
    """
    fit = fit or Logistic
    wrong, weights = ~judged.right, parent_weights(judged.parent, draws, seed)
    whole = cross_fitted(judged, fit, np.ones(len(judged.signal_names), dtype=bool))
    full = auroc(-whole, wrong)
    drawn = drawn_auroc(-whole, wrong, weights)
    lines = []
    for k, name in enumerate(judged.signal_names):
        own = np.arange(len(judged.signal_names)) == k
        rest = cross_fitted(judged, fit, ~own)
        lost = drawn - drawn_auroc(-rest, wrong, weights)
        left = auroc(-rest, wrong)
        alone = auroc(-cross_fitted(judged, fit, own), wrong)
        lines.append(Without(name, left, full - left, interval(lost), alone))
    return full, tuple(sorted(lines, key=lambda line: -line.loss))


def cross_fitted(judged: Judged, fit: Fit, chosen: NDArray[np.bool_]) -> Array:
    """Return each spectrum's probability by a fit to the other folds of parents, shape (n,).

    With no signal chosen it is the same for all.
    """
    if not chosen.any() or not len(judged):
        return np.zeros(len(judged))
    names, which = np.unique(judged.parent, return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(names)) % FOLDS)[which]
    signals, right = judged.signals[:, chosen], judged.right
    said = np.empty(len(judged))
    for k in np.unique(fold):
        own = fold == k
        rest = ~own if (~own).any() else own
        said[own] = fit(signals[rest], right[rest])(signals[own])
    return said


class Logistic:
    """Logistic regression on standardised logarithms of signals, with a light ridge.

    Unknown signals (NaN) count as usual ones.

    Parameters
    ----------
    signals
        Shape (n, k), ≥ 0.
    right
        Shape (n,).
    """

    def __init__(self, signals: Array, right: NDArray[np.bool_], ridge: float = 1.0) -> None:
        logs = _logs(signals)
        known = np.isfinite(logs)
        count = np.maximum(known.sum(axis=0), 1)
        self._mean = np.where(known, logs, 0.0).sum(axis=0) / count
        square = np.where(known, logs - self._mean, 0.0) ** 2
        self._scale = np.maximum(np.sqrt(square.sum(axis=0) / count), 1e-6)
        x = self._columns(signals)
        penalty = np.diag([1e-6] + [ridge] * (x.shape[1] - 1))
        self._weights = np.zeros(x.shape[1])
        for _ in range(NEWTON_STEPS):
            p = expit(x @ self._weights)
            slope = x.T @ (right - p) - penalty @ self._weights
            curvature = (x.T * (p * (1 - p))) @ x + penalty
            step = np.linalg.solve(curvature, slope)
            self._weights += np.clip(step, -5.0, 5.0)
            if np.abs(step).max() < 1e-8:
                break

    def __call__(self, signals: Array) -> Array:
        """Return the probability of being right, shape (n,)."""
        return np.asarray(expit(self._columns(signals) @ self._weights))

    def _columns(self, signals: Array) -> Array:
        scaled = np.nan_to_num((_logs(signals) - self._mean) / self._scale)
        return np.column_stack([np.ones(len(signals)), scaled])


def _logs(signals: Array) -> Array:
    return np.asarray(np.log(np.maximum(signals, 1e-6)))
