"""Predictions for spectra an ensemble has not seen: out of bag, or by training again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xanes_live.descriptor import combine_votes
from xanes_live.ensemble.data import TrainingSet, folds_by_parent
from xanes_live.ensemble.discrepancy import recipe_without
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.recipe import Recipe
from xanes_live.ensemble.train import shown
from xanes_live.ensemble.training import Trainer, resample
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation.kept import Trainings
from xanes_live.evaluation.measured import MeasuredSet
from xanes_live.evaluation.scores import Predictions

FEWEST = 2
"""Members that have to speak of a spectrum: fewer have no spread."""
NOTHING_KEPT = Trainings()


def ask(
    ensemble: Ensemble, spectra: ArrayLike, unseen: NDArray[np.bool_] | None = None
) -> Predictions:
    """Return what an ensemble says of spectra on its grid.

    Parameters
    ----------
    ensemble
        The model; its offset of the first shell is applied.
    spectra
        Shape (n, n_grid).
    unseen
        Which members may speak of which spectrum, shape (n_members, n); all by default.
    """
    outputs = ensemble.outputs(spectra)
    members = outputs[..., : len(ensemble.radius)]
    votes = ensemble.votes(outputs)
    if unseen is not None:
        members = np.where(unseen.T[..., None], members, np.nan)
        votes = np.where(unseen.T, votes, np.nan)
    shell, sigma = combine_votes(votes, least=FEWEST)
    offset = ensemble.calibration.get("first_shell", {}).get("offset", 0.0)
    return Predictions(
        np.nanmean(members, axis=1), np.nanstd(members, axis=1, ddof=1), shell + offset, sigma
    )


def unseeing(members: int, data: TrainingSet, recipe: Recipe) -> NDArray[np.bool_]:
    """Return which members have not seen which spectra of a model's own data, (members, n)."""
    unseen = np.ones((members, len(data)), dtype=bool)
    for k, row in enumerate(unseen):
        row[resample(data, recipe, k)] = False
    return unseen


@dataclass(frozen=True)
class CrossValidated:
    """Predictions of all spectra, each by an ensemble that has not seen its kind."""

    computed: Predictions
    measured: Predictions | None
    fold: NDArray[np.int64]
    """Fold of each computed spectrum, shape (n,)."""


def cross_validate(
    data: TrainingSet,
    recipe: Recipe,
    measured: MeasuredSet | None,
    *,
    n_folds: int,
    seed: int = 0,
    device: str = "cpu",
    kept: Trainings = NOTHING_KEPT,
) -> CrossValidated:
    """Train `n_folds` times, each time without a share of the parents and of the compounds.

    A compound left out is left out as a whole: its measured spectra (where the recipe mixes in
    measured ones), the computed ones of the same mineral, and their distorted copies.

    Raises
    ------
    ConfigurationError
        If there are too few parents for as many folds.
    """
    check_folds(data, measured, n_folds, seed)
    fold = folds_by_parent(data, n_folds, seed)
    compounds = compound_folds(measured, n_folds, seed)
    size = data.grid.size
    computed, found = _empty(len(data), size), None
    if measured is not None:
        found = _empty(len(measured.references), size)
    for k in range(n_folds):
        left_out = {c for c, f in compounds.items() if f == k}
        parts = kept.once(
            f"fold-{k}-of-{n_folds}-seed-{seed}", f"fold {k + 1} of {n_folds}",
            partial(_fold, data, fold == k, recipe, measured, left_out, device),
        )  # fmt: skip
        _fill(computed, fold == k, parts["computed"])
        if measured is not None and found is not None and "measured" in parts:
            _fill(found, np.isin(measured.compound, list(left_out)), parts["measured"])
    return CrossValidated(computed, found, fold)


def _fold(
    data: TrainingSet,
    held: NDArray[np.bool_],
    recipe: Recipe,
    measured: MeasuredSet | None,
    left_out: set[str],
    device: str,
) -> dict[str, Predictions]:
    """Train without a share of everything; return what is said of it."""
    grid = recipe.model.energy
    ensemble = train_without(data.take(~held), recipe, measured, left_out, device)
    said = {"computed": ask(ensemble, shown(data.take(held), recipe, grid))}
    if measured is not None and left_out:
        own = np.isin(measured.compound, list(left_out))
        said["measured"] = ask(ensemble, measured.on(grid)[own])
    return said


