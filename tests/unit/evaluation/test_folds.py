"""Training again on parts of the data."""

from itertools import pairwise

import numpy as np

from tests.unit.evaluation.toy import RECIPE, write_data
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.recipe import load_recipe
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
