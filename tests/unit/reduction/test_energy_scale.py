"""The energy scale is judged by the foil and by where absorption begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import measured, spoil
from xanes_live.config import ReductionConfig
from xanes_live.domain import Mode, Spectrum
from xanes_live.reduction import normalise, pre_edge
from xanes_live.reduction.foot import find_foot

IRON = [s for s in measured.spectra() if s.scan.element == "Fe"]
CONFIG = ReductionConfig()


def spectrum(s, **changes) -> Spectrum:
    order = np.argsort(s.energy)
    fields = {"mode": Mode.GIVEN, "noise": 1e-4} | changes
    return Spectrum(s.energy[order], s.mu[order], element="Fe", edge="K", **fields)


def moved(s, by: float, **changes) -> Spectrum:
    source = spectrum(s, **changes)
    return replace(source, energy=source.energy + by)


def absorption_begins(energy, mu, level) -> float:
    foot = find_foot(energy, mu)
    return np.nan if foot is None else foot.begins(level)


def reason(source, config=CONFIG) -> str:
    (result,) = normalise([source], config)
    return " ".join(f.message for f in result.flags if f.code == "energy_scale_off")


def test_steps_too_wide_to_tell_where_absorption_begins_tell_nothing():
    s = measured.spectrum("Fe_Foil")
    for start in np.arange(7030.0, 7034.5, 0.5):
        energy = np.arange(start, 7260.0, 4.4)
        coarse = Spectrum(
            energy, np.interp(energy, s.energy, s.mu), Mode.GIVEN, "Fe", "K", noise=1e-4
        )
        assert reason(coarse) == "", start


@pytest.mark.parametrize("s", IRON, ids=lambda s: s.name)
def test_measured_spectra_begin_where_iron_begins(s):
    assert reason(spectrum(s)) == ""


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_a_shift_of_5_ev_is_seen_without_a_foil(shift):
    seen = [s.name for s in IRON if reason(moved(s, shift))]
    word = "earlier" if shift < 0 else "later"
    assert all(word in reason(moved(s, shift)) for s in IRON if s.name in seen)
    # where metals begin to absorb, 3 eV early, a late scale of 5 eV looks like a late compound
    assert len(seen) >= 0.6 * len(IRON), seen


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_a_shift_of_5_ev_is_always_seen_with_a_foil(shift):
    for s in IRON:
        source = moved(s, shift)
        source = replace(source, reference=spoil.foil(source.energy - shift))
        step = np.diff(source.energy[(source.energy > 7090.0) & (source.energy < 7130.0)])
        if step.max() < 1.0:
            assert f"{shift:+.0f}" in reason(source).replace(".0 eV from", " eV from"), s.name


def test_a_foil_in_its_place_or_aligned_to_says_nothing():
    s = measured.spectrum("Fe2O3")
    there = spectrum(s, reference=spoil.foil(np.sort(s.energy)))
    assert reason(there) == ""
    off = replace(there, energy=there.energy + 5.0)
    assert reason(off, ReductionConfig(align="foil")) == ""
    assert "foil" in reason(off)


def test_a_foil_in_its_place_or_aligned_to_overrules_the_table():
    """A compound unlike all that are known: its absorption begins late although the scale holds."""
    s = measured.spectrum("Fe2O3")
    late = moved(s, 5.0)
    assert "absorption begins" in reason(late)
    foil = spoil.foil(late.energy)
    assert reason(replace(late, reference=foil)) == ""
    shifted = replace(late, energy=late.energy + 4.0, reference=foil)
    assert reason(shifted, ReductionConfig(align="foil")) == ""
    # but neither an oxide, nor a channel that shows no foil
    oxide = replace(late, reference=np.interp(late.energy, s.energy, s.mu))
    assert "absorption begins" in reason(oxide)
    empty = replace(late, reference=np.ones(late.energy.size))
    assert "absorption begins" in reason(empty)
    assert "absorption begins" in reason(empty, ReductionConfig(align="foil"))


def test_a_reference_with_a_white_line_is_no_foil():
    s = measured.spectrum("Fe2O3")
    source = spectrum(s)
    assert "foil" not in reason(replace(source, reference=source.mu))


def test_noise_and_short_scans_are_not_judged():
    s = measured.spectrum("Fe2O3")
    far = moved(s, 5.0)
    assert reason(far)
    assert reason(replace(far, noise=0.03 * 1.3)) == ""
    kept = far.energy < 7150.0
    assert reason(replace(far, energy=far.energy[kept], mu=far.mu[kept])) == ""


@pytest.mark.parametrize("sd", [0.008, 0.012])
def test_noise_makes_absorption_begin_neither_early_nor_late(sd):
    for s in IRON:
        source = spectrum(s)
        step = float(pre_edge(source.energy, source.mu).edge_step)
        for seed in range(6):
            noise = sd * step * np.random.default_rng(seed).standard_normal(source.mu.size)
            assert reason(replace(source, mu=source.mu + noise, noise=sd * step)) == "", s.name


def test_a_shift_is_seen_through_noise():
    s = measured.spectrum("Fe2O3")
    for shift, word in ((5.0, "later"), (-5.0, "earlier")):
        source = moved(s, shift)
        step = float(pre_edge(source.energy, source.mu).edge_step)
        noise = 0.005 * step * np.random.default_rng(0).standard_normal(source.mu.size)
        assert word in reason(replace(source, mu=source.mu + noise, noise=0.005 * step))


@pytest.mark.parametrize("shift", [-3.0, -2.5, 2.5, 3.0])
def test_a_foil_that_is_off_by_more_than_laboratories_differ_is_seen(shift):
    s = measured.spectrum("Fe2O3")
    source = moved(s, shift)
    source = replace(source, reference=spoil.foil(source.energy - shift))
    assert "the reference foil's edge" in reason(source)
    assert f"{shift:+.1f} eV from" in reason(source, ReductionConfig(foil_e0=7112.0))


def test_measured_foils_are_in_their_place():
    foils = [s for s in measured.spectra() if "foil" in s.name.lower()]
    assert {s.scan.element for s in foils} >= {"Fe", "Cu"}
    for s in foils:
        order = np.argsort(s.energy)
        source = replace(spectrum(s), element=s.scan.element, reference=s.mu[order])
        assert "foil" not in reason(source), s.name


def test_one_bad_point_is_not_the_beginning():
    x = np.arange(7060.0, 7180.0, 0.5)
    mu = 0.5 + np.arctan((x - 7120.0) / 0.7) / np.pi
    begins = absorption_begins(x, mu, 0.05)
    mu[60] += 0.3
    assert absorption_begins(x, mu, 0.05) == pytest.approx(begins, abs=0.3)


def test_noise_of_fine_steps_is_not_taken_for_a_late_start():
    x = np.arange(7060.0, 7180.0, 0.05)
    mu = 0.5 + np.arctan((x - 7120.0) / 0.7) / np.pi
    begins = absorption_begins(x, mu, 0.03)
    for seed in range(20):
        noisy = mu + 0.008 * np.random.default_rng(seed).standard_normal(x.size)
        assert absorption_begins(x, noisy, 0.03) == pytest.approx(begins, abs=2.5)


def test_it_cannot_be_told_without_an_edge_or_a_baseline():
    x = np.arange(7060.0, 7180.0, 0.5)
    assert np.isnan(absorption_begins(x, np.zeros(x.size), 0.03))
    late = x[x > 7115.0]
    mu = 0.5 + np.arctan((late - 7120.0) / 0.7) / np.pi
    assert np.isnan(absorption_begins(late, mu, 0.03))


def test_self_absorption_enlarges_the_foot_and_is_no_wrong_scale():
    early = []
    for s in IRON:
        source = spectrum(s)
        norm = np.maximum(pre_edge(source.energy, source.mu).flat, 0.0)
        damped = replace(source, mu=norm * 1.1 / (0.1 + norm))
        if "earlier" not in reason(damped):
            continue  # as a file says it, of which nobody knows that it is fluorescence
        (found,) = normalise([replace(damped, mode=Mode.FLUORESCENCE)], CONFIG)
        codes = {flag.code for flag in found.flags}
        early.append("over_absorption" in codes and "energy_scale_off" not in codes)
    assert early
    assert all(early)
