"""Computed spectra are brought onto measured ones, and what remains is kept."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.unit.evaluation.toy import ENERGY, RECIPE, spectrum, write_data
from xanes_live.cli import app
from xanes_live.descriptor import G2Grid
from xanes_live.domain import Array
from xanes_live.ensemble.augment import Augmentation
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.discrepancy import FITTED, Discrepancies, modes_of
from xanes_live.ensemble.recipe import stored_recipe
from xanes_live.ensemble.registry import read_description
from xanes_live.ensemble.train import train
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation import folds
from xanes_live.evaluation.measured import MeasuredSet, Reference
from xanes_live.evaluation.transfer import fit_transfers, summary

GRID = np.linspace(7112.5, 7160.0, 96)
PIVOT, RISE = 7120.0, 8.0
STRETCH, SHIFT, STEP = 1.08, -3.0, 1.04
BUMP = 0.03 * np.exp(-(((GRID - 7125.0) / 1.5) ** 2))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.npz"
    write_data(path)
    return read_training_set(path, G2Grid(size=20))


def measured_as(data, curves: dict[str, Array]) -> MeasuredSet:
    known = float(data.shell[data.parent == "p1"][0])
    references = tuple(
        Reference(name, None, name, known, "A", "", (word,)) for name, (word, _) in curves.items()
    )
    mu = np.array([curve for _, curve in curves.values()])
    return MeasuredSet(references, GRID, mu, np.full((len(mu), 20), np.nan), data.grid)


def moved(data):
    """The first computed spectrum of p1, stretched, shifted and scaled by known amounts."""
    own = data.mu[data.parent == "p1"][0].astype(float)
    return STEP * np.interp(PIVOT + (GRID - PIVOT - SHIFT) / STRETCH, ENERGY, own)


def test_what_was_done_to_a_spectrum_is_found_again(data):
    found = fit_transfers(data, measured_as(data, {"one": ("p1", moved(data))}), GRID, PIVOT, RISE)
    fitted = dict(zip(FITTED, found.fitted[0], strict=True))
    assert fitted["stretch"] == pytest.approx(STRETCH, abs=0.03)
    assert fitted["shift"] == pytest.approx(SHIFT, abs=0.5)
    assert fitted["step"] == pytest.approx(STEP - 1.0, abs=0.01)
    assert found.rms[0] < 0.012


def test_what_no_change_explains_remains(data):
    curves = {"one": ("p1", moved(data) + BUMP)}
    found = fit_transfers(data, measured_as(data, curves), GRID, PIVOT, RISE)
    assert np.corrcoef(found.residual[0], BUMP)[0, 1] > 0.7


def test_known_bad_spectra_are_passed_over(data):
    both = measured_as(data, {"good": ("p1", moved(data)), "bad": ("p1", moved(data) + 0.3)})
    good, bad = both.references
    both = replace(both, references=(good, replace(bad, quality="X")))
    assert fit_transfers(data, both, GRID, PIVOT, RISE).id.tolist() == ["good"]


def test_compounds_nobody_computed_are_passed_over(data):
    curves = {"one": ("p1", moved(data)), "none": ("unobtainium", moved(data))}
    found = fit_transfers(data, measured_as(data, curves), GRID, PIVOT, RISE)
    assert found.id.tolist() == ["one"]
    assert any("of 1 compounds" in line for line in summary(found, Augmentation()))
    with pytest.raises(ConfigurationError, match="none of the measured compounds"):
        fit_transfers(
            data, measured_as(data, {"none": ("unobtainium", moved(data))}), GRID, PIVOT, RISE
        )


def test_the_command_writes_what_a_recipe_reads(tmp_path):
    write_data(tmp_path / "toy.npz")
    (tmp_path / "recipe.toml").write_text(RECIPE.split("[measured]")[0])
    energy = np.concatenate([np.arange(7000.0, 7090.0, 4.0), np.arange(7090.0, 7400.0, 0.5)])
    np.savetxt(tmp_path / "one.dat", np.c_[energy, spectrum(2.0, energy)], header="energy mu")
    (tmp_path / "m.csv").write_text(
        "id,file,compound,first_shell,quality,amcsd,leave_out\none,one.dat,one,2.0,A,,p1\n"
        "two,one.dat,two,2.0,B,,unobtainium\nthree,one.dat,three,2.0,A,,\n"
        "four,one.dat,four,2.0,C,,unobtainium\n"
    )
    output = tmp_path / "residuals.npz"
    given = [str(tmp_path / "recipe.toml"), "--measured", str(tmp_path / "m.csv")]
    result = CliRunner().invoke(app, ["transfer", *given, "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "1 spectra of 1 compounds" in result.output
    assert "left out with three, two: their leave_out words match no parent" in result.output
    assert Discrepancies.load(output).compound.tolist() == ["one"]
    nowhere = str(tmp_path / "none" / "residuals.npz")
    result = CliRunner().invoke(app, ["transfer", *given, "-o", nowhere])
    assert isinstance(result.exception, ConfigurationError)


def test_a_model_keeps_them_to_be_trained_again_without_a_compound(tmp_path, data, monkeypatch):
    write_data(tmp_path / "toy.npz")
    found = fit_transfers(data, measured_as(data, {"one": ("p1", moved(data))}), GRID, PIVOT, RISE)
    found.save(tmp_path / "residuals.npz")
    text = RECIPE.split("[measured]")[0] + '[discrepancy]\npath = "residuals.npz"\n'
    (tmp_path / "recipe.toml").write_text(text)
    folder = train(tmp_path / "recipe.toml", tmp_path / "elsewhere" / "model", device="cpu")
    (tmp_path / "residuals.npz").unlink()
    recipe = stored_recipe(read_description(folder), folder)
    np.testing.assert_allclose(modes_of(recipe, GRID), found.modes(GRID, 5, 0.15), atol=1e-6)

    seen = []
    real = folds.Trainer

    def spy(rest, recipe, **kwargs):
        seen.append(recipe.discrepancy.leave_out)
        return real(rest, recipe, **kwargs)

    monkeypatch.setattr(folds, "Trainer", spy)
    folds.train_without(data, recipe, None, {"one"})
    measured = measured_as(data, {"ref_1": ("p1", moved(data))})
    folds.train_without(data, recipe, replace(measured, references=renamed(measured)), {"mineral"})
    assert seen == [("one",), ("mineral", "ref_1")]  # whatever the compound is called


def renamed(measured):
    return tuple(replace(r, compound="mineral") for r in measured.references)
