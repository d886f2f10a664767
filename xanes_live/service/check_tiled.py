"""Tests of the Tiled server and of what the service's key may do there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from xanes_live.config import API_KEY_VARIABLE, Config, TiledConfig
from xanes_live.publish.address import api_root, quoted, segments
from xanes_live.publish.remote import Remote
from xanes_live.service.check_write import write_findings
from xanes_live.service.finding import Finding

TESTED = "0.2.20"
"""Version of Tiled that this project is tested with."""
NEEDED = ("read:metadata", "read:data", "create:node", "write:metadata", "write:data")
DELETE = {"delete:node", "delete:revision"}
_TOO_MUCH = (*sorted(DELETE), "admin:apikeys", "write:principals", "create:apikeys")
CLOCK_S = 5.0
"""A larger difference of clocks is worth knowing."""
_EXPIRES_S = 14 * 86400.0
_SCOPES_URL = "make one with deploy/tiled/make_keys.py or `tiled api_key create --scopes …`"


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself."""

    http: httpx.Client
    about: dict[str, Any]
    key: str | None

    @property
    def multi_user(self) -> bool:
        """Whether it knows accounts, and so keys with scopes."""
        return bool((self.about.get("authentication") or {}).get("providers"))


def tiled_findings(
    config: Config, transport: httpx.BaseTransport | None = None
) -> Iterator[Finding]:
    """Yield what is found of the server, the key, the raw runs and the results container.

    Parameters
    ----------
    config
        The whole configuration.
    transport
        Instead of the network, for tests.
    """
    key = config.tiled_key()
    headers = {"Authorization": f"Apikey {key}"} if key else {}
    root, timeout = api_root(config.tiled.uri), config.tiled.timeout_s
    client = httpx.Client(base_url=root, headers=headers, timeout=timeout, transport=transport)
    with client as http, closing(Remote(config.tiled, key, transport)) as remote:
        try:
            yield from _all(http, remote, config.tiled, key)
        except httpx.HTTPError as error:
            remedy = "is Tiled running, [tiled] uri right, and no firewall or proxy between?"
            yield Finding.bad("tiled", f"no answer from {root}: {_reason(error)}", remedy)


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _all(
    http: httpx.Client, remote: Remote, config: TiledConfig, key: str | None
) -> Iterator[Finding]:
    begun = time.time()
    answer = http.get("/")
    took = time.time() - begun
    try:
        about = answer.raise_for_status().json()
        version = str(about["library_version"])
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
        text = f"{http.base_url} answers {answer.status_code} but is no Tiled server"
        yield Finding.bad("tiled", text, "correct [tiled] uri")
        return
    yield _version(str(http.base_url), version, took)
    yield from clock_findings(answer.headers.get("date"), begun + took / 2)
    known = _key(Server(http, about, key), config)
    yield from known.findings
    if known.valid:
        yield from _raw(http, about, config)
        yield from write_findings(config, remote, http, may_delete=known.may_delete)


def _version(address: str, version: str, took: float) -> Finding:
    text = f"{address} is Tiled {version}, {took * 1e3:.0f} ms away"
    if version != TESTED:
        return Finding.note(
            "tiled", text, f"tested with {TESTED}; results may be laid out otherwise"
        )
    return Finding.good("tiled", text)


def clock_findings(date: str | None, here: float) -> Iterator[Finding]:
    """Yield how far the server's clock is from ours.

    Parameters
    ----------
    date
        `Date` header of an answer (whole seconds).
    here
        Our time when it was written, s since the epoch.
    """
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return
    off = there + 0.5 - here
    if abs(off) <= CLOCK_S:
        yield Finding.good("clock", f"Tiled's clock differs by {max(0.0, abs(off) - 0.5):.0f} s")
    else:
        remedy = "let both follow NTP: times of results and of catching up are off by as much"
        yield Finding.note("clock", f"Tiled's clock differs by {off:+.0f} s", remedy)


@dataclass(frozen=True, slots=True)
class _Key:
    """What is known of the key."""

    findings: tuple[Finding, ...]
    valid: bool = True
    may_delete: bool = False


def _key(server: Server, config: TiledConfig) -> _Key:
    if server.key is None and (server.about.get("authentication") or {}).get("required"):
        remedy = f"put a key into {API_KEY_VARIABLE}; {_SCOPES_URL}"
        return _no_key("Tiled wants a key and none is set", remedy)
    if server.key is None or not server.multi_user:
        return _without_scopes(server)
    answer = server.http.get("/auth/apikey")
    if answer.is_error:
        remedy = f"it is mistyped, expired or revoked: {_SCOPES_URL}"
        return _no_key(f"Tiled does not know the key ({answer.status_code})", remedy)
    info = answer.json()
    scopes = _effective(server.http, info)
    found = (
        *_scopes(scopes, config),
        *_tags(info.get("access_tags"), config.access_tags),
        *_expiry(info.get("expiration_time")),
    )
    return _Key(found, may_delete=set(scopes) >= DELETE)


