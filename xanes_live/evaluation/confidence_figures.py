"""Figures of the confidence section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xanes_live.domain import Array, Confidence
from xanes_live.evaluation.ablation import Without
from xanes_live.evaluation.confidence_scores import Coverage, Reliability
from xanes_live.evaluation.figures import GREY, OTHER, OURS, TRUE, new_figure
from xanes_live.evaluation.judged import Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WANTED, LEAST = 0.95, 0.90
"""Coverage asked for overall, and in every stratum."""
MARKS = {
    Confidence.GREEN: ("o", OTHER),
    Confidence.AMBER: ("s", "#b7791f"),
    Confidence.RED: ("X", "#b91c1c"),
}
"""Shape and colour of each verdict: told apart without colour vision, too."""


def coverage_figure(rows: Sequence[Coverage]) -> Figure:
    """Draw the coverage of interval and band in each stratum, with error bars."""
    figure, ((axis,),) = new_figure(1, width=max(5.0, 0.6 * len(rows)), height=3.6)
    place = np.arange(len(rows))
    kinds = (
        ("first shell", OURS, "o", [(r.interval, r.interval_95) for r in rows]),
        ("G2 to 2.6 Å", OTHER, "s", [(r.near, r.near_95) for r in rows]),
        ("G2 beyond", TRUE, "^", [(r.far, r.far_95) for r in rows]),
    )
    for k, (name, colour, mark, values) in enumerate(kinds):
        centre = np.array([v for v, _ in values])
        axis.errorbar(place + 0.2 * (k - 1), centre, _bars(centre, [i for _, i in values]),
                      fmt=mark, color=colour, ms=4, label=name)  # fmt: skip
    axis.axhline(WANTED, color=GREY, lw=0.8)
    axis.axhline(LEAST, color=GREY, lw=0.8, ls=":")
    names = [f"{_named(r.stratum)} ({r.spectra})" for r in rows]
    axis.set_xticks(place, names, rotation=60, ha="right")
    axis.set(ylabel="share inside", ylim=(None, 1.02))
    axis.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _named(stratum: str) -> str:
    """Return a stratum's name short enough for an axis."""
    return stratum.replace("first shell", "shell").replace("coordination", "CN")


def _bars(centre: Array, intervals: Sequence[tuple[float, float]]) -> Array:
    """Return error bars below and above, shape (2, n)."""
    ends = np.array(intervals, dtype=np.float64).reshape(-1, 2)
    bars = np.stack([centre - ends[:, 0], ends[:, 1] - centre])
    return np.maximum(np.nan_to_num(bars), 0.0)


def reliability_figure(found: dict[str, Reliability]) -> Figure:
    """Draw reliability diagrams side by side, and under each how often a probability was said."""
    figure, axes = new_figure(len(found), 2, width=3.6, height=2.4)
    for (name, r), (top, bottom) in zip(found.items(), axes.T, strict=True):
        top.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        bars = _bars(r.found, list(zip(r.low, r.high, strict=True)))
        top.errorbar(r.said, r.found, bars, fmt="o-", color=OURS, ms=4)
        top.set(title=name, xlabel="probability said", ylabel="share right")
        top.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        width = r.edges[:, 1] - r.edges[:, 0]
        bottom.bar(r.edges[:, 0], r.count, 0.92 * width, align="edge", color=OURS)
        bottom.set(xlabel="probability said", ylabel="spectra", xlim=(0, 1))
    return figure


def ablation_figure(whole: float, lines: Sequence[Without]) -> Figure:
    """Draw what the verdict loses without each signal, and what each is worth alone.

    `whole` is the AUROC with all signals.
    """
    figure, (axes,) = new_figure(2, width=4.2, height=max(2.5, 0.28 * len(lines)))
    place = np.arange(len(lines))[::-1]
    loss = np.array([line.loss for line in lines])
    bars = _bars(loss, [line.loss_95 for line in lines])
    axes[0].errorbar(loss, place, xerr=bars, fmt="o", color=OURS, ms=4)
    axes[0].axvline(0, color=GREY, lw=0.8)
    axes[0].set(xlabel="AUROC lost without it")
    axes[1].plot([line.alone for line in lines], place, "o", color=OTHER)
    axes[1].axvline(0.5, color=GREY, lw=0.8)
    axes[1].axvline(whole, color=OURS, lw=0.8, ls="--")
    axes[1].set(xlabel="AUROC alone (dashed: all together)")
    axes[0].set_yticks(place, [line.signal for line in lines])
    axes[1].set_yticks(place, [""] * len(lines))
    return figure


def interval_figure(judged: Judged) -> Figure:
    """Draw predicted − known with its interval for each spectrum, marked by its verdict."""
    order = np.lexsort((judged.id, judged.parent))
    figure, ((axis,),) = new_figure(1, width=6.5, height=max(2.5, 0.2 * len(order)))
    place = np.arange(len(order))[::-1]
    off = (judged.predicted - judged.truth)[order]
    ends = np.stack([judged.low - judged.truth, judged.high - judged.truth])[:, order]
    axis.axvspan(-0.1, 0.1, color=OURS, alpha=0.08, lw=0)
    axis.axvline(0, color=GREY, lw=0.8)
    axis.hlines(place, ends[0], ends[1], color=GREY, lw=1.0)
    for verdict, (mark, colour) in MARKS.items():
        own = judged.colour[order] == verdict
        axis.plot(off[own], place[own], mark, color=colour, ms=5, ls="", label=str(verdict))
    names = np.where(judged.scored, judged.id, np.char.add(judged.id, " (not scored)"))
    axis.set_yticks(place, names[order], fontsize=7)
    axis.set(xlabel="first shell, predicted − known / Å", ylim=(-1, len(order)))
    axis.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
