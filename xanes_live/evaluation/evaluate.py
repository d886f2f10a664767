"""Everything a model is judged by, gathered in one report and one ``metrics.json``."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.config import ConfidenceConfig
from xanes_live.domain import Array
from xanes_live.ensemble.data import TrainingSet, file_hash, split_by_parent
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.device import choose_device
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.recipe import Recipe, stored_recipe
from xanes_live.ensemble.train import shown
from xanes_live.ensemble.training import draws_hash
from xanes_live.evaluation import folds
from xanes_live.evaluation.confidence_section import HEADING, add_confidence
from xanes_live.evaluation.elsewhere import ELSEWHERE, Elsewhere, add_elsewhere, ask_elsewhere
from xanes_live.evaluation.judging import judge_unseen, read_unseen
from xanes_live.evaluation.kept import Sections, Trainings, told_what_is_kept
from xanes_live.evaluation.measured import (
    MeasuredSet,
    read_measured,
    references_to_judge_by,
    say_what_is_not_left_out,
)
from xanes_live.evaluation.measured_section import add_measured
from xanes_live.evaluation.report import Report
from xanes_live.evaluation.scores import Predictions
from xanes_live.evaluation.sections import (
    about_section,
    experiment_section,
    fold_section,
    learning_section,
    map_section,
    theory_section,
)
from xanes_live.evaluation.unseen import MEASURED, Unseen, fingerprint_of

SHARES = (0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the data in the learning curve."""
WIDE = 20.0
"""Energies beyond the model's that experiments need, eV."""
HOW_TO = (
    "Not judged: that takes spectra examined by ensembles that have not seen them. Make them with "
    "`xanes-live calibrate MODEL DATA --measured TABLE --work FOLDER`, then call `xanes-live "
    "evaluate` again with `--unseen FOLDER/unseen.npz`."
)
NOTE = (
    "Each spectrum was examined by an ensemble trained without its structure or compound, and "
    "judged by a verdict, an interval and a band fitted without them, too. {errors}Measured "
    "spectra have the flags of their scan and its reduction, too, as on a beamline{but}; computed "
    "and spoiled ones were not reduced: there would be more reasons."
)
WITH_ERRORS = (
    "Computed spectra have random errors of measurement, and on top of them what theory gets wrong "
    "(theory) or not (exact). "
)
WITHOUT_ERRORS = (
    "The recipe has no [augmentation]: computed spectra (theory and exact alike) have no errors of "
    "measurement, and figures of them promise too much. "
)

OTHER_FILE = "on another file than the one learnt from: what both hold flatters"


@dataclass(frozen=True)
class Options:
    """What to compute; training again takes long."""

    folds: int = 5
    """Folds of the cross-validation; 0 for none."""
    repeats: int = 1
    """Repetitions of it with other folds."""
    members: int | None = None
    """Members trained in each fold; as in the recipe by default."""
    epochs: int | None = None
    learning_curve: bool = True
    limit: int = 2000
    """Spectra in maps and experiments."""
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Subject:
    """What is judged and what by."""

    ensemble: Ensemble
    recipe: Recipe
    data: TrainingSet
    measured: MeasuredSet | None
    unseen: NDArray[np.int64]
    """Indices of the computed spectra scored."""
    predictions: Predictions
    """Of these, by members that have not seen them."""
    how: str
    """'out of bag', 'held out' or why it flatters."""
    unseeing: NDArray[np.bool_] | None = None
    """Which members have not seen which of all spectra, (n_members, n), where only these speak."""

    @property
    def truth(self) -> Array:
        """G2 of the scored spectra, shape (n, n_g2)."""
        return self.data.g2[self.unseen]


