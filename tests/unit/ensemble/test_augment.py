import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter1d

from xanes_live.ensemble.augment import (
    N_DRAWS,
    Augmentation,
    Bank,
    Settings,
    apply,
    cut_short,
    over_absorb,
)
from xanes_live.reduction import resample_array

ENERGY = np.arange(7090.0, 7200.1, 0.2)
GRID = torch.linspace(7112.5, 7160.0, 200)
FERMI = 7116.0


def curve(energy):
    """A smooth spectrum with an edge and oscillations."""
    x = energy - 7118.0
    return (0.5 + np.arctan(x / 2.0) / np.pi) * (
        1.0 + 0.2 * np.sin(x / 3.0) * np.exp(-((x / 50) ** 2))
    )


def shown(draws=None, noise=None, n=1, **settings):
    augmentation = Augmentation(**settings)
    widest = augmentation.fwhm_max + augmentation.far_fwhm_max
    bank = Bank.build(ENERGY, curve(ENERGY)[None], np.array([FERMI]), fwhm_max=widest)
    values = torch.full((n, N_DRAWS), 0.5) if draws is None else torch.tensor(draws)[None]
    noise = torch.zeros(1) if noise is None else noise
    index = torch.zeros(n, dtype=torch.int64)
    return apply(bank, index, GRID, Settings([augmentation]), values, noise).numpy()


def drawn(**at):
    """All draws at their middle but for those named by position."""
    values = np.full(N_DRAWS, 0.5, dtype=np.float32)
    for name, value in at.items():
        values[int(name[1:])] = value
    return values


def test_defaults_change_nothing():
    np.testing.assert_allclose(shown()[0], curve(GRID.numpy()), atol=1e-3)


def test_stretch_and_shift_by_the_formula():
    # measured = computed stretched about 7120 and then shifted
    s = shown(stretch=1.1, shift=-2.0)[0]
    computed = 7120.0 + (GRID.numpy() + 2.0 - 7120.0) / 1.1
    np.testing.assert_allclose(s, curve(computed), atol=1e-3)


def test_metals_are_moved_back():
    s = shown(fermi=7112.0, fermi_pull=0.5)[0]  # the Fermi energy is 4 eV too high
    np.testing.assert_allclose(s, curve(GRID.numpy() + 2.0), atol=1e-3)


def test_broadening_is_a_gaussian():
    s = shown(drawn(d2=1.0), fwhm_max=4.0)[0]
    sigma = 4.0 / 2.3548 / 0.2
    expected = np.interp(GRID, ENERGY, gaussian_filter1d(curve(ENERGY), sigma, mode="nearest"))
    np.testing.assert_allclose(s, expected, atol=2e-3)


def test_between_two_levels_of_broadening():
    s = shown(drawn(d2=0.625), fwhm_max=4.0)[0]  # 2.5 eV, halfway between those stored
    sigma = 2.5 / 2.3548 / 0.2
    expected = np.interp(GRID, ENERGY, gaussian_filter1d(curve(ENERGY), sigma, mode="nearest"))
    np.testing.assert_allclose(s, expected, atol=5e-3)


def test_broadening_grows_above_the_fermi_energy():
    s = shown(drawn(d3=1.0), far_fwhm_max=8.0, far_rise=4.0)[0]
    plain, grid = curve(GRID.numpy()), GRID.numpy()
    np.testing.assert_allclose(s[grid < FERMI], plain[grid < FERMI], atol=1e-3)
    far = grid > 7150
    sigma = 8.0 / 2.3548 / 0.2
    broad = np.interp(grid, ENERGY, gaussian_filter1d(curve(ENERGY), sigma, mode="nearest"))
    np.testing.assert_allclose(s[far], broad[far], atol=2e-3)


def test_errors_of_normalisation():
    s = shown(step=0.1)[0]
    np.testing.assert_allclose(s, 1.1 * curve(GRID.numpy()), atol=1e-3)
    up = shown(drawn(d7=0.8413447), slope_sd=0.05)[0]  # one standard deviation
    expected = curve(GRID.numpy()) * (1 + 0.05 * np.clip(GRID.numpy() - 7120, 0, None) / 50)
    np.testing.assert_allclose(up, expected, atol=1e-3)


