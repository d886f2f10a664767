"""``xanes-live bench``."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def bench_command(
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', …")] = "auto",
    sizes: Annotated[
        str | None, typer.Option(help="Numbers of spectra, separated by commas.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="inference, training, reduction, scattering or live (repeatable)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Measure this model's network instead of the paper's.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of large batches: float32, tf32 or bfloat16.")
    ] = "float32",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the CPU; all cores by default.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, about a minute.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure prediction, training, reduction and scattering beside the plain way to do them."""
    import orjson
    import torch

    from xanes_live.bench.run import QUICK_SIZES, SECTIONS, SIZES, Options, run

    if threads is not None:
        torch.set_num_threads(threads)
    options = Options(
        device,
        _numbers(sizes) if sizes else (QUICK_SIZES if quick else SIZES),
        _known(only, SECTIONS) if only else SECTIONS,
        model,
        _known([precision], ("float32", "tf32", "bfloat16"))[0],
        2.0 if quick else 10.0,
    )
    report = run(options, lambda step: typer.echo(f"measuring: {step} …", err=True))
    typer.echo(orjson.dumps(report.as_dict()).decode() if as_json else report.text())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} are not numbers of spectra", param_hint="--sizes")
    return numbers


def _known(given: list[str], known: tuple[Any, ...]) -> tuple[Any, ...]:
    for name in given:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return tuple(given)
