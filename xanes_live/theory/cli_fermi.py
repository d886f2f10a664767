"""``xanes-live fermi``: the prediction of the Fermi level, for any element."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fermi_command(
    data: Annotated[
        Path, typer.Argument(help="Self-consistent spectra: xanes-live theory --scf -o DATA.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write (.json).")],
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Worker processes.")] = 1,
) -> None:
    """Fit where self-consistency would put the Fermi level, for spectra computed without it.

    A hundred structures like those to be computed are a beginning. Give OUTPUT to
    xanes-live theory --fermi.
    """
    import json

    from xanes_live.theory.fermi import KINDS, shipped_model
    from xanes_live.theory.fermi_fit import fit_fermi, known_levels, mean_error, worst

    def report(done: int) -> None:
        if done % 20 == 0:
            typer.echo(f"{done} structures without self-consistency", err=True)

    known = known_levels(data, jobs=jobs, report=report)
    model = fit_fermi(known)
    output.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    for kind in KINDS:
        own = [k for k in known if k.kind == kind]
        if own:
            typer.echo(
                f"{len(own)} {kind}s: off by {model[kind]['error']:.2f} eV on average for parents "
                f"left out; the shipped prediction by {mean_error(shipped_model(), own):.2f} eV"
            )
        else:
            typer.echo(f"no {kind}s among them: their prediction rests on the others")
    furthest = ", ".join(f"{parent} ({off:+.1f} eV)" for parent, off in worst(model, known))
    typer.echo(f"furthest off: {furthest}")
    typer.echo(f"written to {output}")
