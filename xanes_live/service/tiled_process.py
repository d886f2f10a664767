"""The process behind :class:`xanes_live.service.tiled_server.TiledServer`: one Tiled on loopback.

Multi-user mode with one internal account whose password is drawn at every start and never leaves
this process: it only serves to make the three scoped keys. Nobody gets a key that can delete.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    import uvicorn

READ = ("read:metadata", "read:data")
WRITE = (*READ, "create:node", "write:metadata", "write:data", "register")
SCOPES: dict[str, tuple[str, ...]] = {"writer": WRITE, "service": WRITE, "reader": READ}
"""Scopes by key. `register` lets the beamline point to the files of its detectors and the service
to its HDF5 files; where those may lie is limited by the server's `readable_storage`."""

KEYS_FILE = "keys.json"
READY_FILE = "ready.json"
CONTAINERS = (
    ("writer", "", "raw"),
    ("service", "", "sandbox"),
    ("service", "sandbox", "xanes_live"),
)
_ACCOUNT = "xanes-live"


def configuration(directory: Path, readable: Sequence[Path], password: str) -> dict[str, Any]:
    """Return Tiled's configuration for a server that keeps everything in `directory`."""
    exporter = "bluesky_tiled_plugins.exporters:json_seq_exporter"
    return {
        "authentication": {
            "providers": [
                {
                    "provider": "internal",
                    "authenticator": "tiled.authenticators:DictionaryAuthenticator",
                    "args": {"users_to_passwords": {_ACCOUNT: password}},
                }
            ],
            "tiled_admins": [{"provider": "internal", "id": _ACCOUNT}],
            "secret_keys": [secrets.token_hex(32)],
            "allow_anonymous_access": False,
        },
        "database": {"uri": _sqlite(directory / "authentication.db")},
        "catalog": {
            "uri": _sqlite(directory / "catalog.db"),
            "writable_storage": [
                str(directory / "data"),
                f"duckdb:///{directory / 'tables.duckdb'}",
            ],
            "readable_storage": [str(path) for path in readable],
        },
        "streaming_cache": {"uri": "memory"},
        "media_types": {"BlueskyRun": {"application/json-seq": exporter}},
    }


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"


def initialise(directory: Path) -> None:
    """Create the catalogue and the database of keys, where absent, by Tiled's own commands."""
    from tiled.commandline.main import cli_app  # noqa: PLC0415 - the server is an extra

    if not (directory / "catalog.db").exists():
        cli_app(["catalog", "init", _sqlite(directory / "catalog.db")], standalone_mode=False)
    if not (directory / "authentication.db").exists():
        uri = _sqlite(directory / "authentication.db")
        cli_app(["admin", "initialize-database", uri], standalone_mode=False)


def serve(directory: Path, port: int, readable: Sequence[Path], *, until_eof: bool) -> None:
    """Serve `directory` on 127.0.0.1 until told to stop (SIGTERM, SIGINT, or end of stdin).

    Parameters
    ----------
    directory
        Holds the catalogue, the data, the keys and the ready file.
    port
        0 picks a free one.
    readable
        Further folders whose files may be registered.
    until_eof
        Stop when standard input ends, so that the server never outlives the process that started
        it, however that one ended.
    """
    import uvicorn  # noqa: PLC0415
    from tiled.config import Config, construct_build_app_kwargs  # noqa: PLC0415
    from tiled.server.app import build_app  # noqa: PLC0415

    (directory / "data").mkdir(parents=True, exist_ok=True)
    initialise(directory)
    _queue_for_tables()
    password = secrets.token_hex(32)
    config = Config.model_validate(configuration(directory, readable, password))
    listener = _listen(port)
    # Access logs would show keys given in a URL.
    settings = uvicorn.Config(
        build_app(**construct_build_app_kwargs(config)), log_level="warning", access_log=False
    )
    server = uvicorn.Server(settings)
    uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
    announce = (directory, uri, password, server)
    threading.Thread(target=_announce, args=announce, daemon=True).start()
    if until_eof:
        threading.Thread(target=_stop_at_eof, args=(server,), daemon=True).start()
    server.run(sockets=[listener])


def _queue_for_tables() -> None:
    """Let requests wait for the one connection to the tables instead of sharing it.

    Tiled (0.2.20) gives the same DuckDB connection to all its threads: a table that is read while
    rows are appended fails with 'No active transaction', and soon the process crashes.
    """
    from sqlalchemy.pool import Pool, QueuePool  # noqa: PLC0415
    from tiled.storage import SQLStorage  # noqa: PLC0415

    def pool(storage: SQLStorage) -> Pool:
        creator = storage._adbc_connection.adbc_clone  # noqa: SLF001
        return QueuePool(creator, pool_size=1, max_overflow=0, timeout=60.0)

    SQLStorage._connection_pool = cached_property(pool)  # noqa: SLF001
    SQLStorage._connection_pool.__set_name__(SQLStorage, "_connection_pool")  # noqa: SLF001


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _stop_at_eof(server: uvicorn.Server) -> None:
    while sys.stdin.buffer.read(1024):
        pass
    server.should_exit = True


def _announce(directory: Path, uri: str, password: str, server: uvicorn.Server) -> None:
    """Wait for the server, make what is missing, then say that it is ready."""
    try:
        with httpx.Client(base_url=uri, timeout=30.0, trust_env=False) as http:
            _wait(http)
            keys = _keys(http, directory / KEYS_FILE, password)
            for owner, parent, key in CONTAINERS:
                _container(http, keys[owner], parent, key)
        write_private(directory / READY_FILE, {"uri": uri, "pid": os.getpid()})
    except Exception:
        server.should_exit = True  # whoever waits for the ready file sees the process end
        raise


def _wait(http: httpx.Client) -> None:
    while True:
        try:
            if http.get("/healthz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)


def _keys(http: httpx.Client, path: Path, password: str) -> dict[str, str]:
    """Return the keys in `path`, replacing those the server does not know (any more)."""
    keys = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in SCOPES if not _valid(http, keys.get(name))]
    if missing:
        login = {"username": _ACCOUNT, "password": password}
        token = http.post("/api/v1/auth/provider/internal/token", data=login).raise_for_status()
        bearer = {"Authorization": f"Bearer {token.json()['access_token']}"}
        for name in missing:
            wish = {"scopes": SCOPES[name], "expires_in": None, "note": name}
            made = http.post("/api/v1/auth/apikey", json=wish, headers=bearer).raise_for_status()
            keys[name] = made.json()["secret"]
        write_private(path, keys)
    return keys


def _valid(http: httpx.Client, key: str | None) -> bool:
    if not key:
        return False
    headers = {"Authorization": f"Apikey {key}"}
    return http.get("/api/v1/auth/apikey", headers=headers).is_success


def _container(http: httpx.Client, key: str, parent: str, name: str) -> None:
    body = {"id": name, "structure_family": "container", "metadata": {}}
    headers = {"Authorization": f"Apikey {key}"}
    answer = http.post(f"/api/v1/metadata/{parent}", json=body, headers=headers)
    if answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only the owner may read, whole or not at all."""
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    temporary.replace(path)
