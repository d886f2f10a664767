"""Glitches and dropouts are found; white lines, pre-edge peaks and EXAFS never are."""

from __future__ import annotations

import numpy as np
import pytest

from tests import measured
from xanes_live.reduction import find_e0, pre_edge
from xanes_live.reduction.glitches import find_excursions
from xanes_live.reduction.losses import losses
from xanes_live.reduction.noise import cubic_residuals, noise_level

KNOWN = {"cr2o3_ssrl4_1_rt_003.xdi": 6717.9}
"""The one glitch in the measured spectra, seen by eye in μ and in I0."""


def i0_of(s):
    sweep = s.scan.sweeps[0]
    return {} if sweep.i0 is None else {"i0": sweep.i0}


def edge_and_step(s):
    e0 = float(find_e0(s.energy, s.mu))
    below = s.mu[(s.energy > e0 - 60) & (s.energy < e0 - 10)]
    above = s.mu[(s.energy > e0 + 20) & (s.energy < e0 + 80)]
    return e0, abs(float(np.median(above) - np.median(below)))


def test_nothing_is_found_in_measured_spectra_but_the_glitch_that_is_there():
    found = {}
    for s in measured.spectra():
        e0, step = edge_and_step(s)
        for counters in ({}, i0_of(s)):
            runs = find_excursions(s.energy, s.mu, edge=e0, step=step, counters=counters)
            if runs:
                found[s.name] = [round(float(s.energy[r.start]), 1) for r in runs]
    assert found == {name: [energy] for name, energy in KNOWN.items()}


@pytest.mark.parametrize("noise", [0.02, 0.03, 0.05, 0.1])
def test_noise_where_little_is_counted_is_no_loss_of_intensity(noise):
    """Fluorescence with a low background: below the edge noise alone halves a reading."""
    s = measured.spectrum("Fe2O3")
    flat = np.maximum(pre_edge(s.energy, s.mu).flat, 0.0)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        counts = 1e4 * (0.05 + flat + noise * rng.standard_normal(flat.size))
        assert losses({"fluorescence": counts}, counts) == []
    lost = 1e4 * (0.05 + flat + noise * rng.standard_normal(flat.size))
    start = int(np.searchsorted(s.energy, 7150.0))
    lost[start : start + 6] *= 0.02
    assert losses({"fluorescence": lost}, lost) == [slice(start, start + 6)]


def lorentzian(x, centre, width):
    return 1.0 / (1.0 + ((x - centre) / (0.5 * width)) ** 2)


