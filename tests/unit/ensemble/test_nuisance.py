import numpy as np
import pytest

from xanes_live.ensemble.nuisance import NAMES, WIDTH, Nuisance

ENERGY = np.linspace(7112.5, 7160.0, 475)
STEP = ENERGY[1] - ENERGY[0]
WIDE = ENERGY[0] + STEP * np.arange(-80, 555)
FIT = Nuisance(ENERGY, WIDE, 7120.0, 8.0)


def spectrum(energy, r=2.0):
    above = np.log1p(np.exp((energy - 7120.0) / 2.0)) * 2.0  # smooth, as all measured spectra are
    k = np.sqrt(above * 0.2625)
    edge = 0.5 + np.arctan((energy - 7119.0) / 2.5) / np.pi
    return edge * (1.0 + 0.3 * np.sin(2 * k * r) * np.exp(-0.3 * k))


def size(residual):
    return np.sqrt(np.mean(residual**2, axis=-1))


def test_a_spectrum_is_fitted_to_itself_without_change():
    fitted, parameters = FIT.fit(spectrum(ENERGY)[None], spectrum(WIDE)[None])
    np.testing.assert_allclose(fitted[0], spectrum(ENERGY), atol=1e-6)
    np.testing.assert_allclose(parameters, 0.0, atol=1e-4)


@pytest.mark.parametrize(
    ("shift", "stretch"), [(3.0, 0.0), (-3.0, 0.0), (0.0, 0.08), (0.0, -0.08), (2.0, -0.05)]
)
def test_an_energy_scale_is_found(shift, stretch):
    measured = spectrum(ENERGY + shift + stretch * (ENERGY - 7120.0))[None]
    fitted, parameters = FIT.fit(measured, spectrum(WIDE)[None])
    assert size(measured - fitted)[0] < 0.1 * size(measured - spectrum(ENERGY))[0]
    found = dict(zip(NAMES, parameters[0], strict=True))
    assert found["shift"] * WIDTH["shift"] == pytest.approx(shift, abs=0.5)
    assert found["stretch"] * WIDTH["stretch"] == pytest.approx(stretch, abs=0.02)


def test_errors_of_normalisation_and_broadening_are_taken_out():
    wide = spectrum(WIDE)
    kernel = np.exp(-0.5 * ((np.arange(-60, 61) * STEP) / 1.0) ** 2)
    padded = np.pad(wide, 60, mode="edge")
    broad = np.convolve(padded, kernel / kernel.sum(), "valid")[80:555]
    for measured in (broad, 1.05 * spectrum(ENERGY), spectrum(ENERGY) + 0.02):
        fitted, _ = FIT.fit(measured[None], wide[None])
        before = size(measured - spectrum(ENERGY))
        assert size(measured - fitted[0]) < 0.25 * before


def test_structure_is_not_taken_out():
    bump = 0.2 * np.exp(-0.5 * ((ENERGY - 7132.0) / 0.8) ** 2)
    fitted, _ = FIT.fit((spectrum(ENERGY) + bump)[None], spectrum(WIDE)[None])
    residual = spectrum(ENERGY) + bump - fitted[0]
    assert size(residual) > 0.6 * size(bump)
    assert ENERGY[np.argmax(residual)] == pytest.approx(7132.0, abs=0.5)


def test_many_are_fitted_as_one_by_one(monkeypatch):
    rng = np.random.default_rng(2)
    returned = np.array([spectrum(WIDE, r) for r in np.linspace(1.8, 2.4, 7)])
    measured = spectrum(ENERGY) + 0.05 * rng.standard_normal((7, 475))
    alone = [FIT.fit(measured[[k]], returned[[k]]) for k in range(7)]
    monkeypatch.setattr("xanes_live.ensemble.nuisance.CHUNK", 3)
    fitted, parameters = FIT.fit(measured, returned)
    np.testing.assert_allclose(fitted, [f[0] for f, _ in alone], atol=1e-9)
    np.testing.assert_allclose(parameters, [p[0] for _, p in alone], atol=1e-7)


def test_an_absurd_spectrum_gives_finite_numbers():
    fitted, parameters = FIT.fit(np.full((1, 475), 1e4), spectrum(WIDE)[None])
    assert np.isfinite(fitted).all()
    assert np.isfinite(parameters).all()
    none, nothing = FIT.fit(np.empty((0, 475)), np.empty((0, 635)))
    assert (none.shape, nothing.shape) == ((0, 475), (0, 7))
