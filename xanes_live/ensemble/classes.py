"""Classes of first-shell distance: all the distances the network holds possible for a spectrum.

One distance with one expected error cannot say "2.0 Å, or else 2.4". Further outputs do: each is,
but for a common addend, the logarithm of the probability that the distance is of one of several
equally wide classes. The distance itself stays with its own output; they say how far to trust it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from xanes_live.domain import Array

WIDEST = 0.1
"""Classes are no wider than this, Å: they could not tell what is right within 0.1 Å."""
ROUNDING = 1e-9
"""Probabilities that differ by less are equal."""
FINE = 5
"""Steps in a class at which other distances are looked for."""
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
    return np.asarray(softmax(said, axis=-1).mean(axis=1))


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
    """Return the likeliest other distance: where probability heaps up away from that given.

    The flank of the heap that the distance given is part of is no other distance.

    Parameters
    ----------
    probability, centres, r, within
        As in :func:`beyond`.

    Returns
    -------
    r : Array
        Centre of gravity of the heap, Å, shape (n,); NaN where there is none whose stretch of
        twice `within` leaves out what is within `within` of the distance given.
    probability : Array
        Of that stretch, shape (n,); NaN likewise.
    """
    places, to_held, to_density = _spans(*_ends(centres), within)
    held, density = probability @ to_held, probability @ to_density
    inside = np.clip(r, centres[0], centres[-1])[:, None]
    away = np.abs(places - inside) >= 2.0 * within - 1e-9
    heaps = np.where(_heaped(held) & away, held, -1.0)
    best, row = heaps.argmax(axis=1), np.arange(len(r))
    most = heaps[row, best]
    near = density * (np.abs(places - places[best, None]) <= within + 1e-9)
    with np.errstate(invalid="ignore"):  # nothing is near where nothing is probable
        middle = near @ places / near.sum(axis=1)
    return np.where(most > 0.0, middle, np.nan), np.where(most > 0.0, most, np.nan)


def _ends(centres: Array) -> tuple[float, float, int]:
    """Return what equally spaced centres are told by."""
    return float(centres[0]), float(centres[-1]), centres.size


@lru_cache(maxsize=8)
def _spans(first: float, last: float, size: int, within: float) -> tuple[Array, Array, Array]:
    """Return where other distances are looked for, and what sums up probabilities there.

    What lies around fixed distances is linear in the probabilities of the classes: found once for
    each model, since every scan asks for it.

    Returns
    -------
    places : Array
        Å, shape (n_places,).
    to_held, to_density : Array
        From the probabilities of the classes to what lies `within` of each place, and to what lies
        in the step around it, each (n_classes, n_places).
    """
    centres = np.linspace(first, last, size)
    step = (centres[1] - centres[0]) / FINE
    places = np.arange(centres[0], centres[-1] + step / 2.0, step)
    each, grid = np.eye(size), np.broadcast_to(places, (size, places.size))
    return places, _held(each, centres, grid, within), _held(each, centres, grid, step / 2.0)


def _heaped(held: Array) -> NDArray[np.bool_]:
    """Tell where rows are at a maximum that counts, or on the level top of one, (n, k)."""
    top = held > 1000.0 * ROUNDING
    rise = held[:, 1:] - held[:, :-1]
    top[:, 1:] &= rise >= -ROUNDING
    top[:, :-1] &= rise <= ROUNDING
    return np.asarray(top)


def _held(probability: Array, centres: Array, middle: Array, within: float) -> Array:
    """Return the probability that lies around distances, both (n, k)."""
    total = np.concatenate([np.zeros((len(probability), 1)), probability.cumsum(axis=1)], axis=1)
    row, step = np.arange(len(probability))[:, None], centres[1] - centres[0]

    def up_to(distance: Array) -> Array:
        place = np.minimum(np.maximum((distance - centres[0]) / step + 0.5, 0.0), len(centres))
        known = np.where(np.isnan(place), 0.0, place)
        whole = np.minimum(known, len(centres) - 1).astype(np.int64)
        return np.asarray(total[row, whole] + (place - whole) * probability[row, whole])

    return np.asarray(up_to(middle + within) - up_to(middle - within))
