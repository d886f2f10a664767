"""What became of predictions that looked like this one.

A few small networks see what a prediction says, the kind of first shell, its distance, G2 and the
members' disagreement at every radius, and have learnt on computed spectra unseen by the members how
often such a prediction was wrong. What they say is one more signal, which the verdict weighs as it
weighs the others. They are not shown the other signals: each of these then still lowers the
probability by itself, whatever the networks make of what they never met. They are trained by
:mod:`xanes_live.ensemble.experience_training`; here they are only asked, by numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from xanes_live.domain import Array, Survey
from xanes_live.errors import ModelFormatError

PREFIX = "experience."
"""What the names of the arrays begin with in a model's library."""
KINDS = ("soft", "carbon", "metal", "coordination")
"""The network's further outputs that say what the first shell is."""
MOST = 4.0
"""Features count up to so many standard deviations of those learnt from."""
LEAST_SIGMA = 0.02
"""σ of G2 below which differences mean nothing."""
CERTAIN = 12.0
"""Log-odds that are not exceeded."""


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
    distance = np.nan_to_num(r)[:, None]
    columns = (np.nan_to_num(heads), distance, distance**2, mean)
    return np.concatenate([*columns, np.log(sigma + LEAST_SIGMA)], axis=1)


def kinds_of(survey: Survey) -> Array:
    """Return what the network says the first shells are, (n, 4); NaN where it does not say."""
    unknown = np.full(len(survey.predictions), np.nan)
    return np.stack([survey.heads.get(name, unknown) for name in KINDS], axis=1)


@dataclass(frozen=True)
class Experience:
    """Small networks with two hidden layers, asked together."""

    mean: Array
    """Of the features learnt from, shape (n_features,)."""
    scale: Array
    """Their standard deviation, shape (n_features,)."""
    weights: tuple[Array, Array, Array]
    """Of each layer, shape (n_networks, n_in, n_out); the last has one output."""
    biases: tuple[Array, Array, Array]
    """Shape (n_networks, 1, n_out)."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], n_g2: int) -> Experience | None:
        """Read it from the library of a model of `n_g2` radial functions; None if there is none.

        Raises
        ------
        ModelFormatError
            If it is not whole, or was learnt from other features than :func:`features` makes.
        """
        own = {
            name.removeprefix(PREFIX): np.asarray(value, dtype=np.float64)
            for name, value in arrays.items()
            if name.startswith(PREFIX)
        }
        if not own:
            return None
        try:
            weight, bias = ([own[f"{what}.{k}"] for k in range(3)] for what in ("weight", "bias"))
            found = cls(
                own["mean"], own["scale"], (weight[0], weight[1], weight[2]),
                (bias[0], bias[1], bias[2]),
            )  # fmt: skip
            found.odds(features(np.zeros((1, len(KINDS))), np.ones(1), *np.ones((2, 1, n_g2))))
        except (KeyError, ValueError) as error:
            raise ModelFormatError(
                f"library: experience does not fit the model ({error})"
            ) from None
        return found

    def odds(self, shown: Array) -> Array:
        """Return the odds that predictions are off by more than 0.1 Å, shape (n,).

        Parameters
        ----------
        shown
            From :func:`features`, shape (n, n_features).
        """
        x = np.clip((shown - self.mean) / self.scale, -MOST, MOST)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ weight + bias
            x = x * expit(x)
        said = (x @ self.weights[-1] + self.biases[-1])[..., 0].mean(axis=0)
        return np.asarray(np.exp(np.clip(said, -CERTAIN, CERTAIN)))
