"""The page on metadata names what is published, all of it and nothing else."""

import re
from pathlib import Path

import pytest

from tests import factories
from xanes_live.confidence.signals import BY_NAME
from xanes_live.config import Config
from xanes_live.publish.document import declined_node, node

PAGE = (Path(__file__).parents[3] / "docs/reference/metadata.md").read_text()
DOCUMENT, ARRAYS = PAGE.split("## Arrays")
WRITER = {"arrays", "array_names", "revised"}
"""Added when the node is written, not when it is laid out."""


def named(text: str) -> set[str]:
    """Return the names in the first column of the tables."""
    rows = re.findall(r"(?m)^\| (`.*?) \|", text)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.fixture(scope="module")
def nodes():
    config = Config()
    return [
        node(factories.result(), config),
        node(factories.result(3), config),
        declined_node(factories.declined(), config),
    ]


def test_every_key_is_named_and_no_other(nodes):
    published = {key for made in nodes for key in made.metadata}
    assert named(DOCUMENT) == (published | WRITER) - {"units"}
    assert "`units`" in ARRAYS


def test_every_array_is_named_and_no_other(nodes):
    assert named(ARRAYS) == {name for made in nodes for name in made.arrays}


@pytest.mark.parametrize("key", ["first_shell", "g2", "spectrum", "ranges", "model"])
def test_what_is_inside_is_named(nodes, key):
    (row,) = re.findall(rf"(?m)^\| `{key}` \| (.*) \|$", DOCUMENT)
    assert nodes[0].metadata[key].keys() <= set(re.findall(r"\w+", row))


def test_every_signal_is_named():
    (row,) = re.findall(r"(?m)^\| `signals` \| (.*) \|$", DOCUMENT)
    assert set(re.findall(r"`(\w+)`", row)) == {*BY_NAME, "covered"}
