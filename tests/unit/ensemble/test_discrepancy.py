"""What theory gets wrong becomes directions a network learns to ignore."""

import numpy as np
import pytest
import torch

from xanes_live.ensemble.augment import Augmentation, Bank, Settings, apply
from xanes_live.ensemble.discrepancy import Discrepancies, modes_of, recipe_without
from xanes_live.ensemble.training import Trainer
from xanes_live.errors import ConfigurationError, ReadError

ENERGY = np.linspace(7112.5, 7160.0, 96)
WAVE = np.sin((ENERGY - 7112.5) / 5.0)
HUMP = np.exp(-(((ENERGY - 7130.0) / 4.0) ** 2))


def found(residual, compound):
    n = len(residual)
    return Discrepancies(
        ENERGY, np.array(residual), np.arange(n).astype(str), np.array(compound),
        np.array(["c"] * n), np.zeros((n, 5)), np.full(n, 7116.0),
    )  # fmt: skip


@pytest.fixture
def three():
    return found([0.1 * WAVE, -0.04 * WAVE, -0.06 * WAVE], ["a", "b", "b"])


def test_a_mode_is_as_large_as_the_residuals_deviate(three):
    (mode,) = three.modes(ENERGY, 1, 1.0)
    # two compounds, the second the mean of two spectra: ±σ with σ² = (0.1² + 0.05²)/2
    np.testing.assert_allclose(np.abs(mode), np.sqrt(0.00625) * np.abs(WAVE), atol=1e-6)


def test_all_modes_together_are_the_covariance():
    rng = np.random.default_rng(1)
    residual = rng.normal(size=(4, 2)) @ np.array([WAVE, HUMP])
    modes = found(residual, list("abcd")).modes(ENERGY, 9, 9.0).astype(float)
    np.testing.assert_allclose(modes.T @ modes, residual.T @ residual / 4, atol=1e-5)


def test_what_does_not_fit_at_all_teaches_nothing(three):
    bad = found([0.1 * WAVE, 3.0 * HUMP], ["a", "b"])
    (mode,) = bad.modes(ENERGY, 5, 0.15)
    np.testing.assert_allclose(np.abs(mode), 0.1 * np.abs(WAVE), atol=1e-6)
    assert three.modes(ENERGY, 5, 1e-4).shape == (0, 96)
    assert three.modes(ENERGY, 0, 1.0).shape == (0, 96)


def test_beyond_the_ends_a_mode_is_held(three):
    wide = np.array([7000.0, 7112.5, 7160.0, 7300.0])
    mode = three.modes(wide, 1, 1.0)[0]
    assert mode[0] == mode[1]
    assert mode[2] == mode[3]


def test_a_compound_left_out_teaches_nothing(three):
    assert set(three.without(["b"]).compound) == {"a"}
    assert three.without(["1"]).id.tolist() == ["0", "2"]  # a spectrum by its id
    assert not len(three.without(["a", "b"]))


@pytest.mark.parametrize("name", ["d.npz", "d"])
def test_a_file_gives_back_what_was_written(three, tmp_path, name):
    three.save(tmp_path / name)
    again = Discrepancies.load(tmp_path / name)
    np.testing.assert_allclose(again.residual, three.residual, atol=1e-7)
    assert again.compound.tolist() == ["a", "b", "b"]


def test_a_missing_or_other_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="xanes-live transfer"):
        Discrepancies.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(ReadError, match="other"):
        Discrepancies.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ReadError, match="text"):
        Discrepancies.load(tmp_path / "text.npz")


def test_a_damaged_file_is_named(three, tmp_path):
    path = tmp_path / "d.npz"
    three.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match="not written by"):
        Discrepancies.load(path)
    path.write_bytes(whole[:300] + bytes(b ^ 0x55 for b in whole[300:400]) + whole[400:])
    with pytest.raises(ReadError, match="not written by"):
        Discrepancies.load(path)


def test_modes_are_drawn_with_their_size_and_only_for_computed_spectra(three):
    modes = three.modes(ENERGY, 2, 1.0)
    settings = Settings([Augmentation(), Augmentation()], modes=modes)
    mu = np.zeros((2, len(ENERGY)))
    bank = Bank.build(ENERGY, mu, np.full(2, 7116.0), [0, 1], fwhm_max=0.0)
    n = 20_000
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand((n, settings.n_draws), generator=generator)
    index = torch.arange(n) % 2
    grid = torch.tensor(ENERGY, dtype=torch.float32)
    shown = apply(bank, index, grid, settings, draws, torch.zeros(1)).numpy()
    assert not shown[1::2].any()  # measured ones are as they are
    np.testing.assert_allclose(shown[::2].T @ shown[::2] / (n / 2), modes.T @ modes, atol=3e-4)


@pytest.fixture
def recipe(three, make_recipe, tmp_path):
    three.save(tmp_path / "d.npz")
    return make_recipe(discrepancy={"path": str(tmp_path / "d.npz"), "scale": 2.0, "largest": 1.0})


def test_a_recipe_scales_and_leaves_out(recipe, three, make_recipe):
    np.testing.assert_allclose(
        modes_of(recipe, ENERGY), 2.0 * three.modes(ENERGY, 5, 1.0), atol=1e-6
    )
    alone = modes_of(recipe_without(recipe, {"a"}), ENERGY)
    assert np.abs(alone).max() == pytest.approx(0.1 * np.abs(WAVE).max(), rel=1e-4)
    assert recipe.discrepancy.leave_out == ()  # the recipe itself is as it was
    assert modes_of(make_recipe(), ENERGY) is None
    assert recipe_without(make_recipe(), {"a"}).discrepancy is None


def test_residuals_of_another_edge_are_refused(recipe):
    copper = {"energy_start": 8979.0, "energy_stop": 9030.0}
    model = recipe.model.model_copy(update=copper)
    with pytest.raises(ConfigurationError, match="another edge"):
        modes_of(recipe.model_copy(update={"model": model}), ENERGY)


@pytest.mark.parametrize("change", [{"modes": 0}, {"leave_out": ("a", "b")}])
def test_a_training_without_any_of_them(recipe, toy_set, change, caplog):
    section = recipe.discrepancy.model_copy(update=change)
    trainer = Trainer(toy_set, recipe.model_copy(update={"discrepancy": section}))
    assert np.isfinite(trainer.run().losses).all()
    said = [r for r in caplog.records if "all residuals are left out" in r.getMessage()]
    assert len(said) == ("modes" not in change)  # none were asked for


def test_a_training_shows_them(recipe, toy_set, caplog):
    trainer = Trainer(toy_set, recipe)
    assert not caplog.records
    assert trainer.settings.modes.shape[1] == recipe.model.n_energy
    assert np.isfinite(trainer.run().losses).all()
