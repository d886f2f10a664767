"""``xanes-live train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_command(
    recipe: Annotated[Path, typer.Argument(help="Recipe of the model (TOML).")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Model folder; by default the recipe's.")
    ] = None,
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', …")] = "auto",
    checkpoint: Annotated[
        Path | None, typer.Option(help="File to save to after each epoch and to resume from.")
    ] = None,
    fine_tune: Annotated[
        Path | None,
        typer.Option(help="Measured spectra to mix in (.npz of `xanes-live measured`)."),
    ] = None,
) -> None:
    """Train an ensemble from a recipe: all members at once, each on its own resample."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from xanes_live.ensemble.recipe import ForwardSection, Recipe
    from xanes_live.ensemble.train import train
    from xanes_live.ensemble.training import Progress as Report

    columns = (
        TextColumn("{task.description}epoch"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:.2f} s an epoch"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def begin(settings: Recipe) -> Report:
            return reporting("", settings.training.epochs)

        def begin_forward(settings: ForwardSection) -> Report:
            return reporting("forward ensemble: ", settings.epochs)

        def reporting(what: str, total: int) -> Report:
            task = bar.add_task(what, total=total, loss=float("nan"), rate=0.0)
            started: dict[str, float] = {}

            def report(epoch: int, loss: float) -> None:
                first = int(started.setdefault("epoch", epoch - 1))
                elapsed = next(t.elapsed for t in bar.tasks if t.id == task) or 0.0
                bar.update(task, completed=epoch, loss=loss, rate=elapsed / (epoch - first))

            return report

        folder = train(
            recipe, output, device=device, progress=begin, forward_progress=begin_forward,
            checkpoint=checkpoint, fine_tune=fine_tune,
        )  # fmt: skip
    typer.echo(str(folder))
