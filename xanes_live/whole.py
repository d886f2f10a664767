"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xanes_live.leftovers import owner, sweep


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; what is written there then takes its place.

    It is synced before, so that not even a power cut leaves half a file. Where the block raises,
    `path` stays as it was and nothing is left beside it; what a process that was killed has left
    there goes.

    Parameters
    ----------
    path
        In a folder that exists.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    sweep(path.parent)
    part = path.with_name(f"{path.name}.{owner()}.part")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write text, UTF-8, whole or not at all."""
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def update_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace some entries of a JSON object in a file, keeping the others."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_whole(path, json.dumps(known | dict(values), indent=2) + "\n")
