"""A signal that jumps to another level is told from an edge, from structure and from a refill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import factories, measured
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Channels, Mode, Spectrum
from xanes_live.reduction import spectra_from_scan


def flags_of(channels, mode):
    scan = factories.scan(sweeps=(channels,), mode=mode)
    (result,) = spectra_from_scan(scan, BeamlineConfig(), ReductionConfig())
    assert isinstance(result, Spectrum)
    return {flag.code: flag.message for flag in result.flags}


def sweep(mode):
    c = factories.channels(noise=1e-3)
    if mode is Mode.GIVEN:
        return Channels(energy=c.energy, mu=np.log(c.i0 / c.it))
    if mode is Mode.FLUORESCENCE:
        return replace(c, it=None, ir=None)
    return replace(c, fluorescence=None, ir=None)


def changed(channels, role, at, factor):
    """Return `channels` with the readings of `role` times `factor` from `at` eV on."""
    values = getattr(channels, role)
    return replace(channels, **{role: values * np.where(channels.energy > at, factor, 1.0)})


@pytest.mark.parametrize("factor", [0.7, 0.8, 1.2, 1.3])
@pytest.mark.parametrize("at", [7092.0, 7142.0, 7160.0, 7200.0])
@pytest.mark.parametrize("role", ["i0", "it"])
def test_a_change_of_gain_is_told_where_it_was(role, at, factor):
    flags = flags_of(changed(sweep(Mode.TRANSMISSION), role, at, factor), Mode.TRANSMISSION)
    assert list(flags) == ["signal_steps"]
    place = float(flags["signal_steps"].split(" at ")[1].split(" eV")[0])
    assert place == pytest.approx(at, abs=1.0)
    size = np.log(factor) if role == "i0" else -np.log(factor)
    assert float(flags["signal_steps"].split()[4]) == pytest.approx(size, abs=0.06)


@pytest.mark.parametrize("mode", [Mode.TRANSMISSION, Mode.FLUORESCENCE])
@pytest.mark.parametrize("at", [7122.0, 7127.0, 7135.0])
def test_i0_proves_it_near_the_edge(mode, at):
    assert "signal_steps" in flags_of(changed(sweep(mode), "i0", at, 0.75), mode)


@pytest.mark.parametrize("size", [-0.2, 0.2])
def test_a_file_of_mu_is_asked_too(size):
    c = sweep(Mode.GIVEN)
    jumped = replace(c, mu=c.mu + size * (c.energy > 7170.0))
    assert list(flags_of(jumped, None)) == ["signal_steps"]


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.05, 1.3, 2.0])
@pytest.mark.parametrize("at", [7092.0, 7112.0, 7114.0, 7122.0, 7160.0])
@pytest.mark.parametrize("mode", [Mode.TRANSMISSION, Mode.FLUORESCENCE])
def test_a_refill_that_both_detectors_see_is_none(mode, at, factor):
    c = changed(sweep(mode), "i0", at, factor)
    other = "it" if mode is Mode.TRANSMISSION else "fluorescence"
    assert flags_of(changed(c, other, at, factor), mode) == {}


def test_a_spike_and_a_loss_are_told_as_such():
    c = sweep(Mode.TRANSMISSION)
    spike, lost = c.it.copy(), c.it.copy()
    spike[200] *= 0.5
    lost[180:190] *= 0.5
    assert list(flags_of(replace(c, it=spike), Mode.TRANSMISSION)) == ["glitch"]
    assert "signal_steps" not in flags_of(replace(c, it=lost), Mode.TRANSMISSION)


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.02])
def test_measured_spectra_do_not_jump(noise):
    for s in measured.spectra():
        step = float(np.ptp(np.percentile(s.mu, (10.0, 90.0))))
        for seed in range(3):
            mu = s.mu + noise * step * np.random.default_rng(seed).standard_normal(s.mu.size)
            scan = replace(s.scan, sweeps=(Channels(energy=s.energy, mu=mu),), mode=None)
            (result,) = spectra_from_scan(scan, BeamlineConfig(), ReductionConfig())
            assert "signal_steps" not in {flag.code for flag in result.flags}, s.name
