"""Packed spectra: what comes out is what went in, in a tenth of the room."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.packed import DISTANCE_UNIT, MU_UNIT, unpacked, write_packed
from xanes_live.errors import ConfigurationError

ENERGY = np.arange(7090.0, 7200.1, 0.2)


def spectra(counts, seed=0):
    rng = np.random.default_rng(seed)
    n, atoms = len(counts), int(sum(counts))
    centre = rng.uniform(7112, 7125, (n, 1))
    mu = 1 / (1 + np.exp(centre - ENERGY)) + np.exp(-(((ENERGY - centre - 6) / 4) ** 2))
    offset = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    distance = rng.uniform(1.5, 6.0, atoms)
    distance[offset[:-1][np.asarray(counts) > 0]] = 0.0
    names = {name: np.array([f"{name}:{i}" for i in range(n)]) for name in ("parent", "source")}
    return {
        "energy": ENERGY, "mu": mu, "fermi": centre[:, 0], "atom_offset": offset, **names,
        "atom_number": rng.integers(1, 93, atoms), "atom_distance": distance,
        "id": np.array([f"amcsd:{i}:s0" for i in range(n)]),
    }  # fmt: skip


def written(path, columns):
    write_packed(path, columns)
    with np.load(path, allow_pickle=False) as file:
        return unpacked(dict(file))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=6), st.integers(0, 99))
def test_all_that_was_written_is_read(tmp_path_factory, counts, seed):
    given_ = spectra(counts, seed)
    read = written(tmp_path_factory.mktemp("packed") / "set.npz", given_)
    assert np.abs(read["mu"] - given_["mu"]).max(initial=0) <= 0.51 * MU_UNIT
    assert np.array_equal(read["energy"], ENERGY)
    assert np.allclose(read["fermi"], given_["fermi"], atol=1e-3)
    for name in ("parent", "source", "id", "atom_offset"):
        assert np.array_equal(read[name], given_[name])
    for i in range(len(counts)):
        part = slice(given_["atom_offset"][i], given_["atom_offset"][i + 1])
        order = np.argsort(given_["atom_distance"][part])
        assert np.array_equal(read["atom_number"][part], given_["atom_number"][part][order])
        off = read["atom_distance"][part] - given_["atom_distance"][part][order]
        assert np.abs(off).max(initial=0) <= 0.51 * DISTANCE_UNIT


def test_is_small_and_can_be_trained_on(tmp_path):
    given_ = spectra([60] * 200)
    write_packed(tmp_path / "set.npz", given_)
    assert (tmp_path / "set.npz").stat().st_size < 0.1 * given_["mu"].astype(np.float32).nbytes
    data = read_training_set(tmp_path / "set.npz")
    assert len(data) == 200
    nearest = [given_["atom_distance"][60 * i + 1 : 60 * i + 60].min() for i in range(200)]
    assert (data.shell >= np.array(nearest) - 1e-3).all()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("mu", np.nan, "not a number"),
        ("mu", 50.0, "jumps"),
        ("atom_distance", np.inf, "not a number"),
        ("atom_distance", 99.0, "jumps"),
    ],
)
def test_what_cannot_be_packed_is_refused_and_nothing_written(tmp_path, name, value, says):
    columns = spectra([4, 5])
    columns[name].flat[3] = value
    with pytest.raises(ConfigurationError, match=says):
        write_packed(tmp_path / "set.npz", columns)
    assert not list(tmp_path.iterdir())
