"""The section on confidence: whether the band, the interval and the colour keep their word."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.evaluation import confidence_figures as figures
from xanes_live.evaluation import confidence_scores as scores
from xanes_live.evaluation.ablation import Ablation, Fit, ablation, verdict_again
from xanes_live.evaluation.confidence_scores import Coverage, Ranking, Reliability
from xanes_live.evaluation.confidence_summary import add_summary
from xanes_live.evaluation.judged import Judged, Mask, by_source
from xanes_live.evaluation.report import Report, with_ends
from xanes_live.evaluation.unseen import EXACT, MEASURED

HEADING = "How far to trust it"
BASELINES = ("spread", scores.PEAK)
"""What the verdict is held against: σ of the members' first-shell distances, as the heads for them
give them, and as the first peaks of G2 do."""
MOST = 40
"""Confidently wrong spectra shown; metrics.json names them all."""
RANKED = ("theory", "spoiled")
TOGETHER = " and ".join(RANKED)
"""Computed and spoiled measured spectra as one: what the verdict has to tell apart."""


def add_confidence(
    page: Report,
    judged: Judged,
    fit: Fit = verdict_again,
    *,
    note: str = "",
    draws: int = scores.DRAWS,
) -> dict[str, Any]:
    """Add the section; return its numbers.

    Parameters
    ----------
    page
        The report.
    judged
        Spectra of known structure with what was said of them; those whose known distance is not
        trusted (:attr:`.Judged.scored`) are listed but not scored.
    fit
        How the verdict is fitted, for the ablation; see :func:`.ablation.ablation`.
    note
        What was left out of training, say; shown under the heading.
    draws
        Bootstrap draws over parents of all error bars.
    """
    page.heading(HEADING, note)
    summary = len(page.parts)
    found: dict[str, Any] = {
        "coverage": coverage_part(page, judged, draws),
        "band": band_part(page, judged),
        "verdict": verdict_part(page, judged, draws),
        "ablation": ablation_part(page, judged, fit, draws),
    }
    found |= listing_part(page, judged)
    rest = [page.parts.pop() for _ in range(len(page.parts) - summary)][::-1]
    found["summary"] = add_summary(page, found)
    page.parts += rest
    return found


def coverage_part(page: Report, judged: Judged, draws: int) -> list[dict[str, Any]]:
    """Add coverage by stratum, for each source apart."""
    rows: list[dict[str, Any]] = []
    drawn: dict[str, list[Coverage]] = {}
    for source, part in by_source(judged).items():
        drawn[source] = list(scores.coverage(part, draws=draws))
        rows += [{"source": source, **asdict(row)} for row in drawn[source]]
    page.table(
        ("coverage (95 % wanted)", "spectra", "parents", "first shell", "median half-width / Å",
         "with G2", "G2", "to 2.6 Å", "beyond"),
        [(source if r.stratum == "all" else f"{source}, {r.stratum}", r.spectra, r.parents,
          with_ends(r.interval, r.interval_95), r.half_width, r.g2_spectra,
          with_ends(r.band, r.band_95),
          with_ends(r.near, r.near_95), with_ends(r.far, r.far_95))
         for source, part in drawn.items() for r in part],
    )  # fmt: skip
    for source, own in drawn.items():
        if len(own) == 1:
            continue
        page.figure(
            f"coverage-{source}", figures.coverage_figure(own),
            f"Share of known values inside, {source} spectra (number of them); bars: 95 % over "
            "structures or compounds.",
        )  # fmt: skip
    return rows


def band_part(page: Report, judged: Judged) -> dict[str, dict[str, float]]:
    """Add how well the width of the band foretells the error of G2."""
    found = {source: scores.band_against_error(part) for source, part in by_source(judged).items()}
    found = {source: row for source, row in found.items() if row["spectra"]}
    page.table(
        ("width of the band against error of G2, both squared", "spectra", "correlation",
         "of logarithms", "of ranks"),
        [(source, row["spectra"], row["correlation"], row["log_correlation"],
          row["rank_correlation"]) for source, row in found.items()],
    )  # fmt: skip
    return found


def verdict_part(page: Report, judged: Judged, draws: int) -> dict[str, Any]:
    """Add reliability, ranking and the share of misleading colours."""
    parts = by_source(judged)
    reliable = {source: scores.reliability(part, draws=draws) for source, part in parts.items()}
    mistakes = {source: scores.share_of_mistakes(part) for source, part in parts.items()}
    page.figure(
        "reliability", figures.reliability_figure(reliable),
        "Share of first shells within 0.1 Å against the probability said; bars: 95 % over "
        "structures or compounds.",
    )  # fmt: skip
    _mistakes_table(page, mistakes)
    ranked = ranking_part(page, judged, draws)
    return {
        source: {
            "spectra": len(part),
            "right": float(part.right.mean()),
            "error": float(np.median(part.error)),
            "reliability": _numbers(reliable[source]),
            "mistakes": mistakes[source],
            "mistakes_95": scores.spread_of_mistakes(part, draws=draws),
            "green_by_detail": green_by_detail(part),
            **ranked[source],
        }
        for source, part in parts.items()
    } | {TOGETHER: ranked[TOGETHER]}


def green_by_detail(part: Judged) -> dict[str, float]:
    """Return the share of green ones for each way of spoiling."""
    kinds = sorted(set(part.detail.tolist()) - {""})
    return {k: float((part.colour[part.detail == k] == "green").mean()) for k in kinds}


def together(judged: Judged) -> dict[str, Mask]:
    """Return what is ranked: each source, and computed and spoiled spectra together."""
    found = {name: judged.scored & (judged.source == name) for name in by_source(judged)}
    return found | {TOGETHER: judged.scored & np.isin(judged.source, RANKED)}


def ranking_part(page: Report, judged: Judged, draws: int) -> dict[str, dict[str, Any]]:
    """Add how well errors are told, and what the verdict gains over σ alone, of either kind."""
    parts = {name: judged.take(mask) for name, mask in together(judged).items()}
    ranked = {name: scores.rankings(part, draws=draws) for name, part in parts.items()}
    _ranking_table(page, ranked)
    found: dict[str, dict[str, Any]] = {
        name: {
            "wrong": int((~parts[name].right).sum()),
            "wrong_parents": len(np.unique(parts[name].parent[~parts[name].right])),
            "ranking": [asdict(r) for r in rows],
        }
        for name, rows in ranked.items()
    }
    known = [b for b in BASELINES if b == scores.PEAK or b in judged.signal_names]
    for name, part in parts.items():
        alone = {r.name: r.auroc for r in ranked[name]}
        gains = {b: scores.gain(part, b, draws=draws) for b in known}
        found[name]["gain"] = {
            b: {"alone": alone[b], "value": value, "ends_95": ends}
            for b, (value, ends) in gains.items()
        }
    gained = [f["gain"] for f in found.values()]
    page.table(
        ("AUROC of the verdict less that of one score alone", *parts),
        [(b, *(with_ends(g[b]["value"], g[b]["ends_95"]) for g in gained)) for b in known],
    )
    return found


def _mistakes_table(page: Report, mistakes: dict[str, dict[str, float]]) -> None:
    rows = (
        ("green", "green"), ("amber", "amber"), ("red", "red"),
        ("green though off by more than 0.1 Å", "green_but_wrong"),
        ("… as a share of the green ones", "green_wrong_of_green"),
        ("red though within 0.05 Å", "red_but_right"),
        ("… as a share of those within 0.05 Å", "red_of_right"),
        ("off by more than 0.1 Å and not green", "wrong_not_green"),
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
                *(v for r in line for v in (with_ends(r.auroc, r.auroc_95), r.rank_correlation)),
            )
            for line in lines
        ],
    )


def _numbers(found: Reliability) -> dict[str, Any]:
    """Return a diagram as JSON types."""
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(found).items()}


def ablation_part(page: Report, judged: Judged, fit: Fit, draws: int) -> dict[str, Any]:
    """Add what each signal is worth, where something was wrong and right."""
    groups = {
        name: mask for name, mask in together(judged).items() if scores.enough(judged.take(mask))
    }
    if not groups:
        return {}
    found = ablation(judged, groups, fit, draws=draws)
    for name, part in found.items():
        _ablation_table(page, name, part)
    return {name: asdict(part) for name, part in found.items()}


def _ablation_table(page: Report, name: str, part: Ablation) -> None:
    page.table(
        (f"{name}: verdict fitted again", "AUROC without", "lost", "AUROC alone"),
        [
            ("all signals", part.auroc, "", ""),
            *((w.signal, w.auroc, with_ends(w.loss, w.loss_95), w.alone) for w in part.without),
        ],
    )
    if all(line.loss == 0.0 for line in part.without):
        return  # nothing to be seen
    page.figure(
        f"ablation-{name.replace(' ', '-')}", figures.ablation_figure(part.auroc, part.without),
        f"What each signal adds on {name} spectra; bars: 95 % over structures or compounds.",
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
    known = judged.take(judged.scored)
    worst = scores.confidently_wrong(known)
    if len(worst):
        title = "confidently wrong: green and off by more than 0.1 Å"
        _listing(page, f"{title}, the {MOST} worst" if len(worst) > MOST else title, known,
                 worst[:MOST])  # fmt: skip
    else:
        page.note("No spectrum was green and off by more than 0.1 Å.")
    return {
        "measured": [_row(measured, i) for i in range(len(measured))],
        "confidently_wrong": [_row(known, int(i)) for i in worst],
    }


def _listing(page: Report, title: str, judged: Judged, index: NDArray[np.int64]) -> None:
    page.table(
        (title, "known / Å", "predicted / Å", "interval / Å", "probability", "colour", "flags"),
        [
            (
                _name(judged, int(i)), float(judged.truth[i]), float(judged.predicted[i]),
                f"{judged.low[i]:.2f}–{judged.high[i]:.2f}", float(judged.probability[i]),
                str(judged.colour[i]), ", ".join(judged.flags[i]),
            )
            for i in index
        ],
    )  # fmt: skip


def _name(judged: Judged, i: int) -> str:
    """Return what a spectrum is called in a table."""
    how = f", {judged.detail[i]}" if judged.detail[i] else ""
    exact = f" ({EXACT})" if judged.source[i] == EXACT else ""
    return f"{judged.id[i]}{how}{exact}" + ("" if judged.scored[i] else " (not scored)")


def _row(judged: Judged, i: int) -> dict[str, Any]:
    """Return one spectrum as JSON types."""
    scored = {"scored": bool(judged.scored[i]), "detail": str(judged.detail[i])}
    numbers = ("truth", "predicted", "low", "high", "probability")
    return {
        "id": str(judged.id[i]), "parent": str(judged.parent[i]), "source": str(judged.source[i]),
        **scored,
        **{name: float(getattr(judged, name)[i]) for name in numbers},
        "colour": str(judged.colour[i]), "flags": list(judged.flags[i]),
    }  # fmt: skip
