"""Sections of the report: each adds its tables and figures and returns its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.assess import Calibration
from xanes_live.confidence.experience import Experience
from xanes_live.descriptor import first_peak
from xanes_live.descriptor.peaks import FAR, NEAR
from xanes_live.domain import Array
from xanes_live.ensemble.data import TrainingSet
from xanes_live.ensemble.train import shown
from xanes_live.errors import MissingDependencyError
from xanes_live.evaluation import experiments, figures, scores
from xanes_live.evaluation.embedding import tsne
from xanes_live.evaluation.folds import CrossValidated, ask
from xanes_live.evaluation.report import Report
from xanes_live.evaluation.scores import Predictions

if TYPE_CHECKING:
    from xanes_live.evaluation.evaluate import Options, Subject

SHIFTS = np.array([-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0])
WIDTHS = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
PRE_EDGE = (0.0, 0.5, 1.5, 2.0)
PAPER = "David et al. 2023"


def about_section(page: Report, subject: Subject) -> dict[str, Any]:
    """Say which model and which data."""
    info, data = subject.ensemble.info, subject.data
    sources, counts = np.unique(data.source, return_counts=True)
    about = {
        "model": {"id": info.id, "version": info.version, "hash": info.hash},
        "edge": f"{info.element} {info.edge}",
        "members": subject.ensemble.n_members,
        "spectra": len(data),
        "parents": len(np.unique(data.parent)),
        "sources": {str(s): int(c) for s, c in zip(sources, counts, strict=True)},
        "scored": subject.how,
    }
    page.heading("Model and data")
    page.table(("", ""), [(k, v if not isinstance(v, dict) else
                           ", ".join(f"{a} {b}" for a, b in v.items()))
                          for k, v in about.items()])  # fmt: skip
    return {"about": about}


def theory_scores(
    data: TrainingSet, index: NDArray[np.int64], predictions: Predictions
) -> dict[str, Any]:
    """Return all numbers on computed spectra that need no further prediction."""
    radius, truth = data.grid.radius, data.g2[index]
    first = np.abs(first_peak(radius, predictions.mean) - first_peak(radius, truth))
    return {
        "mse": scores.summary(scores.mean_squared_error(predictions.mean, truth)),
        "peaks": scores.peak_scores(radius, predictions.mean, truth),
        "first_peak": scores.summary(first),
        "first_shell": scores.shell_scores(predictions.shell - data.shell[index]),
        "spread": scores.spread_scores(predictions, truth),
        "shell_sigma_correlation": scores.correlation(
            predictions.shell_sigma, np.abs(predictions.shell - data.shell[index])
        ),
    }


def _scored_by(how: str) -> str:
    if how in {"out of bag", "held out"}:
        return f"Each spectrum is scored by members that have not seen it ({how})."
    return f"Each spectrum is scored {how}."


def theory_section(page: Report, subject: Subject) -> dict[str, Any]:
    """Score computed spectra the members have not seen."""
    found = theory_scores(subject.data, subject.unseen, subject.predictions)
    radius, truth = subject.data.grid.radius, subject.truth
    page.heading("Computed spectra", _scored_by(subject.how))
    _against_the_paper(page, found)
    mse = scores.mean_squared_error(subject.predictions.mean, truth)
    page.figure("mse", figures.histogram_of_errors(mse), "Mean squared error of G2.")
    page.figure(
        "examples",
        figures.examples(radius, subject.predictions, truth, band_of(subject, subject.predictions)),
        "Best, median and worst predictions with the 95 % band a new scan would have. Where the "
        "model was calibrated on these spectra, it has learnt what became of them.",
    )  # fmt: skip
    near, _ = scores.peak_errors(radius, subject.predictions.mean, truth, NEAR)
    far, _ = scores.peak_errors(radius, subject.predictions.mean, truth, FAR)
    page.figure("peaks", figures.peak_histograms(near, far), "Errors of peak positions.")
    page.figure(
        "spread", figures.spread_figure(radius, subject.predictions, truth),
        "What σ over members knows of the error.",
    )  # fmt: skip
    return found


def band_of(subject: Subject, predictions: Predictions) -> Array:
    """Return the half-width of the band, ±2σ without calibration, (n, n_g2).

    That of a new scan: of computed spectra that the model was calibrated on it has learnt the very
    errors, so it is drawn and nothing is scored by it.
    """
    said, model = predictions, subject.ensemble
    bands, library = Calibration.of(model), model.library
    known = Experience.from_arrays(library[0], model.radius.size) if library else None
    expected = known.g2_error(said.shell, said.mean, said.sigma) if known else None
    return bands.half_width(said.mean, said.sigma, expected)


def _against_the_paper(page: Report, found: dict[str, Any]) -> None:
    near, far, spread = found["peaks"]["near"], found["peaks"]["far"], found["spread"]
    page.table(
        ("", "here", PAPER),
        [
            ("MSE, median", found["mse"]["median"], 0.1),
            ("MSE, mean", found["mse"]["mean"], 0.2),
            ("MSE, coefficient of variation", found["mse"]["coefficient_of_variation"], 1.73),
            ("peaks 1–3.5 Å: median error / Å", near.get("median", np.nan), 0.0),
            ("peaks 1–3.5 Å: mean error / Å", near.get("mean", np.nan), 0.07),
            (
                "peaks 1–3.5 Å: interquartile range / Å",
                near.get("interquartile_range", np.nan),
                0.1,
            ),
            ("peaks 1–3.5 Å: without a predicted one, share", near.get("missed", np.nan), "–"),
            ("peaks 3.5–6 Å: median error / Å", far.get("median", np.nan), 0.2),
            ("peaks 3.5–6 Å: mean error / Å", far.get("mean", np.nan), 0.22),
            ("peaks 3.5–6 Å: interquartile range / Å", far.get("interquartile_range", np.nan), 0.2),
            ("peaks 3.5–6 Å: without a predicted one, share", far.get("missed", np.nan), "–"),
            ("first peak: median error / Å", found["first_peak"].get("median", np.nan), "–"),
            ("first peak: mean error / Å", found["first_peak"].get("mean", np.nan), "–"),
            ("first shell: median error / Å", found["first_shell"]["median"], "–"),
            ("coverage of ±2σ, median", spread["coverage_2_sigma_median"], 0.64),
            ("correlation of σ and MSE", spread["sigma_mse_correlation"], 0.72),
        ],
    )


def experiment_section(page: Report, subject: Subject, options: Options) -> dict[str, Any]:
    """Change spectra and see what the prediction does."""
    grid = subject.ensemble.energy
    energy = np.arange(grid[0] - 12.0, grid[-1] + 12.0, 0.1)
    chosen = _sample(subject.unseen, options)
    spectra = shown(subject.data.take(chosen), subject.recipe, energy).astype(np.float64)
    reference = experiments.shifted(energy, spectra, grid, 0.0)

    predict = _asking(subject, chosen)
    mse = ((predict(reference)[0] - subject.data.g2[chosen]) ** 2).mean(axis=1)
    best, worst = mse <= np.quantile(mse, 0.2), mse >= np.quantile(mse, 0.8)
    made = {
        "energy shift / eV": (SHIFTS, experiments.shifted),
        "broadening, FWHM / eV": (WIDTHS, experiments.broadened),
    }
    moved = {}
    for name, (sizes, change) in made.items():
        changed = [change(energy, spectra, grid, float(size)) for size in sizes]
        moved[name] = experiments.response(predict, changed, reference)
    drawn = {
        name: (made[name][0], g2[:, best].mean(axis=1), g2[:, worst].mean(axis=1))
        for name, (g2, _) in moved.items()
    }
    page.heading("Changing the spectrum", _who_moves_more(drawn) + " " + _scored_by(subject.how))
    page.figure("sensitivity", figures.sensitivity_figure(drawn), "Energy shift and broadening.")
    found: dict[str, Any] = {
        name: {"size": sizes.tolist(), "best_fifth": good.tolist(), "worst_fifth": bad.tolist()}
        for name, (sizes, good, bad) in drawn.items()
    }
    found["natoli"] = experiments.natoli(predict, energy, spectra, grid)
    on_measured = None
    if subject.measured is not None:
        on_measured = experiments.natoli(
            _asking(subject), energy, subject.measured.on(energy), grid
        )
        found["natoli_measured"] = on_measured
    page.figure(
        "natoli", figures.natoli_figure(found["natoli"], on_measured),
        "Natoli's rule: the distance goes with one over the square root of the energies. "
        "Measured spectra that the ensemble has learnt from may be remembered instead.",
    )  # fmt: skip
    changed = [experiments.pre_edge_scaled(energy, spectra, grid, f) for f in PRE_EDGE]
    g2, shell = experiments.response(predict, changed, reference)
    rows = [(f, float(np.median(a)), float(np.nanmedian(np.abs(b))))
            for f, a, b in zip(PRE_EDGE, g2, shell, strict=True)]  # fmt: skip
    page.heading("Changing only the pre-edge")
    page.table(("pre-edge multiplied by", "rms change of G2", "change of first shell / Å"), rows)
    found["pre_edge"] = [dict(zip(("factor", "g2", "shell"), row, strict=True)) for row in rows]
    return found


def _asking(subject: Subject, chosen: NDArray[np.int64] | None = None) -> experiments.Predict:
    """Return what asks the members that have not seen the chosen spectra; all without a choice."""
    unseeing = subject.unseeing
    speak = None if chosen is None or unseeing is None else unseeing[:, chosen]

    def predict(values: Array) -> tuple[Array, Array]:
        said = ask(subject.ensemble, values, speak)
        return said.mean, said.shell

    return predict


FEWEST_ON_MAP = 5
"""Spectra without which there is no map to draw."""


def _sample(index: NDArray[np.int64], options: Options) -> NDArray[np.int64]:
    if len(index) <= options.limit:
        return index
    return np.random.default_rng(options.seed).choice(index, options.limit, replace=False)


def _who_moves_more(drawn: Mapping[str, tuple[Array, Array, Array]]) -> str:
    """Say of which fifth changes move the predictions more: sizes, best and worst of each kind."""
    moves = [row for kind in drawn.values() for row in zip(*kind, strict=True) if row[0]]
    more = [bool(bad > good) for _, good, bad in moves]
    if all(more):
        return "Predictions that are bad move more: the movement itself is a measure of confidence."
    if not any(more):
        return "Predictions that are bad move less here: the movement says nothing of their error."
    return f"Predictions that are bad move more for {sum(more)} of {len(more)} changes."


def map_section(page: Report, subject: Subject, options: Options) -> None:
    """Draw t-SNE maps of descriptors and spectra, coloured by coordination."""
    chosen = _sample(subject.unseen, options)
    spectra = shown(subject.data.take(chosen), subject.recipe, subject.ensemble.energy)
    page.heading("Maps (t-SNE)", "Coloured by the number of neighbours in the first shell.")
    if len(chosen) < FEWEST_ON_MAP:
        page.parts.append(f'<p class="note">Too few spectra for a map: {len(chosen)}.</p>')
        return
    try:
        maps = {
            "descriptor": tsne(subject.data.g2[chosen], seed=options.seed),
            "spectrum": tsne(spectra, seed=options.seed),
        }
    except MissingDependencyError as error:
        page.parts.append(f'<p class="note">{error}</p>')
        return
    colour = np.clip(subject.data.coordination[chosen], 1, 12)
    drawn = figures.map_figure(maps, colour, "coordination")
    page.figure("tsne", drawn, "Neighbouring points are alike in G2 (left) and in μ(E) (right).")


def fold_section(page: Report, subject: Subject, again: Sequence[CrossValidated]) -> dict[str, Any]:
    """Show the scores of each fold of each repetition."""
    everything = np.arange(len(subject.data))
    per_fold = []
    for run in again:
        mse = scores.mean_squared_error(run.computed.mean, subject.data.g2)
        per_fold += [mse[run.fold == k] for k in np.unique(run.fold)]
    medians = np.array([np.median(m) for m in per_fold])
    means = np.array([np.mean(m) for m in per_fold])
    whole = theory_scores(subject.data, everything, again[0].computed)
    page.heading("Cross-validation", f"{len(per_fold)} trainings, folds by parent structure.")
    page.table(
        ("", "mean over folds", "standard deviation"),
        [
            ("MSE, median", float(medians.mean()), float(medians.std())),
            ("MSE, mean", float(means.mean()), float(means.std())),
        ],
    )
    _against_the_paper(page, whole)
    page.figure("folds", figures.fold_figure(per_fold), "Error in each fold.")
    return whole | {
        "trainings": len(per_fold),
        "mse_median_by_fold": medians.tolist(),
        "mse_mean_by_fold": means.tolist(),
    }


def learning_section(
    page: Report,
    data: TrainingSet,
    curve: Sequence[tuple[int, Predictions, NDArray[np.int64]]],
) -> list[dict[str, float]]:
    """Show the error on held-out spectra against the size of the training set."""
    rows = []
    for size, predictions, held in curve:
        mse = scores.mean_squared_error(predictions.mean, data.g2[held])
        shell = scores.shell_scores(predictions.shell - data.shell[held])
        rows.append(
            {
                "spectra": size,
                "mse_median": float(np.median(mse)),
                "mse_mean": float(mse.mean()),
                "first_shell_median": shell["median"],
            }
        )
    page.heading("Learning curve")
    drawn = figures.learning_figure(
        [size for size, _, _ in curve],
        [r["mse_median"] for r in rows],
        [r["mse_mean"] for r in rows],
    )
    page.figure("learning", drawn, "Error on the same held-out spectra.")
    return rows
