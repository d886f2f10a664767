"""Classes of first-shell distance: all the distances the network holds possible for a spectrum.

One distance with one expected error cannot say "2.0 Å, or else 2.4". Further outputs do: each is,
but for a common addend, the logarithm of the probability that the distance is of one of several
equally wide classes. The distance itself stays with its own output; they say how far to trust it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xanes_live.domain import Array

BLUR = 0.03
"""Standard deviation of a distance over the classes it is counted to, Å: as well as it is told."""


def shares(distance: Array, centres: Array) -> Array:
    """Return which classes distances are of, shape (n, n_classes); rows sum to 1.

    A distance beyond the outermost class counts to that; one unknown gives NaN.

    Parameters
    ----------
    distance
        Å, shape (n,).
    centres
        Of the classes, Å, ascending, shape (n_classes,).
    """
    inside = np.clip(distance, centres[0], centres[-1])[:, None]
    near = np.exp(-0.5 * ((inside - centres) / BLUR) ** 2)
    return np.asarray(near / near.sum(axis=1, keepdims=True))


def cross_entropy(said: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of each spectrum, (…, n_classes) → (…); 0 where unknown."""
    known = torch.isfinite(target)
    return -(torch.where(known, target, 0.0) * torch.log_softmax(said, dim=-1)).sum(dim=-1)


def probabilities(said: Array) -> Array:
    """Return the members' mean probability of each class, (n, n_members, n_classes) → (n, …)."""
    likely = np.exp(said - said.max(axis=-1, keepdims=True))
    return np.asarray((likely / likely.sum(axis=-1, keepdims=True)).mean(axis=1))


def beyond(probability: Array, centres: Array, r: Array, within: float) -> Array:
    """Return the probability that the distance is further than `within` from `r`, shape (n,).

    A class is taken for spread evenly over its width.

    Parameters
    ----------
    probability
        Of the classes, shape (n, n_classes).
    centres
        Of the classes, Å, equally spaced, shape (n_classes,).
    r
        Distances, Å, shape (n,); NaN gives NaN.
    within
        Å.
    """
    inside = np.clip(r, centres[0], centres[-1])[:, None]
    return np.asarray(1.0 - _held(probability, centres, inside, within)[:, 0])


def likeliest_other(
    probability: Array, centres: Array, r: Array, within: float
) -> tuple[Array, Array]:
    """Return the likeliest distance that, within as much, leaves out what is within `r`.

    Parameters as in :func:`beyond`.

    Returns
    -------
    r : Array
        The distance, Å, shape (n,): the middle of the most probable stretch that begins further
        than `within` from the distance given; NaN where that is NaN.
    probability : Array
        Of the distance being within as much of that, shape (n,).
    """
    places = np.arange(centres[0], centres[-1] + 1e-9, (centres[1] - centres[0]) / 5.0)
    held = _held(probability, centres, np.broadcast_to(places, (len(r), places.size)), within)
    held = np.where(np.abs(places - r[:, None]) >= 2.0 * within - 1e-9, held, -1.0)
    best, row = held.argmax(axis=1), np.arange(len(r))
    known = held[row, best] >= 0.0
    return np.where(known, places[best], np.nan), np.where(known, held[row, best], np.nan)


def _held(probability: Array, centres: Array, middle: Array, within: float) -> Array:
    """Return the probability that lies around distances, both (n, k)."""
    total = np.concatenate([np.zeros((len(probability), 1)), probability.cumsum(axis=1)], axis=1)
    row, step = np.arange(len(probability))[:, None], centres[1] - centres[0]

    def up_to(distance: Array) -> Array:
        place = np.clip((distance - centres[0]) / step + 0.5, 0.0, len(centres))
        whole = np.nan_to_num(np.minimum(np.floor(place), len(centres) - 1)).astype(np.int64)
        return np.asarray(total[row, whole] + (place - whole) * probability[row, whole])

    return np.asarray(up_to(middle + within) - up_to(middle - within))
