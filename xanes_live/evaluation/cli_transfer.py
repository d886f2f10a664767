"""``xanes-live transfer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xanes_live.evaluation.cli_evaluate import MeasuredRoot


def transfer_command(
    recipe: Annotated[Path, typer.Argument(help="Recipe of the model (TOML), with its data.")],
    measured: Annotated[
        Path, typer.Option(help="Table (CSV) of measured spectra of known structure.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Residuals for the recipe's [discrepancy].")
    ],
    root: MeasuredRoot = None,
) -> None:
    """Fit computed spectra to measured ones of the same compounds; keep what remains.

    Prints how much stretch, shift and broadening each needs, to be compared with the recipe's
    [augmentation], and writes the residuals, which a training adds to computed spectra at random so
    that nothing is learnt from what theory gets wrong.
    """
    from xanes_live.ensemble.recipe import load_recipe
    from xanes_live.ensemble.train import computed_data
    from xanes_live.errors import ConfigurationError
    from xanes_live.evaluation.measured import (
        read_measured,
        read_references,
        say_what_is_not_left_out,
    )
    from xanes_live.evaluation.transfer import fit_transfers, summary, table

    if not output.parent.is_dir():  # better now than after some minutes
        raise ConfigurationError(f"{output.parent}: no such folder")
    given = load_recipe(recipe)
    model, vary, data = given.model, given.augmentation, computed_data(given)
    energy, references = model.energy, read_references(measured, root)
    known = read_measured(
        references, energy, model.input_form, data.grid, element=model.element, edge=model.edge
    )
    say_what_is_not_left_out(data, known, lambda text: typer.echo(text, err=True))
    found = fit_transfers(data, known, energy, vary.pivot, vary.far_rise)
    found.save(output)
    for line in (*table(found), "", *summary(found, vary)):
        typer.echo(line)
    typer.echo(f"{len(found)} spectra of {len(set(found.compound))} compounds in {output}")
