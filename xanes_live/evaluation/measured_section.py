"""The section on measured spectra of known structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xanes_live.domain import Array
from xanes_live.ensemble.train import shown
from xanes_live.evaluation import baselines, figures, scores
from xanes_live.evaluation.folds import CrossValidated, ask
from xanes_live.evaluation.measured import MeasuredSet
from xanes_live.evaluation.report import Report
from xanes_live.evaluation.scores import Predictions
from xanes_live.evaluation.sections import band_of

if TYPE_CHECKING:
    from xanes_live.evaluation.evaluate import Subject

BEYOND = (2.6, 6.0)
"""The region beyond the first shell, Å."""
NEIGHBOURS = (1, 5)


def add_measured(page: Report, subject: Subject, again: Sequence[CrossValidated]) -> dict[str, Any]:
    """Add the section; return its numbers.

    With cross-validation the compound scored was left out of training, of fine-tuning and of the
    look-up; without, the model may have been trained on its structure and the page says so.
    """
    measured = subject.measured
    if measured is None:
        return {}
    left_out = [run.measured for run in again if run.measured is not None]
    ours = _mean(left_out) if left_out else _ask(subject, measured)
    methods = {"ensemble": ours} | lookups(subject, measured)
    page.heading(
        "Measured spectra of known structure",
        "The compound in question left out of training."
        if left_out
        else "Compounds not left out of training: this flatters.",
    )
    by_method = {name: _scores(measured, p, subject) for name, p in methods.items()}
    _tables(page, measured, methods, by_method)
    _drawings(page, subject, measured, methods)
    found: dict[str, Any] = {**by_method, "left_out": bool(left_out)}
    found["each"] = [
        {"id": r.id, "compound": r.compound, "quality": r.quality, "known": r.first_shell,
         "predicted": float(ours.shell[i]), "sigma": float(ours.shell_sigma[i])}
        for i, r in enumerate(measured.references)
    ]  # fmt: skip
    return found


def _ask(subject: Subject, measured: MeasuredSet) -> Predictions:
    return ask(subject.ensemble, measured.on(subject.ensemble.energy))


def _mean(runs: Sequence[Predictions]) -> Predictions:
    """Return the mean over repetitions."""
    return Predictions(
        np.mean([r.mean for r in runs], axis=0),
        np.mean([r.sigma for r in runs], axis=0),
        np.mean([r.shell for r in runs], axis=0),
        np.mean([r.shell_sigma for r in runs], axis=0),
    )


def lookups(subject: Subject, measured: MeasuredSet) -> dict[str, Predictions]:
    """Return what the constant and the nearest computed spectra say, compounds left out."""
    grid, data = subject.ensemble.energy, subject.data
    library = shown(data, subject.recipe, grid).astype(np.float64)
    spectra = measured.on(grid)
    n, size = len(spectra), data.grid.size
    names = {1: "nearest computed", 5: "five nearest"}
    found = {"constant": baselines.constant(data.g2, data.shell, n)}
    for k in NEIGHBOURS:
        said = Predictions(np.empty((n, size)), np.empty((n, size)), np.empty(n), np.empty(n))
        for compound in set(measured.compound.tolist()):
            rest = ~data.named(measured.words({compound}))
            own = measured.compound == compound
            part = baselines.nearest(
                spectra[own], library[rest], data.g2[rest], data.shell[rest], k
            )
            for field in ("mean", "sigma", "shell", "shell_sigma"):
                getattr(said, field)[own] = getattr(part, field)
        found[names[k]] = said
    return found


def _scores(measured: MeasuredSet, p: Predictions, subject: Subject) -> dict[str, Any]:
    use, radius = measured.scored, subject.data.grid.radius
    error, group = (p.shell - measured.shell)[use], measured.compound[use]
    known = np.isfinite(measured.g2).all(axis=1) & use
    result: dict[str, Any] = {
        "by_spectrum": scores.shell_scores(error),
        "by_compound": scores.shell_scores(error, group),
        "median_95": list(scores.bootstrap(error, group)),
        "two_fold": scores.two_fold(error, group),
        "sigma_correlation": scores.correlation(p.shell_sigma[use], np.abs(error)),
    }
    if known.any():
        mean = _mean_of_others(measured)[known]
        for name, region in (("near", (0.0, BEYOND[0])), ("beyond", BEYOND)):
            result[f"g2_{name}_against_mean"] = scores.g2_skill(
                radius, p.mean[known], measured.g2[known], mean, region
            )
    return result


def _mean_of_others(measured: MeasuredSet) -> Array:
    """Return the mean known G2 of the other compounds, each counted once: a good guess."""
    known = np.isfinite(measured.g2).all(axis=1) & measured.scored
    names = sorted(set(measured.compound[known].tolist()))
    own = {n: measured.g2[known & (measured.compound == n)].mean(axis=0) for n in names}
    rows = [
        np.mean([g2 for n, g2 in own.items() if n != compound] or [*own.values()], axis=0)
        for compound in measured.compound.tolist()
    ]
    return np.array(rows)


def _tables(
    page: Report,
    measured: MeasuredSet,
    methods: dict[str, Predictions],
    found: dict[str, dict[str, Any]],
) -> None:
    page.table(
        ("first shell", "median / Å", "95 % interval", "mean / Å", "within 0.1 Å",
         "two-fold median / Å", "two-fold within 0.1 Å", "G2 beyond 2.6 Å"),
        [
            (
                name,
                s["by_compound"]["median"],
                "{:.3f}–{:.3f}".format(*s["median_95"]),
                s["by_compound"]["mean"],
                s["by_compound"]["right"],
                "{median:.3f} ± {median_sd:.3f}".format(**s["two_fold"]),
                "{right:.2f} ± {right_sd:.2f}".format(**s["two_fold"]),
                s.get("g2_beyond_against_mean", float("nan")),
            )
            for name, s in found.items()
        ],
    )  # fmt: skip
    page.table(
        ("spectrum", "quality", "known / Å", *methods),
        [
            (r.id, r.quality, r.first_shell, *(float(p.shell[i]) for p in methods.values()))
            for i, r in enumerate(measured.references)
        ],
    )


def _drawings(
    page: Report, subject: Subject, measured: MeasuredSet, methods: dict[str, Predictions]
) -> None:
    use = np.flatnonzero(measured.scored)
    names = sorted(set(measured.compound[use].tolist()))
    errors = {
        method: _by_compound(p.shell - measured.shell, measured, names)
        for method, p in methods.items()
    }
    page.figure("shells", figures.shell_figure(names, errors), "First-shell error by compound.")
    drawn = methods["ensemble"].take(use)
    page.figure(
        "measured",
        figures.measured_figure(
            [measured.references[i].id for i in use],
            subject.data.grid.radius,
            drawn,
            measured.g2[use],
            band_of(subject, drawn),
        ),
        "Predicted G2 with band, and G2 of the known crystal structure; dotted: first shell.",
    )


def _by_compound(error: Array, measured: MeasuredSet, names: Sequence[str]) -> Array:
    use = measured.scored
    return np.array([np.nanmedian(error[use & (measured.compound == n)]) for n in names])
