"""PostgreSQL, Redis and Tiled as `deploy/` describes them, on ports of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

DEPLOY = Path(__file__).parents[2] / "deploy"
_DEBIAN = Path("/usr/lib/postgresql")


def program(name: str) -> str | None:
    """Return the path of a server program; Debian keeps those of PostgreSQL out of the PATH."""
    found = sorted(_DEBIAN.glob(f"*/bin/{name}")) if _DEBIAN.is_dir() else []
    return str(found[-1]) if found else shutil.which(name)


AVAILABLE = all(program(name) for name in ("initdb", "pg_ctl", "createdb", "redis-server"))
REASON = "needs PostgreSQL and Redis: apt-get install postgresql redis-server"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Stack:
    """Everything but the service."""

    directory: Path
    environment: dict[str, str]
    port: int
    _exit: ExitStack = field(default_factory=ExitStack)
    _tiled: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self, role: str) -> str:
        """Return the key that make_keys.py wrote for `role`."""
        return (self.directory / "keys" / f"{role}.env").read_text().partition("=")[2].strip()

    def http(self, role: str | None) -> httpx.Client:
        headers = {"Authorization": f"Apikey {self.key(role)}"} if role else {}
        return httpx.Client(base_url=f"{self.uri}/api/v1", headers=headers, timeout=60.0)

    def start_tiled(self) -> None:
        """Start Tiled by the shipped script and wait until it answers."""
        with (self.directory / "tiled.log").open("ab") as log:
            command = [str(DEPLOY / "tiled" / "serve.sh"), "--port", str(self.port)]
            self._tiled = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        _wait(self._answers, 300.0, lambda: (self.directory / "tiled.log").read_text()[-3000:])

    def _answers(self) -> bool:
        assert self._tiled is not None
        if self._tiled.poll() is not None:
            raise RuntimeError((self.directory / "tiled.log").read_text()[-3000:])
        try:
            return httpx.get(f"{self.uri}/healthz", timeout=5.0).is_success
        except httpx.HTTPError:
            return False

    def kill_tiled(self) -> None:
        """End Tiled as a crash would."""
        if self._tiled is not None:
            self._tiled.kill()
            self._tiled.wait()
            self._tiled = None

    def make_keys(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """Run the shipped script; returns what it printed."""
        where = environment or self.environment
        script = [sys.executable, str(DEPLOY / "tiled" / "make_keys.py"), "--uri", self.uri]
        script += ["--directory", str(self.directory / "keys"), *arguments]
        done = subprocess.run(
            script, env=where, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stop(self) -> None:
        self.kill_tiled()
        self._exit.close()


def start() -> Stack:
    """Start everything; whatever fails leaves nothing behind."""
    # Not below pytest's own directory: PostgreSQL runs under another account, which must reach it.
    directory = Path(tempfile.mkdtemp(prefix="xanes-deploy-"))
    directory.chmod(0o711)
    stack = Stack(directory, {}, free_port())
    stack._exit.callback(shutil.rmtree, directory, ignore_errors=True)
    try:
        postgres, redis = _postgres(stack), _redis(stack)
        stack.environment = _environment(directory, postgres, redis)
        stack.start_tiled()
        stack.make_keys()
    except BaseException:
        stack.stop()
        raise
    return stack


def _environment(directory: Path, postgres: int, redis: int) -> dict[str, str]:
    database = f"postgresql://tiled@127.0.0.1:{postgres}/xanes"
    (directory / "detectors").mkdir()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("TILED_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ADMIN_PASSWORD": secrets.token_hex(16),
        "SIGNING_KEY": secrets.token_hex(32),
        "CATALOG_URI": f"{database}_catalog",
        "AUTHN_URI": f"{database}_authn",
        "TABLES_URI": f"{database}_tables",
        "REDIS_URI": f"redis://127.0.0.1:{redis}",
        "DATA_DIR": str(directory / "data"),
        "DETECTOR_DIR": str(directory / "detectors"),
        "LISTEN_HOST": "127.0.0.1",
    }


def _postgres(stack: Stack) -> int:
    """Start PostgreSQL and make the databases with the shipped statements; returns its port."""
    home, port = stack.directory / "postgres", free_port()
    home.mkdir()
    # PostgreSQL refuses to run as root; Debian's package brings an account for it.
    account = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if account:
        shutil.chown(home, "postgres", "postgres")

    def run(name: str, *arguments: str) -> None:
        command = [str(program(name)), *arguments]
        done = subprocess.run(
            command, cwd=home, capture_output=True, text=True, timeout=300, check=False, **account
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    data = str(home / "data")
    run("initdb", "-D", data, "-U", "tiled", "-A", "trust", "--no-sync")
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", data, "-o", options, "-l", str(home / "log"), "-w", "start")
    stack._exit.callback(run, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    sql = (DEPLOY / "postgres" / "databases.sql").read_text()
    run("psql", "-h", "127.0.0.1", "-p", str(port), "-U", "tiled", "-d", "postgres", *_each(sql))
    return port


def _each(sql: str) -> list[str]:
    """Return psql's arguments for statements that may not share a transaction."""
    lines = [line for line in sql.splitlines() if line and not line.startswith("--")]
    return [argument for line in lines for argument in ("-c", line)]


def _redis(stack: Stack) -> int:
    port = free_port()
    command = [str(program("redis-server")), "--port", str(port), "--bind", "127.0.0.1"]
    with (stack.directory / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, "--save", ""], cwd=stack.directory, stdout=log)
    stack._exit.callback(process.wait)
    stack._exit.callback(process.terminate)
    _wait(lambda: _listens(port), 20.0, (stack.directory / "redis.log").read_text)
    return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def _wait(done, timeout_s: float, why) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(why())
        time.sleep(0.1)
