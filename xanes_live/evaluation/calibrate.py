"""From examined unseen spectra to what a model is judged by when it is used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from xanes_live.confidence.signals import NAMES, UNITS
from xanes_live.confidence.verdict import RIGHT, Verdict, fit_error, fit_probability, scaled
from xanes_live.domain import Array
from xanes_live.ensemble.calibration import band, conformal_quantile
from xanes_live.ensemble.data import TrainingSet
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.library import write_library
from xanes_live.ensemble.recipe import Recipe, parse_recipe
from xanes_live.ensemble.registry import DESCRIPTION, read_description
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation.measured import read_measured, read_references
from xanes_live.evaluation.unseen import Say, Unseen, examine_folds, library_of

MEASURED_SHARE, SPOILED_SHARE = 0.5, 0.25
"""Weight of all measured and of all spoiled spectra in the fit, in units of that of theory."""
MARGIN = 30.0
"""Energies read of measured spectra beyond the model's, eV."""
UNSEEN = "unseen.npz"


@dataclass(frozen=True)
class CrossFitted:
    """What verdicts say of spectra they were not fitted to."""

    probability: Array
    half_width: Array
    """Å."""


def calibrate(
    model: str | Path,
    data: Path,
    *,
    references: Path | None,
    root: Path | None = None,
    structures: Path | None = None,
    folds: int = 4,
    device: str = "auto",
    work: Path | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Fit a model's verdict, interval and band, and write them and its library into its folder.

    Parameters
    ----------
    model
        Name or folder.
    data
        Computed spectra it was trained on.
    references, root, structures
        Table of measured spectra of known structure, folder of their files, crystal structures;
        see :func:`xanes_live.evaluation.measured.read_measured`. None fits to theory alone.
    folds
        Ensembles trained without a share of everything.
    device
        To train on.
    work
        Folder to keep finished folds in, and to resume from.
    say
        Told what is being done.

    Returns
    -------
    dict
        Scores of verdicts on spectra they were not fitted to; also written into metrics.json.

    Raises
    ------
    UnknownModelError, ModelFormatError, ConfigurationError, ReadError
        If something given cannot be used.
    """
    ensemble = Ensemble.load(model, device)
    recipe = _recipe(ensemble, model)
    known = read_training_set(data, ensemble.model.grid).without(recipe.data.leave_out)
    measured = None
    if references is not None:
        low, high = ensemble.energy[0] - MARGIN, ensemble.energy[-1] + MARGIN
        energies = np.arange(low, high, 0.1)
        table = read_references(references, root)
        measured = read_measured(
            table, energies, ensemble.input_form, ensemble.model.grid, structures
        )
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    unseen = examine_folds(
        known, recipe, measured, n_folds=folds, seed=recipe.training.seed,
        device=str(ensemble.device), work=work, say=say,
    )  # fmt: skip
    say("fitting")
    calibration = fitted(unseen)
    scores = judged(unseen, cross_fitted(unseen))
    write(ensemble.model.path, calibration, known, recipe, ensemble.energy)
    unseen.save(ensemble.model.path / UNSEEN if work is None else work / UNSEEN)
    _merge(ensemble.model.path / "metrics.json", {"confidence": scores})
    return scores


def _recipe(ensemble: Ensemble, model: str | Path) -> Recipe:
    stored = ensemble.model.description.get("recipe")
    if stored is None:
        raise ConfigurationError(f"{model}: model.toml holds no recipe, so it cannot be calibrated")
    return parse_recipe(stored, str(model))


def fitted(unseen: Unseen) -> dict[str, Any]:
    """Return the calibration a model is to store: band, verdict, usual distances."""
    theory = unseen.of("theory")
    error = np.abs(theory.g2_mean - theory.g2_truth)
    usual = np.quantile(theory.distance, np.linspace(0.0, 1.0, 101))
    return {
        **measured_too(band(error, theory.g2_sigma), unseen),
        "verdict": fit_verdict(unseen).as_mapping(),
        "novelty": np.round(usual, 5).tolist(),
    }


def measured_too(calibration: dict[str, list[float]], unseen: Unseen) -> dict[str, list[float]]:
    """Widen the band of G2 where measured spectra of known structure ask for it.

    Theory with random errors of measurement is not yet a measurement. One factor for each of the
    radii below and beyond 2.6 Å … is found so that 95 % of the values of left-out compounds lie
    inside, each compound counting once.
    """
    found = unseen.of("measured")
    found = found.take(found.scored & np.isfinite(found.g2_truth).all(axis=1))
    if not len(found):
        return calibration
    factor, floor = np.array(calibration["band_factor"]), np.array(calibration["band_floor"])
    half = np.maximum(factor * found.g2_sigma, floor)
    ratio = np.abs(found.g2_mean - found.g2_truth) / half
    worst = np.array([_weighted(column, found.parent) for column in ratio.T])
    smooth = np.array([worst[max(0, k - 5) : k + 6].mean() for k in range(len(worst))])
    wider = np.maximum(1.0, smooth)
    return {
        "band_factor": np.round(factor * wider, 3).tolist(),
        "band_floor": np.round(floor * wider, 4).tolist(),
    }


def _weighted(values: Array, group: NDArray[np.str_], level: float = 0.95) -> float:
    """Return the quantile of values, each group counting as one."""
    _, which, count = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(values)
    share = np.cumsum((1.0 / count[which])[order]) / len(count)
    place = min(int(np.searchsorted(share, level)), len(values) - 1)
    return float(values[order][place])


def weights_of(unseen: Unseen) -> Array:
    """Return how much each spectrum counts in a fit; compounds count alike, shape (n,)."""
    weight = np.zeros(len(unseen))
    theory = unseen.source == "theory"
    weight[theory] = 1.0
    total = max(float(theory.sum()), 1.0)
    spoiled = np.char.startswith(unseen.source, "spoiled")
    for mask, share in ((unseen.source == "measured", MEASURED_SHARE), (spoiled, SPOILED_SHARE)):
        chosen = mask & unseen.scored
        _, which, count = np.unique(unseen.parent[chosen], return_inverse=True, return_counts=True)
        weight[chosen] = share * total / max(len(count), 1) / count[which]
    return np.where(np.isfinite(unseen.error), weight, 0.0)


def fit_verdict(unseen: Unseen) -> Verdict:
    """Fit probability and interval to unseen spectra."""
    used = np.isfinite(unseen.signals).any(axis=0)
    weight = weights_of(unseen)
    part = unseen.take(weight > 0)
    weight = weight[weight > 0]
    x = scaled(part.signals[:, used], UNITS[used])
    error = np.abs(part.error)
    right = np.asarray(error <= RIGHT, dtype=np.float64)
    weights, intercept = fit_probability(x, right, weight)
    widths, base = fit_error(x, error, weight)
    raw = Verdict(
        names=tuple(np.array(NAMES)[used]), units=UNITS[used], weights=weights,
        intercept=intercept, widths=widths, base=base, quantile=1.0,
    )  # fmt: skip
    ratio = error / raw.expected_error(part.signals[:, used])
    theory = part.source == "theory"
    quantiles = [conformal_quantile(ratio[theory])]
    if (part.source == "measured").any():
        own = part.source == "measured"
        quantiles.append(_weighted(ratio[own], part.parent[own]))
    return Verdict(
        names=raw.names, units=raw.units, weights=weights, intercept=intercept, widths=widths,
        base=base, quantile=float(np.nanmax(quantiles)),
    )  # fmt: skip


def cross_fitted(unseen: Unseen, n_folds: int = 5, seed: int = 0) -> CrossFitted:
    """Judge every spectrum by a verdict fitted without its structure or compound."""
    parents, which = np.unique(unseen.parent, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(parents))[which] % n_folds
    chance, half = np.full(len(unseen), np.nan), np.full(len(unseen), np.nan)
    for k in range(n_folds):
        verdict = fit_verdict(unseen.take(fold != k))
        columns = [NAMES.index(name) for name in verdict.names]
        signals = unseen.signals[fold == k][:, columns]
        chance[fold == k] = verdict.probability(signals)
        half[fold == k] = verdict.half_width(signals)
    return CrossFitted(chance, half)


def judged(unseen: Unseen, found: CrossFitted) -> dict[str, Any]:
    """Return the scores of verdicts by source of spectra."""
    scores: dict[str, Any] = {}
    for source in ("theory", "measured", "spoiled"):
        own = np.char.startswith(unseen.source, source) & unseen.scored
        if own.any():
            scores[source] = _scores(
                unseen.take(own), found.probability[own], found.half_width[own]
            )
    both = unseen.scored & np.isfinite(unseen.error)
    wrong = np.abs(unseen.error) > RIGHT
    spread = unseen.signals[:, NAMES.index("spread")]
    scores["auroc"] = auroc(-found.probability[both], wrong[both])
    scores["auroc_spread_alone"] = auroc(spread[both], wrong[both])
    return scores


def _scores(part: Unseen, chance: Array, half: Array) -> dict[str, Any]:
    error = np.abs(part.error)
    wrong = error > RIGHT
    spread = part.signals[:, NAMES.index("spread")]
    return {
        "spectra": len(part),
        "error_median": round(float(np.nanmedian(error)), 4),
        "within_0.1": round(float(np.mean(~wrong)), 4),
        "interval_coverage": round(float(np.mean(error <= half)), 4),
        "half_width_median": round(float(np.median(half)), 4),
        "auroc": auroc(-chance, wrong),
        "auroc_spread_alone": auroc(spread, wrong),
        "brier": round(float(np.mean((chance - ~wrong) ** 2)), 4),
    }


def auroc(score: Array, positive: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve (Mann–Whitney, ties halved); None for one class only."""
    from scipy.stats import rankdata  # noqa: PLC0415 - only here

    rank = rankdata(np.nan_to_num(score, nan=np.inf))
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses:
        return None
    area = (rank[positive].sum() - hits * (hits + 1) / 2) / (hits * misses)
    return round(float(area), 4)


def write(
    folder: Path, calibration: dict[str, Any], data: TrainingSet, recipe: Recipe, energy: Array
) -> None:
    """Write calibration and library into a model folder."""
    description = read_description(folder)
    description["calibration"] = description.get("calibration", {}) | calibration
    library = library_of(data, recipe, energy)
    elements, which = np.unique(library.ligand, return_inverse=True)
    arrays: dict[str, NDArray[Any]] = {
        "mean": library.mean.astype(np.float32), "basis": library.basis.astype(np.float32),
        "points": library.points.astype(np.float16), "group": library.group.astype(np.int32),
        "r": library.r.astype(np.float32), "coordination": library.coordination.astype(np.float32),
        "element": which.astype(np.int32),
    }  # fmt: skip
    words = {"names": list(library.names), "elements": [str(e) for e in elements]}
    description["library"] = write_library(folder, arrays, words) | {"spectra": len(data)}
    (folder / DESCRIPTION).write_text(tomli_w.dumps(description), encoding="utf-8")


def _merge(path: Path, values: dict[str, Any]) -> None:
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | values, indent=2) + "\n", encoding="utf-8")
