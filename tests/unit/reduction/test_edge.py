"""e0 is larch's on clean spectra, alone and in a batch, and NaN where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import measured
from xanes_live.reduction import find_e0
from xanes_live.reduction.edge import lorentzian_smooth

SEEDS = st.integers(0, 2**32 - 1)


def test_equals_larch_on_all_measured_spectra():
    spectra = measured.spectra()
    assert len(spectra) > 20
    for s in spectra:
        assert float(find_e0(s.energy, s.mu)) == measured.larch_e0(s.energy, s.mu), s.name


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, noise=st.sampled_from([0.0, 1e-4, 1e-3, 1e-2, 5e-2]),
       step=st.sampled_from([0.1, 0.25, 0.5, 1.0]), e0=st.floats(4500.0, 20_000.0))  # fmt: skip
def test_equals_larch_on_synthetic_spectra(seed, noise, step, e0):
    energy, mu = measured.synthetic(np.random.default_rng(seed), e0=e0, noise=noise, step=step)
    assert float(find_e0(energy, mu)) == measured.larch_e0(energy, mu)


def test_a_batch_gives_what_single_spectra_give():
    rng = np.random.default_rng(1)
    energy, mu = measured.synthetic(rng)
    many = mu + 0.05 * np.ptp(mu) * rng.standard_normal((40, mu.size))
    many[7] = np.roll(many[7], 3)
    together = find_e0(energy, many)
    assert together.shape == (40,)
    assert len(set(together)) > 3, "the spectra of this test are to have different e0"
    for row, e0 in zip(many, together, strict=True):
        assert float(find_e0(energy, row)) == e0


@pytest.mark.parametrize("seed", range(5))
def test_order_and_nan_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    energy, mu = measured.synthetic(rng)
    expected = float(find_e0(energy, mu))
    assert float(find_e0(energy[::-1], mu[::-1])) == expected
    shuffled = rng.permutation(energy.size)
    assert float(find_e0(energy[shuffled], mu[shuffled])) == expected
    with_nan, spoiled = np.append(energy, [np.nan, 7000.0]), np.append(mu, [1.0, np.nan])
    assert float(find_e0(with_nan, spoiled)) == expected


def test_whole_numbers_will_do():
    energy = np.arange(7000, 7300)
    counts = (1e4 * np.arctan((energy - 7120.0) / 2.0)).astype(int)
    assert find_e0(energy, counts) == find_e0(energy.astype(float), counts.astype(float))


def test_constant_and_tiny_spectra_have_no_edge():
    energy = np.arange(7000.0, 7300.0)
    assert np.isnan(find_e0(energy, np.full(energy.size, 0.7)))
    assert np.isnan(find_e0(energy, np.zeros(energy.size)))
    assert np.isnan(find_e0(energy[:8], np.arange(8.0)))
    assert np.isnan(find_e0(np.empty(0), np.empty(0)))
    pair = find_e0(energy, np.stack([np.full(energy.size, 0.7), np.arctan(energy - 7112.0)]))
    assert np.isnan(pair[0])
    assert abs(pair[1] - 7112.0) <= 1.0


def test_smoothing_keeps_a_constant_and_widens_a_peak_by_its_width():
    energy = np.linspace(7100.0, 7200.0, 401)
    constant = np.full((1, energy.size), 0.3)
    np.testing.assert_allclose(lorentzian_smooth(energy, constant, 0.5), constant, rtol=1e-12)
    peak = 1.0 / (1.0 + ((energy - 7150.0) / 3.0) ** 2)
    wide = lorentzian_smooth(energy, peak[None, :], 1.0)[0]
    # the convolution of two Lorentzians is one of the summed widths: height 3 / (3 + 1)
    assert wide.max() == pytest.approx(0.75, abs=0.02)
