"""The command line `xanes-live`.

Every option can also be given in the environment (`XANES_LIVE_<COMMAND>_<OPTION>`). Errors a user
can mend are one sentence and exit code 2; commands that found something wrong exit with 1.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

# Before NumPy is imported: matrices here are small, and on a busy machine two threads of OpenBLAS
# wait for each other a hundred times longer than one computes. torch has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from xanes_live import __version__, log
from xanes_live.bench.cli_bench import bench_command
from xanes_live.ensemble.cli_train import train_command
from xanes_live.errors import XanesLiveError
from xanes_live.evaluation.cli_calibrate import calibrate_command
from xanes_live.evaluation.cli_evaluate import evaluate_command, measured_command
from xanes_live.evaluation.cli_transfer import transfer_command
from xanes_live.theory.cli_fermi import fermi_command
from xanes_live.theory.cli_theory import combine_command, theory_command

app = typer.Typer(
    name="xanes-live",
    help="From a running XAS scan to the structure around the absorbing atom, published in Tiled.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "XANES_LIVE", "help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file (TOML or YAML).")
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "WARNING",
    log_json: Annotated[bool, typer.Option(help="Log as one JSON object a line.")] = False,
) -> None:
    if version:
        typer.echo(f"xanes-live {__version__}")
        raise typer.Exit
    log.configure(log_level, as_json=log_json)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Take the whole programme once, check it, and exit.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(help="Where everything is kept; a temporary directory by default."),
    ] = None,
) -> None:
    """Run a simulated beamline with Tiled, proxy and service on this machine's loopback."""
    from xanes_live.demo.supervisor import run_demo

    raise typer.Exit(run_demo(once=once, directory=directory))


@app.command()
def serve(
    config: ConfigOption = None,
) -> None:
    """Predict every XAS scan as it ends, until stopped (Ctrl-C or SIGTERM)."""
    from xanes_live.config import load
    from xanes_live.service.run import serve as run_service

    settings = load(config)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    run_service(settings, ended)


@app.command()
def check(
    config: ConfigOption = None,
    listen: Annotated[
        float, typer.Option(min=0.0, help="Listen so long for documents, s; 0: do not.")
    ] = 3.0,
) -> None:
    """Test every connection and permission; say what is wrong and how to mend it."""
    from xanes_live.service.check import check_command

    raise typer.Exit(check_command(config, listen_s=listen))


@app.command()
def init(
    output: Annotated[Path, typer.Argument(help="File to write.")] = Path("beamline.toml"),
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: options and defaults decide.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    source: Annotated[str | None, typer.Option(help="zmq, kafka or none.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the ZMQ proxy's out side, or of the Kafka servers.")
    ] = None,
    topic: Annotated[list[str] | None, typer.Option(help="Kafka topic (repeatable).")] = None,
    tiled: Annotated[str | None, typer.Option(help="Address of the Tiled server.")] = None,
    raw_path: Annotated[str | None, typer.Option(help="Container of the raw runs.")] = None,
    results_path: Annotated[str | None, typer.Option(help="Container for the results.")] = None,
    runs: Annotated[int, typer.Option(min=0, help="How many past runs to look at.")] = 5,
) -> None:
    """Write a commented configuration, with what the last runs in Tiled suggest."""
    from xanes_live.service.init import Answers, init_command

    answers = Answers(source, address, tuple(topic or ()), tiled, raw_path, results_path)
    raise typer.Exit(init_command(output, answers, ask=not yes, force=force, runs=runs))


@app.command()
def dashboard(
    config: ConfigOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8060,
    name: Annotated[
        list[str] | None, typer.Option(help="Host name the page is reached under (repeatable).")
    ] = None,
    writer: Annotated[
        bool, typer.Option("--reprocess", help="Allow reprocessing, with the service's key.")
    ] = False,
) -> None:
    """Serve the operator's page; it reads from Tiled only, with XANES_LIVE_READER_KEY."""
    from xanes_live.config import load, reader_key
    from xanes_live.errors import MissingDependencyError

    try:
        from xanes_live.dashboard.server import run_dashboard
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "dashboard", "the page") from None
    settings = load(config)
    typer.echo(f"The page is at http://{host}:{port}/")
    run_dashboard(
        host,
        port,
        settings.tiled.uri,
        reader_key(settings),
        settings.tiled.results_path,
        settings.tiled.raw_path,
        settings.tiled_key() if writer else None,
        config=settings,
        hosts=tuple(name or ()),
    )


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="XDI, column text or Athena .prj files.")],
    config: ConfigOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON Lines: one object for each spectrum.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw spectra and G2 with its band to this file.")
    ] = None,
) -> None:
    """Predict from files, as the live service would."""
    from xanes_live.config import load
    from xanes_live.service.predict import predict_files, print_json, print_table

    rows, unreadable = predict_files(files, load(config))
    (print_json if as_json else print_table)(rows)
    if plot is not None:
        from xanes_live.service.plot import plot_rows

        plot_rows(rows, plot)
    raise typer.Exit(1 if unreadable else 0)


@app.command()
def replay(
    archive: Annotated[
        str | None,
        typer.Argument(
            help="Tiled address or profile, or 'databroker:NAME'; the configured Tiled by default."
        ),
    ] = None,
    config: ConfigOption = None,
    uid: Annotated[list[str] | None, typer.Option(help="Only this run (repeatable).")] = None,
    since: Annotated[str | None, typer.Option(help="Only runs from this time on (ISO).")] = None,
    until: Annotated[str | None, typer.Option(help="Only runs before this time (ISO).")] = None,
    search: Annotated[
        list[str] | None, typer.Option(help="Only runs with key=value in their start document.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Predict, publish nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also what is already published or was done before.")
    ] = False,
    dask: Annotated[
        str | None, typer.Option(help="Scheduler address of an existing dask cluster.")
    ] = None,
) -> None:
    """Predict archived runs and publish what has no result yet."""
    from xanes_live.config import load
    from xanes_live.service.replay import replay_command
    from xanes_live.service.selection import Selection

    selection = Selection.parse(uid or [], since, until, search or [])
    failed = replay_command(
        load(config), archive, selection, dry_run=dry_run, force=force, dask_address=dask
    )
    raise typer.Exit(1 if failed else 0)


@app.command()
def models() -> None:
    """List the installed ensembles."""
    from xanes_live.ensemble import Ensemble
    from xanes_live.ensemble.registry import available

    for name in available():
        info = Ensemble.load(name, device="cpu").info
        typer.echo(f"{name}\t{info.element} {info.edge}\tversion {info.version}\t{info.hash}")


app.command("theory")(theory_command)
app.command("combine")(combine_command)
app.command("fermi")(fermi_command)
app.command("train")(train_command)
app.command("measured")(measured_command)
app.command("evaluate")(evaluate_command)
app.command("bench")(bench_command)
app.command("calibrate")(calibrate_command)
app.command("transfer")(transfer_command)


def main() -> None:
    """Run the command line; known errors become one sentence on standard error."""
    try:
        app()
    except (XanesLiveError, ConnectionError) as error:
        typer.echo(f"xanes-live: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise  # not about a file: a defect, whose traceback is wanted
        typer.echo(f"xanes-live: {error.filename}: {error.strerror}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
