"""Figures of the report: each takes arrays and returns a matplotlib figure.

Matplotlib's object interface is used throughout: no global state, no display.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.errors import MissingDependencyError
from xanes_live.evaluation.scores import Predictions, mean_squared_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, TRUE, GREY, OTHER = "#1f5fa8", "#c2410c", "#6b7280", "#0f766e"
STYLE = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "xanes-live",
}


def new_figure(
    columns: int, rows: int = 1, width: float = 4.0, height: float = 3.0
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure and its axes, an array of shape (rows, columns).

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an optional extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "plot", "The report") from error
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)


def histogram_of_errors(mse: Array) -> Figure:
    """Draw the distribution of the mean squared error on a logarithmic axis."""
    figure, ((axis,),) = new_figure(1, width=5.0)
    positive = mse[mse > 0]
    axis.hist(positive, bins=np.geomspace(positive.min(), positive.max(), 60), color=OURS)
    axis.set_xscale("log")
    for value, name, style in ((np.median(mse), "median", "-"), (mse.mean(), "mean", "--")):
        axis.axvline(value, color=TRUE, linestyle=style, label=f"{name} {value:.2f}")
    axis.set(xlabel="mean squared error of G2", ylabel="spectra")
    axis.legend()
    return figure


def examples(radius: Array, predictions: Predictions, truth: Array, half: Array) -> Figure:
    """Draw the best, median and worst predictions, three each; half the width of their band."""
    order = np.argsort(mean_squared_error(predictions.mean, truth))
    middle, end = len(order) // 2, len(order)
    figure, axes = new_figure(3, 3, width=3.2, height=2.2)
    for row, (name, start) in enumerate((("best", 0), ("median", middle - 1), ("worst", end - 3))):
        for column in range(3):
            index = order[min(max(start + column, 0), end - 1)]
            axis = axes[row, column]
            draw_g2(axis, radius, predictions.mean[index], half[index], truth[index])
            axis.set_title(name if column == 0 else "", loc="left")
    axes[0, 0].legend(fontsize=8)
    return figure


def draw_g2(
    axis: Axes, radius: Array, mean: Array, half: Array, truth: Array | None = None
) -> None:
    """Draw one predicted G2 with its band, and the true one."""
    axis.fill_between(radius, np.maximum(mean - half, 0), mean + half, color=OURS, alpha=0.2, lw=0)
    axis.plot(radius, mean, color=OURS, label="predicted")
    if truth is not None and np.isfinite(truth).all():
        axis.plot(radius, truth, color=TRUE, lw=1.2, label="from the structure")
    axis.set(xlabel="r / Å", ylabel="G2", xlim=(radius[0], radius[-1]))


def peak_histograms(near: Array, far: Array) -> Figure:
    """Draw the errors of peak positions in the two regions."""
    figure, axes = new_figure(2)
    for axis, errors, name in zip(axes[0], (near, far), ("1–3.5 Å", "3.5–6 Å"), strict=True):
        axis.hist(np.minimum(errors, 0.79), bins=np.linspace(0, 0.8, 41), color=OURS)
        axis.axvline(np.median(errors) if len(errors) else 0, color=TRUE)
        label = "error of the peak position / Å (the last bin: all above)"
        axis.set(title=name, xlabel=label, ylabel="peaks")
    return figure


def spread_figure(radius: Array, predictions: Predictions, truth: Array) -> Figure:
    """Draw coverage by radius, and error against σ."""
    figure, (axes,) = new_figure(2)
    error = np.abs(predictions.mean - truth)
    for k, style in ((1, ":"), (2, "-"), (3, "--")):
        covered = np.mean(error <= k * predictions.sigma, axis=0)
        axes[0].plot(radius, covered, style, color=OURS, label=f"±{k}σ")
    axes[0].axhline(0.954, color=GREY, lw=0.8)
    axes[0].set(xlabel="r / Å", ylabel="share covered", ylim=(0, 1))
    axes[0].legend()
    sigma = predictions.sigma.mean(axis=1)
    mse = mean_squared_error(predictions.mean, truth)
    axes[1].scatter(sigma, mse, s=3, alpha=0.3, color=OURS, rasterized=True)
    axes[1].set(xlabel="mean σ over members", ylabel="MSE", xscale="log", yscale="log")
    return figure


def learning_figure(sizes: Sequence[int], median: Sequence[float], mean: Sequence[float]) -> Figure:
    """Draw the learning curve."""
    figure, ((axis,),) = new_figure(1, width=5.0)
    axis.plot(sizes, mean, "o--", color=GREY, label="mean")
    axis.plot(sizes, median, "o-", color=OURS, label="median")
    axis.set(xlabel="training spectra", ylabel="MSE held out", xscale="log", yscale="log")
    axis.legend()
    return figure


def fold_figure(per_fold: Sequence[Array]) -> Figure:
    """Draw the distribution of the error in each fold."""
    figure, ((axis,),) = new_figure(1, width=5.0)
    axis.boxplot(per_fold, showfliers=False, medianprops={"color": TRUE})
    axis.set(xlabel="fold", ylabel="MSE held out", yscale="log")
    return figure


def sensitivity_figure(changes: dict[str, tuple[Array, Array, Array]]) -> Figure:
    """Draw how far G2 moves under a change, for good and bad predictions.

    `changes` holds for each name the sizes of the change and the mean movement of the best and of
    the worst fifth of the spectra.
    """
    figure, axes = new_figure(len(changes))
    for axis, (name, (sizes, good, bad)) in zip(axes[0], changes.items(), strict=True):
        axis.plot(sizes, good, "o-", color=OURS, label="best fifth")
        axis.plot(sizes, bad, "o-", color=TRUE, label="worst fifth")
        axis.set(xlabel=name, ylabel="rms change of G2", ylim=(0, None))
    axes[0, 0].legend()
    return figure


def natoli_figure(
    computed: dict[str, list[float]], measured: dict[str, list[float]] | None
) -> Figure:
    """Draw the relative change of the distance against the stretch of the energies."""
    figure, ((axis,),) = new_figure(1, width=5.0)
    axis.plot(computed["factor"], 100 * np.array(computed["expected"]), color=GREY, label="Natoli")
    axis.plot(computed["factor"], 100 * np.array(computed["found"]), "o-", color=OURS,
              label="computed spectra")  # fmt: skip
    if measured is not None:
        axis.plot(measured["factor"], 100 * np.array(measured["found"]), "s-", color=TRUE,
                  label="measured spectra")  # fmt: skip
    axis.set(xlabel="energies above the edge stretched by", ylabel="change of the first shell / %")
    axis.legend()
    return figure


def map_figure(maps: dict[str, Array], colour: Array, label: str) -> Figure:
    """Draw two-dimensional maps, points coloured by one quantity."""
    figure, axes = new_figure(len(maps), width=4.2, height=3.8)
    shown = np.isfinite(colour)
    for axis, (name, points) in zip(axes[0], maps.items(), strict=True):
        dots = axis.scatter(
            *points[shown].T, c=colour[shown], s=3, cmap="viridis", rasterized=True,
            vmin=np.percentile(colour[shown], 1), vmax=np.percentile(colour[shown], 99),
        )  # fmt: skip
        axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(dots, ax=axes, label=label, shrink=0.8)
    return figure


def measured_figure(
    names: Sequence[str], radius: Array, predictions: Predictions, truth: Array, half: Array
) -> Figure:
    """Draw predicted and expected G2 of measured spectra, one panel each."""
    columns = 4
    rows = -(-len(names) // columns)
    figure, axes = new_figure(columns, rows, width=2.8, height=1.9)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    for i, name in enumerate(names):
        axis = axes.flat[i]
        draw_g2(axis, radius, predictions.mean[i], half[i], truth[i])
        axis.set_title(name, fontsize=8, loc="left")
        axis.axvline(predictions.shell[i], color=OURS, lw=0.8, ls=":")
        axis.set(xlabel="", ylabel="")
    axes.flat[0].legend(fontsize=7)
    return figure


def shell_figure(compounds: Sequence[str], errors: dict[str, Array]) -> Figure:
    """Draw the first-shell error of each compound, ours beside the baselines'."""
    figure, ((axis,),) = new_figure(1, width=9.0, height=3.6)
    place = np.arange(len(compounds))
    marks = (("o", OURS), ("x", GREY), ("+", OTHER), ("^", TRUE))
    for (name, values), (mark, colour) in zip(errors.items(), marks, strict=False):
        axis.plot(place, values, mark, color=colour, label=name)
    axis.axhspan(-0.1, 0.1, color=OURS, alpha=0.08, lw=0)
    axis.axhline(0, color=GREY, lw=0.8)
    axis.set_xticks(place, compounds, rotation=60, ha="right")
    axis.set(ylabel="first shell, predicted − known / Å")
    axis.legend(ncols=4, fontsize=8)
    return figure
