"""``xanes-live evaluate`` and ``xanes-live measured``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Model = Annotated[str, typer.Argument(help="Name of a model, or its folder.")]
MeasuredTable = Annotated[
    Path | None, typer.Option(help="Table (CSV) of measured spectra of known structure.")
]
MeasuredRoot = Annotated[
    Path | None, typer.Option(help="Folder of the measured files; by default the table's.")
]
Structures = Annotated[
    Path | None, typer.Option(help="Crystal structures for their expected G2 (extxyz).")
]
Device = Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', …")]


def evaluate_command(
    model: Model,
    data: Annotated[Path, typer.Argument(help="Computed spectra (.h5 or .npz).")],
    report: Annotated[Path, typer.Option(help="Folder for report.html and metrics.json.")],
    measured: MeasuredTable = None,
    root: MeasuredRoot = None,
    structures: Structures = None,
    unseen: Annotated[
        Path | None,
        typer.Option(help="Spectra examined unseen (unseen.npz of calibrate): judge confidence."),
    ] = None,
    elsewhere: Annotated[
        Path | None,
        typer.Option(help="Table (CSV) of measured spectra of neighbouring elements."),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, help="Folds of the cross-validation, which trains again; 0: none.")
    ] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Repetitions with other folds.")] = 1,
    members: Annotated[
        int | None, typer.Option(min=2, help="Members trained in each fold.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each training.")] = None,
    learning_curve: Annotated[
        bool, typer.Option(help="Train on growing shares of the data, too.")
    ] = True,
    work: Annotated[
        Path | None, typer.Option(help="Folder to keep finished trainings in and to resume from.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Judge a model on computed and measured spectra; write a report."""
    from xanes_live.evaluation.evaluate import Options, evaluate

    options = Options(
        folds=folds, repeats=repeats, members=members, epochs=epochs,
        learning_curve=learning_curve, device=device,
    )  # fmt: skip
    evaluate(
        model, data, report, references=measured, root=root, structures=structures,
        unseen=unseen, elsewhere=elsewhere, work=work, options=options,
        say=lambda text: typer.echo(text, err=True),
    )  # fmt: skip
    typer.echo(str(report / "report.html"))


def measured_command(
    table: Annotated[Path, typer.Argument(help="Table (CSV) of measured spectra.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Archive to write (.npz).")],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe (TOML) it is for: its energies, element, form and descriptor."),
    ] = None,
    root: MeasuredRoot = None,
    structures: Annotated[
        Path | None, typer.Option(help="Crystal structures for their G2 (extxyz).")
    ] = None,
    form: Annotated[
        Literal["flattened", "normalised"], typer.Option(help="Without a recipe.")
    ] = "flattened",
    low: Annotated[float, typer.Option(help="First energy without a recipe, eV.")] = 7090.0,
    high: Annotated[float, typer.Option(help="Last energy without a recipe, eV.")] = 7185.0,
    element: Annotated[str, typer.Option(help="Absorber without a recipe.")] = "Fe",
) -> None:
    """Reduce measured spectra of known structure to what a training can mix in."""
    import numpy as np

    from xanes_live.descriptor import G2Grid
    from xanes_live.ensemble.data_files import write_measured_set
    from xanes_live.ensemble.recipe import load_recipe
    from xanes_live.ensemble.training import MARGIN
    from xanes_live.errors import ConfigurationError
    from xanes_live.evaluation.measured import read_measured, scored_references

    grid, edge = G2Grid(), "K"
    if recipe is not None:
        wanted = load_recipe(recipe)
        grid, model = wanted.descriptor.grid, wanted.model
        low, high = model.energy_start - MARGIN, model.energy_stop + MARGIN
        form, element, edge = model.input_form, model.element, model.edge
    if high <= low:
        raise ConfigurationError(f"--low {low:g} has to be below --high {high:g}")
    energy = np.arange(low, high + 0.05, 0.1)
    good = scored_references(table, root)
    measured = read_measured(good, energy, form, grid, structures, element=element, edge=edge)
    write_measured_set(output, measured.training_set(energy), form)
    typer.echo(f"{len(good)} spectra in {output}")
