import json
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from xanes_live.ensemble import Ensemble, find_model, known_models
from xanes_live.ensemble.recipe import parse_recipe
from xanes_live.ensemble.registry import available, identity
from xanes_live.ensemble.train import train
from xanes_live.errors import ConfigurationError, ModelFormatError, UnknownModelError

RECIPE = """
[model]
id = "toy"
version = "1.2"
element = "Fe"
energy_start = 7112.5
energy_stop = 7160.0
n_energy = 60
[data]
path = "toy.npz"
[descriptor]
size = 20
[network]
channels = [2, 3]
hidden = [12]
heads = ["first_shell"]
[training]
members = 5
epochs = 2
batch = 16
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, toy_set):
    path = tmp_path_factory.mktemp("toy")
    n = len(toy_set)
    xyz = np.zeros((n, 6, 3))
    xyz[:, 1:, 0] = toy_set.shell[:, None] + np.array([0.0, 0.0, 0.0, 0.0, 1.2])
    np.savez(
        path / "toy.npz", energy=toy_set.energy, mu=toy_set.mu.astype(np.float16), xyz=xyz,
        z=np.tile([26, 8, 8, 8, 8, 26], (n, 1)), natoms=np.full(n, 6), id=toy_set.id,
        parent=toy_set.parent, source=toy_set.source, emu=toy_set.fermi,
    )  # fmt: skip
    (path / "recipe.toml").write_text(RECIPE)
    return train(path / "recipe.toml", device="cpu")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


@pytest.fixture(scope="module")
def ensemble(folder):
    return Ensemble.load(folder, device="cpu")


def spectra(n=4):
    return 1.0 + 0.2 * np.random.default_rng(1).standard_normal((n, 60))


def test_description_is_complete(folder, ensemble):
    about = tomllib.loads((folder / "model.toml").read_text())
    assert about["format"] == 1
    assert about["data"]["spectra"] == 90
    assert len(about["data"]["sha256"]) == 64
    assert about["recipe"]["training"]["members"] == 5
    assert about["recipe"]["augmentation"]["stretch_sd"] == 0.0
    assert about["recipe"]["data"]["path"] == "toy.npz"
    assert parse_recipe(about["recipe"]).architecture() == ensemble.model.architecture
    assert {"torch", "numpy", "python", "xanes_live"} <= set(about["versions"])
    assert "out_of_bag" in json.loads((folder / "metrics.json").read_text())
    assert (ensemble.info.id, ensemble.info.version) == ("toy", "1.2")
    assert (ensemble.info.element, ensemble.info.edge) == ("Fe", "K")
    assert ensemble.info.hash == identity(about)


def test_api(ensemble):
    assert ensemble.energy[[0, -1]] == pytest.approx([7112.5, 7160.0])
    assert (len(ensemble.energy), len(ensemble.radius), ensemble.n_members) == (60, 20, 5)
    assert ensemble.input_form == "flattened"
    assert ensemble.eta == pytest.approx(1 / (2 * (5 / 19) ** 2))
    assert len(ensemble.calibration["band_factor"]) == 20


def test_predictions_are_moments_of_plain_members(folder, ensemble):
    x = spectra()
    weights = load_file(folder / "weights.safetensors")
    reference = np.stack([plain_member(weights, m, x) for m in range(5)], axis=1)
    mean, sigma, members = ensemble.predict_arrays(x)
    np.testing.assert_allclose(members, reference[..., :20], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mean, reference[..., :20].mean(1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(sigma, reference[..., :20].std(1, ddof=1), rtol=1e-3, atol=1e-4)
    offset = ensemble.calibration["first_shell"]["offset"]
    for i, prediction in enumerate(ensemble.predict(x)):
        np.testing.assert_array_equal(prediction.mean, mean[i])
        votes = reference[i, :, 20] + offset
        np.testing.assert_allclose(prediction.first_shell.members, votes, atol=1e-4)
        assert prediction.first_shell.r == pytest.approx(np.median(votes), abs=1e-4)
        assert prediction.first_shell.low <= prediction.first_shell.r


def plain_member(w, m, x):
    """One member in numpy alone, from the file: strided convolution, ReLU, dense layers."""
    w = {k: v.double().numpy() for k, v in w.items()}
    h = ((x - w["input_mean"]) / w["input_scale"])[:, None, :]
    for k in range(2):
        kernel, bias = w[f"conv.{k}.weight"][m], w[f"conv.{k}.bias"][m]
        windows = np.lib.stride_tricks.sliding_window_view(h, 8, axis=2)[:, :, ::2]
        h = np.maximum(np.einsum("ncli,oci->nol", windows, kernel) + bias[:, None], 0)
    h = h.reshape(len(x), -1)
    h = np.maximum(h @ w["dense.0.weight"][m].T + w["dense.0.bias"][m], 0)
    h = h @ w["dense.1.weight"][m].T + w["dense.1.bias"][m]
    return h * w["output_scale"] + w["output_mean"]


def test_one_spectrum_as_in_a_batch(ensemble):
    x = spectra(40)
    together = ensemble.predict_arrays(x)[0]
    for i in (0, 17, 39):
        np.testing.assert_allclose(
            ensemble.predict(x[i])[0].mean, together[i], rtol=1e-4, atol=1e-5
        )
    assert ensemble.predict(np.empty((0, 60))) == ()


def test_streamed_is_predicted(ensemble, tmp_path, monkeypatch):
    monkeypatch.setattr("xanes_live.ensemble.ensemble.CHUNK", 7)
    x = spectra(20).astype(np.float32)
    np.save(tmp_path / "map.npy", x)
    on_disk = np.load(tmp_path / "map.npy", mmap_mode="r")
    blocks = list(ensemble.stream(on_disk))
    assert [b.start for b in blocks] == [0, 7, 14]
    predictions = ensemble.predict(x)
    np.testing.assert_allclose(
        np.concatenate([b.mean for b in blocks]), [p.mean for p in predictions], rtol=1e-5
    )
    np.testing.assert_allclose(
        np.concatenate([b.first_shell for b in blocks]),
        [p.first_shell.r for p in predictions],
        rtol=1e-5,
    )


@pytest.mark.parametrize("bad", [np.ones((2, 59)), np.ones((2, 2, 60)), np.full((1, 60), np.nan)])
def test_what_does_not_fit_is_refused(ensemble, bad):
    with pytest.raises(ValueError, match="spectra"):
        ensemble.predict(bad)


def test_unknown_model_names_the_known_ones():
    with pytest.raises(UnknownModelError, match="fe-k"):
        Ensemble.load("no-such-model")
    assert "fe-k" in available()
    assert find_model("fe-k") == known_models()["fe-k"]


def test_unknown_device(folder):
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Ensemble.load(folder, device="abacus")


def test_changed_weights_are_noticed(copy):
    state = load_file(copy / "weights.safetensors")
    state["dense.0.bias"] += 1.0
    save_file(state, copy / "weights.safetensors")
    with pytest.raises(ModelFormatError, match="sha256"):
        Ensemble.load(copy)


def rehash(copy):
    from xanes_live.ensemble.registry import weights_hash

    text = (copy / "model.toml").read_text()
    old = tomllib.loads(text)["weights"]["sha256"]
    new = weights_hash(copy / "weights.safetensors")
    (copy / "model.toml").write_text(text.replace(old, new))


def test_damaged_weights(copy):
    (copy / "weights.safetensors").write_bytes(b"not safetensors")
    rehash(copy)
    with pytest.raises(ModelFormatError):
        Ensemble.load(copy)


def test_weights_that_are_not_numbers(copy):
    state = load_file(copy / "weights.safetensors")
    state["dense.0.bias"][0, 0] = torch.nan
    save_file(state, copy / "weights.safetensors")
    rehash(copy)
    with pytest.raises(ModelFormatError, match="finite"):
        Ensemble.load(copy)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ("format = 1", "format = "),
        ("[energy]", "[energies]"),
        ("hidden = [", "hiden = ["),
        ("members = 5", "members = 4"),
    ],
)
def test_wrong_description(copy, old, new):
    text = (copy / "model.toml").read_text()
    assert old in text
    (copy / "model.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ModelFormatError):
        Ensemble.load(copy)


def test_missing_weights(copy):
    (copy / "weights.safetensors").unlink()
    with pytest.raises(ModelFormatError, match="No such file"):
        Ensemble.load(copy)


def test_command_line_trains_and_mixes_in_measured_spectra(folder, tmp_path, toy_set):
    from typer.testing import CliRunner

    from xanes_live.cli import app
    from xanes_live.ensemble.data_files import write_measured_set

    write_measured_set(tmp_path / "measured.npz", toy_set.take(np.arange(6)), "flattened")
    said = CliRunner().invoke(
        app,
        ["train", str(folder / "recipe.toml"), "-o", str(tmp_path / "model"), "--device", "cpu",
         "--fine-tune", str(tmp_path / "measured.npz")],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert str(tmp_path / "model") in said.output.replace("\n", "")
    about = tomllib.loads((tmp_path / "model" / "model.toml").read_text())
    assert about["recipe"]["measured"]["path"] == "measured.npz"
    assert Ensemble.load(tmp_path / "model").info.hash != Ensemble.load(folder).info.hash


def test_the_command_line_starts_without_torch():
    code = "import sys, xanes_live.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


FORWARD = "\n[forward]\nmembers = 2\nepochs = 2\nrate = 1e30\n"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (RECIPE + "rate = 1e30\n", r"diverged in epoch 1.*lower \[training\] rate"),
        (  # in the very last step: what it leaves has no loss any more
            RECIPE.replace("epochs = 2\nbatch = 16", "epochs = 1\nbatch = 500\nrate = 1e30"),
            r"diverged in epoch 1.*lower \[training\] rate",
        ),
        (RECIPE + FORWARD, r"forward ensemble diverged.*lower \[forward\] rate"),
    ],
)
def test_a_training_that_diverges_leaves_the_model_that_is_there(copy, recipe, told):
    before = {p.name: p.read_bytes() for p in copy.iterdir() if p.is_file()}
    (copy / "wild.toml").write_text(recipe)
    with pytest.raises(ConfigurationError, match=told):
        train(copy / "wild.toml", device="cpu")
    assert {name: (copy / name).read_bytes() for name in before} == before


def test_what_another_training_left_behind_does_not_stay(copy):
    (copy / "library.safetensors").write_bytes(b"of another model")
    (copy / "metrics.json").write_text('{"confidence": {"auroc": 1.0}}')
    train(copy / "recipe.toml", device="cpu")
    assert not (copy / "library.safetensors").exists()
    assert set(json.loads((copy / "metrics.json").read_text())) == {"out_of_bag", "loss"}
