"""Repeats are normalised alike, whichever of two steep points their e0 is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import spoil
from xanes_live.config import Config
from xanes_live.demo import samples
from xanes_live.reduction import at_one_edge, normalise, spectra_from_scan

SAMPLE = samples.load("fe2o3")


def measured(e0, moved=0.0, until=130.0):
    """Return a short scan normalised at `e0`, its energies moved, cut `until` eV above the edge."""
    kept = (SAMPLE.energy > SAMPLE.e0 - 55.0) & (SAMPLE.energy < SAMPLE.e0 + until)
    readings = spoil.transmission(SAMPLE, SAMPLE.energy[kept], spoil.spectrum(SAMPLE)[kept])
    config = Config(reduction={"e0": e0, "align": "fixed", "energy_shift": moved})
    scan = spoil.scan(SAMPLE, readings)
    (made,) = normalise(
        spectra_from_scan(scan, config.beamline, config.reduction), config.reduction
    )
    return made


def test_what_differs_in_e0_alone_is_the_same_afterwards():
    apart = [measured(e0) for e0 in (7118.0, 7118.0, 7126.0)]
    assert np.abs(apart[2].flattened - apart[0].flattened).max() > 0.02
    together = at_one_edge(apart)
    assert [s.e0 for s in together] == [7118.0] * 3
    for one in together:
        np.testing.assert_allclose(one.flattened, apart[0].flattened, atol=1e-9)
        np.testing.assert_allclose(one.normalised, apart[0].normalised, atol=1e-9)
        assert one.edge_step == pytest.approx(apart[0].edge_step)
        assert one.edge_step_sigma == pytest.approx(apart[0].edge_step_sigma, rel=0.2)
        assert one.ranges == pytest.approx(apart[0].ranges)


def test_the_e0_in_the_middle_is_taken_and_those_that_have_it_are_left_as_they_are():
    apart = [measured(e0) for e0 in (7126.0, 7120.0, 7118.0, 7120.0)]
    together = at_one_edge(apart)
    assert [s.e0 for s in together] == [7120.0] * 4
    assert together[1] is apart[1]
    assert at_one_edge(apart[:1]) == apart[:1]


@pytest.mark.parametrize("moved", [0.5, 3.0])
def test_an_edge_that_moves_is_not_moved_back(moved):
    first, second = measured(7119.0), measured(7119.0 + moved, moved)
    _, after = at_one_edge([first, second])
    np.testing.assert_array_equal(after.energy, second.energy)
    half = [float(s.energy[np.argmax(s.flattened > 0.5)]) for s in (first, after)]
    assert half[1] - half[0] == pytest.approx(moved, abs=0.4)  # steps of the grid


def test_a_shorter_scan_keeps_ranges_that_it_has():
    long, short = measured(7119.0), measured(7123.0, until=60.0)
    _, after = at_one_edge([long, short])
    assert after.e0 == 7119.0
    assert after.e0 + after.ranges["norm2"] <= short.energy[-1] + 1e-6
    assert np.abs(after.flattened[-20:] - short.flattened[-20:]).max() < 0.05


def test_an_e0_outside_the_data_changes_nothing():
    late = measured(7122.0)
    kept = late.energy > 7121.0
    names = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    late = replace(late, **{name: getattr(late, name)[kept] for name in names})
    first = measured(7118.0)
    assert at_one_edge([first, late])[1] is late
