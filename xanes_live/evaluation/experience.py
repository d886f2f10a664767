"""What became of predictions of unseen spectra, learnt without those it is asked about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.experience import MOST, PREFIX, Experience
from xanes_live.confidence.signals import OWN, looks
from xanes_live.confidence.verdict import RIGHT
from xanes_live.domain import Array
from xanes_live.ensemble.experience_training import train_experience
from xanes_live.evaluation.unseen import COMPUTED, Unseen

FOLDS = 5
FEWEST = 100
"""Computed spectra from which there is something to learn."""


def with_experience(unseen: Unseen, seed: int = 0) -> tuple[Unseen, dict[str, NDArray[Any]]]:
    """Add what experience says of each spectrum, and return what it has learnt of all.

    Of a computed spectrum it says what it learnt from other structures; measured ones teach it
    nothing: they are too few.

    Parameters
    ----------
    unseen
        Spectra examined by ensembles that had not seen them.
    seed
        Of folds and networks.

    Returns
    -------
    Unseen
        With the column of that signal filled.
    dict
        Arrays for the model's library; empty where there is too little to learn from.
    """
    computed = np.isin(unseen.source, COMPUTED)
    if computed.sum() < FEWEST:
        return unseen, {}
    shown, wrong = _shown(unseen), ~(np.abs(unseen.error) <= RIGHT)
    names, which = np.unique(unseen.parent, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[which] % FOLDS
    signals, final = unseen.signals.copy(), _learnt(shown[computed], wrong[computed], seed)
    signals[~computed, OWN] = _said(final, shown[~computed])
    for k in range(FOLDS):
        own, rest = computed & (fold == k), computed & (fold != k)
        signals[own, OWN] = _said(_learnt(shown[rest], wrong[rest], seed), shown[own])
    return replace(unseen, signals=signals), final


def _shown(unseen: Unseen) -> Array:
    return looks(unseen.signals, unseen.heads, unseen.r, unseen.g2_mean, unseen.g2_sigma)


def _learnt(shown: Array, wrong: NDArray[np.bool_], seed: int) -> dict[str, NDArray[Any]]:
    found = train_experience(shown, wrong, most=MOST, seed=seed)
    return {PREFIX + name: value for name, value in found.items()}


def _said(arrays: dict[str, NDArray[Any]], shown: Array) -> Array:
    experience = Experience.from_arrays(arrays)
    assert experience is not None  # noqa: S101 - just learnt
    return experience.odds(shown)
