"""Training again on parts of the data."""

from itertools import pairwise

import numpy as np
import pytest

from tests.unit.evaluation.toy import RECIPE, write_data
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.recipe import load_recipe
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation import folds
from xanes_live.evaluation.evaluate import SHARES


def test_the_learning_curve_grows_with_the_share_of_structures(tmp_path, monkeypatch):
    write_data(tmp_path / "toy.npz")  # 40 structures, two spectra each; 32 are not held out
    (tmp_path / "recipe.toml").write_text(RECIPE.split("[measured]")[0])
    recipe = load_recipe(tmp_path / "recipe.toml")
    data = read_training_set(tmp_path / "toy.npz", recipe.descriptor.grid)
    learnt = []
    monkeypatch.setattr(folds, "train_without", lambda part, *_: learnt.append(set(part.parent)))
    monkeypatch.setattr(folds, "ask", lambda *_: None)
    curve = folds.learning_curve(data, recipe, SHARES)
    assert [size for size, _, _ in curve] == [4, 8, 16, 32, 64]
    assert all(small < large for small, large in pairwise(learnt))
    held = set(data.parent[curve[0][2]].tolist())
    assert len(held) == 8
    assert not held & learnt[-1]
    assert np.isin(data.parent, [*held, *learnt[-1]]).all()


def test_the_learning_curve_does_not_train_on_the_same_spectra_twice(tmp_path, monkeypatch):
    write_data(tmp_path / "toy.npz", n_parents=5)  # four are not held out
    (tmp_path / "recipe.toml").write_text(RECIPE.split("[measured]")[0])
    recipe = load_recipe(tmp_path / "recipe.toml")
    data = read_training_set(tmp_path / "toy.npz", recipe.descriptor.grid)
    monkeypatch.setattr(folds, "train_without", lambda *_: None)
    monkeypatch.setattr(folds, "ask", lambda *_: None)
    sizes = [size for size, _, _ in folds.learning_curve(data, recipe, SHARES)]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == 8


class Compounds:
    """Two measured compounds whose names are those of all structures but one."""

    compound = np.array(["one", "two"])

    @staticmethod
    def words(left_out):
        return ("p0", "p1", "p2", "p3") if "one" in left_out else ()


def test_folds_that_leave_nothing_to_learn_from_are_told_before_anything_is_trained(tmp_path):
    write_data(tmp_path / "toy.npz", n_parents=5)
    (tmp_path / "recipe.toml").write_text(RECIPE.split("[measured]")[0])
    grid = load_recipe(tmp_path / "recipe.toml").descriptor.grid
    data = read_training_set(tmp_path / "toy.npz", grid)
    told = []
    for seed in range(6):  # the one structure left is in one of the folds
        try:
            folds.check_folds(data, Compounds(), 2, seed)
        except ConfigurationError as error:
            told.append(str(error))
    assert told
    assert all("leaves out one" in text and "is left to learn from" in text for text in told)
    with pytest.raises(ConfigurationError, match="6 folds of spectra that come from 5 structures"):
        folds.check_folds(data, None, 6, 0)
    with pytest.raises(ConfigurationError, match="one fold leaves out everything"):
        folds.check_folds(data, None, 1, 0)
