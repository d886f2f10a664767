from dataclasses import replace

import numpy as np
import pytest
import torch

from xanes_live.ensemble import step
from xanes_live.ensemble.network import make_member
from xanes_live.ensemble.training import Trainer, resample
from xanes_live.errors import ConfigurationError

torch.set_num_threads(1)


def weights(network):
    return {k: v.clone() for k, v in network.state_dict().items()}


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_joint_training_is_training_one_by_one(toy_set, make_recipe, norm):
    recipe = make_recipe(network={"norm": norm}, training={"average": 0.9})
    together = Trainer(toy_set, recipe).run()
    for k in range(3):
        alone = Trainer(toy_set, recipe, members=[k]).run()
        np.testing.assert_array_equal(alone.resamples[0], together.resamples[k])
        x = torch.linspace(0.0, 1.3, 60).repeat(4, 1) + 0.1 * torch.randn(4, 60)
        with torch.inference_mode():
            # biases before a batch norm have no gradient: there Adam walks along rounding errors
            near = 2e-2 if norm == "batch" else 1e-4
            torch.testing.assert_close(
                together.network(x)[k], alone.network(x)[0], rtol=near, atol=near
            )
        if norm == "batch":
            continue
        for name, parameter in alone.network.named_parameters():
            ours = dict(together.network.named_parameters())[name][k : k + 1]
            torch.testing.assert_close(ours, parameter, rtol=1e-4, atol=1e-5)


def test_a_step_is_torchs_own_on_a_plain_module(toy_set, make_recipe):
    # independent of the stacked code: a plain module, torch's Adam, the same batch, no changes
    still = {"stretch_sd": 0.0, "shift_sd": 0.0, "fwhm_max": 0.0, "noise_max": 0.0}
    recipe = make_recipe(
        network={"standardise": False, "heads": []},
        training={"members": 2, "schedule": "constant"},
        augmentation=still,
    )
    trainer = Trainer(toy_set, recipe, members=[0])
    plain = make_member(recipe.architecture())
    values = [v for layer in trainer.network.layers() for v in layer.state_dict().values()]
    for own, start in zip(plain.parameters(), values, strict=True):
        own.data.copy_(start[0])
    index = torch.arange(16)
    spectra = np.array([np.interp(trainer.energy, toy_set.energy, m) for m in toy_set.mu[:16]])
    optimiser = torch.optim.Adam(plain.parameters(), 2e-3)
    for _ in range(3):
        trainer.one_step(index[None])
        optimiser.zero_grad()
        output = plain(torch.tensor(spectra, dtype=torch.float32).unsqueeze(1))
        (output - torch.tensor(toy_set.g2[:16])).square().mean().backward()
        optimiser.step()
    for own, end in zip(plain.parameters(), trainer.network.parameters(), strict=True):
        torch.testing.assert_close(end[0], own, rtol=1e-3, atol=1e-4)


def test_same_seed_same_weights_other_seed_others(toy_set, make_recipe):
    first, again = (Trainer(toy_set, make_recipe()).run() for _ in range(2))
    other = Trainer(toy_set, make_recipe(training={"seed": 6})).run()
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    assert not torch.equal(
        first.network.state_dict()["dense.0.weight"], other.network.state_dict()["dense.0.weight"]
    )


def test_resumed_is_uninterrupted(toy_set, make_recipe, tmp_path):
    recipe = make_recipe(training={"epochs": 4, "average": 0.9}, network={"norm": "batch"})
    whole = Trainer(toy_set, recipe).run()
    file = tmp_path / "state.safetensors"
    stopped = Trainer(toy_set, recipe)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(progress=_stop_after(2), checkpoint=file)
    resumed = Trainer(toy_set, recipe).run(checkpoint=file)
    assert resumed.losses == whole.losses
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def _stop_after(epochs):
    def progress(epoch, _loss):
        if epoch == epochs:
            raise KeyboardInterrupt

    return progress


def test_checkpoint_of_another_recipe_is_refused(toy_set, make_recipe, tmp_path):
    file = tmp_path / "state.safetensors"
    Trainer(toy_set, make_recipe()).run(checkpoint=file)
    with pytest.raises(ConfigurationError, match="another training"):
        Trainer(toy_set, make_recipe(training={"seed": 9})).run(checkpoint=file)
    other = replace(toy_set, mu=toy_set.mu + 0.01)
    with pytest.raises(ConfigurationError, match="another training"):
        Trainer(other, make_recipe()).run(checkpoint=file)
    file.write_bytes(b"something else")
    with pytest.raises(ConfigurationError, match="not the state of a training"):
        Trainer(toy_set, make_recipe()).run(checkpoint=file)


