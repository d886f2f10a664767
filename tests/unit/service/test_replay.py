"""Replayed runs name the archive they were read from, and no place where nothing is."""

from __future__ import annotations

import pytest

from tests import factories, runs
from xanes_live.config import parse
from xanes_live.documents.archive import ArchiveRun
from xanes_live.service.replay import replay_run

CONFIG = parse({"tiled": {"uri": "http://tiled.lab.org", "raw_path": "smi/raw"}})


PREDICTORS = {("Fe", "K"): factories.Predictor()}


class Node:
    """A run as a client of Tiled holds it."""

    def __init__(self, documents, uri, path):
        self._documents, self.metadata = documents, {"start": documents[0][1]}
        self.context = type("Context", (), {"api_uri": uri})()
        self.path_parts = [*path, documents[0][1]["uid"]]

    def documents(self, fill=False):
        return iter(self._documents)


class Header:
    """A run as databroker v1 holds it."""

    def __init__(self, documents):
        self._documents, self.start = documents, documents[0][1]

    def documents(self, fill=False):
        return iter(self._documents)


def published(source, predictors):
    run = ArchiveRun(source.metadata["start"]["uid"], {}, source)
    said = replay_run(run, predictors, CONFIG).node.metadata
    return run.uid, said["raw_path"], said["raw_uri"]


@pytest.mark.parametrize("predictors", [PREDICTORS, {}])
@pytest.mark.parametrize(
    ("uri", "path", "raw_path", "raw_uri"),
    [
        ("http://tiled.lab.org/api/v1/", ["smi", "raw"], "smi/raw/{uid}",
         "http://tiled.lab.org/api/v1/metadata/smi/raw/{uid}"),
        ("http://old.lab.org/t/api/v1/", ["archive"], "archive/{uid}",
         "http://old.lab.org/t/api/v1/metadata/archive/{uid}"),
        ("http://old.lab.org/api/v1/", [], "{uid}", "http://old.lab.org/api/v1/metadata/{uid}"),
    ],
)  # fmt: skip
def test_a_replayed_run_is_where_it_was_read(predictors, uri, path, raw_path, raw_uri):
    source = Node(runs.xas(runs.PLAIN, runs.FE), uri, path)
    uid, *found = published(source, predictors)
    assert found == [raw_path.format(uid=uid), raw_uri.format(uid=uid)]


@pytest.mark.parametrize("predictors", [PREDICTORS, {}])
def test_a_run_that_no_server_has_is_nowhere(predictors):
    documents = runs.xas(runs.PLAIN, runs.FE)
    inside = Node(documents, "http://local-tiled-app/api/v1/", ["raw"])
    assert published(inside, predictors)[1:] == (None, None)
    run = ArchiveRun(documents[0][1]["uid"], {}, Header(documents))
    said = replay_run(run, predictors, CONFIG).node.metadata
    assert (said["raw_path"], said["raw_uri"]) == (None, None)
