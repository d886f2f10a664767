"""Names, metadata, units and sweeps, each by itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xanes_live.documents import metadata
from xanes_live.documents.contrast import contrast
from xanes_live.documents.leaves import clean, flat, number_of
from xanes_live.documents.names import channel_points, energy_points, words
from xanes_live.documents.sweeps import by_grid, split
from xanes_live.documents.units import energies, from_angle, unit_of
from xanes_live.domain import Mode

# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sclr_i0", "_sclr_i0_"),
        ("lnI0It", "_ln_i0_it_"),
        ("dcm-energy_in_keV", "_dcm_energy_in_ke_v_"),
        ("Mono Energy", "_mono_energy_"),
        ("", "__"),
    ],
)
def test_words(name, expected):
    assert words(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "i0_gain",
        "it_offset",
        "I0_setpoint",
        "sample_x",
        "exposure_time",
        "i0_range",
        "it_std",
        "monitor_temperature",
        "dxp_icr",
        "xs_channel1_deadtime",
        "i0_timestamp",
        "random_word",
    ],
)
def test_settings_are_no_channels(name):
    assert channel_points(name) == {}


@pytest.mark.parametrize("name", ["bragg_energy", "kohzu_bragg_energy_rbv", "BraggERdbk", "eV"])
def test_energies_of_other_names(name):
    points = energy_points(name)
    assert points["energy"] >= 6 > points.get("angle", 0)


@pytest.mark.parametrize("name", ["energy_bragg", "bragg", "dcm_bragg_readback", "mono_theta"])
def test_angles_of_the_energy_are_angles(name):
    points = energy_points(name)
    assert points["angle"] >= 6 > points.get("energy", 0)


@pytest.mark.parametrize("name", ["ring_energy", "emission_energy", "e0", "sample_x", "dcm_pitch"])
def test_other_energies_are_not_the_monochromators(name):
    assert max(energy_points(name).values(), default=0) <= 0


def test_the_owner_of_a_key_counts_for_less_than_its_name():
    assert channel_points("sensor", "i0")["i0"] < channel_points("i0")["i0"]
    assert channel_points("sensor", "i0")["i0"] > 0


def test_regions_named_after_the_element():
    assert "fluorescence" in channel_points("Fe3", element="Fe")
    assert channel_points("Cu3", element="Fe") == {}
    assert channel_points("Fe3") == {}


# -- metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "symbol"),
    [
        ("Fe", "Fe"),
        ("FE", "Fe"),
        ("iron", "Fe"),
        (26, "Fe"),
        (26.0, "Fe"),
        ("26", "Fe"),
        (["Fe"], "Fe"),
        ("Fe K", "Fe"),
        ("Xx", ""),
        (None, ""),
        (True, ""),
        (-1, ""),
        (1000000000.0, ""),
        (math.nan, ""),
        ("", ""),
        ("Fe" * 50, ""),
        ({}, ""),
        (26.5, ""),
    ],
)
def test_symbols(value, symbol):
    assert metadata.symbol_of(value) == symbol


@pytest.mark.parametrize(
    ("value", "edge"),
    [
        ("K", "K"),
        ("k", "K"),
        ("K-edge", "K"),
        ("Fe K", "K"),
        ("FeK", "K"),
        ("L3", "L3"),
        ("LIII", "L3"),
        ("L_2", "L2"),
        ("l i", "L1"),
        ("Pt L3 edge", "L3"),
        ("M5", ""),
        ("", ""),
        (3, ""),
        ("sharp", ""),
        ("LEdge", ""),
    ],
)
def test_edges(value, edge):
    assert metadata.edge_of(value) == edge


def test_potassium_is_no_edge():
    leaves = flat({"element": "K", "edge": "L3"})
    assert (metadata.element(leaves), metadata.edge(leaves)) == ("K", "L3")
    assert metadata.edge(flat({"element": "K"})) == ""


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("transmission", Mode.TRANSMISSION),
        ("Fluo", Mode.FLUORESCENCE),
        ("both", None),
        ("trans+fluo", None),
        ("reference", Mode.REFERENCE),
        (7, None),
        ("TEY yield", "fluorescence"),
    ],
)
def test_modes(value, mode):
    assert metadata.mode(flat({"xas": {"mode": value}})) == mode


@pytest.mark.parametrize(
    ("start", "spacing"),
    [
        ({"mono": {"d_spacing": 3.1356}}, 3.1356),
        ({"crystal": "Si(311)"}, 1.63752),
        ({"monochromator": "Si 111 LN2"}, 3.1356),
        ({"crystal": "YB66"}, None),
        ({}, None),
        ({"mono": {"2d": 6.2712}}, 3.1356),
        ({"d_spacing": "1.92"}, 1.92),
        ({"dspacing": -1}, None),
    ],
)
def test_lattice_spacings(start, spacing):
    assert metadata.d_spacing(flat(start)) == spacing


def test_silicon_spacings_agree_with_the_lattice_constant():
    for name, indices in (("Si(111)", 3), ("Si(311)", 11), ("Si(220)", 8), ("Si(511)", 27)):
        spacing = metadata.d_spacing(flat({"crystal": name}))
        assert spacing == pytest.approx(5.431020511 / math.sqrt(indices), abs=1e-4)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=30,
    )
)
def test_clean_is_always_json(value):
    text = json.dumps(clean({"a": value}), allow_nan=False)
    assert len(text) < 400_000
    text.encode()


def test_clean_keeps_what_is_fine():
    fine = {"a": 1, "b": [1.5, "x", None, True], "c": {"d": "é"}}
    assert clean(fine) == fine
    assert clean({"n": np.int64(3), "a": np.arange(3)}) == {"n": 3, "a": [0, 1, 2]}
    assert clean(None) == {}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        ("2.5", 2.5),
        (np.float32(3), 3.0),
        (True, None),
        (math.inf, None),
        ("x", None),
        (10**400, None),
        (None, None),
        ([1], None),
    ],
)
def test_numbers(value, number):
    assert number_of(value) == number


# -- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("eV", "eV"),
        (" KEV ", "keV"),
        ("degrees", "deg"),
        ("°", "deg"),
        ("mdeg", "mdeg"),
        ("", ""),
        (None, ""),
        ("mm", "other"),
        ("counts", "other"),
        (3, ""),
    ],
)
def test_units(text, unit):
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    ("value", "unit", "near", "expected"),
    [
        (7112.0, "eV", None, 7112.0),
        (7.112, "keV", None, 7112.0),
        (7.112, "", None, 7112.0),
        (7112.0, "", None, 7112.0),
        (7112.0, "keV", None, 7112.0),
        (284.2, "", None, 284.2),
        (16.1, "", 7112.0, None),
        (0.001, "", None, None),
        (10000000.0, "", None, None),
    ],
)
def test_energies(value, unit, near, expected):
    found = energies(np.full(3, value), unit, near)
    assert (None if found is None else found[0]) == pytest.approx(expected)


def test_energies_of_nothing():
    assert energies(np.full(3, np.nan), "eV") is None
    assert from_angle(np.full(3, np.nan), "deg", 3.1356) is None


@given(st.floats(2000, 40_000), st.sampled_from([3.1356, 1.6375]))
def test_bragg_there_and_back(energy, d):
    sine = 12398.41984 / (2 * d * energy)
    if sine < 0.98:
        theta = math.asin(sine)
        for unit, factor in (("rad", 1), ("deg", 180 / math.pi), ("mdeg", 180e3 / math.pi)):
            found = from_angle(np.array([theta * factor]), unit, d)
            assert found is not None
            assert found[0] == pytest.approx(energy, rel=1e-9)


def test_iron_k_with_silicon_111():
    # 16.138° is where every beamline finds the Fe K edge with Si(111)
    found = from_angle(np.array([16.138]), "deg", 3.1356)
    assert found is not None
    assert found[0] == pytest.approx(7112, abs=1.0)


# -- sweeps --------------------------------------------------------------------------------------

GRID = np.linspace(7000, 7500, 200)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize("jitter", [0.0, 0.5])
@pytest.mark.parametrize("first", [1, -1])
def test_back_and_forth_is_split_at_the_turns(n, jitter, first):
    rng = np.random.default_rng(0)
    sweeps = [GRID[:: first * (-1) ** k] for k in range(n)]
    energy = np.concatenate(sweeps) + rng.normal(0, jitter, n * len(GRID))
    pieces = split(energy)
    assert len(pieces) == n
    assert all(abs(len(piece) - len(GRID)) <= 2 for piece in pieces)
    joined = np.concatenate(pieces)
    np.testing.assert_array_equal(joined, np.arange(len(energy)))


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_grid_repeated(n, direction):
    pieces = split(np.tile(GRID[::direction], n))
    assert [len(p) for p in pieces] == [len(GRID)] * n


def test_fly_backs_are_left_out():
    back = np.linspace(7500, 7000, 12)[1:-1]
    pieces = split(np.concatenate([GRID, back, GRID, back, GRID]))
    assert len(pieces) == 3
    assert all(abs(len(p) - len(GRID)) <= 1 for p in pieces)


def test_overlapping_regions_of_a_step_scan_are_one_sweep():
    regions = [np.arange(6950, 7100, 5.0), np.arange(7090, 7150, 0.5), np.arange(7140, 7700, 4.0)]
    energy = np.concatenate(regions)
    assert [len(p) for p in split(energy)] == [len(energy)]


def test_counting_several_times_at_each_energy_is_one_sweep():
    assert [len(p) for p in split(np.repeat(GRID, 4))] == [800]


def test_an_incomplete_last_sweep_is_kept():
    pieces = split(np.concatenate([GRID, GRID[::-1], GRID[:90]]))
    assert [len(p) for p in pieces] == [200, 200, 90]


def test_a_million_points_of_an_oscillating_axis():
    phase = np.linspace(0, 20 * np.pi, 1_000_000)
    energy = 7250 - 250 * np.cos(phase) + np.random.default_rng(0).normal(0, 0.1, phase.size)
    pieces = split(energy)
    assert len(pieces) == 20
    assert max(abs(len(p) - 50_000) for p in pieces) < 2_000


def test_points_in_no_order_are_one_sweep():
    pieces = split(np.random.default_rng(0).permutation(GRID))
    assert [len(p) for p in pieces] == [len(GRID)]


@pytest.mark.parametrize("energy", [np.zeros(0), np.full(4, np.nan)])
def test_no_energies_no_sweeps(energy):
    assert split(energy) == []


def test_unknown_energies_inside_a_sweep_stay_in_it():
    energy = np.concatenate([GRID, GRID[::-1]])
    energy[[0, 50, 320, -1]] = np.nan
    pieces = split(energy)
    assert [(p[0], p[-1]) for p in pieces] == [(1, 199), (200, 398)]


def test_constant_and_single_energies():
    assert [len(p) for p in split(np.full(9, 7112.0))] == [9]
    assert [len(p) for p in split(np.array([np.nan, 7112.0]))] == [1]


@given(
    st.lists(st.floats(7000, 7500) | st.just(math.nan), max_size=60).map(
        lambda values: np.array(values, float)
    )
)
def test_sweeps_never_share_or_invent_points(energy):
    pieces = split(energy)
    joined = np.concatenate(pieces) if pieces else np.zeros(0, int)
    assert len(set(joined.tolist())) == len(joined)
    for piece in pieces:
        assert np.isfinite(energy[piece[[0, -1]]]).all()
        np.testing.assert_array_equal(np.diff(piece), 1)


def test_grids():
    energy = np.repeat(GRID, 3)
    assert [p.tolist()[:3] for p in by_grid(energy, [200, 3])] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert by_grid(energy, [200, 3], snaking=True)[0].tolist()[:3] == [0, 5, 6]
    assert by_grid(energy, [3, 200]) == []
    assert by_grid(energy, [200]) == []
    assert by_grid(energy, [0, 0]) == []
    assert by_grid(np.tile(GRID, 3), [3, 200]) == []


# -- contrast ------------------------------------------------------------------------------------


def test_contrast_measures_a_step_in_units_of_its_noise():
    rng = np.random.default_rng(0)
    energy = np.arange(7000.0, 7250.0)
    slope = 1e-3 * (energy - 7112)
    step = np.where(energy > 7112, 1.0, 0.0)
    noise = rng.normal(0, 0.02, energy.size)
    assert contrast(energy, slope + step + noise, 7112.0) == pytest.approx(1 / 0.028, rel=0.3)
    assert contrast(energy, slope - step + noise, 7112.0) < -20
    assert abs(contrast(energy, slope + noise, 7112.0)) < 3
    assert contrast(energy[:5], step[:5], 7112.0) == 0.0
    assert contrast(energy, np.full(energy.size, np.nan), 7112.0) == 0.0


@pytest.mark.parametrize(
    "path", ["reference", "ref_foil", "holder.foil", "beamline.mirror", "calibration"]
)
def test_elements_of_what_is_not_the_sample_are_not_the_absorber(path):
    leaves = {f"{path}.element": "Cu", f"{path}.edge": "K"}
    assert metadata.element(leaves) == metadata.edge(leaves) == ""
    own = leaves | {"scan.preferred.element": "Fe", "scan.edge": "L3"}
    assert (metadata.element(own), metadata.edge(own)) == ("Fe", "L3")
