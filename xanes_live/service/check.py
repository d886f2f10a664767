"""The command `check`: is everything there that the service needs, and may it do what it must.

Each test yields findings as it goes: one line each, what was found and, where something is wrong,
how to mend it. A test that cannot be made because an earlier one failed is left out.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import numpy as np

from xanes_live.config import (
    API_KEY_VARIABLE,
    READER_KEY_VARIABLE,
    Config,
    MetricsConfig,
    key_from,
    load,
)
from xanes_live.errors import ConfigurationError, XanesLiveError
from xanes_live.publish.address import inside
from xanes_live.service.check_reader import reader_findings
from xanes_live.service.check_source import source_findings
from xanes_live.service.check_tiled import tiled_findings
from xanes_live.service.finding import Finding, Level

LITTLE_DISK_BYTES, NO_DISK_BYTES = 2 << 30, 200 << 20
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "gpfs", "beegfs"}


def check_command(path: Path | None, *, listen_s: float) -> int:
    """Make every test, print what is found; 0 when the service can run as configured, else 1."""
    try:
        config = load(path)
        secrets = (config.tiled_key(), key_from(READER_KEY_VARIABLE))
    except ConfigurationError as error:
        return _report([Finding.bad("configuration", str(error), "correct it; see the reference")])
    return _report(findings(config, path, listen_s), secrets)


def findings(config: Config, path: Path | None, listen_s: float) -> Iterator[Finding]:
    """Yield what is found, test by test, in the order of the way a scan takes."""
    yield from configuration_findings(config, path)
    yield from source_findings(config, listen_s)
    yield from model_findings(config)
    yield from state_findings(config.service.state_directory)
    yield from running_findings(config.metrics)
    yield from tiled_findings(config)
    yield from reader_findings(config.tiled)


def _report(found: Iterable[Finding], secrets: Iterable[str | None] = ()) -> int:
    worst = Level.GOOD
    for finding in found:
        line = finding.line().replace("\n", " ")
        for secret in filter(None, secrets):  # no test says one, but messages of servers might
            line = line.replace(secret, "***")
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        worst = max(worst, finding.level)
    return 1 if worst is Level.BAD else 0


def configuration_findings(config: Config, path: Path | None) -> Iterator[Finding]:
    """Yield what can be said of the file itself."""
    name = "configuration"
    yield Finding.good(name, f"{path or 'defaults'} is readable, hash {config.hash()}")
    tiled = config.tiled
    if inside(tiled.results_path, tiled.raw_path):
        text = f"results_path {tiled.results_path!r} lies inside raw_path {tiled.raw_path!r}"
        yield Finding.bad(name, text, "choose a container beside it, e.g. sandbox/xanes_live")
    if not tiled.results_path.strip("/"):
        yield Finding.bad(name, "results_path names no container", "e.g. sandbox/xanes_live")
    if tiled.arrays == "file" and tiled.arrays_directory is None:
        remedy = "set tiled.arrays_directory, or arrays to 'http' or 'none'"
        yield Finding.bad(name, "arrays = 'file' without arrays_directory", remedy)
    in_file = tiled.api_key is not None and not os.environ.get(API_KEY_VARIABLE)
    if path is not None and in_file and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        remedy = f"chmod 600 {path}, or give it in {API_KEY_VARIABLE}"
        yield Finding.note(name, f"others can read the key in {path}", remedy)


def model_findings(config: Config) -> Iterator[Finding]:
    """Yield which models load, and on what."""
    from xanes_live.service.service import load_predictors  # noqa: PLC0415 - torch

    try:
        predictors = load_predictors(config)
    except XanesLiveError as error:
        yield Finding.bad("model", str(error), "see `xanes-live models` and [model] names")
        return
    except Exception as error:  # noqa: BLE001 - torch has many ways to refuse a device
        remedy = "is [model] device one of 'auto', 'cpu', 'cuda', and is the driver installed?"
        yield Finding.bad("model", f"does not load: {error!r:.200}", remedy)
        return
    for (element, edge), predictor in predictors.items():
        info = predictor.info
        where = getattr(predictor, "device", "cpu")
        text = f"{info.id} {info.version} ({info.hash}) for the {element} {edge} edge on {where}"
        try:
            predictor.predict(np.ones((1, predictor.energy.size)))  # a driver's faults show here
        except Exception as error:  # noqa: BLE001
            remedy = "try [model] device = 'cpu'"
            yield Finding.bad("model", f"{text} does not compute: {error!r:.200}", remedy)
        else:
            yield Finding.good("model", text)


def state_findings(directory: Path) -> Iterator[Finding]:
    """Yield whether the outbox can be kept in `directory`."""
    name = "outbox"
    where = directory.resolve()
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=where, prefix=".check-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = f"let user {_user()} write there, or set service.state_directory"
        yield Finding.bad(name, f"{where} cannot be written: {error.strerror}", remedy)
        return
    yield _space(where)
    kind = file_system(where)
    if kind in _REMOTE:
        remedy = "SQLite can lose results there: set service.state_directory to a local disk"
        yield Finding.note(name, f"{where} is on a network file system ({kind})", remedy)
    yield from _waiting(where / "outbox.sqlite")


def running_findings(config: MetricsConfig) -> Iterator[Finding]:
    """Yield how a service that runs here already says it is."""
    if config.port == 0:
        return
    host = "127.0.0.1" if config.host in {"0.0.0.0", "::", ""} else config.host  # noqa: S104
    try:
        with httpx.Client(timeout=2.0, trust_env=False) as http:
            answer = http.get(f"http://{host}:{config.port}/healthz").json()
            reasons = [str(reason) for reason in answer["reasons"]]
    except (httpx.TransportError, OSError):
        return  # none runs, which is not what is tested
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        remedy = "give the service another [metrics] port"
        yield Finding.note("service", f"something else answers at {host}:{config.port}", remedy)
        return
    if reasons:
        yield Finding.note("service", f"runs here, and says: {'; '.join(reasons)}", "see its log")
    else:
        yield Finding.good("service", f"runs here and is well ({host}:{config.port})")


def _user() -> str:
    return os.environ.get("USER") or str(os.geteuid())


def _space(where: Path) -> Finding:
    free = shutil.disk_usage(where).free
    text = f"{where} can be written, {free / 2**30:.1f} GiB free"
    if free < NO_DISK_BYTES:
        return Finding.bad("outbox", text, "make room")
    if free < LITTLE_DISK_BYTES:
        return Finding.note("outbox", text, "make room soon")
    return Finding.good("outbox", text)


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the kind of file system `path` is on; '' where that cannot be known."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    found = [line.split()[1:3] for line in lines if len(line.split()) >= 3]
    above = [(Path(at), kind) for at, kind in found if path.is_relative_to(at)]
    return max(above, key=lambda pair: len(pair[0].parts))[1] if above else ""


def _waiting(file: Path) -> Iterator[Finding]:
    """Say what an earlier run of the service left behind, without disturbing one that runs."""
    if not file.exists():
        return
    if not (file.is_file() and os.access(file, os.W_OK)):
        remedy = f"let user {_user()} write it, or set service.state_directory"
        yield Finding.bad("outbox", f"{file} cannot be written", remedy)
        return
    query = "SELECT COUNT(*) FROM outbox WHERE state != 'done'"
    try:
        database = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            (waiting,) = database.execute(query).fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        remedy = "move the file away; results in it are predicted again from the raw runs"
        yield Finding.bad("outbox", f"{file} is damaged: {error}", remedy)
        return
    if waiting:
        remedy = "they are published when the service runs and Tiled takes them"
        yield Finding.note("outbox", f"{waiting} results wait in {file}", remedy)
