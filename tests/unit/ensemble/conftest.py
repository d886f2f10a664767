"""A tiny set of made-up spectra, a recipe to learn from it, and a model made of both."""

import numpy as np
import pytest

from xanes_live.descriptor import G2Grid
from xanes_live.ensemble.data import from_distances
from xanes_live.ensemble.recipe import parse_recipe

ENERGY = np.arange(7100.0, 7176.1, 0.4)


def spectrum(r):
    """An edge with one oscillation whose period follows r (Natoli's rule)."""
    k = np.sqrt(np.clip(ENERGY - 7118.0, 0, None) * 0.2625)
    edge = 0.5 + np.arctan((ENERGY - 7118.0) / 1.5) / np.pi
    return edge * (1.0 + 0.3 * np.sin(2 * k * r) * np.exp(-0.3 * k))


def recipe_data(**sections):
    data = {
        "model": {
            "id": "toy",
            "version": "1",
            "element": "Fe",
            "energy_start": 7112.5,
            "energy_stop": 7160.0,
            "n_energy": 60,
            "stored": "float32",
        },
        "data": {"path": "toy.npz"},
        "descriptor": {"size": 20},
        "network": {"channels": [2, 3], "hidden": [12], "heads": ["first_shell"]},
        "training": {"members": 3, "epochs": 2, "batch": 16, "seed": 5},
        "augmentation": {"stretch_sd": 0.05, "shift_sd": 1.0, "fwhm_max": 2.0, "noise_max": 0.01},
    }
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values}
    return data


@pytest.fixture
def make_recipe():
    return lambda **sections: parse_recipe(recipe_data(**sections))


@pytest.fixture(scope="session")
def toy_set():
    """90 spectra of 45 parents, two each."""
    rng = np.random.default_rng(0)
    r = np.repeat(rng.uniform(1.8, 2.5, 45), 2) + np.tile([0.0, 0.02], 45)
    distances = r[:, None] + np.array([0.0, 0.0, 0.0, 0.0, 1.2])
    names = np.repeat([f"p{k}" for k in range(45)], 2)
    return from_distances(
        ENERGY,
        np.array([spectrum(x) for x in r]),
        distances,
        np.tile([8, 8, 8, 8, 26], (90, 1)),
        np.full(90, 7118.0),
        (names, np.tile(["crystal", "molecule"], 45), np.arange(90).astype(str)),
        G2Grid(size=20),
    )
