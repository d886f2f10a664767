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


@dataclass(frozen=True)
class Verdict:
    """Weights of the signals, as a model stores them."""

    names: tuple[str, ...]
    """Signals used, in the order of the weights."""
    units: Array
    """Sizes of each signal from which on it matters, shape (k, n_sizes)."""
    weights: Array
    """Logistic weights, all ≥ 0: log-odds lost with a signal scaled by each size, (k, n_sizes)."""
    intercept: float
    """Log-odds of being right when every signal is silent."""
    widths: Array
    """Weights of the scaled signals in the logarithm of the expected error, ≥ 0, (k, n_sizes)."""
    base: float
    """Logarithm of the expected error, Å, when every signal is silent."""
    quantile: float
    """Half-width of the 95 % interval in units of the expected error."""
    quantile_ordinary: float | None = None
    """The same for an ordinary first shell, whose measured compounds are known well enough."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Verdict:
        """Read the ``[calibration.verdict]`` table of a model; KeyError if something lacks.

        Older models have one size, and so a number, for each signal where others have a row.
        """
        names = tuple(values["names"])
        units, weights, widths = (
            np.asarray(values[key], dtype=float).reshape(len(names), -1)
            for key in ("units", "weights", "widths")
        )
        return cls(
            names=names,
            units=units,
            weights=weights,
            intercept=float(values["intercept"]),
            widths=widths,
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
        return np.asarray(expit(self.intercept - x @ self.weights.ravel()))

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
        return quantile * self.expected_error(signals)

    def expected_error(self, signals: Array) -> Array:
        """Return the error to be expected, Å, shape (n,)."""
        return np.asarray(np.exp(self.base + scaled(signals, self.units) @ self.widths.ravel()))

    def blame(self, signals: Array) -> Array:
        """Return the log-odds each signal costs, shape (n, k)."""
        cost = self.weights.ravel() * scaled(signals, self.units)
        return np.asarray(cost.reshape(len(signals), *self.weights.shape).sum(axis=2))


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
    """Return signals as the fit takes them: log(1 + x/unit), silent where unknown.

    Each counts at several sizes, so that what it costs grows as the fit finds, not as one logarithm
    does: a chance of being off that rises from 1 to 2 % matters otherwise than one from 30 to 60 %.

    Parameters
    ----------
    signals
        Shape (n, k).
    units
        Their sizes, shape (k, n_sizes).

    Returns
    -------
    Array
        Shape (n, k · n_sizes), the sizes of a signal beside each other.
    """
    known = np.where(np.isnan(signals), 0.0, np.minimum(np.maximum(signals, 0.0), 1e6))
    return np.log1p(known[:, :, None] / units).reshape(len(signals), -1)


def fit_probability(
    x: Array, right: Array, weight: Array, ridge: float | Array = 1e-3
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
        Penalty on the squared weights, one for all or of shape (k,).

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
        return value + float((ridge * p[1:] ** 2).sum()), gradient

    found = minimize(
        loss, np.concatenate([[1.0], np.full(x.shape[1], 0.1)]), jac=True, method="L-BFGS-B",
        bounds=[(None, None)] + [(0.0, None)] * x.shape[1],
    ).x  # fmt: skip
    return found[1:], float(found[0])


def fit_error(
    x: Array, error: Array, weight: Array, ridge: float = 1e-3, least: float = 0.003
) -> tuple[Array, float]:
    """Fit the expected absolute error: log s = base + x·w with w ≥ 0, Laplace-distributed errors.

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
    least
        Added to each error, Å: distances themselves are known no better.
    """
    size = error + least

    def loss(p: Array) -> tuple[float, Array]:
        log_s = p[0] + x @ p[1:]
        ratio = size * np.exp(-log_s)
        value = float((weight * (ratio + log_s)).sum() / weight.sum())
        slope = weight * (1.0 - ratio) / weight.sum()
        gradient = np.concatenate([[slope.sum()], x.T @ slope + 2.0 * ridge * p[1:]])
        return value + ridge * float((p[1:] ** 2).sum()), gradient

    start = np.concatenate([[np.log(np.median(size))], np.full(x.shape[1], 0.05)])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B",
        bounds=[(None, None)] + [(0.0, None)] * x.shape[1],
    ).x  # fmt: skip
    return found[1:], float(found[0])
