"""What became of predictions that looked like this one.

A few small networks see what a prediction says, the kind of first shell, its distance, G2 and the
members' disagreement at every radius, and have learnt on computed spectra unseen by the members how
often such a prediction was wrong. What they say is one more signal, which the verdict weighs as it
weighs the others. They are not shown the other signals: each of these then still lowers the
probability by itself, whatever the networks make of what they never met.

Others have learnt how far G2 was off at every radius. The members' σ alone knows little of that,
since what all of them get wrong is not in it; the band is drawn by what these say.

All are trained by :mod:`xanes_live.ensemble.experience_training`; here they are only asked, by
numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from xanes_live.domain import Array, Survey
from xanes_live.errors import ModelFormatError

PREFIX, G2_PREFIX = "experience.", "g2_experience."
"""What the names of the arrays of each begin with in a model's library."""
KINDS = ("soft", "carbon", "metal", "coordination")
"""The network's further outputs that say what the first shell is."""
MOST = 4.0
"""Features count up to so many standard deviations of those learnt from."""
LEAST_SIGMA = 0.02
"""σ of G2 below which differences mean nothing."""
CERTAIN = 12.0
"""Log-odds, and logarithms of squared errors of G2, that are not exceeded."""


def features(heads: Array, r: Array, mean: Array, sigma: Array) -> Array:
    """Return what the networks are shown of n predictions, shape (n, n_features).

    Parameters
    ----------
    heads
        What the first shell is, in the order of :data:`KINDS`, shape (n, 4); NaN where unknown.
    r
        First-shell distance, Å, shape (n,); NaN where there is none.
    mean, sigma
        G2 and its standard deviation over the members, shape (n, n_g2).
    """
    known = np.where(np.isnan(heads), 0.0, heads)
    return np.concatenate([known, g2_features(r, mean, sigma)], axis=1)


def g2_features(r: Array, mean: Array, sigma: Array) -> Array:
    """Return what the networks that know of errors of G2 are shown, shape (n, n_features).

    Parameters
    ----------
    r, mean, sigma
        As in :func:`features`.
    """
    distance = np.where(np.isnan(r), 0.0, r)[:, None]
    columns = (distance, distance**2, mean)
    return np.concatenate([*columns, np.log(sigma + LEAST_SIGMA)], axis=1)


def kinds_of(survey: Survey) -> Array:
    """Return what the network says the first shells are, (n, 4); NaN where it does not say."""
    unknown = np.full(len(survey.predictions), np.nan)
    return np.stack([survey.heads.get(name, unknown) for name in KINDS], axis=1)


@dataclass(frozen=True)
class Networks:
    """Small networks with two hidden layers, asked together."""

    mean: Array
    """Of the features learnt from, shape (n_features,)."""
    scale: Array
    """Their standard deviation, shape (n_features,)."""
    weights: tuple[Array, Array, Array]
    """Of each layer, shape (n_networks, n_in, n_out)."""
    biases: tuple[Array, Array, Array]
    """Shape (n_networks, 1, n_out)."""

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Any], prefix: str, n_features: int, n_out: int
    ) -> Networks | None:
        """Read those whose names begin with `prefix`; None if there are none.

        Raises
        ------
        ModelFormatError
            If they are not whole, or have other features or outputs.
        """
        own = {
            name.removeprefix(prefix): np.asarray(value, dtype=np.float64)
            for name, value in arrays.items()
            if name.startswith(prefix)
        }
        if not own:
            return None
        try:
            weight, bias = ([own[f"{what}.{k}"] for k in range(3)] for what in ("weight", "bias"))
            found = cls(
                own["mean"], own["scale"], (weight[0], weight[1], weight[2]),
                (bias[0], bias[1], bias[2]),
            )  # fmt: skip
            found(np.zeros((1, n_features))).reshape(1, n_out)  # a ValueError if it is another's
        except (KeyError, ValueError) as error:
            raise ModelFormatError(
                f"library: experience does not fit the model ({error})"
            ) from None
        return found

    def __call__(self, shown: Array) -> Array:
        """Return their mean answer to features (n, n_features), shape (n, n_out)."""
        x = np.minimum(np.maximum((shown - self.mean) / self.scale, -MOST), MOST)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ weight + bias
            x = x * expit(x)
        said = (x @ self.weights[-1] + self.biases[-1]).mean(axis=0)
        return np.asarray(np.minimum(np.maximum(said, -CERTAIN), CERTAIN))


@dataclass(frozen=True)
class Experience:
    """What became of a model's earlier predictions."""

    wrong: Networks
    """Say the log-odds that a distance is off by more than 0.1 Å."""
    g2: Networks | None = None
    """Say the logarithm of the squared error of G2 at every radius."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], n_g2: int) -> Experience | None:
        """Read it from the library of a model of `n_g2` radial functions; None if there is none.

        Raises
        ------
        ModelFormatError
            If it is not whole, or was learnt from other features than :func:`features` makes.
        """
        n_features = g2_features(np.ones(1), *np.ones((2, 1, n_g2))).shape[1]
        wrong = Networks.from_arrays(arrays, PREFIX, len(KINDS) + n_features, 1)
        if wrong is None:
            return None
        return cls(wrong, Networks.from_arrays(arrays, G2_PREFIX, n_features, n_g2))

    def odds(self, shown: Array) -> Array:
        """Return the odds that predictions are off by more than 0.1 Å, shape (n,).

        Parameters
        ----------
        shown
            From :func:`features`, shape (n, n_features).
        """
        return np.asarray(np.exp(self.wrong(shown)[:, 0]))

    def g2_error(self, r: Array, mean: Array, sigma: Array) -> Array | None:
        """Return the error of G2 to be expected at every radius, shape (n, n_g2).

        Root mean square; None where it was not learnt. Parameters as in :func:`features`.
        """
        if self.g2 is None:
            return None
        return np.asarray(np.exp(0.5 * self.g2(g2_features(r, mean, sigma))))
