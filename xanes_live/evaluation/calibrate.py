"""From examined unseen spectra to what a model is judged by when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from xanes_live.confidence.signals import NAMES
from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array
from xanes_live.ensemble.data import TrainingSet, file_hash, measured_parents
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.library import write_library
from xanes_live.ensemble.recipe import Recipe, stored_recipe
from xanes_live.ensemble.registry import DESCRIPTION, read_description
from xanes_live.evaluation.confidence_scores import auroc
from xanes_live.evaluation.experience import with_experience
from xanes_live.evaluation.fitting import CrossFitted, cross_fitted, fitted
from xanes_live.evaluation.folds import data_without
from xanes_live.evaluation.judged import SOURCES
from xanes_live.evaluation.measured import (
    MeasuredSet,
    read_measured,
    read_references,
    say_what_is_not_left_out,
)
from xanes_live.evaluation.unseen import Say, Unseen, examine_folds, library_of
from xanes_live.whole import update_json, write_whole

MARGIN = 30.0
"""Energies read of measured spectra beyond the model's, eV."""
UNSEEN = "unseen.npz"
AS_COMPUTED = (
    "the recipe has no [augmentation]: computed spectra are examined without any error of "
    "measurement, and the interval and the probability promise too much of measured ones"
)
NOTHING_KEPT = (
    "without --work no fold is kept: an interruption loses them all, and evaluate --unseen has no "
    "spectra to judge confidence by"
)

NOTHING_LEARNT = (
    "too few computed spectra of different structures to learn which predictions turn out wrong: "
    "the band of G2 goes by the members' spread alone"
)


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
    jobs: int = 1,
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
    jobs
        Folds trained at a time, each in a process of its own.
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
    recipe = stored_recipe(ensemble.model.description, ensemble.model.path)
    known = read_training_set(data, ensemble.model.grid).without(recipe.data.leave_out)
    known.must_cover(float(ensemble.energy[0]), float(ensemble.energy[-1]), data)
    if ensemble.model.description["data"]["sha256"] != file_hash(data):
        say(f"{data} is not the file the model was trained on: what is found may not hold for it")
    measured = None
    if references is not None:
        low, high = ensemble.energy[0] - MARGIN, ensemble.energy[-1] + MARGIN
        energies = np.arange(low, high, 0.1)
        table = read_references(references, root)
        measured = read_measured(
            table, energies, ensemble.input_form, ensemble.model.grid, structures,
            element=ensemble.info.element, edge=ensemble.info.edge,
        )  # fmt: skip
        say_what_is_not_left_out(known, measured, say)
    if not recipe.augmentation.random:
        say(AS_COMPUTED)
    if work is None:
        say(NOTHING_KEPT)
    else:
        work.mkdir(parents=True, exist_ok=True)
    unseen = examine_folds(
        known, recipe, measured, n_folds=folds, seed=recipe.training.seed,
        device=str(ensemble.device), work=work, jobs=jobs, say=say,
    )  # fmt: skip
    say("fitting")
    kin = {} if measured is None else _kin(known, measured)
    unseen, experience = with_experience(unseen, kin, recipe.training.seed)
    if not experience:
        say(NOTHING_LEARNT)
    calibration = fitted(unseen, ensemble.radius)
    scores = judged(unseen, cross_fitted(unseen))
    learnt = data_without(known, recipe, measured, set())
    write(ensemble.model.path, calibration, learnt, recipe, ensemble.energy, experience)
    if work is not None:
        unseen.save(work / UNSEEN)
    update_json(ensemble.model.path / "metrics.json", {"confidence": scores})
    return scores


def _kin(known: TrainingSet, measured: MeasuredSet) -> dict[str, set[str]]:
    """Return the parents of computed spectra of each measured compound, by its own parent."""
    compounds = np.unique(measured.compound)
    return {
        str(parent): set(known.parent[known.named(measured.words({str(compound)}))].tolist())
        for compound, parent in zip(compounds, measured_parents(compounds), strict=True)
    }


def judged(unseen: Unseen, found: CrossFitted) -> dict[str, Any]:
    """Return the scores of verdicts by source of spectra."""
    scores: dict[str, Any] = {}
    for source in SOURCES:
        own = np.char.startswith(unseen.source, source) & unseen.scored
        if own.any():
            scores[source] = _scores(
                unseen.take(own), found.probability[own], found.half_width[own]
            )
    both = unseen.scored & np.isfinite(unseen.error)
    wrong = ~(np.abs(unseen.error) <= RIGHT)
    spread = unseen.signals[:, NAMES.index("spread")]
    scores["auroc"] = _ranked(-found.probability[both], wrong[both])
    scores["auroc_spread_alone"] = _ranked(spread[both], wrong[both])
    return scores


def _scores(part: Unseen, chance: Array, half: Array) -> dict[str, Any]:
    error = np.abs(part.error)
    wrong = ~(error <= RIGHT)  # no distance is no right one
    spread = part.signals[:, NAMES.index("spread")]
    return {
        "spectra": len(part),
        "error_median": round(float(np.nanmedian(error)), 4),
        "within_0.1": round(float(np.mean(~wrong)), 4),
        "interval_coverage": round(float(np.mean(error <= half)), 4),
        "half_width_median": round(float(np.median(half)), 4),
        "auroc": _ranked(-chance, wrong),
        "auroc_spread_alone": _ranked(spread, wrong),
        "brier": round(float(np.mean((chance - ~wrong) ** 2)), 4),
    }


def _ranked(score: Array, wrong: NDArray[np.bool_]) -> float | None:
    """Return the AUROC, what is unknown counting as worst; None if all are wrong or none is."""
    worst = np.nan_to_num(score, nan=np.finfo(np.float64).max)
    area = auroc(worst, wrong)
    return None if np.isnan(area) else round(area, 4)


def write(
    folder: Path,
    calibration: dict[str, Any],
    data: TrainingSet,
    recipe: Recipe,
    energy: Array,
    experience: dict[str, NDArray[Any]] | None = None,
) -> None:
    """Write calibration and library, experience included, into a model folder."""
    description = read_description(folder)
    description["calibration"] = description.get("calibration", {}) | calibration
    library = library_of(data, recipe, energy)
    elements, which = np.unique(library.ligand, return_inverse=True)
    arrays: dict[str, NDArray[Any]] = {
        "mean": library.mean.astype(np.float32), "basis": library.basis.astype(np.float32),
        "points": library.points.astype(np.float16), "group": library.group.astype(np.int32),
        "r": library.r.astype(np.float32),
        "element": which.astype(np.int32),
        **(experience or {}),
    }  # fmt: skip
    words = {"names": list(library.names), "elements": [str(e) for e in elements]}
    description["library"] = write_library(folder, arrays, words) | {"spectra": len(data)}
    write_whole(folder / DESCRIPTION, tomli_w.dumps(description))