def check_folds(data: TrainingSet, measured: MeasuredSet | None, n_folds: int, seed: int) -> None:
    """Raise ConfigurationError where a fold would leave nothing out, or nothing to learn from."""
    parents = len(np.unique(data.parent))
    if parents < n_folds:
        raise ConfigurationError(
            f"{n_folds} folds of spectra that come from {parents} structures: each fold leaves out "
            "whole structures, so that there can be at most as many folds"
        )
    if n_folds == 1:
        raise ConfigurationError(
            "one fold leaves out everything and nothing is left to learn from: two at "
            "least, or none (0)"
        )
    fold, compounds = folds_by_parent(data, n_folds, seed), compound_folds(measured, n_folds, seed)
    for k in range(n_folds):
        left_out = {c for c, f in compounds.items() if f == k}
        if measured is not None and not len(data.take(fold != k).without(measured.words(left_out))):
            raise ConfigurationError(
                f"fold {k + 1} of {n_folds} leaves out {', '.join(sorted(left_out))} and every "
                f"{n_folds}th structure, and then no computed spectrum is left to learn from: "
                "more structures are needed, or another number of folds"
            )


def train_without(
    data: TrainingSet,
    recipe: Recipe,
    measured: MeasuredSet | None,
    left_out: set[str],
    device: str = "cpu",
) -> Ensemble:
    """Return an ensemble trained by `recipe` on `data` but for the compounds left out."""
    recipe = recipe_without(recipe, measured.names(left_out) if measured else left_out)
    rest = data_without(data, recipe, measured, left_out)
    trained = Trainer(rest, recipe, device=device).run()
    return Ensemble.in_memory(trained.network, recipe, device)


def data_without(
    data: TrainingSet, recipe: Recipe, measured: MeasuredSet | None, left_out: set[str]
) -> TrainingSet:
    """Return what to learn from when compounds are left out.

    Their computed spectra go, and where the recipe mixes in measured ones, the others' come.
    """
    if measured is None:
        return data
    data = data.without(measured.words(left_out))
    if recipe.measured is None:
        return data
    chosen = measured.scored & ~np.isin(measured.compound, list(left_out))
    return data.joined(measured.training_set(data.energy, chosen))


def learning_curve(
    data: TrainingSet,
    recipe: Recipe,
    shares: Sequence[float],
    *,
    seed: int = 0,
    device: str = "cpu",
    kept: Trainings = NOTHING_KEPT,
) -> list[tuple[int, Predictions, NDArray[np.int64]]]:
    """Train on growing shares of the parents; return size, predictions and indices held out.

    A fifth of the parents is held out, the same for every share.
    """
    fold = folds_by_parent(data, 5, seed)
    held = np.flatnonzero(fold == 0)
    rest = data.take(fold != 0)
    parents = len(np.unique(rest.parent))
    rank = folds_by_parent(rest, parents, seed + 1) / parents  # a fold for each: their order
    curve = []
    for share in _different(shares, parents):
        part = rest.take(rank < share)
        parts = kept.once(
            f"share-{share:g}-seed-{seed}", f"learning curve: {len(part)} spectra",
            partial(_share, part, data.take(held), recipe, device),
        )  # fmt: skip
        curve.append((len(part), parts["held"], held))
    return curve


def _share(
    part: TrainingSet, held: TrainingSet, recipe: Recipe, device: str
) -> dict[str, Predictions]:
    """Train on a part; return what is said of what is held out."""
    ensemble = train_without(part, recipe, None, set(), device)
    return {"held": ask(ensemble, shown(held, recipe, recipe.model.energy))}


def _different(shares: Sequence[float], parents: int) -> list[float]:
    """Return the shares that hold parents, and other ones than the share before."""
    count = [int(np.ceil(share * parents)) for share in shares]
    return [s for i, s in enumerate(shares) if count[i] > (count[i - 1] if i else 0)]


def compound_folds(measured: MeasuredSet | None, n_folds: int, seed: int) -> dict[str, int]:
    """Return the fold in which each measured compound is left out."""
    names = [] if measured is None else sorted(set(measured.compound.tolist()))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[i]: int(k % n_folds) for k, i in enumerate(order)}


def _empty(n: int, size: int) -> Predictions:
    return Predictions(
        np.full((n, size), np.nan), np.full((n, size), np.nan), np.full(n, np.nan),
        np.full(n, np.nan),
    )  # fmt: skip


def _fill(whole: Predictions, where: NDArray[np.bool_], part: Predictions) -> None:
    for name in ("mean", "sigma", "shell", "shell_sigma"):
        getattr(whole, name)[where] = getattr(part, name)
