from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xanes_live.demo.samples import FILES, load
from xanes_live.demo.simulation import ELEMENT_SHARE, FLUX, Experiment, Fault


def experiment(key: str = "feo", seed: int = 1, **kwargs: object) -> Experiment:
    return Experiment(load(key), np.random.default_rng(seed), **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", FILES)
def test_transmission_gives_back_the_measured_absorption(key: str) -> None:
    sample = load(key)
    energy = sample.energy[(sample.energy > sample.e0 - 60) & (sample.energy < sample.e0 + 100)]
    counts = experiment(key).sweep(energy, 1.0)
    expected = np.interp(energy, sample.energy, sample.absorption)
    measured = np.log(counts["i0"] / counts["it"])
    noise = np.sqrt(1 / counts["i0"] + 1 / counts["it"])
    dark = 40.0 / counts["it"].min()
    assert np.all(np.abs(measured - expected) < 6 * noise + dark)


def test_fluorescence_is_proportional_to_what_the_edge_absorbs() -> None:
    sample = load("fe2o3")
    energy = np.arange(7000.0, 7250.0, 0.5)
    counts = experiment("fe2o3").sweep(energy, 100.0)
    emission = np.interp(energy, sample.energy, sample.emission)
    for k in range(len(ELEMENT_SHARE)):
        ratio = counts[f"fluorescence[{k}]"] / counts["i0"]
        assert np.corrcoef(ratio, emission)[0, 1] > 0.999


def test_reference_is_the_foil_of_the_element() -> None:
    foil, energy = load("cu_foil"), np.arange(8950.0, 9050.0, 0.5)
    counts = experiment("cu_foil").sweep(energy, 100.0)
    reference = np.log(counts["it"] / counts["ir"])
    expected = np.interp(energy, foil.energy, foil.absorption)
    assert np.corrcoef(reference, expected)[0, 1] > 0.9999


@given(st.sampled_from(sorted(FILES)), st.floats(-50, 90), st.floats(1e-3, 10), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_counting_in_steps_and_in_a_sweep_is_the_same_experiment(
    key: str, offset: float, time_s: float, seed: int
) -> None:
    step = experiment(key, seed)
    energy = step.sample.e0 + offset
    swept = experiment(key, seed).sweep(np.full(400, energy), time_s)
    counted = {name: [] for name in swept}
    for _ in range(40):
        step.move(energy)
        for name, values in counted.items():
            values.append(step.count(name, time_s))
    for name, values in counted.items():
        spread = np.std(swept[name]) + np.sqrt(np.mean(swept[name])) + 0.5
        assert abs(np.mean(values) - np.mean(swept[name])) < 6 * spread / np.sqrt(40)


def test_noise_is_poisson() -> None:
    counts = experiment().sweep(np.full(4000, 7150.0), 1.0)
    for name in ("fluorescence[0]", "ir"):
        variance = np.mean(counts[name]) + (1e-3 * np.mean(counts[name])) ** 2
        assert np.var(counts[name]) == pytest.approx(variance, rel=0.1)


def test_the_flux_is_common_to_all_detectors_of_a_point() -> None:
    counts = experiment().sweep(np.full(4000, 7050.0), 1.0)
    assert np.corrcoef(counts["i0"], counts["it"])[0, 1] > 0.8
    assert np.mean(counts["i0"]) == pytest.approx(FLUX, rel=0.03)


def test_same_seed_same_counts() -> None:
    energy = np.arange(7100.0, 7150.0)
    first, again, other = (experiment(seed=s).sweep(energy, 1.0) for s in (5, 5, 6))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["i0"], other["i0"])


def test_a_dead_detector_counts_dark_current_and_the_others_do_not_mind() -> None:
    energy = np.arange(7000.0, 7250.0, 0.5)
    counts = experiment(fault=Fault(dead=("it", "fluorescence[2]"))).sweep(energy, 1.0)
    for name in ("it", "fluorescence[2]"):
        assert np.mean(counts[name]) == pytest.approx(40, rel=0.1)
    assert counts["i0"].min() > 1e6
    assert counts["fluorescence[1]"].max() > 1e4


def test_i0_drops_out_in_its_window_only() -> None:
    energy = np.arange(7100.0, 7140.0, 0.5)
    counts = experiment(fault=Fault(i0_dropout=(9.4, 10.6))).sweep(energy, 1.0)
    low = energy[counts["i0"] < 0.5 * np.median(counts["i0"])]
    np.testing.assert_array_equal(low, [7121.5, 7122.0, 7122.5])
    assert counts["it"][energy == 7122.0] > 0.5 * counts["it"][energy == 7121.0]


def test_without_beam_there_are_only_dark_counts() -> None:
    closed = experiment()
    closed.shutter_open = False
    counts = [closed.count("i0", 10.0) for _ in range(200)]
    assert np.mean(counts) == pytest.approx(400, rel=0.03)
