"""``xanes-live calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xanes_live.evaluation.cli_evaluate import (
    Device,
    MeasuredRoot,
    MeasuredTable,
    Model,
    Structures,
)


def calibrate_command(
    model: Model,
    data: Annotated[Path, typer.Argument(help="Computed spectra it was trained on (.h5 or .npz).")],
    measured: MeasuredTable = None,
    root: MeasuredRoot = None,
    structures: Structures = None,
    folds: Annotated[
        int, typer.Option(min=2, help="Ensembles trained, each without a share of everything.")
    ] = 4,
    work: Annotated[
        Path | None, typer.Option(help="Folder to keep finished folds in and to resume from.")
    ] = None,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, help="Folds trained at a time, a process for each."),
    ] = 1,
    device: Device = "auto",
) -> None:
    """Fit a model's verdict, interval and band to spectra it has not seen.

    Trains again without a share of the structures and of the measured compounds, as often as there
    are folds, and writes what it finds, and a library of the training spectra, into the model's
    folder.
    """
    from xanes_live.evaluation.calibrate import calibrate

    scores = calibrate(
        model, data, references=measured, root=root, structures=structures, folds=folds,
        work=work, jobs=jobs, device=device, say=lambda text: typer.echo(text, err=True),
    )  # fmt: skip
    for source, found in scores.items():
        if isinstance(found, dict):
            typer.echo(
                f"{source}: {found['spectra']} spectra, {100 * found['within_0.1']:.0f} % right; "
                f"interval holds {100 * found['interval_coverage']:.0f} % "
                f"(±{found['half_width_median']:.2f} Å), AUROC {found['auroc']}"
            )
