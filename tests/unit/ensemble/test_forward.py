import shutil
import tomllib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from xanes_live.ensemble.forward import Forward, Scale
from xanes_live.ensemble.forward_file import FORWARD
from xanes_live.ensemble.forward_training import (
    calibrated,
    mean_of,
    principal,
    show,
    usual,
    wide_energy,
)
from xanes_live.ensemble.registry import read_model, weights_hash
from xanes_live.ensemble.save import write_model
from xanes_live.ensemble.train import forward_ensemble
from xanes_live.ensemble.training import Trained, Trainer
from xanes_live.errors import ModelFormatError

torch.set_num_threads(1)
MEMBERS = 7


@pytest.fixture(scope="module")
def recipe(make_recipe):
    return make_recipe(
        training={"members": MEMBERS, "epochs": 15, "rate": 5e-3, "resample": "parent"},
        forward={"members": 5, "components": 6, "hidden": [24], "epochs": 60, "batch": 16},
        augmentation={"stretch_sd": 0.02, "shift_sd": 0.5, "fwhm_max": 1.0, "noise_max": 0.01},
    )


@pytest.fixture(scope="module")
def make_recipe():
    from tests.unit.ensemble.conftest import recipe_data
    from xanes_live.ensemble.recipe import parse_recipe

    return lambda **sections: parse_recipe(recipe_data(**sections))


@pytest.fixture(scope="module")
def trained(toy_set, recipe):
    trainer = Trainer(toy_set, recipe)
    return trainer, trainer.run()


@pytest.fixture(scope="module")
def forward(toy_set, trained):
    return forward_ensemble(*trained, toy_set)


@pytest.fixture
def folder(tmp_path, trained, recipe, forward):
    write_model(tmp_path, trained[1].network, recipe, data={}, calibration={}, forward=forward)
    return tmp_path


def measured(trained, n=6):
    """Return spectra that were changed at random, and the reverse ensemble's G2 of them."""
    trainer, result = trained
    shown = show(trainer, result, 5)
    use = np.flatnonzero(np.isfinite(shown.g2).all(axis=1))[:n]
    return shown.mu[use].astype(np.float64), shown.g2[use].astype(np.float64)


def test_the_way_back_finds_the_spectrum(toy_set, trained, forward):
    mean, sigma = forward.spectrum(toy_set.g2)
    at = trained[0].energy
    true = np.array([np.interp(at, toy_set.energy, mu) for mu in toy_set.mu])
    error = np.sqrt(np.mean((mean - true) ** 2))
    assert error < 0.6 * np.sqrt(np.mean((true - true.mean(axis=0)) ** 2))
    assert sigma.shape == mean.shape == (90, 60)
    assert (sigma[:, 20:] > 0).all()  # before the edge all these spectra are alike


