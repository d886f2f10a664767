"""Reading from Tiled with its own Python client."""
# ruff: noqa: ANN401  the Tiled client has no type information

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xanes_live.config import TiledConfig
from xanes_live.publish.address import segments
from xanes_live.publish.remote import RefusedError, ServerFaultError, UnreachableError

PAGE = 200
"""Nodes a request; Tiled allows 300."""
FIELDS = "{raw_uid: raw_uid, status: status}"


def connect(config: TiledConfig, api_key: str | None) -> Any:
    """Return a client of the root of the server in `config`.

    Raises
    ------
    UnreachableError
        If it does not answer.
    RefusedError
        If it refuses the key.
    """
    return open_uri(config.uri, api_key, config.timeout_s)


def open_uri(uri: str, api_key: str | None, timeout_s: float = 10.0) -> Any:
    """Return a Tiled client of any node; raises as :func:`connect` does."""
    # Tiled reads these when it is first imported; with its defaults a server that is away blocks
    # every request for 45 s. What the user has set stays.
    os.environ.setdefault("TILED_RETRY_ATTEMPTS", "3")
    os.environ.setdefault("TILED_RETRY_TIMEOUT", "10")
    import httpx  # noqa: PLC0415
    from tiled.client import from_uri  # noqa: PLC0415 - after the two lines above

    with faults():
        return from_uri(uri, api_key=api_key, timeout=httpx.Timeout(timeout_s))


@contextmanager
def faults() -> Iterator[None]:
    """Raise what the Tiled client reports of the network or the server as errors of this package.

    Raises
    ------
    UnreachableError
        The server cannot be reached, or fails. Also is a `ConnectionError`.
    RefusedError
        The key is not accepted, or not for this. Also is a `PermissionError`.
    """
    import httpx  # noqa: PLC0415

    try:
        yield
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise RefusedError(str(error)) from None
        if code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ServerFaultError(str(error)) from None
        raise
    except httpx.TransportError as error:
        raise UnreachableError(repr(error)) from None


def walk(root: Any, path: str) -> Any | None:
    """Return the node at `path` below `root`; None if there is none (or none this key may see)."""
    node = root
    for name in segments(path):
        try:
            with faults():
                node = node[name]
        except KeyError:
            return None
    return node


def listing(container: Any, fields: str = FIELDS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and selected metadata of the children, the youngest first.

    Much less travels than with `container.items()`: results carry 20 to 200 kB of metadata.

    Parameters
    ----------
    container
        A Tiled client.
    fields
        JMESPath of what is wanted.
    """
    url = container.item["links"]["search"]
    wanted = {"fields": "metadata", "select_metadata": fields, "sort": "-", "page[limit]": PAGE}
    offset = 0
    while True:
        with faults():
            params = {**wanted, "page[offset]": offset}
            response = container.context.http_client.get(url, params=params)
            response.raise_for_status()
        children = response.json()["data"]
        for child in children:
            yield child["id"], child["attributes"]["metadata"].get("selected") or {}
        if len(children) < PAGE:
            return
        offset += PAGE
