"""Can results be written to Tiled as configured? Tried with the service's own writing code."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator

import httpx
import numpy as np

from xanes_live.config import TiledConfig
from xanes_live.publish.address import quoted, segments
from xanes_live.publish.document import Node
from xanes_live.publish.files import write_file
from xanes_live.publish.remote import (
    RefusedError,
    RejectedError,
    Remote,
    UnreachableError,
)
from xanes_live.service.finding import Finding

CHECK_KEY = "xanes-live-check"
"""The one node that checks write, again and again the same; readers of results never show it."""
_ARRAY = "check"
_SUBJECT = "results"


def write_findings(
    config: TiledConfig, remote: Remote, http: httpx.Client, *, may_delete: bool
) -> Iterator[Finding]:
    """Write a small node with an array where results go, read both back, and tidy up if allowed."""
    place = "/" + "/".join(segments(config.results_path))
    try:
        seconds = _document(remote)
        text = f"{place}: a node written in {seconds * 1e3:.0f} ms and read back"
        yield Finding.good(_SUBJECT, text)
        yield from _arrays(remote, config)
    except RefusedError as error:
        yield Finding.bad(_SUBJECT, f"{place}: refused: {error}", _refused(config, str(error)))
    except RejectedError as error:
        yield Finding.bad(_SUBJECT, f"{place}: {error}", "is results_path a container?")
    except UnreachableError as error:
        remedy = "look at Tiled's own log; does `writable_storage` exist and may Tiled write there?"
        yield Finding.bad(_SUBJECT, f"{place}: {error}", remedy)
    finally:
        for name in (CHECK_KEY, _file_key(config)):
            yield from _tidy(http, config, name, may_delete=may_delete)


def _refused(config: TiledConfig, message: str) -> str:
    if "tag" in message.lower():
        return (
            f"[tiled] access_tags are {list(config.access_tags)}: does the key's account own them?"
        )
    return "give the key's account the right to write there"


def _document(remote: Remote) -> float:
    """Write the node's document and read it back; returns the time of writing, s."""
    mark = f"check {secrets.token_hex(4)}"
    remote.create(CHECK_KEY, {"status": "check", "kind": "check"})
    begun = time.perf_counter()
    remote.amend(CHECK_KEY, {"status": mark})
    seconds = time.perf_counter() - begun
    found = remote.standing(CHECK_KEY)
    if found is None or found.status != mark:
        raise UnreachableError("what was written is not what is read")
    return seconds


def _arrays(remote: Remote, config: TiledConfig) -> Iterator[Finding]:
    values = np.arange(4.0)
    if config.arrays == "http":
        remote.write_array(CHECK_KEY, _ARRAY, values, "")
        _compare(remote, CHECK_KEY, values)
        yield Finding.good(_SUBJECT, "an array written and read back")
    elif config.arrays == "file" and config.arrays_directory is not None:
        yield from _file(remote, config, values)


def _file(remote: Remote, config: TiledConfig, values: np.ndarray) -> Iterator[Finding]:
    """Write an HDF5 file, register it, read it back through the server."""
    directory = config.arrays_directory
    if directory is None:
        return
    node = Node(
        _file_key(config), {"status": "check", "kind": "check"}, {_ARRAY: values}, {_ARRAY: ""}
    )
    try:
        path = write_file(directory, node)
    except OSError as error:
        remedy = "let the service write to tiled.arrays_directory"
        yield Finding.bad(_SUBJECT, f"{directory}: {error.strerror or error}", remedy)
        return
    try:
        remote.create(node.key, node.metadata, path)
        _compare(remote, node.key, values)
    except (RejectedError, UnreachableError) as error:
        text = f"{path} cannot be read through Tiled: {error}"
        yield Finding.bad(_SUBJECT, text, _unread(config))
    else:
        yield Finding.good(_SUBJECT, f"an HDF5 file in {directory} registered and read back")


def _unread(config: TiledConfig) -> str:
    if config.access_tags:
        return "use arrays = 'http': under an access policy tiled 0.2.20 cannot read inside HDF5"
    remedy = "add {} to the server's readable_storage and let its account read it"
    return remedy.format(config.arrays_directory)


def _file_key(config: TiledConfig) -> str:
    """Return a name that changes with the directory: what is registered cannot be moved."""
    digest = hashlib.sha256(str(config.arrays_directory).encode()).hexdigest()[:8]
    return f"{CHECK_KEY}-{digest}"


def _compare(remote: Remote, key: str, values: np.ndarray) -> None:
    if not np.array_equal(np.frombuffer(remote.read(key, _ARRAY)), values):
        raise UnreachableError("the array that was written is not what is read")


def _tidy(
    http: httpx.Client, config: TiledConfig, name: str, *, may_delete: bool
) -> Iterator[Finding]:
    path = f"/metadata/{quoted(*segments(config.results_path), name)}"
    try:
        if not http.get(path, params={"fields": ""}).is_success:
            return
        if may_delete and http.delete(path, params={"recursive": True}).is_success:
            return
    except httpx.HTTPError:
        return
    text = f"{name} stays there: the key may not delete, which is right"
    yield Finding.good(_SUBJECT, text)
