"""From signals to one probability and one honest interval.

Both are fitted on spectra the members had not seen (:mod:`xanes_live.evaluation.calibrate`): on
computed ones with realistic errors of measurement, and on measured ones of known structure, each
left out of training. Every signal is one that grows when something is wrong, so no weight is ever
negative: whatever is far outside what was seen in fitting can only lower the probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, ndtr, ndtri

from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array

LEAST = 0.003
"""Added to errors, Å, before their logarithm is taken: distances are known no better."""
SOFT = 0.1
"""How far the corner of the loss of a quantile is rounded, in the logarithm of an error."""


@dataclass(frozen=True)
class Verdict:
    """Weights of the signals, as a model stores them."""

    names: tuple[str, ...]
    """Signals used, in the order of the weights."""
    units: Array
    """Size of each signal that begins to matter, shape (k,)."""
    weights: Array
    """Logistic weights, all ≥ 0: log-odds lost with each unit of a scaled signal, shape (k,)."""
    intercept: float
    """Log-odds of being right when every signal is silent."""
    widths: Array
    """Weights of the scaled signals in the logarithm of the bound of the error, ≥ 0, shape (k,)."""
    base: float
    """Logarithm of that bound, Å, when every signal is silent."""
    quantile: float
    """Half-width of the 95 % interval in units of the bound."""
    quantile_ordinary: float | None = None
    """The same for an ordinary first shell, whose measured compounds are known well enough."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Verdict:
        """Read the ``[calibration.verdict]`` table of a model; KeyError if something lacks."""
        return cls(
            names=tuple(values["names"]),
            units=np.asarray(values["units"], dtype=float),
            weights=np.asarray(values["weights"], dtype=float),
            intercept=float(values["intercept"]),
            widths=np.asarray(values["widths"], dtype=float),
            base=float(values["base"]),
            quantile=float(values["quantile"]),
            quantile_ordinary=values.get("quantile_ordinary"),
        )

    def as_mapping(self) -> dict[str, Any]:
        """Return what :meth:`from_mapping` reads."""
        own = self.quantile_ordinary
        return {
            "names": list(self.names),
            "units": np.round(self.units, 5).tolist(),
            "weights": np.round(self.weights, 4).tolist(),
            "intercept": round(self.intercept, 4),
            "widths": np.round(self.widths, 4).tolist(),
            "base": round(self.base, 4),
            "quantile": round(self.quantile, 4),
            **({} if own is None else {"quantile_ordinary": round(own, 4)}),
        }

    def probability(self, signals: Array) -> Array:
        """Return the probability that the first-shell distance is right within 0.1 Å.

        Parameters
        ----------
        signals
            Shape (n, k) in the order of :attr:`names`; NaN says nothing and counts as silent.
        """
        x = scaled(signals, self.units)
        return np.asarray(expit(self.intercept - x @ self.weights))

    def half_width(self, signals: Array, ordinary: NDArray[np.bool_] | None = None) -> Array:
        """Return the half-width of the 95 % interval of the first-shell distance, Å, shape (n,).

        Parameters
        ----------
        signals
            Shape (n, k) in the order of :attr:`names`.
        ordinary
            Which first shells are, shape (n,); see :func:`xanes_live.confidence.limits.ordinary`.
        """
        quantile: float | Array = self.quantile
        if ordinary is not None and self.quantile_ordinary is not None:
            quantile = np.where(ordinary, self.quantile_ordinary, self.quantile)
        return quantile * self.bound(signals)

    def bound(self, signals: Array) -> Array:
        """Return the error that 95 of 100 such spectra do not exceed, as fitted, Å, shape (n,)."""
        return np.asarray(np.exp(self.base + scaled(signals, self.units) @ self.widths))

    def blame(self, signals: Array) -> Array:
        """Return the log-odds each signal of one spectrum costs, shape (k,)."""
        return np.asarray(self.weights * scaled(signals[None], self.units)[0])