def _no_key(text: str, remedy: str) -> _Key:
    return _Key((Finding.bad("key", text, remedy),), valid=False)


def _without_scopes(server: Server) -> _Key:
    answer = server.http.get("/metadata/")
    if answer.is_error:
        return _no_key(f"Tiled refuses the key ({answer.status_code})", "correct it")
    remedy = "for production let Tiled know accounts: deploy/tiled/config.yml"
    text = "single-user server: whoever has its key may also delete"
    return _Key((Finding.note("key", text, remedy),), may_delete=True)


def _effective(http: httpx.Client, info: dict[str, Any]) -> list[str]:
    """Return the scopes of a key; one that inherits has those of its account."""
    scopes = list(info.get("scopes") or [])
    if scopes != ["inherit"]:
        return scopes
    answer = http.get("/auth/whoami")
    roles = answer.json().get("roles") or [] if answer.is_success else []
    return sorted({scope for role in roles for scope in role.get("scopes") or []})


def _scopes(scopes: Sequence[str], config: TiledConfig) -> Iterator[Finding]:
    needed = (*NEEDED, "register") if config.arrays == "file" else NEEDED
    missing = [scope for scope in needed if scope not in scopes]
    if missing:
        text = f"the key lacks {', '.join(missing)}"
        yield Finding.bad("key", text, f"it needs {' '.join(needed)}: {_SCOPES_URL}")
    else:
        yield Finding.good("key", f"valid, scopes {' '.join(sorted(scopes))}")
    extra = [scope for scope in _TOO_MUCH if scope in scopes]
    if extra:
        remedy = f"give the service a narrower one: {_SCOPES_URL}"
        yield Finding.note("key", f"it may do more than it must: {', '.join(extra)}", remedy)


def _tags(allowed: Sequence[str] | None, used: Sequence[str]) -> Iterator[Finding]:
    if allowed is None:
        return
    wrong = [tag for tag in used if tag not in allowed]
    if wrong:
        text = f"the key is not for tag {', '.join(wrong)}, only for {', '.join(allowed)}"
        yield Finding.bad("key", text, "correct [tiled] access_tags, or make a key for that tag")
    elif not used:
        text = f"the key is restricted to the tags {', '.join(allowed)}"
        yield Finding.bad("key", text, "name the one results carry in [tiled] access_tags")


def _expiry(moment: str | None) -> Iterator[Finding]:
    if not moment:
        return
    ends = datetime.fromisoformat(moment)
    left = (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp() - time.time()
    if left < _EXPIRES_S:
        yield Finding.note("key", f"expires in {left / 86400:.1f} days", "make a new one in time")


def _raw(http: httpx.Client, about: dict[str, Any], config: TiledConfig) -> Iterator[Finding]:
    path = quoted(*segments(config.raw_path))
    wish: dict[str, Any] = {"page[limit]": 1, "sort": "-_", "fields": ["metadata", "count"]}
    wish["select_metadata"] = "{uid: start.uid, time: start.time}"
    answer = http.get(f"/search/{path}", params=wish)
    name = f"raw runs in /{path}"
    if answer.is_error:
        absent = answer.status_code == httpx.codes.NOT_FOUND
        text = "no such container" if absent else f"not readable ({answer.status_code})"
        remedy = (
            "correct [tiled] raw_path" if absent else "the key's tags or scopes do not allow it"
        )
        yield Finding.bad("raw runs", f"{name}: {text}", remedy)
        return
    content = answer.json()
    count = (content.get("meta") or {}).get("count", 0)
    yield Finding.good("raw runs", f"{name}: readable, {count} there{_newest(content)}")
    if "application/json-seq" not in (about.get("formats") or {}).get("BlueskyRun", ()):
        text = "the server cannot give a run's documents (406): nothing can be re-read or replayed"
        remedy = "add media_types.BlueskyRun as in deploy/tiled/config.yml"
        yield Finding.bad("raw runs", text, remedy)


def _newest(content: dict[str, Any]) -> str:
    for node in content.get("data") or ():
        metadata = node["attributes"]["metadata"] or {}
        began = (metadata.get("selected") or metadata).get("time")
        if isinstance(began, int | float):
            when = datetime.fromtimestamp(began, UTC).astimezone()
            return f", the newest of {when:%Y-%m-%d %H:%M}"
    return ""
