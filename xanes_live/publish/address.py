"""Addresses on a Tiled server."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

API = "/api/v1"


def api_root(uri: str) -> str:
    """Return where the API of the server at `uri` begins, without key or trailing slash.

    `uri` may be the server's address, its API, or any node in it, with or without a query (a key
    in it is dropped: addresses are published and logged).
    """
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.partition(API)[0].rstrip("/")
    return urlunsplit((parts.scheme, host, f"{path}{API}", "", ""))


def segments(path: str) -> tuple[str, ...]:
    """Return the names along a slash-separated path."""
    return tuple(part for part in path.split("/") if part)


def quoted(*names: str) -> str:
    """Return names as a path of a URL, each of them one segment whatever it holds."""
    return "/".join(quote(name, safe="") for name in names)


def inside(path: str, other: str) -> bool:
    """Whether `path` is `other` or lies in it; nothing counts as inside the root."""
    outer = segments(other)
    return bool(outer) and segments(path)[: len(outer)] == outer