def test_moments_are_those_of_plain_members(toy_set, forward):
    network, g2 = forward.network, toy_set.g2[:4]
    with torch.inference_mode():
        plain = network(torch.tensor(g2, dtype=torch.float32)).double().numpy()
    np.testing.assert_allclose(forward.members(g2), plain, rtol=1e-3, atol=1e-4)
    spectra = (plain @ forward.components + forward.offset)[..., 10:-10]
    assert len(forward.nuisance.wide) == 60 + 2 * 10
    np.testing.assert_allclose(forward.nuisance.wide[10:-10], forward.energy, atol=1e-6)
    mean, sigma = forward.spectrum(g2)
    np.testing.assert_allclose(mean, spectra.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(sigma, spectra.std(axis=0, ddof=1), atol=1e-4)


def test_one_is_usual_for_unseen_spectra(trained, forward):
    trainer, result = trained
    shown = show(trainer, result, 77)
    use = np.isfinite(shown.g2).all(axis=1)
    cycle = forward.residual(shown.mu[use].astype(np.float64), shown.g2[use].astype(np.float64))
    assert 0.6 < np.median(cycle.score) < 1.6
    assert forward.scale.spectra > 50
    assert list(forward.scale.quantiles.values()) == sorted(forward.scale.quantiles.values())
    assert forward.scale.quantiles["0.5"] == 1.0


def test_the_residual_is_what_remains_and_has_a_place(trained, forward):
    mu, g2 = measured(trained)
    cycle = forward.residual(mu, g2)
    np.testing.assert_allclose(cycle.returned + cycle.residual, mu)
    bump = 0.4 * np.exp(-0.5 * ((forward.energy - 7136.0) / 1.2) ** 2)
    spoiled = forward.residual(mu + bump, g2)
    assert (spoiled.score > 2 * cycle.score).all()
    assert np.abs(spoiled.place - 7136.0).max() < 3.0


def test_a_wrong_structure_leaves_more_than_the_right_one(toy_set, forward):
    order = np.argsort(toy_set.shell)
    short, long = order[:20], order[-20:]
    mu = forward.spectrum(toy_set.g2[short])[0]
    right = forward.residual(mu, toy_set.g2[short]).score
    wrong = forward.residual(mu, toy_set.g2[long]).score
    assert np.median(wrong) > 3 * np.median(right)


def test_a_shift_of_the_energies_is_not_held_against_a_spectrum(trained, forward):
    mu, g2 = measured(trained)
    moved = np.array([np.interp(forward.energy + 1.0, forward.energy, row) for row in mu])
    still, shifted = forward.residual(mu, g2), forward.residual(moved, g2)
    without = np.sqrt(np.mean((moved - still.returned) ** 2, axis=1))
    assert (np.sqrt(np.mean(shifted.residual**2, axis=1)) < 0.6 * without).all()


def test_none_and_many(trained, forward, monkeypatch):
    mu, g2 = measured(trained)
    together = forward.residual(mu, g2)
    monkeypatch.setattr("xanes_live.ensemble.forward.CHUNK", 4)
    monkeypatch.setattr("xanes_live.ensemble.nuisance.CHUNK", 3)
    np.testing.assert_allclose(forward.residual(mu, g2).score, together.score, rtol=1e-5)
    nothing = forward.residual(np.empty((0, 60)), np.empty((0, 20)))
    assert (nothing.returned.shape, nothing.score.shape) == ((0, 60), (0,))


def test_trained_twice_it_is_the_same(toy_set, trained, forward):
    again = forward_ensemble(*trained, toy_set)
    for name, value in forward.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    np.testing.assert_array_equal(forward.scale.sigma, again.scale.sigma)


@pytest.mark.parametrize("inputs", ["true", "both"])
def test_it_can_learn_from_true_structures(toy_set, trained, recipe, inputs):
    trainer, result = trained
    section = recipe.forward.model_copy(update={"inputs": inputs, "epochs": 2})
    trainer.recipe = recipe.model_copy(update={"forward": section})
    try:
        other = forward_ensemble(trainer, result, toy_set)
    finally:
        trainer.recipe = recipe
    assert np.isfinite(other.spectrum(toy_set.g2)[0]).all()


def test_without_unseen_spectra_nothing_is_usual(toy_set, trained, forward):
    trainer, result = trained
    all_seen = Trained(result.network, np.tile(np.arange(90), (MEMBERS, 1)))
    assert calibrated(forward, trainer, all_seen) is None
    blind = Forward(forward.network, forward.components, forward.offset, forward.nuisance)
    assert np.isnan(blind.residual(*measured(trained)).score).all()


def test_only_unseeing_members_are_asked(trained):
    values = np.arange(6.0).reshape(3, 2, 1)
    chosen = np.array([[True, False], [True, False], [False, True]])
    np.testing.assert_array_equal(mean_of(values, chosen)[:, 0], [1.0, 5.0])
    np.testing.assert_array_equal(mean_of(values, chosen, 2)[:, 0], [1.0, np.nan])
    trainer, result = trained
    shown = show(trainer, result, 0)
    seen_by_most = result.out_of_bag(90).sum(axis=0) < 2
    np.testing.assert_array_equal(np.isnan(shown.g2).any(axis=1), seen_by_most)


def test_usual_is_relative_to_the_energy():
    rng = np.random.default_rng(0)
    spread = np.linspace(0.01, 0.1, 40)
    scale = usual(spread * rng.standard_normal((500, 40)))
    np.testing.assert_allclose(scale.sigma, spread, rtol=0.15)
    assert scale.usual == pytest.approx(1.0, abs=0.05)
    assert usual(np.zeros((5, 40))).sigma.min() > 0


def test_principal_components_hold_what_varies():
    rng = np.random.default_rng(1)
    spectra = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 30))
    basis = principal(spectra, 2)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(spectra @ basis.T @ basis, spectra, atol=1e-10)


