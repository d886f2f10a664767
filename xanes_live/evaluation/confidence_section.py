"""The section on confidence: whether the band, the interval and the colour keep their word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.evaluation import confidence_figures as figures
from xanes_live.evaluation import confidence_scores as scores
from xanes_live.evaluation.ablation import Fit, Without, ablation
from xanes_live.evaluation.confidence_scores import Coverage, Ranking, Reliability
from xanes_live.evaluation.judged import Interval, Judged
from xanes_live.evaluation.report import Report, written

BASELINE = "spread"
"""The signal the verdict is held against: σ of the members' first-shell distances."""
MEASURED = "measured"


def add_confidence(
    page: Report, judged: Judged, fit: Fit | None = None, *, note: str = "", draws: int = 400
) -> dict[str, Any]:
    """Add the section; return its numbers.

    Parameters
    ----------
    page
        The report.
    judged
        Spectra of known structure with what was said of them.
    fit
        How the verdict is fitted, for the ablation; see :func:`.ablation.ablation`.
    note
        What was left out of training, say; shown under the heading.
    draws
        Bootstrap draws over parents of all error bars.
    """
    page.heading("Confidence", note)
    found = {
        "coverage": coverage_part(page, judged, draws),
        "verdict": verdict_part(page, judged, draws),
        "ablation": ablation_part(page, judged, fit, draws),
    }
    return found | listing_part(page, judged)


def by_source(judged: Judged) -> dict[str, Judged]:
    """Return the spectra of each source."""
    return {s: judged.take(judged.source == s) for s in sorted(set(judged.source.tolist()))}


def coverage_part(page: Report, judged: Judged, draws: int) -> list[dict[str, Any]]:
    """Add coverage by stratum, for each source apart."""
    rows: list[Coverage] = []
    for source, part in by_source(judged).items():
        for row in scores.coverage(part, draws=draws):
            if row.stratum != source:  # all of one source, once
                name = source if row.stratum == "all" else f"{source}, {row.stratum}"
                rows.append(Coverage(**{**asdict(row), "stratum": name}))
    page.table(
        ("coverage (95 % wanted)", "spectra", "parents", "first shell", "median half-width / Å",
         "G2 to 2.6 Å", "G2 beyond"),
        [(r.stratum, r.spectra, r.parents, _with(r.interval, r.interval_95), r.half_width,
          _with(r.near, r.near_95), _with(r.far, r.far_95)) for r in rows],
    )  # fmt: skip
    page.figure("coverage", figures.coverage_figure(rows), "Share of known values inside.")
    return [asdict(r) for r in rows]