@pytest.mark.parametrize("step", [0.1, 0.25, 0.3, 0.5, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("edge", [5465.0, 7112.0, 9659.0, 11_564.0])
def test_sharp_lines_of_lifetime_width_are_never_taken(step, edge):
    """White lines up to five edge steps high, however badly sampled, at several noise levels.

    Pre-edge peaks, from 12 eV below the edge on, are no higher than the edge.
    """
    rng = np.random.default_rng(int(edge + 100 * step))
    width = 1.75e-4 * edge * 1.2  # core hole and monochromator
    for _ in range(25):
        x = np.concatenate([np.arange(-100.0, -20.0, 5.0), np.arange(-20.0, 50.0, step),
                            np.arange(50.0 + step, 300.0, 2.5)])  # fmt: skip
        x += rng.uniform(0.0, step)
        mu = 0.5 + np.arctan(x / (0.5 * width)) / np.pi
        for _ in range(rng.integers(1, 5)):
            centre = rng.uniform(-12, 20)
            height = rng.uniform(0.05, 1.0 if centre < -2 else 5.0)
            mu += height * lorentzian(x, centre, width * rng.uniform(1, 3))
        mu += rng.choice([0.0, 1e-3, 1e-2]) * rng.standard_normal(x.size)
        assert not find_excursions(x + edge, mu, edge=edge + rng.uniform(-5, 10), step=1.0)


@pytest.mark.parametrize("size", [0.05, 0.3, -0.05, -0.3])
def test_single_points_are_found(size):
    hits = trials = 0
    rng = np.random.default_rng(7)
    for s in measured.spectra():
        e0, step = edge_and_step(s)
        if s.name in KNOWN or noise_level(s.energy, s.mu, e0) > 0.005 * step:
            continue
        for i in rng.integers(8, s.energy.size - 8, 4):
            mu = s.mu.copy()
            mu[i] += size * step
            runs = find_excursions(s.energy, mu, edge=e0, step=step)
            assert all(r.stop - r.start <= 2 and abs(r.start - i) <= 1 for r in runs), s.name
            hits += any(r.start <= i < r.stop for r in runs)
            trials += 1
    assert trials > 50
    assert hits >= (0.85 if abs(size) > 0.1 else 0.7) * trials


@pytest.mark.parametrize("size", [1.0, 0.2, -0.2])
@pytest.mark.parametrize("wide", [2.0, 5.0, 10.0])
@pytest.mark.parametrize("at", [-30.0, -20.0, -12.0])
def test_single_points_are_found_below_the_edge_however_wide_the_steps(size, wide, at):
    """Where wide steps meet narrow ones a jump and a curve would explain any spike."""
    x = np.concatenate([np.arange(-100.0, -12.0, wide), np.arange(-12.0, 40.0, 0.4)])
    mu = 0.5 + np.arctan(x - 8.0) / np.pi - 1e-3 * x
    i = int(np.argmin(np.abs(x - at)))
    mu[i] += size
    (run,) = find_excursions(x + 7112.0, mu, edge=7112.0, step=1.0)
    assert (run.start, run.stop) == (i, i + 1)
    assert run.size == pytest.approx(abs(size), rel=0.3)


@pytest.mark.parametrize("at", [8.0, 12.0, 20.0])
@pytest.mark.parametrize("size", [0.4, 0.7])
def test_two_even_points_are_no_peak_when_the_points_beside_them_are_calm(size, at):
    """It alone at half for two points 0.5 eV apart: a peak as narrow would show in its tails."""
    cases = [s for s in measured.spectra() if "Hansel" in s.name or "FeXANES" in s.name]
    assert len(cases) > 4
    for s in cases:
        e0, step = edge_and_step(s)
        i = int(np.searchsorted(s.energy, e0 + at))
        if s.energy[i + 2] - s.energy[i - 1] > 1.6:
            continue  # a peak of the natural width fits between
        mu = s.mu.copy()
        mu[i : i + 2] += size * step
        runs = find_excursions(s.energy, mu, edge=e0, step=step)
        assert [(r.start, r.stop, r.dropout) for r in runs] == [(i, i + 2, True)], s.name


@pytest.mark.parametrize("at", [30.0, 45.0])
def test_far_above_the_edge_no_peak_is_sharp_and_high(at):
    x = np.concatenate([np.arange(-100.0, -20.0, 5.0), np.arange(-20.0, 25.0, 0.5),
                        np.arange(25.0, 200.0, 2.0)])  # fmt: skip
    mu = 0.5 + np.arctan(x - 8.0) / np.pi + 0.05 * np.sin(0.2 * x) * (x > 10.0)
    i = int(np.searchsorted(x, at))
    mu[i] += 0.5
    (run,) = find_excursions(x + 7112.0, mu, edge=7112.0, step=1.0)
    assert (run.start, run.stop) == (i, i + 1)


@pytest.mark.parametrize("left", [0.02, 0.3, 0.5])
@pytest.mark.parametrize("with_i0", [True, False])
def test_a_three_point_dropout_above_the_edge_no_longer_moves_e0(left, with_i0):
    """It moves larch's e0 by some 10 eV; once its points are gone e0 is right again."""
    cases = [s for s in measured.spectra() if "xdi" in s.name and s.scan.sweeps[0].it is not None]
    assert len(cases) > 12
    for s in cases:
        e0, step = edge_and_step(s)
        i = int(np.argmin(np.abs(s.energy - e0 - 10.0)))
        if not with_i0 and s.energy[i + 3] - s.energy[i - 1] > 2.1:
            continue  # points 0.7 eV apart: without I0 this could be a real, sharp line
        mu, counters = s.mu.copy(), {name: c.copy() for name, c in i0_of(s).items()}
        mu[i : i + 3] += np.log(left)
        counters["i0"][i : i + 3] *= left
        runs = find_excursions(
            s.energy, mu, edge=e0, step=step, counters=counters if with_i0 else {}
        )
        own = [r for r in runs if r.start <= i < r.stop]
        assert own, s.name
        assert own[0].dropout, s.name
        kept = np.ones(mu.size, dtype=bool)
        for r in runs:
            kept[r.start : r.stop] = False
        assert not kept[i : i + 3].any(), s.name
        assert kept.sum() >= mu.size - 4, s.name
        assert abs(float(find_e0(s.energy[kept], mu[kept])) - e0) < 1.0, s.name


def test_a_long_dropout_is_found_in_the_counters():
    energy = np.arange(7000.0, 7300.0, 1.0)
    i0 = np.full(energy.size, 1e5)
    i0[150:170] *= 1e-3
    mu = 1.0 + np.arctan(energy - 7112.0)
    (run,) = find_excursions(energy, mu, edge=7112.0, step=3.0, counters={"i0": i0})
    assert (run.start, run.stop, run.dropout) == (150, 170, True)


@pytest.mark.parametrize("count", [4, 6, 8])
@pytest.mark.parametrize("at", [20.0, 30.0, 60.0])
def test_points_at_which_mu_of_a_file_is_zero_are_lost(at, count):
    for s in measured.spectra()[:6]:
        e0, step = edge_and_step(s)
        i = int(np.searchsorted(s.energy, e0 + at))
        mu = s.mu - float(np.median(s.mu[s.energy < e0 - 20.0]))
        mu[i : i + count] = 0.0
        runs = find_excursions(s.energy, mu, edge=e0, step=step)
        assert [(r.start, r.stop, r.dropout) for r in runs] == [(i, i + count, True)], s.name


def test_beam_that_never_comes_back_and_detectors_switched_on_late_are_found():
    energy = np.arange(7000.0, 7300.0, 1.0)
    mu = 2.0 + np.arctan(energy - 7112.0)
    i0 = np.full(energy.size, 1e5)
    i0[250:] = 3.0
    fluorescence = 1e4 * mu
    fluorescence[:20] = 0.0
    runs = find_excursions(energy, mu, edge=7112.0, step=3.0,
                           counters={"i0": i0, "fluorescence": fluorescence})  # fmt: skip
    assert [(r.start, r.stop) for r in runs] == [(0, 20), (250, 300)]


def test_counting_noise_of_weak_counters_is_not_a_dropout():
    rng = np.random.default_rng(3)
    energy = np.arange(7000.0, 7300.0, 1.0)
    counts = rng.poisson(2.0, energy.size).astype(float)
    mu = counts / 100.0
    counters = {"fluorescence": counts}
    runs = find_excursions(energy, mu, edge=None, step=1.0, counters=counters)
    assert not [r for r in runs if r.dropout]


def test_two_glitches_side_by_side_are_both_found():
    energy = np.arange(7050.0, 7250.0, 0.5)
    mu = 0.5 + np.arctan(energy - 7112.0) / np.pi
    mu[280] += 0.3
    mu[284] -= 0.4
    runs = find_excursions(energy, mu, edge=7112.0, step=1.0)
    assert [(r.start, r.stop) for r in runs] == [(280, 281), (284, 285)]


@pytest.mark.parametrize("sigma", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("step", [0.2, 0.5])
def test_noise_is_estimated_to_a_sixth(sigma, step):
    rng = np.random.default_rng(11)
    energy, mu = measured.synthetic(rng, step=step)
    scale = np.ptp(mu)
    noisy = mu + sigma * scale * rng.standard_normal((200, mu.size))
    levels = noise_level(energy, noisy, 7112.0)
    assert levels.shape == (200,)
    assert np.median(levels) == pytest.approx(sigma * scale, rel=0.17)


def test_cubic_residuals_vanish_for_cubics_on_any_grid():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0.0, 100.0, 60))
    cubic = 1.0 + 0.1 * x - 2e-3 * x**2 + 1e-5 * x**3
    assert np.abs(cubic_residuals(x, cubic)).max() < 1e-9
