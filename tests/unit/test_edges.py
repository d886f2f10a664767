"""The table of edges against XrayDB, where that is installed, and against well-known values."""

import pytest

from xanes_live.edges import ELEMENTS, edge_energy, edges_within


@pytest.mark.parametrize(
    ("element", "edge", "energy"),
    [("Fe", "K", 7112.0), ("cu", "k", 8979.0), (" Pt ", "l3", 11564.0), ("U", "L1", 21757.0)],
)
def test_known_energies(element, edge, energy):
    assert edge_energy(element, edge) == energy


@pytest.mark.parametrize(("element", "edge"), [("Fe", "L3"), ("Xx", "K"), ("", ""), ("Fe", "M5")])
def test_unknown_edges_are_key_errors(element, edge):
    with pytest.raises(KeyError):
        edge_energy(element, edge)


def test_edges_within_are_sorted_and_inclusive():
    found = edges_within(6539.0, 7112.0)
    assert (found[0].element, found[0].edge) == ("Mn", "K")
    assert (found[-1].element, found[-1].edge) == ("Fe", "K")
    assert [e.energy for e in found] == sorted(e.energy for e in found)
    assert edges_within(10.0, 20.0) == ()


def test_all_values_are_those_of_xraydb():
    xraydb = pytest.importorskip("xraydb")
    for z in range(15, 93):
        symbol = xraydb.atomic_symbol(z)
        assert symbol in ELEMENTS
        for edge in ("K",) if z < 30 else ("L3", "L2", "L1") + (("K",) if z <= 60 else ()):
            assert edge_energy(symbol, edge) == pytest.approx(xraydb.xray_edge(z, edge).energy)
