"""A simulated beamline that keeps the documents of what it measures."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("ophyd")

from xanes_live.demo.beamline import Beamline
from xanes_live.demo.programme import Entry

Documents = list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Documents]:
    """Take one entry of the programme and return the documents of all its runs."""
    directory = tmp_path_factory.mktemp("detector")

    def take(entry: Entry, seed: int = 0) -> Documents:
        documents: Documents = []
        beamline = Beamline(directory, seed, 1e-5, io.StringIO())
        beamline.engine.subscribe(lambda name, doc: documents.append((name, doc)))
        beamline.run(entry)
        return documents

    return take