def test_checkpoint_goes_by_what_measured_spectra_hold_not_where_they_are(
    toy_set, make_recipe, tmp_path
):
    file, here = tmp_path / "state.safetensors", {"path": "here.npz"}
    measured = replace(toy_set, measured=np.arange(len(toy_set)) < 5)
    Trainer(measured, make_recipe(measured=here)).run(checkpoint=file)
    Trainer(measured, make_recipe(measured={"path": "there.npz"})).run(checkpoint=file)
    others = replace(measured, g2=measured.g2 + 1.0 * measured.measured[:, None])
    with pytest.raises(ConfigurationError, match="another training"):
        Trainer(others, make_recipe(measured=here)).run(checkpoint=file)


@pytest.mark.parametrize("how", ["sample", "parent"])
def test_sources_that_all_weigh_nothing_are_refused(toy_set, make_recipe, how):
    nothing = dict.fromkeys(map(str, toy_set.source), 0.0)
    with pytest.raises(ConfigurationError, match="weight 0"):
        resample(toy_set, make_recipe(training={"resample": how}, data={"weights": nothing}), 0)


@pytest.mark.parametrize("how", ["sample", "parent"])
def test_rare_ligands_are_drawn_as_often_as_the_recipe_says(toy_set, make_recipe, how):
    ligand = np.where(np.arange(len(toy_set)) < 10, "I", "O")
    rare = replace(toy_set, ligand=ligand)
    drawn = [
        resample(
            rare,
            make_recipe(training={"seed": seed, "resample": how}, data={"ligands": {"I": 5.0}}),
            0,
        )
        < 10
        for seed in range(100)
    ]
    assert np.mean(drawn) == pytest.approx(5 * 10 / (5 * 10 + 80), abs=0.03)


def test_resamples(toy_set, make_recipe):
    drawn = resample(toy_set, make_recipe(training={"resample": "parent"}), 0)
    assert len(drawn) == len(toy_set)
    seen = np.zeros(len(toy_set), dtype=bool)
    seen[drawn] = True
    unseen_parents = set(toy_set.parent[~seen])
    # at most the one parent that the cut at n splits is on both sides
    assert len(unseen_parents & set(toy_set.parent[seen])) <= 1
    assert 0.2 < np.mean(~seen) < 0.55  # 1/e of the parents
    plain = resample(toy_set, make_recipe(training={"resample": "none"}), 0)
    np.testing.assert_array_equal(plain, np.arange(len(toy_set)))


def test_measured_spectra_are_drawn_apart(toy_set, make_recipe):
    recipe = make_recipe(training={"resample": "parent"}, measured={"path": "m.npz", "weight": 4.0})
    measured = replace(toy_set.take(np.arange(5)), measured=np.ones(5, dtype=bool))
    both = toy_set.joined(measured)
    drawn = resample(both, recipe, 1)
    np.testing.assert_array_equal(drawn[: len(toy_set)], resample(toy_set, recipe, 1))
    assert len(drawn) == len(toy_set) + 20
    assert set(drawn[len(toy_set) :]) <= set(range(90, 95))


def test_every_measured_compound_is_shown_equally_often(toy_set, make_recipe):
    measured = replace(
        toy_set.take(np.arange(8)), measured=np.ones(8, dtype=bool),
        parent=np.array(["measured:foil"] * 7 + ["measured:oxide"]),
    )  # fmt: skip
    recipe = make_recipe(measured={"path": "m.npz", "weight": 200.0})
    drawn = resample(toy_set.joined(measured), recipe, 0)
    shown = drawn[len(toy_set) :]
    assert len(shown) == 1600
    assert np.mean(shown == len(toy_set) + 7) == pytest.approx(0.5, abs=0.05)


def test_an_unknown_g2_does_not_teach(toy_set, make_recipe):
    blank = replace(
        toy_set, g2=np.full_like(toy_set.g2, np.nan), measured=np.ones(len(toy_set), dtype=bool)
    )
    recipe = make_recipe(measured={"path": "x", "weight": 1.0})
    trained = Trainer(toy_set.joined(blank), recipe).run()
    assert all(torch.isfinite(v).all() for v in trained.network.state_dict().values())
    assert np.isfinite(trained.losses).all()