def evaluate(
    model: str | Path,
    data: Path,
    report: Path,
    *,
    references: Path | None = None,
    root: Path | None = None,
    structures: Path | None = None,
    unseen: Path | None = None,
    elsewhere: Path | None = None,
    work: Path | None = None,
    options: Options | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Judge a model and write ``report.html``, ``metrics.json`` and ``figures/``.

    Parameters
    ----------
    model
        Name or folder.
    data
        Computed spectra. If they are those the model was trained on, only members that have not
        seen a spectrum speak of it.
    report
        Folder to write, created if absent. What there is of the report while it is made is in
        ``unfinished-report.html`` there.
    references
        Table of measured spectra of known structure.
    root
        Folder of their files; by default that of the table.
    structures
        Crystal structures (extended XYZ with ``amcsd``) for their expected G2.
    unseen
        Spectra examined by ensembles that had not seen them, as ``xanes-live calibrate`` keeps
        them; without it the report does not judge confidence.
    elsewhere
        Table of measured spectra of neighbouring elements; see
        :mod:`xanes_live.evaluation.elsewhere`. Their files are in `root`, too.
    work
        Folder to keep finished trainings in, and to resume from.
    options
        What to compute.
    say
        Told what is being done.

    Returns
    -------
    dict
        The contents of ``metrics.json``.

    Raises
    ------
    UnknownModelError, ModelFormatError, ConfigurationError, ReadError
        If something given cannot be used.
    """
    options, say = options or Options(), say or (lambda _: None)
    options = replace(options, device=str(choose_device(options.device)))
    subject = prepare(model, data, references, root, structures, options)
    for repeat in range(options.repeats if options.folds else 0):  # not after an hour of training
        folds.check_folds(subject.data, subject.measured, options.folds, options.seed + repeat)
    if subject.measured is not None:
        say_what_is_not_left_out(subject.data, subject.measured, say)
    size = subject.ensemble.radius.size
    confidence = None if unseen is None else read_unseen(unseen, size)
    said = None if elsewhere is None else ask_elsewhere(subject.ensemble, elsewhere, root)
    page = Report(f"{subject.ensemble.info.id} {subject.ensemble.info.version}")
    sections = Sections(page, report)
    with told_what_is_kept(sections, say):
        _without_training(sections, subject, options, say)
        again = _with_training(sections, subject, options, work, say)
        if subject.measured is not None:
            say("measured spectra")
            sections.add({"measured": add_measured(page, subject, again)})
        if elsewhere is not None:
            say("neighbouring elements")
            sections.add(_elsewhere(page, said))
        if confidence is not None:
            say("confidence")
        sections.add(_confidence(page, subject, confidence))
        sections.finish()
    return sections.metrics


def _without_training(
    sections: Sections, subject: Subject, options: Options, say: Callable[[str], None]
) -> None:
    """Add what the model as it is shows."""
    page = sections.page
    sections.add(about_section(page, subject))
    say("computed spectra")
    sections.add({"computed": theory_section(page, subject)})
    sections.add({"experiments": experiment_section(page, subject, options)})
    say("maps")
    map_section(page, subject, options)
    sections.add({})


def _with_training(
    sections: Sections,
    subject: Subject,
    options: Options,
    work: Path | None,
    say: Callable[[str], None],
) -> list[folds.CrossValidated]:
    """Add what takes training again; return the cross-validations."""
    if not options.folds:
        return []
    recipe = _shorter(subject.recipe, options)
    key = fingerprint_of(subject.data, recipe, subject.measured) if work else ""
    kept = Trainings(work, key, say)
    again = retrained(subject, recipe, options, kept)
    sections.add({"cross_validation": fold_section(sections.page, subject, again)})
    if options.learning_curve:
        curve = folds.learning_curve(
            subject.data, recipe, SHARES, device=options.device, seed=options.seed, kept=kept
        )
        sections.add({"learning_curve": learning_section(sections.page, subject.data, curve)})
    return again


def _elsewhere(page: Report, said: Elsewhere | None) -> dict[str, Any]:
    if said is None:
        page.heading(ELSEWHERE, "Not judged: the model was never calibrated.")
        return {}
    return {"elsewhere": add_elsewhere(page, said, ConfidenceConfig().green_probability)}


def _confidence(page: Report, subject: Subject, unseen: Unseen | None) -> dict[str, Any]:
    if unseen is None:
        page.heading(HEADING, HOW_TO)
        return {}
    told = {} if subject.measured is None else subject.measured.told
    judged = judge_unseen(unseen, subject.ensemble.radius, ConfidenceConfig(), told)
    return {"confidence": add_confidence(page, judged, note=_note(subject.recipe, unseen, told))}


def _note(recipe: Recipe, unseen: Unseen, told: Container[str]) -> str:
    """Return what was left out of training, with which errors, and which flags are known."""
    missing = [name for name in unseen.of(MEASURED).id.tolist() if name not in told]
    but = f", but for {len(missing)} whose files were not given (--measured)" if missing else ""
    errors = WITH_ERRORS if recipe.augmentation.random else WITHOUT_ERRORS
    return NOTE.format(errors=errors, but=but)


def prepare(
    model: str | Path,
    data: Path,
    references: Path | None,
    root: Path | None,
    structures: Path | None,
    options: Options,
) -> Subject:
    """Load everything and predict what can be predicted without training again."""
    ensemble = Ensemble.load(model, device=options.device)
    recipe = stored_recipe(ensemble.model.description, ensemble.model.path)
    known = read_training_set(data, ensemble.model.grid).without(recipe.data.leave_out)
    known.must_cover(float(ensemble.energy[0]), float(ensemble.energy[-1]), data)
    low, high = float(ensemble.energy[0]) - WIDE, float(ensemble.energy[-1]) + WIDE
    measured = None
    if references is not None:
        table = references_to_judge_by(references, root)
        wide = np.arange(low, high, 0.1)
        measured = read_measured(
            table, wide, ensemble.input_form, ensemble.model.grid, structures,
            element=ensemble.info.element, edge=ensemble.info.edge, needed=_needed(ensemble),
        )  # fmt: skip
    own = ensemble.model.description["data"]["sha256"] == file_hash(data)
    return _subject(ensemble, recipe, known, measured, own=own)


def _needed(ensemble: Ensemble) -> Array:
    """Return the energies a scan has to hold not to be called too short, eV."""
    last = ensemble.calibration.get("energy_needed", ensemble.energy[-1])
    return np.asarray(ensemble.energy[ensemble.energy <= last])


def _subject(
    ensemble: Ensemble,
    recipe: Recipe,
    data: TrainingSet,
    measured: MeasuredSet | None,
    *,
    own: bool,
) -> Subject:
    """Say which spectra can be scored without training again, what is said of them, and how."""
    index = np.arange(len(data))
    training, held = split_by_parent(data, recipe.data.held_out, recipe.training.seed)
    bagged = own and recipe.training.resample != "none" and not held.any()
    if bagged and _as_drawn(ensemble, data, recipe):
        unseeing = folds.unseeing(ensemble.n_members, data, recipe)
        unseen = np.flatnonzero(unseeing.sum(axis=0) >= folds.FEWEST)
        if len(unseen):  # none where members are few and parents fewer
            spectra = shown(data.take(unseen), recipe, ensemble.energy)
            said = folds.ask(ensemble, spectra, unseeing[:, unseen])
            return Subject(ensemble, recipe, data, measured, unseen, said, "out of bag", unseeing)
    if own:
        index = np.flatnonzero(held) if held.any() else np.flatnonzero(training)
    said = folds.ask(ensemble, shown(data.take(index), recipe, ensemble.energy))
    how = "held out" if held.any() else "as trained: this flatters"
    return Subject(ensemble, recipe, data, measured, index, said, how if own else OTHER_FILE)


def _as_drawn(ensemble: Ensemble, data: TrainingSet, recipe: Recipe) -> bool:
    """Tell whether what would be drawn today is what the members were given.

    Of models that do not say, it is taken for granted.
    """
    stored = ensemble.model.description["data"].get("draws")
    return stored is None or stored == draws_hash(data, recipe)


def retrained(
    subject: Subject, recipe: Recipe, options: Options, kept: Trainings
) -> list[folds.CrossValidated]:
    """Cross-validate as often as asked for."""
    again = partial(
        folds.cross_validate, subject.data, recipe, subject.measured, n_folds=options.folds,
        device=options.device, kept=kept,
    )  # fmt: skip
    return [again(seed=options.seed + repeat) for repeat in range(options.repeats)]


def _shorter(recipe: Recipe, options: Options) -> Recipe:
    """Return the recipe with fewer members or epochs, if asked for."""
    given = {"members": options.members, "epochs": options.epochs}
    update = {name: value for name, value in given.items() if value is not None}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=update)})
