"""What became of predictions of unseen spectra, learnt without those it is asked about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.experience import MOST, PREFIX, Experience, features
from xanes_live.confidence.signals import EXPERIENCE
from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array
from xanes_live.ensemble.experience_training import train_experience
from xanes_live.evaluation.judged import parent_folds
from xanes_live.evaluation.unseen import COMPUTED, DAMAGED, Unseen

FOLDS = 5
FEWEST = 100
"""Computed spectra from which there is something to learn."""


def with_experience(
    unseen: Unseen, kin: Mapping[str, Collection[str]] | None = None, seed: int = 0
) -> tuple[Unseen, dict[str, NDArray[Any]]]:
    """Add what experience says of each spectrum, and return what it has learnt of all.

    Of each spectrum it says what it learnt from other structures. Only computed ones teach it,
    some of them spoiled: measured ones are too few.

    Parameters
    ----------
    unseen
        Spectra examined by ensembles that had not seen them.
    kin
        Parents of computed spectra of the same compound, by the parent of measured ones.
    seed
        Of folds and networks.

    Returns
    -------
    Unseen
        With the column of that signal filled.
    dict
        Arrays for the model's library; empty where there is too little to learn from.
    """
    computed, kin = np.isin(unseen.source, (*COMPUTED, DAMAGED)), kin or {}
    if computed.sum() < FEWEST:
        return unseen, {}
    shown, wrong = _shown(unseen), ~(np.abs(unseen.error) <= RIGHT)
    fold = parent_folds(unseen.parent, FOLDS, seed)
    signals = unseen.signals.copy()
    for k in range(FOLDS):
        own = fold == k
        related = {r for parent in set(unseen.parent[own].tolist()) for r in kin.get(parent, ())}
        rest = computed & ~own & ~np.isin(unseen.parent, sorted(related))
        learnt = _learnt(shown[rest], wrong[rest], seed)
        signals[own, EXPERIENCE] = _said(learnt, shown[own], unseen)
    return replace(unseen, signals=signals), _learnt(shown[computed], wrong[computed], seed)


def _shown(unseen: Unseen) -> Array:
    return features(unseen.heads, unseen.r, unseen.g2_mean, unseen.g2_sigma)


def _learnt(shown: Array, wrong: NDArray[np.bool_], seed: int) -> dict[str, NDArray[Any]]:
    found = train_experience(shown, wrong, most=MOST, seed=seed)
    return {PREFIX + name: value for name, value in found.items()}


def _said(arrays: dict[str, NDArray[Any]], shown: Array, unseen: Unseen) -> Array:
    experience = Experience.from_arrays(arrays, unseen.g2_mean.shape[1])
    assert experience is not None  # noqa: S101 - just learnt
    return experience.odds(shown)
