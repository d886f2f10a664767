"""Losses of intensity are told from lines, edges, spikes and from a beam that only grew weaker."""

from __future__ import annotations

import numpy as np
import pytest

from tests import factories, measured
from xanes_live.reduction import pre_edge
from xanes_live.reduction.losses import losses, spikes

I0 = 1e6


def transmission(mu):
    i0 = np.full(mu.size, I0) * (1.0 + 1e-3 * np.random.default_rng(3).standard_normal(mu.size))
    return {"i0": i0, "it": i0 * np.exp(-mu)}


def in_transmission(counters):
    return losses(counters, np.log(counters["i0"] / counters["it"]))


def in_fluorescence(counts):
    return losses({"fluorescence": counts}, counts / I0)


def spectrum():
    energy = factories.energies()
    return energy, factories.white_line(energy)


def iron():
    return [s for s in measured.spectra() if 7000.0 < s.energy[0] < 7112.0 < s.energy[-1]]


@pytest.mark.parametrize("role", ["i0", "it"])
@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize("factor", [2.2, 5.0, 100.0])
@pytest.mark.parametrize("at", [60, 120, 180])
def test_what_follows_a_spike_is_not_lost(role, length, factor, at):
    counters = transmission(0.4 + spectrum()[1])
    counters[role][at : at + length] *= factor
    assert in_transmission(counters) == []


def spikes_in(counters):
    mu = np.log(counters["i0"] / counters["it"])
    taken = np.zeros(mu.size, dtype=bool)
    for run in losses(counters, mu):
        taken[run] = True
    return spikes(counters, mu, taken)


@pytest.mark.parametrize("role", ["i0", "it"])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("at", [15, 40, 60, 120, 180])
def test_a_spike_of_the_beam_is_one_wherever_it_is(role, length, at):
    counters = transmission(0.4 + spectrum()[1])
    counters[role][at : at + length] *= 10.0
    assert spikes_in(counters) == [slice(at, at + length)]
    counters["it" if role == "i0" else "i0"][at : at + length] *= 10.0  # counted for longer
    assert spikes_in(counters) == []


def test_what_is_left_between_two_losses_is_no_spike():
    counters = transmission(0.4 + spectrum()[1])
    counters["i0"][100:105] *= 0.1
    counters["i0"][106:112] *= 0.1
    assert spikes_in(counters) == []


def test_what_lies_between_two_spikes_is_not_lost():
    counters = transmission(0.4 + spectrum()[1])
    counters["i0"][[100, 115]] *= 3.0
    assert in_transmission(counters) == []


def test_a_beam_that_flickers_is_lost_each_time():
    counters = transmission(0.4 + spectrum()[1])
    counters["i0"][100:105] *= 0.1
    counters["i0"][106:112] *= 0.1
    assert in_transmission(counters) == [slice(100, 105), slice(106, 112)]


@pytest.mark.parametrize("left", [0.6, 0.3, 0.1, 0.0])
@pytest.mark.parametrize("length", [4, 8, 15])
@pytest.mark.parametrize("at", [12.0, 20.0, 60.0])
def test_a_detector_that_loses_counts_for_some_points_is_seen(left, length, at):
    energy, norm = spectrum()
    counts = 1e4 * (0.02 + norm)
    start = int(np.searchsorted(energy, 7112.0 + at))
    counts[start : start + length] *= left
    assert in_fluorescence(counts) == [slice(start, start + length)]


def test_counts_lost_by_a_detector_are_seen_in_measured_spectra():
    seen = trials = 0
    for s in iron():
        flat = np.maximum(pre_edge(s.energy, s.mu).flat, 0.0)
        for at in (5.0, 12.0, 20.0):
            counts = 1e4 * (0.02 + flat)
            start = int(np.searchsorted(s.energy, 7112.0 + at))
            counts[start : start + 6] *= 0.3
            seen += in_fluorescence(counts) == [slice(start, start + 6)]
            trials += 1
    assert trials > 20
    assert seen > 0.8 * trials  # not on the steepest edges


def test_a_loss_that_begins_within_a_point_is_seen():
    counters = transmission(0.4 + spectrum()[1])
    counters["it"][140:148] *= [0.6, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.5]
    (run,) = in_transmission(counters)
    assert run == slice(140, 148)


@pytest.mark.parametrize("stop", [150, None])
def test_a_weaker_beam_that_both_detectors_see_is_no_loss(stop):
    counters = transmission(0.4 + spectrum()[1])
    for readings in counters.values():
        readings[130:stop] *= 0.4
    assert in_transmission(counters) == []
    counters["it"][130:stop] += 0.05 * counters["it"][129]  # an offset, which μ shows
    assert in_transmission(counters) == [slice(130, stop or counters["it"].size)]


@pytest.mark.parametrize("parts", [4, 10])
def test_refills_of_the_ring_are_no_losses_where_steps_grow_or_on_an_edge(parts):
    found = {}
    for s in iron():
        flat = pre_edge(s.energy, s.mu).norm
        counters = transmission(flat - flat.min() + 0.4)
        refilled = (np.arange(flat.size) * parts // flat.size) % 2 == 1
        for readings in counters.values():
            readings[refilled] *= 1.6
        found[s.name] = in_transmission(counters)
    assert sum(bool(runs) for runs in found.values()) <= 1, found


def test_too_little_beam_to_measure_is_a_loss_whatever_is_read():
    counters = transmission(0.4 + spectrum()[1])
    for readings in counters.values():
        readings[130:150] *= 0.01
    assert in_transmission(counters) == [slice(130, 150)]


@pytest.mark.parametrize("thickness", [0.5, 1.0, 2.0])
def test_nothing_is_lost_or_a_spike_in_measured_spectra_however_thick_the_sample(thickness):
    """Not the sharp pre-edge line of a chromate either, which halves It for a few points."""
    for s in measured.spectra():
        if s.name.startswith("cr2o3_ssrl4_1_rt_003"):
            continue  # has a glitch
        flat = pre_edge(s.energy, s.mu).norm
        counters = transmission(thickness * (flat - flat.min() + 0.4))
        assert in_transmission(counters) == [], s.name
        assert spikes_in(counters) == [], s.name
        counts = 1e4 * (0.02 + np.maximum(flat, 0.0))
        assert in_fluorescence(counts) == [], s.name


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("width", [1.5, 3.0, 6.0, 9.0])
def test_no_line_is_a_loss_whatever_its_width(step, width):
    x = np.arange(-60.0, 120.0, step)
    for centre in np.linspace(0.0, step, 7):
        offset = (x - 10.0 - centre) / width
        for line in (np.exp(-4.0 * np.log(2.0) * offset**2), 1.0 / (1.0 + 4.0 * offset**2)):
            mu = 0.5 + np.arctan(x) / np.pi + 1.5 * line
            dips = [run for run in in_transmission(transmission(mu)) if run.stop - run.start > 3]
            assert dips == [], centre