def less_certain(probability: Array, by_noise: Array) -> Array:
    """Return probabilities of being right when a further error of the distance is known of.

    Errors are taken for normal ones, so that their variances add.

    Parameters
    ----------
    probability
        That the error is within :data:`RIGHT`, shape (n,).
    by_noise
        Standard deviation of the further error, Å, shape (n,).
    """
    z = ndtri(0.5 * (1.0 + np.clip(probability, 1e-6, 1.0 - 1e-9)))
    lower = 2.0 * ndtr(RIGHT / np.hypot(RIGHT / z, by_noise)) - 1.0
    return np.where(by_noise > 0.0, np.minimum(lower, probability), probability)


def scaled(signals: Array, units: Array) -> Array:
    """Return signals as the fit takes them: log(1 + x/unit), silent where unknown."""
    known = np.where(np.isnan(signals), 0.0, np.minimum(np.maximum(signals, 0.0), 1e6))
    return np.asarray(np.log1p(known / units), dtype=np.float64)


def fit_probability(
    x: Array, right: Array, weight: Array, ridge: float = 1e-3
) -> tuple[Array, float]:
    """Fit a logistic regression with weights that only ever lower the odds.

    Parameters
    ----------
    x
        Scaled signals, shape (n, k).
    right
        1 where the prediction was right, shape (n,).
    weight
        Of each example, shape (n,).
    ridge
        Penalty on the squared weights.

    Returns
    -------
    weights : Array
        Shape (k,), ≥ 0.
    intercept : float
    """

    def loss(p: Array) -> tuple[float, Array]:
        z = p[0] - x @ p[1:]
        said = expit(z)
        value = float((weight * (np.logaddexp(0.0, z) - right * z)).sum() / weight.sum())
        slope = weight * (said - right) / weight.sum()
        gradient = np.concatenate([[slope.sum()], -x.T @ slope + 2.0 * ridge * p[1:]])
        return value + ridge * float((p[1:] ** 2).sum()), gradient

    found = minimize(
        loss, np.concatenate([[1.0], np.full(x.shape[1], 0.1)]), jac=True, method="L-BFGS-B",
        bounds=[(None, None)] + [(0.0, None)] * x.shape[1],
    ).x  # fmt: skip
    return found[1:], float(found[0])


def fit_bound(
    x: Array, error: Array, weight: Array, ridge: float = 1e-3, level: float = 0.95
) -> tuple[Array, float]:
    """Fit the bound of the absolute error: quantile regression of log error = base + x·w, w ≥ 0.

    The quantile wanted is fitted itself, not the error's mean: errors of spectra of which little is
    known have a long tail that those of the others lack (Koenker and Bassett, Econometrica 46, 33
    (1978); the corner of the loss is rounded by :data:`SOFT`).

    Parameters
    ----------
    x
        Scaled signals, shape (n, k).
    error
        Absolute errors, Å, shape (n,).
    weight
        Of each example, shape (n,).
    ridge
        Penalty on the squared weights.
    level
        Share of errors within the bound.

    Returns
    -------
    weights : Array
        Shape (k,), ≥ 0.
    base : float
    """
    size, weight = np.log(error + LEAST), weight / weight.sum()

    def loss(p: Array) -> tuple[float, Array]:
        over = size - p[0] - x @ p[1:]
        value = weight @ (level * over + SOFT * np.logaddexp(0.0, -over / SOFT))
        slope = -weight * (level - expit(-over / SOFT))
        gradient = np.concatenate([[slope.sum()], x.T @ slope + 2.0 * ridge * p[1:]])
        return float(value) + ridge * float((p[1:] ** 2).sum()), gradient

    start = np.concatenate([[np.quantile(size, level)], np.full(x.shape[1], 0.05)])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B",
        bounds=[(None, None)] + [(0.0, None)] * x.shape[1],
    ).x  # fmt: skip
    return found[1:], float(found[0])
