"""The demonstration's verdict finds what is wrong, and nothing where all is well."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from xanes_live.demo.programme import Entry, Expected
from xanes_live.demo.table import LiveTable, cells
from xanes_live.demo.verdict import Taken, compare, show

G2 = {"radius": [1.0, 2.0], "mean": [0.0, 3.0], "sigma": [0.1, 0.2]}


class Array:
    def __init__(self, values):
        self.values = values

    def read(self):
        return np.asarray(self.values)


@dataclass
class Node:
    metadata: dict[str, Any]
    arrays: dict[str, Array] = field(default_factory=lambda: {k: Array(v) for k, v in G2.items()})

    def __contains__(self, name):
        return name in self.arrays

    def __getitem__(self, name):
        return self.arrays[name]


def document(**changes):
    return {
        "status": "complete",
        "kind": "prediction",
        "confidence": "green",
        "n_spectra": 1,
        "flag_codes": [],
        "first_shell": {"r": 2.10, "low": 2.0, "high": 2.2},
        "g2": G2,
        "arrays": "complete",
    } | changes


def taken(expected, exit_status="success"):
    return Taken(Entry("feo", "transmission", "feo", expected), 0, "u", exit_status)


GOOD = Expected(first_shell=2.16, tolerance=0.1)


def test_nothing_wrong_where_all_is_well():
    assert compare(taken(GOOD), [Node(document())]).faults == ()


@pytest.mark.parametrize(
    ("expected", "nodes", "words"),
    [
        (GOOD, [], "0 results instead of 1"),
        (GOOD, [Node(document()), Node(document())], "2 results"),
        (GOOD, [Node(document(status="writing"))], "status"),
        (GOOD, [Node(document(confidence="red"))], "red instead of amber or green"),
        (GOOD, [Node(document(n_spectra=3))], "3 spectra"),
        (GOOD, [Node(document(first_shell={"r": 1.9}))], "first shell 1.9"),
        (GOOD, [Node(document(first_shell=None))], "first shell None"),
        (GOOD, [Node(document(), {})], "array 'radius' is missing"),
        (GOOD, [Node(document(), {k: Array([0.0, 0.0]) for k in G2})], "differs"),
        (GOOD, [Node(document(arrays="writing"))], "arrays are 'writing'"),
        (Expected("ignored"), [Node(document())], "1 results instead of 0"),
        (Expected(flags=frozenset({"dropout"})), [Node(document())], "none of ['dropout']"),
        (Expected(exit_status="abort"), [Node(document())], "instead of 'abort'"),
    ],
)
def test_every_kind_of_fault_is_named(expected, nodes, words):
    assert any(words in fault for fault in compare(taken(expected), nodes).faults)


def test_declined_scans_need_only_their_flag():
    expected = Expected("declined", flags=frozenset({"no_model"}))
    node = Node({"status": "complete", "kind": "declined", "flag_codes": ["no_model"]})
    assert compare(taken(expected), [node]).faults == ()


def test_verdict_is_printed_and_returned():
    console = Console(record=True, width=120)
    good = compare(taken(GOOD), [Node(document())])
    bad = compare(taken(GOOD), [])
    assert show([good], console)
    assert not show([good, bad], console)
    assert "0 results instead of 1" in console.export_text()


def test_table_lines_hold_what_is_known_and_dashes_else():
    line = cells({"sample": "FeO", "stop_time": 100.0, "flags": [{"message": "why"}]}, 100.25)
    assert line[2] == "FeO"
    assert line[3:6] == ("–", "–", "–")
    assert line[-2:] == ("why", "250")
    console = Console(record=True, width=150)
    table = LiveTable(console)
    table.add(document(sample="FeO", e0=7118.234, edge_step=0.5), 1.0)
    table.add(document(sample="two"), 1.0)
    text = console.export_text()
    assert text.count("first shell") == 1
    assert "7118.23" in text
    assert "2.10 (2.00–2.20)" in text
