"""A small set of made-up spectra and a recipe that learns it in a second."""

import numpy as np

ENERGY = np.arange(7085.0, 7190.0, 0.5)

RECIPE = """
[model]
id = "toy"
version = "1"
element = "Fe"
energy_start = 7112.5
energy_stop = 7160.0
n_energy = 60
[data]
path = "toy.npz"
[descriptor]
size = 20
[network]
channels = [2]
hidden = [8]
heads = ["first_shell"]
[training]
members = 5
epochs = 2
batch = 32
resample = "parent"
[augmentation]
shift_sd = 0.3
[measured]
path = "measured.npz"
weight = 3.0
"""


def spectrum(r, energy=ENERGY):
    """An edge with one oscillation whose period follows r."""
    x = energy - 7118.0
    k = np.sqrt(np.clip(x, 0, None) * 0.2625)
    edge = 0.5 + np.arctan(x / 1.5) / np.pi
    return edge * (1.0 + 0.25 * np.sin(2 * k * r) * np.exp(-0.4 * k))


def write_data(path, n_parents=40):
    """Write two spectra each of `n_parents` made-up structures as the first study's archive."""
    rng = np.random.default_rng(0)
    r = np.repeat(rng.uniform(1.8, 2.5, n_parents), 2) + np.tile([0.0, 0.02], n_parents)
    n = len(r)
    xyz = np.zeros((n, 6, 3))
    xyz[:, 1:, 0] = r[:, None] + np.array([0.0, 0.0, 0.0, 0.0, 1.9])
    np.savez(
        path, energy=ENERGY, mu=np.array([spectrum(x) for x in r]), xyz=xyz,
        z=np.tile([26, 8, 8, 8, 8, 26], (n, 1)), natoms=np.full(n, 6),
        id=np.arange(n).astype(str), parent=np.repeat([f"p{k}" for k in range(n_parents)], 2),
        source=np.array(["toy"] * n), emu=np.full(n, 7118.0),
    )  # fmt: skip
