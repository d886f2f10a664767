"""From readings to μ(E): every way detectors fail ends in the right flag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories, measured
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Channels, Mode, Quality, Scan, Severity, Spectrum, Unusable
from xanes_live.reduction import spectra_from_scan
from xanes_live.reduction.fluorescence import sum_elements
from xanes_live.reduction.quality import (
    channel_quality,
    follows_energy,
    frozen,
    saturated_fraction,
)

BEAMLINE, REDUCTION = BeamlineConfig(), ReductionConfig()


def reduce(scan, beamline=BEAMLINE, reduction=REDUCTION):
    (result,) = spectra_from_scan(scan, beamline, reduction)
    return result


def scan_of(channels, **changes):
    return factories.scan(sweeps=(channels,), **changes)


def sweep(**changes) -> Channels:
    return replace(factories.channels(), **changes)


def codes(result):
    return [flag.code for flag in result.flags]


# -- μ -------------------------------------------------------------------------------------------


def test_transmission_fluorescence_and_reference_are_what_they_are_defined_as():
    c = sweep()
    spectrum = reduce(scan_of(c, mode=Mode.TRANSMISSION))
    assert isinstance(spectrum, Spectrum)
    np.testing.assert_allclose(spectrum.mu, np.log(c.i0 / c.it), rtol=1e-12)
    np.testing.assert_allclose(spectrum.reference, np.log(c.it / c.ir), rtol=1e-12)
    np.testing.assert_array_equal(spectrum.i0, c.i0)
    assert spectrum.flags == ()
    assert spectrum.quality["i0"] is Quality.GOOD
    spectrum = reduce(scan_of(c, mode=Mode.FLUORESCENCE))
    np.testing.assert_allclose(spectrum.mu, c.fluorescence.sum(axis=0) / c.i0, rtol=1e-12)
    assert spectrum.mode is Mode.FLUORESCENCE
    spectrum = reduce(scan_of(c, mode=Mode.REFERENCE))
    np.testing.assert_allclose(spectrum.mu, np.log(c.it / c.ir), rtol=1e-12)


def test_measured_files_pass_unchanged_and_unflagged():
    for s in measured.spectra():
        if s.name.startswith("cr2o3_ssrl4_1_rt_003"):
            continue
        spectrum = reduce(s.scan)
        assert isinstance(spectrum, Spectrum), s.name
        assert spectrum.flags == (), s.name
        np.testing.assert_array_equal(spectrum.energy, s.energy)
        np.testing.assert_allclose(spectrum.mu, s.mu, rtol=1e-12)


def test_dark_counts_are_subtracted_and_the_configuration_wins_over_the_scan():
    c = sweep()
    raw = replace(c, i0=c.i0 + 500.0, it=c.it + 80.0)
    scan = scan_of(raw, mode=Mode.TRANSMISSION, dark={"i0": 500.0, "it": 7.0})
    spectrum = reduce(scan, BeamlineConfig(dark={"it": 80.0}))
    np.testing.assert_allclose(spectrum.mu, np.log(c.i0 / c.it), rtol=1e-9)


def test_inverting_amplifiers_make_no_difference():
    c = sweep()
    inverted = replace(c, i0=-1e-5 * c.i0, it=-1e-5 * c.it, fluorescence=-1e-5 * c.fluorescence)
    for mode in (Mode.TRANSMISSION, Mode.FLUORESCENCE):
        np.testing.assert_allclose(
            reduce(scan_of(inverted, mode=mode)).mu, reduce(scan_of(c, mode=mode)).mu, rtol=1e-9
        )


def test_a_given_mu_is_taken_as_it_is():
    energy = factories.energies()
    mu = factories.white_line(energy)
    spectrum = reduce(scan_of(Channels(energy=energy, mu=mu)))
    assert spectrum.mode is Mode.GIVEN
    np.testing.assert_array_equal(spectrum.mu, mu)
    assert spectrum.i0 is None
    assert spectrum.reference is None


def test_noise_is_that_of_the_detectors():
    c = factories.channels(n_points=600, noise=2e-3)
    spectrum = reduce(scan_of(c, mode=Mode.TRANSMISSION))
    assert spectrum.noise == pytest.approx(2e-3, rel=0.25)


def test_each_sweep_is_one_spectrum_with_its_number():
    scan = factories.scan(n_sweeps=3)
    results = spectra_from_scan(scan, BEAMLINE, REDUCTION)
    assert [r.index for r in results] == [0, 1, 2]
    broken = replace(scan, sweeps=(scan.sweeps[0], Channels(energy=np.arange(3.0)), scan.sweeps[2]))
    results = spectra_from_scan(broken, BEAMLINE, REDUCTION)
    assert [isinstance(r, Unusable) for r in results] == [False, True, False]


# -- order ---------------------------------------------------------------------------------------


def test_a_reversed_sweep_gives_the_same_spectrum_and_says_so():
    c = sweep()
    turned = Channels(energy=c.energy[::-1], i0=c.i0[::-1], it=c.it[::-1])
    spectrum = reduce(scan_of(turned))
    assert codes(spectrum) == ["not_sorted"]
    np.testing.assert_allclose(spectrum.mu, np.log(c.i0 / c.it), rtol=1e-12)


def test_nan_energies_and_readings_are_dropped_and_counted():
    c = factories.channels(n_points=600)
    energy, it = c.energy.copy(), c.it.copy()
    energy[5], it[500] = np.nan, np.nan
    spectrum = reduce(scan_of(Channels(energy=energy, i0=c.i0, it=it)))
    assert spectrum.energy.size == 598
    assert codes(spectrum) == ["points_dropped", "points_dropped"]
    assert np.isfinite(spectrum.mu).all()


@pytest.mark.parametrize("role", ["i0", "it"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_readings_that_were_not_read_are_not_dark_current_nor_a_lost_beam(role, share):
    c = sweep()
    lacking = getattr(c, role).copy()
    lacking[np.random.default_rng(0).random(lacking.size) < share] = np.nan
    spectrum = reduce(scan_of(replace(c, fluorescence=None, **{role: lacking})))
    assert set(codes(spectrum)) == {"channel_invalid"}
    assert f"has {np.isnan(lacking).sum()} invalid values" in spectrum.flags[0].message
    assert spectrum.quality[role] is Quality.INVALID_VALUES


def test_a_long_gap_is_lost_beam_though_readings_are_missing_here_and_there():
    c = sweep()
    it = c.it.copy()
    it[::20] = np.nan
    it[70:79] = -1.0
    assert codes(reduce(scan_of(replace(c, it=it, fluorescence=None)))) == [
        "channel_invalid",
        "dropout",
    ]


def test_eight_points_are_too_few():
    c = sweep()
    few = Channels(energy=c.energy[:8], i0=c.i0[:8], it=c.it[:8])
    result = reduce(scan_of(few))
    assert isinstance(result, Unusable)
    assert codes(result)[-1] == "too_few_points"


# -- which signal --------------------------------------------------------------------------------


def test_the_configured_mode_wins_over_the_announced_one():
    scan = scan_of(sweep(), mode=Mode.TRANSMISSION)
    assert reduce(scan, BeamlineConfig(mode=Mode.FLUORESCENCE)).mode is Mode.FLUORESCENCE


def test_dilute_samples_are_taken_in_fluorescence_thick_ones_in_transmission():
    rng = np.random.default_rng(0)
    energy = factories.energies()
    edge = factories.white_line(energy)
    i0 = np.full(energy.size, 1e6)
    noise = 1e-3 * rng.standard_normal(energy.size)
    for step, expected in ((1.0, Mode.TRANSMISSION), (0.003, Mode.FLUORESCENCE)):
        it = i0 * np.exp(-0.5 - step * edge + noise)
        fluorescence = rng.poisson(1e4 * (0.2 + edge)).astype(float)[None, :]
        c = Channels(energy=energy, i0=i0, it=it, fluorescence=fluorescence)
        assert reduce(scan_of(c)).mode is expected


def test_an_announced_dead_detector_yields_to_one_that_shows_the_edge_with_a_flag():
    c = sweep(it=np.zeros(245), ir=None)
    spectrum = reduce(scan_of(c, mode=Mode.TRANSMISSION))
    assert spectrum.mode is Mode.FLUORESCENCE
    assert "mode_changed" in codes(spectrum)


def test_an_announced_signal_without_edge_yields_too():
    rng = np.random.default_rng(1)
    c = sweep()
    flat = c.i0 * np.exp(-1.0 + 1e-3 * rng.standard_normal(c.i0.size))
    spectrum = reduce(scan_of(replace(c, it=flat, ir=None), mode=Mode.TRANSMISSION))
    assert spectrum.mode is Mode.FLUORESCENCE
    assert "mode_changed" in codes(spectrum)


@pytest.mark.parametrize("size", [10.0, 100.0, 1e4])
def test_a_spike_does_not_hide_that_a_detector_follows_the_energy(size):
    c = sweep(it=None, ir=None)
    spiked = c.fluorescence[:1].copy()
    spiked[0, 150] *= size
    spectrum = reduce(scan_of(replace(c, fluorescence=spiked), mode=Mode.FLUORESCENCE))
    assert isinstance(spectrum, Spectrum)
    assert codes(spectrum) == ["glitch"]
    rng = np.random.default_rng(2)
    noise = rng.poisson(50.0, c.energy.size).astype(float)
    noise[150] *= size
    dead = Channels(energy=c.energy, i0=c.i0, it=noise)
    assert codes(reduce(scan_of(dead)))[0] == "detector_dead"


def test_a_configured_mode_that_was_not_recorded_is_an_error():
    result = reduce(scan_of(sweep(it=None)), BeamlineConfig(mode=Mode.TRANSMISSION))
    assert isinstance(result, Unusable)
    assert codes(result) == ["channels_unknown"]
    assert "It" in result.flags[0].message


def test_no_signal_at_all_is_an_error_that_names_what_there_is():
    c = sweep()
    result = reduce(scan_of(Channels(energy=c.energy, i0=c.i0)))
    assert codes(result) == ["channels_unknown"]
    assert "I0" in result.flags[0].message


# -- dead detectors ------------------------------------------------------------------------------


def dead_values(kind, n=245):
    rng = np.random.default_rng(2)
    return {
        "zeros": np.zeros(n),
        "nan": np.full(n, np.nan),
        "constant": np.full(n, 117.0),
        "dark noise": rng.poisson(100.0, n).astype(float),
        "around zero": rng.normal(0.0, 3.0, n),
    }[kind]


@pytest.mark.parametrize("kind", ["zeros", "nan", "constant", "dark noise", "around zero"])
def test_a_dead_transmission_detector_is_told(kind):
    c = Channels(energy=sweep().energy, i0=sweep().i0, it=dead_values(kind))
    result = reduce(scan_of(c))
    assert isinstance(result, Unusable)
    assert "detector_dead" in codes(result)
    assert any(flag.severity is Severity.ERROR for flag in result.flags)


@pytest.mark.parametrize("kind", ["zeros", "nan", "constant", "dark noise", "around zero"])
def test_a_dead_fluorescence_detector_is_told(kind):
    dead = np.stack([dead_values(kind)] * 4)
    c = Channels(energy=sweep().energy, i0=sweep().i0, fluorescence=dead)
    result = reduce(scan_of(c))
    assert isinstance(result, Unusable)
    assert "detector_dead" in codes(result)


@pytest.mark.parametrize("kind", ["zeros", "nan", "around zero"])
def test_no_incident_beam_is_told(kind):
    c = sweep(i0=dead_values(kind), ir=None)
    result = reduce(scan_of(c))
    assert isinstance(result, Unusable)
    assert "detector_dead" in codes(result)


# -- spoiled points ------------------------------------------------------------------------------


def test_a_dropout_near_the_edge_is_flagged_and_its_points_are_gone():
    c = sweep()
    at = np.argmin(np.abs(c.energy - 7122.0)) + np.arange(3)
    i0 = c.i0.copy()
    i0[at] *= 0.05
    spectrum = reduce(scan_of(replace(c, i0=i0), mode=Mode.TRANSMISSION))
    assert codes(spectrum) == ["dropout"]
    assert f"{c.energy[at[0]]:.1f} eV" in spectrum.flags[0].message
    assert "3 points" in spectrum.flags[0].message
    assert not np.isin(c.energy[at], spectrum.energy).any()
    assert spectrum.energy.size == c.energy.size - 3


@pytest.mark.parametrize("role", ["i0", "it"])
@pytest.mark.parametrize("at", [7072.0, 7092.0, 7117.0, 7152.0])
def test_a_spike_of_a_counter_costs_its_own_point(role, at):
    c = sweep(fluorescence=None, ir=None)
    spiked = getattr(c, role).copy()
    spiked[np.argmin(np.abs(c.energy - at))] *= 5.0
    spectrum = reduce(scan_of(replace(c, **{role: spiked}), mode=Mode.TRANSMISSION))
    assert codes(spectrum) == ["glitch"]
    assert spectrum.energy.size == c.energy.size - 1


def test_a_dropout_to_exactly_zero_is_the_same():
    c = sweep()
    i0 = c.i0.copy()
    i0[70:74] = 0.0
    spectrum = reduce(scan_of(replace(c, i0=i0), mode=Mode.TRANSMISSION))
    assert "dropout" in codes(spectrum)
    assert spectrum.energy.size == c.energy.size - 4


def test_a_lost_beam_far_above_the_edge_is_a_note():
    c = sweep()
    i0, it = c.i0.copy(), c.it.copy()
    i0[200:204] *= 1e-3
    it[200:204] *= 1e-3
    spectrum = reduce(scan_of(replace(c, i0=i0, it=it), mode=Mode.TRANSMISSION))
    assert codes(spectrum) == ["points_dropped"]


def test_glitches_are_removed_or_left_as_configured_and_always_told():
    c = sweep()
    it = c.it.copy()
    it[150] *= 1.3
    scan = scan_of(replace(c, it=it), mode=Mode.TRANSMISSION)
    spectrum = reduce(scan)
    assert codes(spectrum) == ["glitch"]
    assert c.energy[150] not in spectrum.energy
    spectrum = reduce(scan, reduction=ReductionConfig(deglitch=False))
    assert codes(spectrum) == ["glitch_kept"]
    assert spectrum.energy.size == c.energy.size


def test_the_glitch_in_a_measured_spectrum_is_removed():
    s = measured.spectrum("cr2o3_ssrl4_1_rt_003")
    spectrum = reduce(s.scan)
    assert codes(spectrum) == ["glitch"]
    assert spectrum.energy.size == s.energy.size - 1


def test_many_invalid_readings_are_a_warning():
    c = sweep()
    it = c.it.copy()
    it[::10] = -1.0
    spectrum = reduce(scan_of(replace(c, it=it, ir=None), mode=Mode.TRANSMISSION))
    assert "channel_invalid" in codes(spectrum)
    assert spectrum.quality["it"] is Quality.INVALID_VALUES


# -- a read-out that hangs -------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["i0", "it"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_channel_that_hangs_is_named_with_its_energies(role, sign):
    c = sweep()
    hung = sign * getattr(c, role)  # some amplifiers invert
    hung[100:130] = hung[100]
    spectrum = reduce(scan_of(replace(c, **{role: hung}), mode=Mode.TRANSMISSION))
    (flag,) = [flag for flag in spectrum.flags if flag.code == "channel_frozen"]
    name = {"i0": "I0", "it": "It"}[role]
    assert flag.message.startswith(f"{name} gives the same reading at 30 points")
    assert f"{c.energy[100]:.0f} to {c.energy[129]:.0f} eV" in flag.message
    hung[160:190] = hung[160]
    spectrum = reduce(scan_of(replace(c, **{role: hung}), mode=Mode.TRANSMISSION))
    assert any("at 60 points" in flag.message for flag in spectrum.flags)
    up = slice(None, None, -1)
    down = replace(c, **{name: getattr(c, name)[up] for name in ("energy", "i0", "it", "ir")})
    down = replace(down, **{role: hung[up]}, fluorescence=None)
    assert "channel_frozen" in codes(reduce(scan_of(down, mode=Mode.TRANSMISSION)))


def test_an_element_that_hangs_is_left_out_and_a_detector_that_does_is_told():
    c = sweep()
    hung = c.fluorescence.copy()
    hung[2, 90:130] = hung[2, 90]
    spectrum = reduce(scan_of(replace(c, it=None, fluorescence=hung), mode=Mode.FLUORESCENCE))
    (flag,) = [flag for flag in spectrum.flags if flag.code == "elements_left_out"]
    assert "2 (hung)" in flag.message
    hung[:, 90:130] = hung[:, 90:91]
    spectrum = reduce(scan_of(replace(c, it=None, fluorescence=hung), mode=Mode.FLUORESCENCE))
    assert "channel_frozen" in codes(spectrum)


def test_elements_that_hang_one_after_the_other_are_summed_and_told():
    c = sweep()
    hung = c.fluorescence[:2].copy()
    hung[0, 90:120] = hung[0, 90]
    hung[1, 130:160] = hung[1, 130]
    spectrum = reduce(scan_of(replace(c, it=None, fluorescence=hung), mode=Mode.FLUORESCENCE))
    assert isinstance(spectrum, Spectrum)
    assert "channel_frozen" in codes(spectrum)
    assert "elements_left_out" not in codes(spectrum)


@pytest.mark.parametrize("mean", [0.5, 3.0, 40.0, 1e4])
def test_counting_repeats_itself_by_chance(mean):
    for seed in range(20):
        assert frozen(np.random.default_rng(seed).poisson(mean, 800).astype(float)) == ()


def test_what_never_changes_and_what_is_written_with_few_digits_does_not_hang():
    rng = np.random.default_rng(1)
    monitor = np.full(300, 500.0)  # counted until the monitor is full, or the time is up
    monitor[10:35] = 500.0 - rng.integers(1, 100, 25)
    thick = np.round(3.0 + 0.03 * rng.standard_normal(400))  # three digits of a converter
    thick[:150] = np.round(4000.0 + 40.0 * rng.standard_normal(150))
    dark = np.round(1e5 + 300.0 * rng.standard_normal(300))
    dark[200:230] = 500.0  # the beam is lost
    rise = 5.0 + rng.poisson(np.where(np.arange(300) < 120, 0.02, 3000.0))
    simulated = 50.0 + np.maximum(np.arange(300) - 100.0, 0.0) ** 1.5
    slow, never = np.round(np.linspace(1.20, 1.25, 300), 3), np.full(300, 5e5)
    for readings in (monitor, thick, dark, rise, simulated, slow, never):
        assert frozen(readings) == ()
    assert frozen(np.array([])) == ()
    assert frozen(np.full(40, np.nan)) == ()


@pytest.mark.parametrize("at", [7118.0, 7120.0, 7132.0])
@pytest.mark.parametrize("role", ["it", "mu"])
def test_a_detector_that_hangs_on_the_white_line_is_told_whatever_its_reading(role, at):
    """It is lowest, and μ highest, where most is absorbed: that is not nothing, nor clipped."""
    c = sweep()
    values = c.it if role == "it" else np.log(c.i0 / c.it)
    hung = values.copy()
    start = int(np.searchsorted(c.energy, at))
    lowest = np.argmin(np.where(np.abs(c.energy - at) < 8.0, c.it, np.inf))
    hung[start : start + 15] = values[lowest]
    made = replace(c, it=hung) if role == "it" else Channels(energy=c.energy, mu=hung)
    spectrum = reduce(scan_of(made))
    (flag,) = [flag for flag in spectrum.flags if flag.code == "channel_frozen"]
    assert flag.message.startswith(("It" if role == "it" else "μ") + " gives the same reading at 1")


@pytest.mark.parametrize("offset", [-5.0, 0.0, 5.0])
def test_a_mu_of_any_offset_hangs(offset):
    energy = factories.energies()
    mu = factories.white_line(energy) + 1e-4 * np.random.default_rng(0).standard_normal(245)
    mu[90:110] = mu[90]
    assert codes(reduce(scan_of(Channels(energy=energy, mu=mu + offset)))) == ["channel_frozen"]
    assert isinstance(reduce(scan_of(Channels(energy=energy, mu=np.full(245, np.nan)))), Unusable)


def test_a_floor_below_the_edge_does_not_hang():
    norm = np.maximum(factories.white_line(factories.energies()) - 0.03, 0.0)
    assert (norm == 0.0).sum() > 30
    for background in (0.0, 0.02, 0.5):
        assert frozen(background + norm, clips=False) == ()
    below = norm + np.where(np.arange(norm.size) == 0, 1e-3, 0.0)  # not from the first point
    assert frozen(0.02 + below) == ()


def test_eight_readings_that_are_equal_are_one_that_hangs():
    noise = np.random.default_rng(1).normal(1e4, 10.0, 300)
    noise[50:57] = noise[50]
    assert frozen(noise) == ()
    noise[50:58] = noise[50]
    assert frozen(noise) == (slice(50, 58),)
    noise[200:220] = noise[200]
    assert frozen(noise) == (slice(50, 58), slice(200, 220))
    noise[50:58] = 0.0  # dead, which is told otherwise
    assert frozen(noise) == (slice(200, 220),)


# -- saturation ----------------------------------------------------------------------------------


def test_saturation_is_told_from_the_configured_level_and_from_clipping():
    c = sweep()
    clipped = np.minimum(c.i0, np.percentile(c.i0, 80))
    scan = scan_of(replace(c, i0=clipped), mode=Mode.TRANSMISSION)
    spectrum = reduce(scan)
    assert "channel_saturated" in codes(spectrum)
    assert spectrum.quality["i0"] is Quality.SATURATED
    level = float(np.percentile(c.it, 90))
    spectrum = reduce(scan_of(c, mode=Mode.TRANSMISSION), BeamlineConfig(saturation={"it": level}))
    assert spectrum.quality["it"] is Quality.SATURATED
    assert "10%" in next(f.message for f in spectrum.flags if f.code == "channel_saturated")


def test_a_constant_channel_is_not_called_saturated():
    assert saturated_fraction(np.full(100, 1e5)) == 0.0
    assert channel_quality(np.full(100, 1e5)) is Quality.GOOD


def test_noise_does_not_follow_the_energy_and_an_edge_does():
    rng = np.random.default_rng(0)
    edge = factories.white_line(factories.energies())
    assert not follows_energy(rng.standard_normal(300))
    assert not follows_energy(np.full(300, 5.0))
    assert follows_energy(edge + 0.2 * rng.standard_normal(edge.size))


# -- fluorescence elements -----------------------------------------------------------------------


def elements(n=8, seed=3):
    rng = np.random.default_rng(seed)
    energy = factories.energies()
    gains = rng.uniform(0.3, 1.5, (n, 1))
    counts = rng.poisson(gains * (500.0 + 4000.0 * factories.white_line(energy)))
    return energy, counts.astype(float)


def test_good_elements_are_all_used_whatever_their_gain_and_background():
    energy, counts = elements()
    counts[3] += 2000.0
    summed = sum_elements(energy, counts, counts, None)
    assert summed.left_out == {}
    np.testing.assert_array_equal(summed.total, counts.sum(axis=0))


def test_bad_elements_are_left_out_each_for_its_reason():
    energy, counts = elements()
    rng = np.random.default_rng(4)
    counts[0] = 0.0
    counts[1, 100:] = np.nan
    counts[2] = np.minimum(counts[2], np.percentile(counts[2], 60))
    counts[4] *= 1.0 + 0.5 * np.sin(energy / 15.0)
    counts[5] = rng.poisson(2.0, energy.size)
    summed = sum_elements(energy, counts, counts, None, exclude=(6,))
    assert summed.left_out == {
        0: "dead", 1: "invalid", 2: "saturated", 4: "disagrees", 5: "dead", 6: "excluded",
    }  # fmt: skip
    np.testing.assert_array_equal(summed.total, counts[3] + counts[7])
    assert summed.quality["fluorescence[2]"] is Quality.SATURATED
    assert summed.quality["fluorescence[0]"] is Quality.LOW_AMPLITUDE
    assert summed.quality["fluorescence[3]"] is Quality.GOOD


def test_elements_left_out_are_told_and_the_spectrum_is_that_of_the_others():
    c = sweep()
    broken = c.fluorescence.copy()
    broken[2] = 0.0
    spectrum = reduce(scan_of(replace(c, fluorescence=broken), mode=Mode.FLUORESCENCE))
    assert codes(spectrum) == ["elements_left_out"]
    assert "2 (dead)" in spectrum.flags[0].message
    np.testing.assert_allclose(spectrum.mu, broken[[0, 1, 3]].sum(axis=0) / c.i0, rtol=1e-12)


def test_a_detector_saturated_everywhere_is_used_with_a_warning():
    energy, counts = elements(n=2)
    counts = np.minimum(counts, np.percentile(counts, 70, axis=1, keepdims=True))
    c = Channels(energy=energy, i0=np.full(energy.size, 1e5), fluorescence=counts)
    spectrum = reduce(scan_of(c))
    assert isinstance(spectrum, Spectrum)
    assert "channel_saturated" in codes(spectrum)


def lacking(count: int, *, of: int, at_end: bool = False) -> Channels:
    """Return a sweep whose `of` elements lack `count` readings each: the last, or some anywhere."""
    c = sweep()
    fluorescence = c.fluorescence[:of].copy()
    for k, element in enumerate(fluorescence):
        at = slice(-count, None) if at_end else slice(10 + 10 * k, None, element.size // count)
        element[at][:count] = np.nan
    return replace(c, it=None, ir=None, fluorescence=fluorescence)


@pytest.mark.parametrize(
    "c",
    [
        lacking(8, of=1),
        lacking(8, of=3),
        lacking(40, of=1, at_end=True),
        lacking(40, of=3, at_end=True),
    ],
)
def test_a_detector_that_lacks_some_readings_is_used_without_them_and_told(c):
    spectrum = reduce(scan_of(c, mode=Mode.FLUORESCENCE))
    assert isinstance(spectrum, Spectrum)
    assert "channel_invalid" in codes(spectrum)
    assert {"channel_low", "detector_dead", "elements_left_out"}.isdisjoint(codes(spectrum))
    there = np.isfinite(c.fluorescence).all(axis=0)
    np.testing.assert_array_equal(spectrum.energy, c.energy[there])


def test_an_element_that_lacks_what_others_have_is_still_left_out():
    c = lacking(40, of=3, at_end=True)
    c.fluorescence[1, ::20] = np.nan
    spectrum = reduce(scan_of(c, mode=Mode.FLUORESCENCE))
    (flag,) = [flag for flag in spectrum.flags if flag.code == "elements_left_out"]
    assert "1 (invalid)" in flag.message


def test_a_detector_without_a_usable_element_is_told_for_its_reason():
    lost = lacking(60, of=3)
    unusable = reduce(scan_of(lost, mode=Mode.FLUORESCENCE))
    assert codes(unusable) == ["detector_dead", "elements_left_out", "channel_invalid"]
    assert "invalid values" in unusable.flags[0].message
    excluded = BeamlineConfig(exclude_elements=(0, 1, 2, 3))
    unusable = reduce(scan_of(sweep(it=None, ir=None), mode=Mode.FLUORESCENCE), excluded)
    assert codes(unusable) == ["detector_dead", "elements_left_out"]
    assert "0 (excluded)" in unusable.flags[0].message
    (told,) = [
        flag
        for flag in reduce(scan_of(replace(lost, it=sweep().it), mode=Mode.FLUORESCENCE)).flags
        if flag.code == "mode_changed"
    ]
    assert "not recorded" not in told.message
    assert "but the fluorescence detector has" in told.message
    assert told.message.endswith("transmission is used")


# -- anything ------------------------------------------------------------------------------------

NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True),
                    st.sampled_from([0.0, -1.0, 1e5, 7112.0]))  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.one_of(st.floats(7000.0, 7300.0), NUMBERS), NUMBERS, NUMBERS, NUMBERS),
                max_size=60), st.sampled_from([None, *Mode]))  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # 1e308 is no reading
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_no_readings_whatever_raise(rows, mode):
    energy, i0, it, fluorescence = np.array(rows, dtype=float).reshape(-1, 4).T
    c = Channels(energy=energy, i0=i0, it=it, fluorescence=fluorescence[None, :])
    scan = Scan(uid="u", sweeps=(c,), element="Fe", edge="K", mode=mode)
    result = reduce(scan)
    if isinstance(result, Unusable):
        assert any(flag.severity is Severity.ERROR for flag in result.flags)
    else:
        assert np.all(np.diff(result.energy) > 0)
        assert np.isfinite(result.mu).all()