def test_wide_energies_continue_the_models(recipe):
    energy = wide_energy(recipe)
    assert np.allclose(np.diff(energy), 47.5 / 59)
    assert energy[0] <= 7112.5 - 8.0
    assert energy[-1] >= 7160.0 + 8.0


def test_written_and_read_again(folder, trained, forward):
    model = read_model(folder)
    mu, g2 = measured(trained)
    ours, theirs = forward.residual(mu, g2), model.forward.residual(mu, g2)
    np.testing.assert_allclose(theirs.returned, ours.returned, atol=1e-5)
    np.testing.assert_allclose(theirs.score, ours.score, rtol=1e-3)
    np.testing.assert_array_equal(theirs.place, ours.place)
    about = tomllib.loads((folder / "model.toml").read_text())["forward"]
    assert about["sha256"] == weights_hash(folder / FORWARD)
    assert about["members"] == 5
    assert isinstance(model.forward.scale, Scale)
    assert model.forward.scale.quantiles == forward.scale.quantiles


def test_a_model_without_it_is_read_as_before(folder, trained, recipe):
    write_model(folder, trained[1].network, recipe, data={}, calibration={})
    assert not (folder / FORWARD).exists()
    assert read_model(folder).forward is None
    assert read_model("fe-k").network is not None


def test_a_recipe_without_the_section_trains_none(toy_set, make_recipe):
    trainer = Trainer(toy_set, make_recipe())
    assert forward_ensemble(trainer, trainer.run(), toy_set) is None


def reworded(folder, old, new):
    text = (folder / "model.toml").read_text()
    assert old in text
    (folder / "model.toml").write_text(text.replace(old, new))


def test_changed_or_missing_weights_are_noticed(folder, tmp_path_factory):
    missing = shutil.copytree(folder, tmp_path_factory.mktemp("m") / "model")
    (missing / FORWARD).unlink()
    with pytest.raises(ModelFormatError, match="No such file"):
        read_model(missing)
    old = weights_hash(folder / FORWARD)
    state = load_file(folder / FORWARD)
    state["offset"][0] = torch.nan
    save_file(state, folder / FORWARD)
    with pytest.raises(ModelFormatError, match="sha256"):
        read_model(folder)
    reworded(folder, old, weights_hash(folder / FORWARD))
    with pytest.raises(ModelFormatError, match="finite"):
        read_model(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('activation = "silu"', 'activation = "gelu"'),
        ("members = 5", "members = 4"),
        ("size = 80", "size = 81"),
        ("[forward.nuisance.width]", "[forward.nuisance.widths]"),
    ],
)
def test_a_wrong_description(folder, old, new):
    reworded(folder, old, new)
    with pytest.raises(ModelFormatError):
        read_model(folder)


def test_the_command_line_trains_it_after_the_members(tmp_path, toy_set):
    from typer.testing import CliRunner

    from tests.unit.ensemble.test_model_folder import RECIPE
    from xanes_live.cli import app

    n = len(toy_set)
    xyz = np.zeros((n, 6, 3))
    xyz[:, 1:, 0] = toy_set.shell[:, None] + np.array([0.0, 0.0, 0.0, 0.0, 1.2])
    np.savez(
        tmp_path / "toy.npz", energy=toy_set.energy, mu=toy_set.mu.astype(np.float16), xyz=xyz,
        z=np.tile([26, 8, 8, 8, 8, 26], (n, 1)), natoms=np.full(n, 6), id=toy_set.id,
        parent=toy_set.parent, source=toy_set.source, emu=toy_set.fermi,
    )  # fmt: skip
    section = "[forward]\nmembers = 3\nepochs = 2\ncomponents = 4\nhidden = [8]\n"
    (tmp_path / "recipe.toml").write_text(RECIPE + section)
    said = CliRunner().invoke(app, ["train", str(tmp_path / "recipe.toml"), "--device", "cpu"])
    assert said.exit_code == 0, said.output
    model = read_model(tmp_path)
    assert model.forward.n_members == 3
    assert model.description["recipe"]["forward"]["epochs"] == 2
