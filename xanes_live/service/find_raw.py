"""Finding the raw runs on a Tiled server that nobody has described yet."""
# ruff: noqa: ANN401  the Tiled client has no type information

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from xanes_live.config import TiledConfig
from xanes_live.publish.remote import RefusedError, UnreachableError
from xanes_live.publish.tiled import connect, faults, walk
from xanes_live.service.suggest import Recognised, last_runs, recognise

_MOST = 30
"""Containers looked into."""
_RUN = "BlueskyRun"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the server gave."""

    path: str = "raw"
    """Container of the raw runs."""
    runs: tuple[Recognised, ...] = ()
    """The last runs, as they would be read; the youngest first."""
    access_tags: tuple[str, ...] = ()
    """Tags of an existing container for results."""
    words: tuple[str, ...] = ()
    """What to tell."""


def look(uri: str, key: str | None, raw_path: str | None, count: int) -> Found:
    """Look for raw runs at `uri`, and how the last `count` of them would be read."""
    path = raw_path if raw_path is not None else "raw"
    if count <= 0:
        return Found(path)
    try:
        root = connect(TiledConfig(uri=uri), key)
        with closing(root.context.http_client), faults():
            return _look(root, raw_path, count)
    except RefusedError:
        return Found(path, words=(f"{uri} wants a key that may read: no runs were looked at",))
    except (UnreachableError, OSError) as error:
        return Found(path, words=(f"{uri} was not reached, no runs were looked at: {error}",))


def _look(root: Any, raw_path: str | None, count: int) -> Found:
    path = raw_path if raw_path is not None else next(_candidates(root), None)
    container = walk(root, path) if path is not None else None
    if path is None or container is None:
        return Found(raw_path or "raw", words=("no raw runs were found in Tiled",))
    runs = tuple(recognise(record) for record in last_runs(container, count))
    words = (f"raw runs are in /{path}; the last {len(runs)}:",)
    return Found(path, runs, _tags(root, path), words)


def _candidates(root: Any) -> Iterator[str]:
    """Yield paths that hold runs: 'raw', the root itself, containers of it, their 'raw'."""
    if _holds_runs(walk(root, "raw")):
        yield "raw"
    if _holds_runs(root):
        yield ""
        return
    for name in list(root)[:_MOST]:
        for path in (f"{name}/raw", name):
            if _holds_runs(walk(root, path)):
                yield path


def _holds_runs(container: Any) -> bool:
    if container is None or not hasattr(container, "values"):
        return False
    if any(spec.name == _RUN for spec in container.specs):
        return False  # it is a run
    youngest = container.values().tail(1)
    return any(spec.name == _RUN for node in youngest for spec in node.specs)


def _tags(root: Any, raw_path: str) -> tuple[str, ...]:
    """Return the tags of the customary container for results, if it is there and has some."""
    parent = raw_path.strip("/").rpartition("/")[0]
    container = walk(root, f"{parent}/sandbox/xanes_live")
    if container is None:
        return ()
    return tuple(container.item["attributes"].get("access_tags") or ())
