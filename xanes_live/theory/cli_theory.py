"""``xanes-live theory``: from structures to a data set of spectra."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from xanes_live.theory.recipe import Recipe


def theory_command(
    structures: Annotated[
        list[Path] | None, typer.Argument(help="Structure files, anything ASE reads.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="HDF5 file.")] = Path("data.h5"),
    recipe: Annotated[
        Path | None, typer.Option(help="Recipe (TOML) instead of a list of files.")
    ] = None,
    directory: Annotated[
        Path, typer.Option("--structures", help="Where the recipe's files are.")
    ] = Path(),
    element: Annotated[str, typer.Option(help="Absorbing element.")] = "Fe",
    edge: Annotated[str, typer.Option(help="Edge.")] = "K",
    copies: Annotated[int, typer.Option(min=0, help="Distorted copies of each structure.")] = 0,
    strain: Annotated[tuple[float, float], typer.Option(help="Range of strain.")] = (0.94, 1.06),
    displacement: Annotated[
        tuple[float, float], typer.Option(help="Range of rms displacements, Å.")
    ] = (0.03, 0.1),
    scf: Annotated[bool, typer.Option("--scf", help="Self-consistent potentials.")] = False,
    fermi: Annotated[
        Path | None,
        typer.Option(help="Prediction of the Fermi level by xanes-live fermi, for cheap spectra."),
    ] = None,
    mesh: Annotated[str, typer.Option(help="'fast' (error of μ 5e-4) or 'fine' (1e-4).")] = "fast",
    seed: Annotated[int, typer.Option(help="Of distortions and order.")] = 1,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Worker processes.")] = 1,
    dask: Annotated[str | None, typer.Option(help="Address of a dask scheduler.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Stop when the file holds so many spectra.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only these sources of the recipe.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option(help="Try failed ones again.")] = False,
    known: Annotated[
        list[Path] | None,
        typer.Option(help="Data set (.h5 or .npz) whose spectra need not be computed again."),
    ] = None,
    npz: Annotated[Path | None, typer.Option(help="Write a training set from OUTPUT too.")] = None,
) -> None:
    """Compute the spectra of STRUCTURES, or of a recipe's, into one HDF5 file.

    What the file already holds is not computed again: after an interruption give the same command.
    """
    from xanes_live.errors import ConfigurationError
    from xanes_live.theory.combine import Elsewhere
    from xanes_live.theory.dataset import build, export_npz
    from xanes_live.theory.display import Display
    from xanes_live.theory.recipe import count_at_most, load_recipe, work_list
    from xanes_live.theory.store import writing
    from xanes_live.theory.tasks import Settings

    if mesh not in {"fast", "fine"}:
        raise typer.BadParameter(f"--mesh {mesh}: 'fast' or 'fine'")
    if recipe is not None and structures:
        raise typer.BadParameter("give structure files or --recipe, which names its own")
    if recipe is None and not structures:
        if npz is None:
            raise typer.BadParameter("give structure files or --recipe")
    else:
        plan = (
            load_recipe(recipe)
            if recipe
            else _plan(structures or [], element, edge, seed, copies, strain, displacement)
        )
        if source:
            plan = plan.only(source)
        count = count_at_most(plan, directory)
        if not count:
            raise ConfigurationError(f"no {plan.element} in any structure: nothing to compute")
        others = Elsewhere(known or [])
        _refuse_earlier_names(plan, output, others.ids)
        tasks = others.checked(work_list(plan, directory))
        settings = Settings(
            edge=plan.edge,
            mode="scf" if scf else "cheap",
            mesh="fine" if mesh == "fine" else "fast",
            fermi=None if scf else _prediction(fermi, plan.element),
        )
        with writing(output), _told_what_is_kept(output), Display(limit, count) as display:
            done = build(
                tasks if recipe else list(tasks),  # few: compared before any is computed
                output,
                settings,
                element=plan.element,
                jobs=jobs,
                dask=dask,
                limit=limit,
                retry_failed=retry_failed,
                elsewhere=others.ids,
                compare=True,
                report=display,
            )
        typer.echo(
            f"{done.held + done.computed} spectra in {output}, {done.computed} of them computed "
            f"now; {done.failed} failed now"
            + (
                f". {done.failed_before} failed before: --retry-failed tries them again"
                if done.failed_before
                else ""
            )
        )
    if npz is not None:
        typer.echo(f"{export_npz(output, npz, structure=True)} spectra written to {npz}")


def _refuse_earlier_names(plan: Recipe, output: Path, elsewhere: Collection[str]) -> None:
    """Raise ConfigurationError where what is held has names that an earlier version gave."""
    from xanes_live.theory.names import refuse_earlier_names
    from xanes_live.theory.store import known_ids

    files = {file for source in plan.everything for file in source.files}
    refuse_earlier_names(files, known_ids(output)[0], str(output))
    refuse_earlier_names(files, elsewhere, "a set given with --known")


@contextmanager
def _told_what_is_kept(output: Path) -> Iterator[None]:
    """Say on Ctrl-C and SIGTERM that nothing is lost; SIGTERM ends with status 143."""
    from xanes_live.theory.store import consolidate, known_ids

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _stop) if main else None
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        consolidate(output)
        kept = len(known_ids(output)[0])
        typer.echo(
            f"Interrupted: {kept} spectra are kept in {output}; the same command goes on.", err=True
        )
        raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _prediction(path: Path | None, element: str) -> dict[str, Any] | None:
    """Return the prediction of the Fermi level to use; say where it is for another element."""
    from xanes_live.theory.fermi import read_model, shipped_model

    model = shipped_model() if path is None else read_model(path)
    fitted = model.get("element")
    if fitted != element:
        typer.echo(
            f"The Fermi level of {element} is predicted by a fit to {fitted}: expect energies off "
            "by about 1 eV. Better: a hundred spectra with --scf, then xanes-live fermi, then "
            "--fermi.",
            err=True,
        )
    return None if path is None else model


def _plan(
    structures: list[Path],
    element: str,
    edge: str,
    seed: int,
    copies: int,
    strain: tuple[float, float],
    displacement: tuple[float, float],
) -> Recipe:
    """Return the recipe for a list of files: each site as it is, and distorted copies."""
    from xanes_live.theory.recipe import parse_recipe

    files = [os.path.normpath(path.absolute()) for path in structures]
    sources: list[dict[str, Any]] = [{"name": "given", "files": files}]
    if copies:
        sources.append(
            {
                "name": "distorted",
                "kind": "distorted",
                "share": float(copies),
                "files": files,
                "copies": copies,
                "strain": strain,
                "displacement": displacement,
            }
        )
    given = {"element": element, "edge": edge, "seed": seed, "source": sources}
    return parse_recipe(given, "the options given")


def combine_command(
    sets: Annotated[list[Path], typer.Argument(help="Data sets (.h5 or .npz), the best first.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Archive to write (.npz).")],
) -> None:
    """Make one training set of several data sets; what two of them hold is taken once."""
    from xanes_live.theory.combine import combine

    counts, left_out = combine(sets, output)
    for source, count in counts.items():
        typer.echo(f"{count:7d} {source}")
    typer.echo(f"{sum(counts.values()):7d} in {output}")
    if left_out:
        names = ", ".join(left_out[:3]) + (" …" if len(left_out) > 3 else "")
        typer.echo(f"{len(left_out):7d} left out, an atom nearer than any bond is long: {names}")
