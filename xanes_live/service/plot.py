"""Pictures of results from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xanes_live.errors import ConfigurationError, MissingDependencyError
from xanes_live.service.predict import Row
from xanes_live.service.words import interval

COLOURS = {"green": "#1a7f37", "amber": "#b35900", "red": "#c62828"}


def plot_rows(rows: Sequence[Row], path: Path) -> None:
    """Draw each predicted spectrum beside its G2 with the 95 % band; one line a spectrum.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    ConfigurationError
        If the file cannot be written or its ending is no picture format.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise MissingDependencyError("matplotlib", "plot", "--plot") from None
    drawn = [row for row in rows if row.spectrum is not None]
    count = max(len(drawn), 1)
    figure = Figure(figsize=(10, 3.4 * count), layout="constrained")
    axes = figure.subplots(count, 2, squeeze=False)
    for row, (left, right) in zip(drawn, axes, strict=False):
        _spectrum(row, left)
        _g2(row, right)
    if not drawn:
        axes[0][0].set_title("nothing could be predicted", loc="left")
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _spectrum(row: Row, axes: Any) -> None:  # noqa: ANN401 - matplotlib has no types here
    normalised = row.spectrum.normalised if row.spectrum else None
    axes.set_title(f"{row.file.name}   {row.confidence.value}", loc="left", fontsize=10)
    axes.set_xlabel("energy / eV")
    axes.set_ylabel("normalised μ(E)")
    if normalised is None:
        axes.text(0.5, 0.5, row.flags[0].message, ha="center", wrap=True, transform=axes.transAxes)
        return
    axes.axvline(normalised.e0, color="0.7", lw=0.8)
    axes.plot(normalised.energy, normalised.flattened, color="#1f4e8c", lw=1.3)
    axes.set_xlim(normalised.e0 - 40, min(normalised.e0 + 110, normalised.energy[-1]))
    axes.text(
        0.98, 0.05, f"e0 {normalised.e0:.2f} eV\nedge step {normalised.edge_step:.3g}",
        ha="right", transform=axes.transAxes, fontsize=9,
    )  # fmt: skip


def _g2(row: Row, axes: Any) -> None:  # noqa: ANN401 - matplotlib has no types here
    axes.set_xlabel("distance / Å")
    axes.set_ylabel("G2 (wACSF)")
    prediction = row.spectrum.prediction if row.spectrum else None
    if prediction is None or row.spectrum is None:
        return
    verdict, shell = row.spectrum.assessment, prediction.first_shell
    colour = COLOURS[verdict.confidence.value]
    axes.fill_between(prediction.radius, verdict.lower, verdict.upper, color=colour, alpha=0.2)
    axes.plot(prediction.radius, prediction.mean, color=colour, lw=1.5)
    axes.set_title(f"first shell {interval(shell.r, shell.low, shell.high)} Å", fontsize=10)
    axes.set_ylim(bottom=0)
