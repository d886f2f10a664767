"""Tests of the key with which results are only read, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from xanes_live.config import READER_KEY_VARIABLE, TiledConfig, key_from
from xanes_live.publish.address import api_root, quoted, segments
from xanes_live.service.finding import Finding

_READ = {"read:metadata", "read:data"}


def reader_findings(
    config: TiledConfig, transport: httpx.BaseTransport | None = None
) -> Iterator[Finding]:
    """Yield what the reader's key in the environment may do; nothing if there is none.

    Parameters
    ----------
    config
        Where results are.
    transport
        Instead of the network, for tests.
    """
    key = key_from(READER_KEY_VARIABLE)
    if not key:
        return
    client = httpx.Client(
        base_url=api_root(config.uri),
        headers={"Authorization": f"Apikey {key}"},
        timeout=config.timeout_s,
        transport=transport,
    )
    with client as http:
        try:
            yield from _findings(http, config)
        except httpx.HTTPError:
            return  # that Tiled is away was said before


def _findings(http: httpx.Client, config: TiledConfig) -> Iterator[Finding]:
    name = "reader's key"
    answer = http.get("/auth/apikey")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        remedy = f"correct {READER_KEY_VARIABLE}: it is mistyped, expired or revoked"
        yield Finding.bad(name, "Tiled does not know it", remedy)
        return
    scopes = set(answer.json().get("scopes") or ()) if answer.is_success else set()
    if scopes and scopes - _READ:
        extra = ", ".join(sorted(scopes - _READ))
        remedy = "a page that many see should not hold such a key"
        yield Finding.note(name, f"it may do more than read: {extra}", remedy)
    for path in (config.results_path, config.raw_path):
        place = quoted(*segments(path))
        seen = http.get(f"/metadata/{place}", params={"fields": ""})
        if seen.is_error:
            text = f"it does not see /{place} ({seen.status_code})"
            yield Finding.bad(name, text, "its scopes or tags do not allow it, or nothing is there")
        else:
            yield Finding.good(name, f"reads /{place}")