def test_weights_favour_a_source(toy_set, make_recipe):
    drawn = resample(toy_set, make_recipe(data={"weights": {"crystal": 9.0}}), 0)
    assert np.mean(toy_set.source[drawn] == "crystal") > 0.8


def test_it_learns(toy_set, make_recipe):
    recipe = make_recipe(
        training={"epochs": 60, "rate": 5e-3},
        augmentation={"stretch_sd": 0.01, "shift_sd": 0.2},
    )
    trainer = Trainer(toy_set, recipe)
    trained = trainer.run()
    spectra = np.array([np.interp(trainer.energy, toy_set.energy, m) for m in toy_set.mu])
    with torch.inference_mode():
        out = trained.network(torch.tensor(spectra, dtype=torch.float32)).numpy()
    unseen = trained.out_of_bag(len(toy_set))
    guess = np.nanmedian(np.where(unseen, out[..., 20], np.nan)[:, unseen.any(axis=0)], axis=0)
    error = np.abs(guess - toy_set.shell[unseen.any(axis=0)])
    assert np.median(error) < 0.25 * np.std(toy_set.shell)


def test_numbers_drawn_ahead_depend_on_seed_member_and_step_alone(monkeypatch):
    monkeypatch.setitem(step.AHEAD, "cpu", 4)
    both = step.Draws(3, (0, 7), 8, 30, 11, torch.device("cpu"))
    alone = step.Draws(3, (7,), 8, 30, 11, torch.device("cpu"))
    seen = []
    for number in (0, 1, 3, 4, 11):
        uniform, normal = both.at(number, 8)
        assert uniform.shape == (2, 8, 11)
        assert normal.shape == (2, 8, 30)
        for joint, own in zip((uniform, normal), alone.at(number, 8), strict=True):
            assert torch.equal(joint[1:], own)
        seen.append(uniform.clone())
    assert len({float(u.sum()) for u in seen}) == len(seen)
    again, _ = step.Draws(3, (0, 7), 8, 30, 11, torch.device("cpu")).at(3, 5)  # resumed, last batch
    assert torch.equal(again, seen[2][:, :5])


def test_training_does_not_care_how_far_ahead_is_drawn_for_others(
    toy_set, make_recipe, monkeypatch
):
    monkeypatch.setitem(step.AHEAD, "cpu", 3)
    recipe = make_recipe(training={"average": 0.9})
    together = Trainer(toy_set, recipe).run()
    alone = Trainer(toy_set, recipe, members=[1]).run()
    for name, parameter in alone.network.named_parameters():
        ours = dict(together.network.named_parameters())[name][1:2]
        torch.testing.assert_close(ours, parameter, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_recorded_step_is_the_plain_one(toy_set, make_recipe, norm):
    recipe = make_recipe(network={"norm": norm}, training={"average": 0.9, "epochs": 3})
    recorded = Trainer(toy_set, recipe, device="cuda")
    plain = Trainer(toy_set, recipe, device="cuda")
    plain.recorded = None
    found, expected = recorded.run(), plain.run()
    assert recorded.recorded._graph is not None
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-3)
    for name, value in expected.network.state_dict().items():
        torch.testing.assert_close(
            found.network.state_dict()[name].float(), value.float(), rtol=1e-2, atol=1e-3
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_recorded_training_resumes(toy_set, make_recipe, tmp_path):
    recipe = make_recipe(training={"epochs": 4, "average": 0.9})
    file = tmp_path / "state.safetensors"
    whole = Trainer(toy_set, recipe, device="cuda").run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(toy_set, recipe, device="cuda").run(progress=_stop_after(2), checkpoint=file)
    resumed = Trainer(toy_set, recipe, device="cuda").run(checkpoint=file)
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-3)


def test_spectra_must_cover_the_energies_of_the_model(toy_set, make_recipe):
    with pytest.raises(ConfigurationError, match="do not cover a model from 7112"):
        Trainer(toy_set, make_recipe(model={"energy_stop": 7190.0}))
    with pytest.raises(ConfigurationError, match="no computed spectrum"):
        Trainer(toy_set.without(["p"]), make_recipe())
