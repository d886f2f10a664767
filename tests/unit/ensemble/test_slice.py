"""The slice of the project's own data set that is shipped: readable, balanced, plausible."""

from pathlib import Path

import numpy as np
import pytest

from xanes_live.ensemble.data import split_by_parent
from xanes_live.ensemble.data_files import read_training_set

SLICE = Path(__file__).parents[2] / "data" / "theory" / "fe-k-slice.npz"


@pytest.fixture(scope="module")
def raw():
    with np.load(SLICE, allow_pickle=False) as file:
        return dict(file)


def test_is_a_training_set():
    data = read_training_set(SLICE)
    assert len(data.mu) == len(data.g2) == 3000
    assert np.isfinite(data.mu).all()
    assert np.isfinite(data.g2).all()


def test_any_prefix_is_mostly_minerals_and_what_was_made_of_them(raw):
    of_minerals = np.isin(raw["source"], ["mineral", "mineral-distorted", "made", "alloy"])
    assert of_minerals.mean() > 0.5
    assert of_minerals[:500].mean() > 0.5
    assert set(raw["source"]) >= {"tmqm", "octahedral", "mineral", "made", "alloy"}


def test_spectra_are_normalised_edges_near_their_fermi_energies(raw):
    mu, energy = raw["mu"].astype(float), raw["energy"]
    assert np.abs(mu[:, energy < 7105].mean(axis=1)).max() < 0.1
    assert np.abs(mu[:, energy > 7180].mean(axis=1) - 1).max() < 0.3
    half = energy[np.argmax(mu > 0.5, axis=1)]
    assert np.median(np.abs(half - raw["fermi"])) < 8.0


def test_no_parent_is_on_both_sides_of_a_split():
    data = read_training_set(SLICE)
    train, held = split_by_parent(data, 0.2, seed=1)
    parents = np.asarray(data.parent)
    assert not set(parents[train]) & set(parents[held])
