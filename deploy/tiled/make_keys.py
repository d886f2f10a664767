"""Make the service accounts and their scoped keys, and the containers they write to.

    ADMIN_PASSWORD=... CATALOG_URI=... python make_keys.py --directory /etc/xanes-live/keys

Where the administrator signs in through a browser, give a key of theirs as ADMIN_KEY instead of the
password (``tiled login``, then ``tiled api_key create``).

Three accounts, each with one key that can do what it must and no more:

    writer   stores raw runs                    tags root, raw
    service  reads raw runs, publishes results  tags root, raw, results
    reader   reads both (dashboard, notebooks)  tags root, raw, results

Each key is in a file of its own in the directory, readable by its owner alone, in the form systemd
and compose take (`EnvironmentFile`). Nothing is printed that could be used. Running it again
changes nothing unless a key no longer works; ``--rotate ROLE`` replaces one and revokes the old.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from compile_tags import compile_tags, definitions

READ = ("read:metadata", "read:data")
WRITE = (*READ, "create:node", "write:metadata", "write:data")
STORE = (*WRITE, "register")
"""`register` lets the beamline point to the files of its detectors."""


@dataclass(frozen=True, slots=True)
class Role:
    """One service account."""

    account: str
    """Tiled's role of the account. Only 'admin' may hold `register`; what the account can really do
    is limited by its tags, and its only key has the scopes below."""
    scopes: tuple[str, ...]
    tags: tuple[str, ...]
    variable: str
    """Environment variable that takes the key."""


ROLES = {
    "writer": Role("admin", STORE, ("root", "raw"), "TILED_API_KEY"),
    "service": Role("user", WRITE, ("root", "raw", "results"), "XANES_LIVE_TILED_API_KEY"),
    "reader": Role("user", READ, ("root", "raw", "results"), "XANES_LIVE_READER_KEY"),
}


class Tiled:
    """Tiled as its administrator sees it."""

    def __init__(self, uri: str) -> None:
        self._http = httpx.Client(base_url=uri.rstrip("/") + "/api/v1", timeout=60.0)

    def sign_in(self, provider: str, account: str, password: str) -> None:
        """Become the administrator by password."""
        login = {"username": account, "password": password}
        token = self._send("POST", f"/auth/provider/{provider}/token", data=login)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def use_key(self, secret: str) -> None:
        """Become the administrator by key."""
        self._http.headers["Authorization"] = f"Apikey {secret}"

    def _send(self, method: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        answer = self._http.request(method, path, **options)
        if answer.is_error:
            reason = f"{answer.status_code} {answer.text[:300]}"
            raise SystemExit(f"make_keys: {method} {path}: {reason}")
        content: dict[str, Any] = answer.json() if answer.content else {}
        return content

    def create_account(self, role: Role) -> str:
        """Make a service account and return its identifier."""
        return str(self._send("POST", "/auth/principal", params={"role": role.account})["uuid"])

    def knows(self, key: str) -> bool:
        """Return whether `key` works."""
        headers = {"Authorization": f"Apikey {key}"}
        return self._http.get("/auth/apikey", headers=headers).is_success

    def create_key(self, account: str, name: str, role: Role) -> str:
        """Make a key of `account`."""
        wish = {"scopes": role.scopes, "access_tags": role.tags, "expires_in": None, "note": name}
        return str(self._send("POST", f"/auth/principal/{account}/apikey", json=wish)["secret"])

    def revoke(self, account: str, key: str) -> None:
        """Make `key` worthless."""
        path = f"/auth/principal/{account}/apikey"
        self._send("DELETE", path, params={"first_eight": key[:8]})

    def container(self, path: str, tag: str) -> None:
        """Make the containers of `path` where absent; the last one carries `tag`."""
        parts = [part for part in path.split("/") if part]
        for number, name in enumerate(parts):
            here = "/".join(parts[: number + 1])
            if self._http.get(f"/metadata/{here}").is_success:
                continue
            tags = [tag if number == len(parts) - 1 else "root"]
            body = {"id": name, "structure_family": "container", "metadata": {}}
            body["access_tags"] = tags
            self._send("POST", f"/metadata/{'/'.join(parts[:number])}", json=body)


def accounts(tiled: Tiled, path: Path) -> dict[str, str]:
    """Return the identifier of each role's account, making those that are missing."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    for name, role in ROLES.items():
        if name not in known:
            known[name] = tiled.create_account(role)
            _write_private(path, json.dumps(known, indent=1) + "\n")
    return known


def key(tiled: Tiled, directory: Path, name: str, account: str, *, rotate: bool) -> str:
    """Return what was done about the key of role `name`: 'kept', 'made' or 'replaced'."""
    role, path = ROLES[name], directory / f"{name}.env"
    old = path.read_text().partition("=")[2].strip() if path.exists() else ""
    works = bool(old) and tiled.knows(old)
    if works and not rotate:
        return "kept"
    _write_private(path, f"{role.variable}={tiled.create_key(account, name, role)}\n")
    if works:
        tiled.revoke(account, old)
        return "replaced"
    return "made"


def _write_private(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make service accounts, keys and containers.")
    parser.add_argument("--uri", default="http://127.0.0.1:8000")
    parser.add_argument("--provider", default="facility", help="as in Tiled's configuration")
    parser.add_argument("--account", default="admin", help="the administrator who signs in")
    parser.add_argument("--directory", type=Path, required=True, help="where the keys go")
    parser.add_argument("--tags", type=Path, default=Path(__file__).with_name("tags.yml"))
    parser.add_argument("--raw-path", default="raw")
    parser.add_argument("--results-path", default="sandbox/xanes_live")
    parser.add_argument("--rotate", choices=ROLES, action="append", default=[])
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing; returns the exit code."""
    options = _options(arguments)
    password, secret = os.environ.get("ADMIN_PASSWORD"), os.environ.get("ADMIN_KEY")
    if not os.environ.get("CATALOG_URI") or not (password or secret):
        sys.stderr.write("make_keys: set CATALOG_URI, and ADMIN_PASSWORD or ADMIN_KEY\n")
        return 2
    options.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    tiled = Tiled(options.uri)
    if secret:
        tiled.use_key(secret)
    else:
        tiled.sign_in(options.provider, options.account, password or "")
    known = accounts(tiled, options.directory / "principals.json")
    tags = definitions(options.tags.read_text(), known)
    asyncio.run(compile_tags(os.environ["CATALOG_URI"], tags))
    tiled.container(options.raw_path, "raw")
    tiled.container(options.results_path, "results")
    for name in ROLES:
        done = key(tiled, options.directory, name, known[name], rotate=name in options.rotate)
        sys.stdout.write(f"{name}: {done} ({options.directory / name}.env)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
