"""Maps of which each place is a spectrum, whatever the order of the axes."""

import numpy as np
import pytest

from tests.runs import FE, documents
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.documents.places import by_places
from xanes_live.documents.sweeps import split

ENERGY = np.linspace(7000.0, 7300.0, 61)
RNG = np.random.default_rng(3)


def mapped(order, ys=(0.0, 1.0), xs=(0.0, 0.1, 5.0), *, snake=False):
    """Energies and positions of a grid scan, axes from slow to fast as in `order`."""
    axes = {"e": ENERGY, "y": np.array(ys), "x": np.array(xs)}
    mesh = np.meshgrid(*(axes[name] for name in order), indexing="ij")
    if snake:
        mesh = [m.copy() for m in mesh]
        for m in mesh:
            m[1::2] = m[1::2, :, ::-1]
    found = dict(zip(order, (m.ravel() for m in mesh), strict=True))
    return found["e"], found["y"], found["x"]


def places_of(energy, *positions):
    return by_places(energy, split(energy), positions)


@pytest.mark.parametrize("order", ["eyx", "exy", "yex", "xey"])
@pytest.mark.parametrize("spoil", ["whole", "broken off", "one lost", "readings scatter"])
def test_each_place_is_a_sweep_of_its_own(order, spoil):
    energy, y, x = mapped(order)
    keep = np.ones(energy.size, dtype=bool)
    if spoil == "broken off":
        keep[-20:] = False
    elif spoil == "one lost":
        keep[100] = False
    elif spoil == "readings scatter":
        x = x + RNG.normal(0.0, 1e-3, x.size)
    energy, y, x = energy[keep], y[keep], x[keep]
    found = places_of(energy, y, x)
    assert len(found) == 6
    for piece in found:
        assert np.ptp(y[piece]) == 0.0
        assert np.ptp(x[piece]) < 0.05
        assert (np.diff(energy[piece]) > 0).all()
    assert sum(piece.size for piece in found) == energy.size


def test_a_fast_axis_that_runs_back_and_forth_mixes_nothing():
    energy, y, x = mapped("eyx", snake=True)
    assert len(places_of(energy, y, x)) == 6
    assert all(np.ptp(x[piece]) == 0.0 for piece in places_of(energy, y, x))


@pytest.mark.parametrize(
    "position",
    [
        ENERGY * 0.01, np.round(ENERGY / 20.0), np.zeros(ENERGY.size),
        np.full(ENERGY.size, np.nan),
    ],
    ids=["gap that follows", "gap that follows in steps", "stands still", "not read"],
)  # fmt: skip
def test_a_motor_that_follows_the_energy_makes_no_places(position):
    assert places_of(ENERGY, position) == []


def test_lines_of_a_map_with_a_fast_energy_are_left_as_they_are():
    energy, y, x = mapped("yxe")
    assert places_of(energy, y, x) == []


def test_a_scan_of_such_a_map_has_a_spectrum_for_each_place():
    energy, y, x = mapped("eyx")
    mu = np.where(energy > 7112.0, 1.0 + y, 0.1)
    i0 = np.full(energy.size, 1e6)
    read = {"mono_energy": energy, "samy": y, "samx": x, "i0": i0, "it": i0 * np.exp(-mu)}
    start = FE | {"motors": ("mono_energy", "samy", "samx"), "shape": (61, 2, 3)}
    scan = identify(assemble(documents(read, start)), BeamlineConfig())
    assert len(scan.sweeps) == 6
    assert scan.places
    steps = [np.log(s.i0 / s.it)[-1] for s in scan.sweeps]
    assert np.round(steps, 3).tolist() == [1.0] * 3 + [2.0] * 3


def scan_of(order, keys=("samy", "samx"), objects=None, **said):
    energy, y, x = mapped(order)
    i0 = np.full(energy.size, 1e6)
    read = {"mono_energy": energy, keys[0]: y, keys[1]: x, "i0": i0}
    read["it"] = i0 * np.exp(-np.where(energy > 7112.0, 1.0 + y, 0.1))
    docs = documents({k: v for k, v in read.items() if k}, FE | said)
    for name, doc in docs:
        if name == "descriptor" and objects:
            doc["object_keys"] = dict(doc.get("object_keys") or {}) | objects
    return identify(assemble(docs), BeamlineConfig())


MAP = {"motors": ("mono_energy", "samy", "samx"), "shape": (61, 2, 3)}


def test_columns_of_a_motor_may_have_names_of_their_own():
    objects = {"samy": ["samy_readback"], "samx": ["samx_readback"]}
    scan = scan_of("eyx", ("samy_readback", "samx_readback"), objects, **MAP)
    assert len(scan.sweeps) == 6


def test_places_that_cannot_be_told_apart_are_declined():
    declined = scan_of("eyx", ("", None), **MAP)
    assert declined.flag.code == "channels_unknown"
    assert "several places of the map" in declined.flag.message


def test_a_list_grid_scan_says_in_text_that_it_runs_back_and_forth():
    energy = np.repeat(ENERGY, 2)
    place = np.tile([0, 1, 1, 0], ENERGY.size)[: energy.size]
    i0 = np.full(energy.size, 1e6)
    read = {"mono_energy": energy, "i0": i0, "it": i0 * np.exp(-1.0 - place)}
    said = {"motors": ("mono_energy", "samx"), "shape": (61, 2), "snake_axes": "True"}
    scan = identify(assemble(documents(read, FE | said)), BeamlineConfig())
    assert [float(np.ptp(s.it)) for s in scan.sweeps] == [0.0, 0.0]