def test_a_pre_edge_line_that_is_off_moves_what_is_below_the_edge():
    low = 0.04  # the line lies too low by this share of the true step
    s = shown(drawn(d4=0.8413447), pre_edge_sd=low)[0]
    counted, line, post_edge = 3.0 * curve(GRID.numpy()) + 7.0, 7.0 - 3.0 * low, 10.0
    np.testing.assert_allclose(s, (counted - line) / (post_edge - line), atol=1e-3)


def test_a_pre_edge_line_never_leaves_no_step_to_divide_by():
    for draw in (0.0, 1.0):
        made = shown(drawn(d4=draw), pre_edge_sd=0.3)[0]
        assert np.abs(made).max() < 10.0
    with pytest.raises(ValidationError, match="pre_edge_sd"):
        Augmentation(pre_edge_sd=0.4)


def test_over_absorption_is_the_inverse_of_larchs_correction():
    mu, alpha = torch.linspace(0.0, 1.8, 50), 4.0
    seen = over_absorb(mu, torch.tensor(1 / alpha))
    corrected = seen * alpha / (alpha + 1 - seen)  # larch.xafs.fluo_corr
    torch.testing.assert_close(corrected, mu)
    assert over_absorb(torch.tensor(1.0), torch.tensor(0.3)) == pytest.approx(1.0)


def test_noise_has_the_width_asked_for():
    torch.manual_seed(0)
    s = shown(drawn(d10=1.0), noise=torch.randn(1, 200), noise_max=0.02)[0]
    assert np.std(s - curve(GRID.numpy())) == pytest.approx(0.02, rel=0.15)


def test_kinds_have_settings_of_their_own():
    bank = Bank.build(
        ENERGY, np.stack([curve(ENERGY)] * 2), np.array([FERMI] * 2), [0, 1], fwhm_max=0.0
    )
    settings = Settings([Augmentation(step=0.1), Augmentation(step=-0.2)])
    draws = torch.full((2, N_DRAWS), 0.5)
    s = apply(bank, torch.tensor([0, 1]), GRID, settings, draws, torch.zeros(1)).numpy()
    np.testing.assert_allclose(s[0] / s[1], np.full(200, 1.1 / 0.8), rtol=1e-4)


def test_uneven_energies_are_refused():
    with pytest.raises(ValueError, match="equally spaced"):
        Bank.build(ENERGY**1.01, curve(ENERGY)[None], np.array([FERMI]), fwhm_max=0.0)


@pytest.mark.parametrize("end", [7135.0, 7150.0, 7159.95])
def test_a_spectrum_cut_short_is_continued_as_the_live_path_does(end):
    energy = GRID.double().numpy()
    measured = energy[energy <= end]
    live = resample_array(measured, curve(measured), energy).mu
    mu = torch.tensor(np.stack([curve(energy)] * 2))
    got = cut_short(mu, GRID.double(), torch.tensor([[end], [energy[-1]]])).numpy()
    np.testing.assert_allclose(got[0], live, atol=0.015)  # averages the last 0.5 eV
    np.testing.assert_array_equal(got[1], curve(energy))


def test_a_share_of_the_spectra_ends_too_soon_and_none_before_the_least():
    draws = np.full((200, N_DRAWS), 0.5, dtype=np.float32)
    draws[:, 11] = np.linspace(0.0, 1.0, 200)
    bank = Bank.build(ENERGY, curve(ENERGY)[None], np.array([FERMI]), fwhm_max=0.0)
    noise = 0.01 * torch.randn((200, len(GRID)), generator=torch.Generator().manual_seed(0))
    settings = Settings([Augmentation(cut_share=0.25, cut_least=20.0, noise_max=2.0)])
    index = torch.zeros(200, dtype=torch.int64)
    mu = apply(bank, index, GRID, settings, torch.tensor(draws), noise).numpy()
    rough = np.abs(np.diff(mu, n=2, axis=1)) > 1e-3  # noise ends where what is measured ends
    last = np.array([GRID.numpy()[:-2][row].max() for row in rough])
    short = last < GRID.numpy()[-1] - 1.0
    assert short.mean() == pytest.approx(0.25, abs=0.02)
    assert last.min() == pytest.approx(7140.0, abs=1.0)


def test_without_scans_cut_short_none_is():
    s = shown(drawn(d11=1.0))[0]
    np.testing.assert_allclose(s, curve(GRID.numpy()), atol=1e-3)
