"""Measured spectra mangled at random: the reduction flags, and neither raises nor invents."""

from __future__ import annotations

import numpy as np
import pytest

from tests import measured
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Channels, Mode, NormalisedSpectrum, Scan, Severity, Spectrum
from xanes_live.reduction import normalise, resample, spectra_from_scan

GRID = np.linspace(7112.5, 7160.0, 475)


def cut(rng, e, m):
    a, b = np.sort(rng.integers(0, e.size + 1, 2))
    return e[a:b], m[a:b]


def noisy(rng, e, m):
    return e, m + rng.choice([0.001, 0.05, 1.0, 100.0]) * rng.standard_normal(e.size)


def spiked(rng, e, m):
    m = m.copy()
    m[rng.integers(0, e.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e20, -50.0])
    return e, m


def shifted(rng, e, m):
    return e + rng.uniform(-40.0, 40.0), m


def thinned(rng, e, m):
    kept = rng.permutation(e.size)[: rng.integers(1, e.size + 1)]
    kept = np.sort(kept) if rng.random() < 0.7 else kept
    return e[kept], m[kept]


def scaled(rng, e, m):
    return e, np.where(np.isfinite(m), m, 1.0) * rng.choice([0.0, -1.0, 1e-12, 1e9])


def tilted(rng, e, m):
    return e, m + rng.uniform(-2.0, 2.0) * (e - 7000.0) / 100.0


def rounded(rng, e, m):
    return np.round(e, rng.integers(-1, 3)), m


def twice(rng, e, m):
    return np.tile(e, 2), np.tile(m, 2)


def holed(rng, e, m):
    m = m.copy()
    at = rng.integers(0, e.size)
    m[at : at + rng.integers(1, 40)] = rng.choice([0.0, 5.0, -5.0, np.nan])
    return e, m


def turned(rng, e, m):
    return e[::-1], m[::-1]


MANGLES = (cut, noisy, spiked, shifted, thinned, scaled, tilted, rounded, twice, holed, turned)


def channels(rng, e, m) -> Channels:
    i0 = 1e5 * (1.0 + 0.1 * np.sin(e / 7.0))
    form = rng.integers(0, 3)
    with np.errstate(all="ignore"):
        if form == 0:
            return Channels(energy=e, mu=m)
        if form == 1:
            through = np.exp(-np.clip(m, -50.0, 50.0))
            return Channels(energy=e, i0=i0, it=i0 * through, ir=i0 * through * through)
        elements = [i0 * m * rng.uniform(0.0, 1.0) for _ in range(rng.integers(1, 5))]
        return Channels(energy=e, i0=i0, fluorescence=np.stack(elements))


def config(rng) -> ReductionConfig:
    def sometimes(low, high):
        return None if rng.random() < 0.8 else float(rng.uniform(low, high))

    return ReductionConfig(
        align=str(rng.choice(["off", "foil", "fixed"])),
        energy_shift=float(rng.uniform(-5.0, 5.0)),
        deglitch=bool(rng.random() < 0.8),
        e0=sometimes(5000.0, 10_000.0),
        pre1=sometimes(-300.0, 50.0),
        pre2=sometimes(-300.0, 50.0),
        norm1=sometimes(-10.0, 900.0),
        norm2=sometimes(-100.0, 900.0),
        nnorm=None if rng.random() < 0.7 else int(rng.integers(0, 6)),
        nvict=int(rng.integers(0, 4)),
    )


def mangled(rng) -> Scan:
    s = measured.spectra()[rng.integers(len(measured.spectra()))]
    e, m = s.energy, s.mu
    for _ in range(rng.integers(0, 4)):
        if e.size > 1:
            e, m = MANGLES[rng.integers(len(MANGLES))](rng, e, m)
    element = str(rng.choice(["Fe", "Mn", "Cu", "", *3 * [s.scan.element]]))
    return Scan(
        uid="mangled",
        sweeps=(channels(rng, e, m),),
        element=element,
        edge="K" if element else "",
        mode=rng.choice([None, *Mode]),
        e0_announced=None if rng.random() < 0.8 else float(rng.uniform(5000.0, 9000.0)),
    )


@pytest.mark.parametrize("seed", range(30))
def test_mangled_spectra_are_reduced_or_refused_with_a_reason(seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        settings = config(rng)
        (item,) = spectra_from_scan(mangled(rng), BeamlineConfig(), settings)
        if isinstance(item, Spectrum):
            assert np.all(np.diff(item.energy) > 0)
            assert np.isfinite(item.mu).all()
            (item,) = normalise([item], settings)
        if not isinstance(item, NormalisedSpectrum):
            assert any(flag.severity is Severity.ERROR for flag in item.flags)
            continue
        assert np.isfinite(item.flattened).all()
        assert item.edge_step > 0
        assert np.isfinite(item.edge_step_sigma)
        for form in ("normalised", "flattened"):
            result = resample(item, GRID, form)
            assert np.isfinite(result.mu).all()
            assert result.covered.all() == (result.flags == ())
