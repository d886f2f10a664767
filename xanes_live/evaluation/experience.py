"""What became of predictions of unseen spectra, learnt without those it is asked about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.experience import (
    G2_PREFIX,
    MOST,
    PREFIX,
    Experience,
    features,
    g2_features,
)
from xanes_live.confidence.signals import EXPERIENCE
from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array
from xanes_live.ensemble.experience_training import train_experience, train_g2_experience
from xanes_live.evaluation.judged import parent_folds
from xanes_live.evaluation.unseen import COMPUTED, DAMAGED, Unseen

FOLDS = 5
FEWEST = 100
"""Computed spectra of other structures from which there is something to learn."""


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
        With the column of that signal and the expected errors of G2 filled.
    dict
        Arrays for the model's library; empty where there is too little to learn from.
    """
    parts = _parts(unseen, kin or {}, seed)
    if min((rest.sum() for _, rest in parts), default=0) < FEWEST:
        return unseen, {}
    signals, expected = unseen.signals.copy(), unseen.g2_expected.copy()
    for own, rest in parts:
        learnt = _learnt(unseen.take(rest), seed)
        signals[own, EXPERIENCE], expected[own] = _said(learnt, unseen.take(own))
    asked = replace(unseen, signals=signals, g2_expected=expected)
    return asked, _learnt(unseen.take(_computed(unseen)), seed)


def _computed(unseen: Unseen) -> NDArray[np.bool_]:
    return np.isin(unseen.source, (*COMPUTED, DAMAGED))


def _parts(
    unseen: Unseen, kin: Mapping[str, Collection[str]], seed: int
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return the spectra of each fold that has any, and those it may be told of, both (n,).

    Computed ones are told of by all other structures, measured ones by all but their relatives:
    were both asked together, the relatives would lack for the computed ones too.
    """
    fold, computed = parent_folds(unseen.parent, FOLDS, seed), _computed(unseen)
    parts = []
    for k in np.unique(fold):
        own = fold == k
        parts.append((own & computed, computed & ~own))
        asked = own & ~computed
        related = {r for parent in set(unseen.parent[asked].tolist()) for r in kin.get(parent, ())}
        parts.append((asked, computed & ~np.isin(unseen.parent, sorted(related))))
    return [(own, rest) for own, rest in parts if own.any()]


def _learnt(known: Unseen, seed: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of networks that have learnt what became of predictions."""
    wrong = ~(np.abs(known.error) <= RIGHT)
    error = known.g2_mean - known.g2_truth
    r, mean, sigma = known.r, known.g2_mean, known.g2_sigma
    shown = features(known.heads, r, mean, sigma)
    of_distance = train_experience(shown, wrong, most=MOST, seed=seed)
    of_g2 = train_g2_experience(g2_features(r, mean, sigma), error, most=MOST, seed=seed)
    return {PREFIX + name: value for name, value in of_distance.items()} | {
        G2_PREFIX + name: value for name, value in of_g2.items()
    }


def _said(arrays: dict[str, NDArray[Any]], asked: Unseen) -> tuple[Array, Array]:
    """Return the odds, shape (n,), and the expected errors of G2, shape (n, n_g2)."""
    experience = Experience.from_arrays(arrays, asked.g2_mean.shape[1])
    assert experience is not None  # noqa: S101 - just learnt
    r, mean, sigma = asked.r, asked.g2_mean, asked.g2_sigma
    expected = experience.g2_error(r, mean, sigma)
    assert expected is not None  # noqa: S101 - likewise
    return experience.odds(features(asked.heads, r, mean, sigma)), expected