def _with(value: float, ends: Interval) -> str:
    """Return a number with its 95 % interval."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.3f} ({ends[0]:.3f}–{ends[1]:.3f})"


def verdict_part(page: Report, judged: Judged, draws: int) -> dict[str, Any]:
    """Add reliability, ranking and the share of misleading colours."""
    parts = by_source(judged)
    reliable = {source: scores.reliability(part, draws=draws) for source, part in parts.items()}
    ranked = {source: scores.rankings(part, draws=draws) for source, part in parts.items()}
    mistakes = {source: scores.share_of_mistakes(part) for source, part in parts.items()}
    page.figure(
        "reliability", figures.reliability_figure(reliable),
        "Share of first shells within 0.1 Å against the probability said.",
    )  # fmt: skip
    _mistakes_table(page, mistakes)
    _ranking_table(page, ranked)
    return {
        source: {
            "right": float(part.right.mean()),
            "reliability": _numbers(reliable[source]),
            "ranking": [asdict(r) for r in ranked[source]],
            "mistakes": mistakes[source],
        }
        for source, part in parts.items()
    }


def _mistakes_table(page: Report, mistakes: dict[str, dict[str, float]]) -> None:
    rows = (
        ("green", "green"), ("amber", "amber"), ("red", "red"),
        ("green though off by more than 0.1 Å", "green_but_wrong"),
        ("… as a share of the green ones", "green_wrong_of_green"),
        ("red though within 0.05 Å", "red_but_right"),
        ("… as a share of those within 0.05 Å", "red_of_right"),
    )  # fmt: skip
    page.table(
        ("share of spectra", *mistakes),
        [(text, *(found[key] for found in mistakes.values())) for text, key in rows],
    )


def _ranking_table(page: Report, ranked: dict[str, tuple[Ranking, ...]]) -> None:
    """Show how well errors are told, the verdict first and then each signal alone."""
    sources = tuple(ranked)
    header = [f"{s}: {what}" for s in sources for what in ("AUROC", "rank correlation")]
    lines = zip(*ranked.values(), strict=True)
    page.table(
        ("off by more than 0.1 Å, told by", *header),
        [
            (
                f"{line[0].name} (alone)" if line[0].name != "verdict" else "verdict",
                *(v for r in line for v in (_with(r.auroc, r.auroc_95), r.rank_correlation)),
            )
            for line in lines
        ],
    )
    for source in sources:
        found = {r.name: r.auroc for r in ranked[source]}
        if BASELINE in found:
            gain = found["verdict"] - found[BASELINE]
            page.note(f"{source}: AUROC of the verdict less that of σ alone: {written(gain)}.")


def _numbers(found: Reliability) -> dict[str, Any]:
    """Return a diagram as JSON types."""
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(found).items()}


def ablation_part(page: Report, judged: Judged, fit: Fit | None, draws: int) -> dict[str, Any]:
    """Add what each signal is worth, for each source in which something was wrong and right."""
    found: dict[str, Any] = {}
    for source, part in by_source(judged).items():
        if part.right.all() or not part.right.any() or len(np.unique(part.parent)) < 2:
            continue
        whole, lines = ablation(part, fit, draws=draws)
        _ablation_table(page, source, whole, lines)
        found[source] = {"auroc": whole, "without": [asdict(line) for line in lines]}
    return found


def _ablation_table(page: Report, source: str, whole: float, lines: tuple[Without, ...]) -> None:
    page.table(
        (f"{source}: verdict fitted again", "AUROC without", "lost", "AUROC alone"),
        [
            ("all signals", whole, "", ""),
            *((w.signal, w.auroc, _with(w.loss, w.loss_95), w.alone) for w in lines),
        ],
    )
    page.figure(
        f"ablation-{source}", figures.ablation_figure(lines),
        f"What each signal adds on {source} spectra; bars: 95 % over parents.",
    )  # fmt: skip


def listing_part(page: Report, judged: Judged) -> dict[str, Any]:
    """Add every measured spectrum, and by name all that were confidently wrong."""
    measured = judged.take(judged.source == MEASURED)
    if len(measured):
        _listing(page, "measured spectrum", measured, np.arange(len(measured)))
        page.figure(
            "intervals", figures.interval_figure(measured),
            "Measured spectra: error with the 95 % interval, marked by the verdict.",
        )  # fmt: skip
    worst = scores.confidently_wrong(judged)
    if len(worst):
        _listing(page, "confidently wrong: green and off by more than 0.1 Å", judged, worst)
    else:
        page.note("No spectrum was green and off by more than 0.1 Å.")
    return {
        "measured": [_row(measured, i) for i in range(len(measured))],
        "confidently_wrong": [_row(judged, int(i)) for i in worst],
    }


def _listing(page: Report, title: str, judged: Judged, index: NDArray[np.int64]) -> None:
    page.table(
        (title, "known / Å", "predicted / Å", "interval / Å", "probability", "colour", "flags"),
        [
            (
                str(judged.id[i]), float(judged.truth[i]), float(judged.predicted[i]),
                f"{judged.low[i]:.2f}–{judged.high[i]:.2f}", float(judged.probability[i]),
                str(judged.colour[i]), ", ".join(judged.flags[i]),
            )
            for i in index
        ],
    )  # fmt: skip


def _row(judged: Judged, i: int) -> dict[str, Any]:
    """Return one spectrum as JSON types."""
    numbers = ("truth", "predicted", "low", "high", "probability")
    return {
        "id": str(judged.id[i]), "parent": str(judged.parent[i]), "source": str(judged.source[i]),
        **{name: float(getattr(judged, name)[i]) for name in numbers},
        "colour": str(judged.colour[i]), "flags": list(judged.flags[i]),
    }  # fmt: skip
