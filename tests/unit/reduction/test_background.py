"""Pre-edge, post-edge, step, normalised and flattened μ are larch's to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import measured
from xanes_live.reduction import pre_edge

CURVES = ("norm", "flat", "pre_edge", "post_edge")
RANGES = ("pre1", "pre2", "norm1", "norm2", "nnorm", "nvict")


def assert_equal_to_larch(energy, mu, label="", **parameters):
    theirs = measured.larch_pre_edge(energy, mu, **parameters)
    own = pre_edge(energy, mu, **parameters)
    assert float(own.e0) == pytest.approx(theirs.e0, rel=1e-12), label
    # larch's powers of 7000 eV lose digits of μ, which count where hardly any of it is the step
    least = 1e-6 + 1e-8 * np.abs(mu).max() / theirs.edge_step
    assert float(own.edge_step) == pytest.approx(theirs.edge_step, rel=least), label
    for name in CURVES:
        expected = np.asarray(getattr(theirs, name))
        scale = np.abs(expected).max()
        assert np.abs(getattr(own, name) - expected).max() < least * scale, (label, name)
    for name in RANGES:
        value = getattr(theirs.pre_edge_details, name)
        assert float(getattr(own, name)) == pytest.approx(value, abs=1e-9), (label, name)


def test_equals_larch_on_all_measured_spectra_with_its_defaults():
    for s in measured.spectra():
        assert_equal_to_larch(s.energy, s.mu, s.name)


@pytest.mark.parametrize(
    "parameters",
    [
        {"pre1": -150.0, "pre2": -30.0, "norm1": 150.0, "norm2": 600.0, "nnorm": 2},
        {"pre1": -30.0, "pre2": -150.0, "norm1": 300.0, "norm2": 50.0},
        {"nvict": 1},
        {"nvict": 3, "nnorm": 1},
        {"nnorm": 0},
        {"nnorm": 3},
        {"norm2": -50.0},
        {"pre1": -8.0, "pre2": -5.0},
        {"norm1": 20.0, "norm2": 24.0},
    ],
)
def test_equals_larch_on_measured_spectra_with_given_parameters(parameters):
    for s in measured.spectra():
        assert_equal_to_larch(s.energy, s.mu, s.name, **parameters)


def optional(low, high):
    return st.one_of(st.none(), st.floats(low, high))


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    noise=st.sampled_from([0.0, 1e-3, 1e-2]),
    pre1=optional(-200.0, -20.0),
    pre2=optional(-60.0, -5.0),
    norm1=optional(5.0, 100.0),
    norm2=optional(50.0, 800.0),
    nnorm=st.one_of(st.none(), st.integers(0, 3)),
    nvict=st.integers(-1, 3),
)
@example(seed=189, noise=0.0, pre1=None, pre2=-11.0, norm1=None, norm2=50.0, nnorm=3, nvict=0)
def test_equals_larch_on_synthetic_spectra(seed, noise, **parameters):
    energy, mu = measured.synthetic(np.random.default_rng(seed), noise=noise)
    assert_equal_to_larch(energy, mu, **parameters)


@pytest.mark.parametrize("where", [-300.0, -5.0, 0.0, 3.3, 100.0, 5000.0])
def test_a_given_e0_is_used_where_it_lies_inside_the_data(where):
    energy, mu = measured.synthetic(np.random.default_rng(3))
    assert_equal_to_larch(energy, mu, e0=7112.0 + where)


@pytest.mark.parametrize("degree", [3, 4, 5])
@pytest.mark.parametrize("reach", [60.0, 150.0, 800.0])
def test_high_degrees_recover_exact_polynomials(degree, reach):
    """Where powers of 7000 eV lose digits the answer still is the exact one."""
    x = np.arange(-150.0, reach, 0.7)
    e0, step = 7112.0, 0.8
    rise = step + sum(0.1 * step / (n * n) * (x / reach) ** n for n in range(1, degree + 1))
    mu = 1.3 - 2e-4 * x + np.where(x > 0.0, rise, 0.0)
    result = pre_edge(x + e0, mu, e0=e0, norm1=5.0, norm2=reach, nnorm=degree)
    nearest = x[np.abs(x).argmin()]
    expected = step + sum(0.1 * step / n**2 * (nearest / reach) ** n for n in range(1, degree + 1))
    assert float(result.edge_step) == pytest.approx(expected, rel=1e-8)


def test_a_batch_gives_what_single_spectra_give():
    rng = np.random.default_rng(2)
    energy, mu = measured.synthetic(rng)
    many = mu * rng.uniform(0.5, 2.0, (30, 1)) + 0.03 * rng.standard_normal((30, mu.size))
    e0 = 7112.0 + rng.uniform(-3.0, 12.0, 30)
    for given_e0 in (None, 7113.0, e0):
        together = pre_edge(energy, many, e0=given_e0, nvict=1)
        for i, row in enumerate(many):
            alone = pre_edge(energy, row, e0=e0[i] if given_e0 is e0 else given_e0, nvict=1)
            assert together.e0[i] == alone.e0
            assert together.edge_step[i] == pytest.approx(float(alone.edge_step), rel=1e-12)
            for name in CURVES:
                np.testing.assert_allclose(
                    getattr(together, name)[i], getattr(alone, name), rtol=1e-10, atol=1e-12
                )


def test_shapes_of_one_and_of_many():
    energy, mu = measured.synthetic(np.random.default_rng(4))
    one, many = pre_edge(energy, mu), pre_edge(energy, np.stack([mu, mu]))
    assert np.shape(one.e0) == ()
    assert one.norm.shape == mu.shape
    assert many.e0.shape == (2,)
    assert many.flat.shape == (2, mu.size)


def test_a_falling_edge_is_told():
    energy, mu = measured.synthetic(np.random.default_rng(5))
    assert not pre_edge(energy, mu, e0=7112.0).falls
    fallen = pre_edge(energy, -mu, e0=7112.0)
    assert fallen.falls
    assert fallen.edge_step > 0


def test_order_and_nan_do_not_matter():
    energy, mu = measured.synthetic(np.random.default_rng(6))
    expected = pre_edge(energy, mu)
    spoiled_e = np.concatenate(([7050.5], energy[::-1]))
    result = pre_edge(spoiled_e, np.concatenate(([np.nan], mu[::-1])))
    np.testing.assert_allclose(result.norm, expected.norm, rtol=1e-12)


def test_what_cannot_be_normalised_is_refused():
    with pytest.raises(ValueError, match="at least 10 points"):
        pre_edge(np.arange(8.0), np.arange(8.0))
    with pytest.raises(ValueError, match="constant"):
        pre_edge(np.arange(7000.0, 7300.0), np.ones(300))
