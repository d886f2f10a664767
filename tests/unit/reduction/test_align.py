"""Alignment finds the shift that was put in, publishes it, never adds it twice, doubts aloud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import factories, measured
from xanes_live.config import ReductionConfig
from xanes_live.domain import Mode, Spectrum
from xanes_live.reduction import normalise
from xanes_live.reduction.align import find_shift, foil_energy, with_shift

FOIL = ReductionConfig(align="foil")
FOILS = {
    # the first inflection of each foil as its own laboratory measured it
    "Fe_Foil_rt": (7112.0, 7110.8),
    "Cu_Foil_rt": (8979.0, 8980.05),
    "cu_metal_10K": (8979.0, 8977.6),
}


def spectrum(sample="Fe2O3", foil="Fe_Foil_rt", noise=0.0, **changes) -> Spectrum:
    """A measured sample with a measured foil behind it, on the sample's energies."""
    s, f = measured.spectrum(sample), measured.spectrum(foil)
    reference = np.interp(s.energy, f.energy, f.mu)
    reference += noise * np.random.default_rng(0).standard_normal(reference.size)
    fields = {"mode": Mode.TRANSMISSION, "element": "Fe", "edge": "K", "reference": reference}
    return Spectrum(energy=s.energy, mu=s.mu, **(fields | changes))


def codes(flags):
    return [flag.code for flag in flags]


@pytest.mark.parametrize("name", FOILS)
def test_the_first_inflection_of_a_foil_is_found_between_the_points(name):
    target, expected = FOILS[name]
    s = measured.spectrum(name)
    assert foil_energy(s.energy, s.mu, target) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("shift", [-12.3, -3.0, -0.37, 0.0, 0.9, 2.71, 11.0])
@pytest.mark.parametrize("name", FOILS)
def test_a_shifted_scale_shifts_the_foil_by_just_as_much(name, shift):
    target, _ = FOILS[name]
    s = measured.spectrum(name)
    moved = foil_energy(s.energy + shift, s.mu, target)
    assert moved == pytest.approx(foil_energy(s.energy, s.mu, target) + shift, abs=0.01)


def test_noise_moves_it_by_little():
    target, expected = FOILS["Fe_Foil_rt"]
    s = measured.spectrum("Fe_Foil_rt")
    rng = np.random.default_rng(1)
    for _ in range(10):
        noisy = s.mu + 0.01 * 4.1 * rng.standard_normal(s.mu.size)
        assert foil_energy(s.energy, noisy, target) == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("error", [-4.0, 0.0, 5.0])
def test_samples_measured_on_a_wrong_scale_come_out_on_the_right_one(error):
    right = spectrum()
    wrong = replace(right, energy=right.energy + error)
    (aligned,) = normalise([wrong], FOIL)
    (reference,) = normalise([right], FOIL)
    assert aligned.energy_shift == pytest.approx(reference.energy_shift - error, abs=0.01)
    assert aligned.e0 == pytest.approx(reference.e0, abs=0.02)
    np.testing.assert_allclose(aligned.energy, reference.energy, atol=0.02)
    assert "aligned" in codes(aligned.flags)
    foil = foil_energy(wrong.energy, wrong.reference, 7112.0)
    assert foil + aligned.energy_shift == pytest.approx(7112.0, abs=1e-9)


def test_what_the_foil_is_to_be_can_be_configured():
    (result,) = normalise([spectrum()], ReductionConfig(align="foil", foil_e0=7110.75))
    (usual,) = normalise([spectrum()], FOIL)
    assert result.energy_shift == pytest.approx(usual.energy_shift - 1.25, abs=0.01)


def test_a_fixed_shift_is_added_once_and_published():
    plain = normalise([spectrum()], ReductionConfig())[0]
    config = ReductionConfig(align="fixed", energy_shift=1.7)
    shifted = normalise([spectrum()], config)[0]
    assert plain.energy_shift == 0.0
    assert shifted.energy_shift == 1.7
    assert shifted.e0 == pytest.approx(plain.e0 + 1.7)
    np.testing.assert_allclose(shifted.energy, plain.energy + 1.7)
    assert codes(shifted.flags) == ["aligned"]
    assert "+1.70" in shifted.flags[0].message
    # the measured energies are untouched: reducing the result's spectrum again changes nothing
    again = normalise([shifted.spectrum], config)[0]
    assert again.energy_shift == 1.7
    np.testing.assert_array_equal(again.energy, shifted.energy)


def test_setting_a_shift_twice_changes_nothing():
    result = normalise([spectrum()], ReductionConfig())[0]
    once = with_shift(result, 0.8)
    twice = with_shift(once, 0.8)
    np.testing.assert_array_equal(once.energy, twice.energy)
    assert once.e0 == twice.e0 == pytest.approx(result.e0 + 0.8)
    back = with_shift(twice, 0.0)
    np.testing.assert_array_equal(back.energy, result.energy)
    assert back.e0 == pytest.approx(result.e0)


def noise_only():
    return np.random.default_rng(2).standard_normal(measured.spectrum("Fe2O3").energy.size)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reference": None}, "no reference channel"),
        ({"reference": np.zeros(412)}, ""),
        ({"reference": noise_only()}, ""),
        ({"element": "X", "edge": "K"}, "not known"),
    ],
)
def test_a_foil_that_cannot_be_used_is_told_and_nothing_is_shifted(changes, reason):
    found = find_shift(spectrum(**changes), FOIL)
    assert found.energy == 0.0
    assert codes(found.flags) == ["alignment_doubtful"]
    assert reason in found.flags[0].message


def test_a_foil_of_another_element_or_far_away_or_noisy_is_not_believed():
    for doubtful in (
        spectrum(foil="Cu_Foil_rt"),
        replace(spectrum(), energy=spectrum().energy + 30.0),
        spectrum(noise=0.3),
    ):
        found = find_shift(doubtful, FOIL)
        assert found.energy == 0.0
        assert codes(found.flags) == ["alignment_doubtful"]


def test_alignment_is_off_unless_asked_for():
    assert find_shift(spectrum(), ReductionConfig()).energy == 0.0
    assert find_shift(spectrum(), ReductionConfig(energy_shift=3.0)).flags == ()


def test_sweeps_with_foils_of_their_own_are_aligned_each_by_itself():
    energy = factories.energies()
    sweeps = [
        Spectrum(
            energy=energy,
            mu=factories.white_line(energy, 7120.0 + d),
            mode=Mode.TRANSMISSION,
            element="Fe",
            edge="K",
            index=i,
            reference=2.0 * (0.5 + np.arctan((energy - 7112.0 - d) / 1.2) / np.pi),
        )
        for i, d in enumerate((0.0, 1.5, -2.0))
    ]
    results = normalise(sweeps, FOIL)
    assert [r.energy_shift for r in results] == pytest.approx([0.0, -1.5, 2.0], abs=0.25)
