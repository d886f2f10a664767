"""What is to be done about a scan is said with its own numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests import factories, measured, spoil
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Channels, Flag, Mode, Spectrum
from xanes_live.flags import FLAGS, make
from xanes_live.reduction import normalise, resample, spectra_from_scan
from xanes_live.reduction.uncertainty import post_edge_error

CONFIG = ReductionConfig()
WHOLE = measured.spectrum("Fe2O3")
E0 = 7124.0


def spectrum(**changes) -> Spectrum:
    given = {"mode": Mode.GIVEN, "noise": 1e-4} | changes
    return Spectrum(WHOLE.energy, WHOLE.mu, element="Fe", edge="K", **given)


def flag_of(code: str, source: Spectrum, config: ReductionConfig = CONFIG) -> Flag:
    (result,) = normalise([source], config)
    (found,) = (flag for flag in result.flags if flag.code == code)
    return found


def cut(low: float, high: float) -> Spectrum:
    keep = (WHOLE.energy >= E0 + low) & (WHOLE.energy <= E0 + high)
    return replace(spectrum(), energy=WHOLE.energy[keep], mu=WHOLE.mu[keep])


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"[-+]?\d+(?:\.\d+)?", text)]


def test_a_remedy_is_filled_with_values_and_does_without_none_of_them():
    made = make("grid_not_covered", low=7090.0, high=7185.0, missing=12.0)
    assert "7090 to 7185 eV" in made.remedy
    with pytest.raises(KeyError, match="keep"):
        make("beam_damage", what="a", change="b", count=3, chance="c")


def test_noise_says_how_many_repeats_it_takes():
    (result,) = normalise([spectrum()], CONFIG)
    noisy = spectrum(noise=0.056 * result.edge_step)
    assert "8 repeats" in flag_of("noisy", noisy).remedy
    just = spectrum(noise=0.0201 * result.edge_step)
    assert "2 repeats" in flag_of("noisy", just).remedy


def test_a_short_pre_edge_says_what_it_costs_and_where_to_start():
    told = flag_of("short_pre_edge", cut(-15, 300))
    assert "uncertain by 16 %" in told.message
    start = numbers(told.remedy)[0]
    assert start == pytest.approx(E0 - 50.0, abs=6.0)


def test_a_short_post_edge_says_where_to_end_and_what_a_mean_would_be_worth():
    told = flag_of("short_post_edge", cut(-60, 60))
    end, percent = numbers(told.remedy)[0], numbers(told.remedy)[-1]
    assert end == pytest.approx(E0 + 200.0, abs=6.0)
    assert percent == round(100.0 * post_edge_error(60.0, 0))
    assert percent < 0.5 * numbers(told.message)[-1]


def test_a_scan_already_normalised_by_a_mean_is_not_advised_to_be():
    """What larch does with 23 eV of post-edge is no word for a visiting user."""
    told = flag_of("short_post_edge", cut(-60, 23))
    assert not re.search("larch|nnorm|order|degree", told.message + told.remedy)
    assert "its mean, which was taken for the height of the edge" in told.remedy


def test_a_foil_off_its_place_says_by_how_much_to_shift():
    energy = WHOLE.energy + 4.0
    source = replace(spectrum(reference=spoil.foil(energy - 4.0)), energy=energy)
    told = flag_of("energy_scale_off", source)
    by = -numbers(told.message.split(",")[1])[0]
    assert by == pytest.approx(-4.0, abs=1.5)
    assert f"shift them by {by:+.1f} eV" in told.remedy
    assert f"energy_shift = {by:.1f}," in told.remedy
    shifted = ReductionConfig(align="fixed", energy_shift=1.0)
    assert f"energy_shift = {by:.1f}," in flag_of("energy_scale_off", source, shifted).remedy
    corrected = ReductionConfig(align="fixed", energy_shift=by)
    (result,) = normalise([source], corrected)
    assert [flag.code for flag in result.flags] == ["aligned"]


def test_a_small_step_asks_for_what_the_mode_allows():
    thin = replace(spectrum(noise=1e-6), mu=0.01 * WHOLE.mu)
    told = flag_of("small_edge_step", replace(thin, mode=Mode.TRANSMISSION)).remedy
    assert re.search(r"a sample \d+ times as thick", told)
    on_background = replace(thin, mode=Mode.FLUORESCENCE, mu=thin.mu + 3.0)
    told = flag_of("small_edge_step", on_background).remedy
    assert "filter" in told
    assert "in fluorescence" not in told


@pytest.mark.parametrize("mode", [Mode.TRANSMISSION, Mode.FLUORESCENCE])
def test_a_clipped_channel_says_where_its_readings_end(mode):
    signal = 4e4 * (2.0 + np.arctan(WHOLE.energy - E0))
    top = float(np.percentile(signal, 70))
    clipped = np.minimum(signal, top)
    role = {"it": clipped} if mode is Mode.TRANSMISSION else {"fluorescence": clipped[None]}
    channels = Channels(energy=WHOLE.energy, i0=np.full(signal.size, 1e5), **role)
    scan = factories.scan(sweeps=(channels,), mode=mode)
    (result,) = spectra_from_scan(scan, BeamlineConfig(), CONFIG)
    (told,) = (flag for flag in result.flags if flag.code == "channel_saturated")
    assert f"readings end at {top:.0f}" in told.remedy
    assert "by half" in told.remedy


def test_a_grid_not_covered_says_from_where_to_where_to_scan():
    (result,) = normalise([cut(-60, 60)], CONFIG)
    (told,) = resample(result, np.arange(7000.0, 7200.0), "flattened").flags
    assert "Scan from 7000 to 7199 eV" in told.remedy


def test_nobody_has_to_know_larch():
    assert not [kind.code for kind in FLAGS.values() if "larch" in kind.message + kind.remedy]
