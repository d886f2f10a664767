"""Recognition: is it XAS, what is what, and whatever is wrong becomes a flag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.documents.run import Problem, ProblemKind
from xanes_live.documents.spikes import without_spikes
from xanes_live.domain import Channels, Declined, Mode, Scan
from xanes_live.reduction.channels import spectra_from_scan

E = 7112.0 + runs.GRID
VALUES = {"energy": E, **runs.readings(E)}


def found(documents, **config) -> Scan | Declined | None:
    record = assemble(documents, source="live")
    assert record is not None
    return identify(record, BeamlineConfig(**config))


def scan(documents, **config) -> Scan:
    result = found(documents, **config)
    assert isinstance(result, Scan), result
    return result


def codes(result) -> list[str]:
    return [flag.code for flag in result.flags]


def assert_channels(sweep: Channels, roles: str, energy=E, values=VALUES) -> None:
    """Compare with what was put in; `roles` like 'i0 it f0 f1'."""
    np.testing.assert_allclose(sweep.energy, energy, rtol=1e-12)
    for role in ("i0", "it", "ir"):
        column = getattr(sweep, role)
        if role in roles.split():
            np.testing.assert_allclose(column, values[role], rtol=1e-12, err_msg=role)
        else:
            assert column is None, role
    elements = [values[r] for r in roles.split() if r.startswith("f")]
    if elements:
        np.testing.assert_allclose(sweep.fluorescence, elements, rtol=1e-12)
    else:
        assert sweep.fluorescence is None


# Data keys as they are at the beamlines named; units as their descriptors give them.
FACILITIES = {
    "plain": ({"energy": "energy", "i0": "i0", "it": "it"}, {}),
    "capitals": ({"Energy": "energy", "I0": "i0", "It": "it", "Iref": "ir", "If": "f0"}, {}),
    "ISS": (
        {
            "hhm_energy": "energy",
            "apb_ave_ch1_mean": "i0",
            "apb_ave_ch2_mean": "it",
            "apb_ave_ch3_mean": "ir",
            "apb_ave_ch4_mean": "f0",
        },
        {"hhm_energy": {"units": "eV"}},
    ),
    "BMM": (
        {"dcm_energy": "energy", "I0": "i0", "It": "it", "Ir": "ir"}
        | {f"Fe{k + 1}": f"f{k}" for k in range(4)},
        {},
    ),
    "QAS": (
        {"mono1_energy": "energy", "i0": "i0", "it": "it", "ir": "ir", "iff": "f0"},
        {"mono1_energy": {"units": "eV"}},
    ),
    "TES": ({"mono_energy": "energy", "sclr_i0": "i0", "xs_channel1_rois_roi01_value": "f0"}, {}),
    "SST": (
        {"en_energy": "energy", "nexafs_i0up": "i0", "nexafs_ref": "ir", "nexafs_pey": "f0"},
        {},
    ),
    "SRX": (
        {"energy_energy": "energy", "sclr_i0": "i0", "sclr_it": "it"}
        | {f"xs_channel{k + 1}_rois_roi01_value": f"f{k}" for k in range(4)},
        {"energy_energy": {"units": "keV", "_scale": 1e-3}},
    ),
    "APS": ({"mono_energy": "energy", "scaler1_I0": "i0", "scaler1_It": "it", "Iref": "ir"}, {}),
    "APS chambers": (
        {"energy": "energy", "ion_chamber_0": "i0", "ion_chamber_1": "it", "ion_chamber_2": "ir"},
        {},
    ),
    "Diamond ophyd-async": (
        {"dcm-energy_in_keV": "energy", "i0": "i0", "it": "it", "iref": "ir"},
        {"dcm-energy_in_keV": {"units": "keV", "_scale": 1e-3}},
    ),
    "Diamond GDA": (
        {"qexafs_energy": "energy", "I0": "i0", "It": "it", "Iref": "ir", "FF": "f0"},
        {},
    ),
    "SOLEIL": ({"energydcm": "energy", "I0": "i0", "I1": "it", "I2": "ir"}, {}),
    "ESRF": ({"ene": "energy", "I0": "i0", "I1": "it", "I2": "ir", "IF": "f0"}, {}),
    "ESRF keV": ({"ene": "energy", "mon": "i0", "trans": "it"}, {"ene": {"_scale": 1e-3}}),
    "ALS": ({"Mono Energy": "energy", "I0": "i0", "I1": "it"}, {}),
    "CLS": ({"Energy": "energy", "I0Detector": "i0", "I1Detector": "it"}, {}),
    "XDI": ({"energy": "energy", "i0": "i0", "itrans": "it", "irefer": "ir"}, {}),
    "chambers from 1": ({"energy": "energy", "ic1": "i0", "ic2": "it", "ic3": "ir"}, {}),
    "words": (
        {"photon_energy": "energy", "upstream_monitor": "i0", "downstream_diode": "it"},
        {},
    ),
    "ophyd-async": (
        {"mono-energy": "energy", "panda1-i0": "i0", "xsp3-sums": "f0"},
        {"mono-energy": {"units": "eV"}},
    ),
    "no energy in its name": ({"mono_en": "energy", "incident": "i0", "transmitted": "it"}, {}),
}


@pytest.mark.parametrize("facility", FACILITIES)
def test_names_of_many_facilities(facility):
    names, keys = FACILITIES[facility]
    columns = {k: VALUES[role] * keys.get(k, {}).get("_scale", 1.0) for k, role in names.items()}
    keys = {k: {n: v for n, v in d.items() if n != "_scale"} for k, d in keys.items()}
    result = scan(runs.documents(columns, runs.FE, keys=keys))
    assert (result.element, result.edge, result.flags) == ("Fe", "K", ())
    assert_channels(result.sweeps[0], " ".join(names.values()))


@pytest.mark.parametrize("facility", FACILITIES)
def test_settings_and_positions_beside_them_do_not_disturb(facility):
    names, keys = FACILITIES[facility]
    columns = {k: VALUES[role] * keys.get(k, {}).get("_scale", 1.0) for k, role in names.items()}
    n = len(E)
    clutter = {
        "i0_gain": np.full(n, 1e8),
        "it_offset": np.full(n, 12.0),
        "sample_x": np.linspace(0, 1, n),
        "exposure_time": np.full(n, 0.5),
        "ring_current": np.linspace(400, 399, n),
        "ring_energy": np.full(n, 3.0),
        "energy_setpoint": columns[next(iter(columns))] * 1.0001,
        "undulator_gap": np.linspace(6, 7, n),
        "i0_dark": np.full(n, 3.0),
        "xs_channel1_deadtime": np.linspace(0, 1, n),
        "time_stamp": np.arange(n) * 1.0,
    }
    keys = {k: {n: v for n, v in d.items() if n != "_scale"} for k, d in keys.items()}
    result = scan(runs.documents({**clutter, **columns}, runs.FE, keys=keys))
    assert_channels(result.sweeps[0], " ".join(names.values()))


METADATA = {
    "flat": {"element": "Fe", "edge": "K"},
    "xdi nested": {"XDI": {"Element": {"symbol": "Fe", "edge": "K"}}},
    "xdi dotted": {"Element.symbol": "Fe", "Element.edge": "K"},
    "scan": {"scan": {"element": "fe", "edge": "k"}},
    "one word": {"edge": "Fe K"},
    "dash": {"absorption_edge": "Fe-K"},
    "number": {"element": 26, "edge": "K-edge"},
    "name": {"element": "Iron", "edge": "K"},
    "element only": {"element": "Fe"},
    "edge only": {"edge": "K"},
    "nothing": {},
    "useless": {"element": "unknown", "edge": float("nan"), "symbol": {"edge": []}},
}


@pytest.mark.parametrize("how", METADATA)
@pytest.mark.parametrize("plan", ["xas_scan", "rel_list_scan", "scan"])
def test_element_and_edge(how, plan):
    result = scan(runs.xas(runs.PLAIN, {"plan_name": plan, **METADATA[how]}))
    assert (result.element, result.edge) == ("Fe", "K")


@pytest.mark.parametrize(
    ("e0", "element", "edge"),
    [
        *((4966, "Ti", "K"), (5989, "Cr", "K"), (6539, "Mn", "K"), (7709, "Co", "K")),
        *((8333, "Ni", "K"), (8979, "Cu", "K"), (9659, "Zn", "K"), (11564, "Pt", "L3")),
        (20000, "Mo", "K"),
    ],
)
def test_the_edge_is_recognised_where_nothing_names_it(e0, element, edge):
    result = scan(runs.xas(runs.PLAIN, {}, e0=float(e0)))
    assert (result.element, result.edge) == (element, edge)


def test_the_announced_edge_is_not_corrected_here():
    result = scan(runs.xas(runs.PLAIN, {"element": "Fe", "edge": "K"}, e0=6539.0))
    assert (result.element, result.edge) == ("Fe", "K")


def test_configured_element_is_for_runs_that_do_not_say():
    assert scan(runs.xas(runs.PLAIN), element="Co", edge="K").element == "Co"
    assert scan(runs.xas(runs.PLAIN, runs.FE), element="Co", edge="K").element == "Fe"


NOT_XAS = {
    "motor scan": {"sample_x": np.linspace(-5, 5, 41), "i0": np.ones(41), "it": np.ones(41)},
    "motor scan over thousands": {"stage_y": np.linspace(6900, 7500, 60), "i0": np.ones(60)},
    "count": {"i0": np.ones(20), "it": np.ones(20)},
    "energy at rest": {
        "dcm_pitch": np.linspace(-1, 1, 50),
        "energy": 7112 + np.random.default_rng(0).normal(0, 0.2, 50),
        "i0": np.ones(50),
        "it": np.ones(50),
    },
    "mono tuning": {"energy": np.linspace(7300, 7312, 30), "i0": np.ones(30), "it": np.ones(30)},
    "flux curve": {"energy": np.linspace(5000, 20000, 300), "i0": np.ones(300), "it": np.ones(300)},
    "no detector": {"energy": E},
    "temperature": {"temperature": np.linspace(300, 400, 30), "i0": np.ones(30)},
    "emission": {
        "emission_energy": np.linspace(6380, 6420, 60),
        "i0": np.ones(60),
        "if": np.ones(60),
    },
    "one point": {"energy": E[:1], "i0": np.ones(1), "it": np.ones(1)},
}


@pytest.mark.parametrize("kind", NOT_XAS)
@pytest.mark.parametrize("config", [{}, {"i0": "i0", "it": "it"}])
def test_other_runs_are_ignored(kind, config):
    assert found(runs.documents(NOT_XAS[kind], {"plan_name": "scan"}), **config) is None


@pytest.mark.parametrize("kind", ["motor scan", "count", "energy at rest", "temperature"])
def test_other_runs_are_ignored_though_the_metadata_keep_element_and_edge(kind):
    start = {"plan_name": "rel_scan", "element": "Fe", "edge": "K", "motors": ["sample_x"]}
    assert found(runs.documents(NOT_XAS[kind], start)) is None


def test_only_configured_plans():
    assert found(runs.xas(runs.PLAIN, {**runs.FE, "plan_name": "other"}), plans=("xafs",)) is None
    assert scan(runs.xas(runs.PLAIN, {**runs.FE, "plan_name": "xafs"}), plans=("xafs",))


def test_an_empty_run_is_ignored():
    assert found(runs.documents({"x": []})) is None


@pytest.mark.parametrize("unit", ["keV", "kev", "", "eV"])
def test_kilo_electron_volts_by_unit_or_size(unit):
    columns = {"energy": E / 1e3, "i0": VALUES["i0"], "it": VALUES["it"]}
    keys = {"energy": {"units": unit}} if unit else {}
    assert_channels(scan(runs.documents(columns, runs.FE, keys=keys)).sweeps[0], "i0 it")


def test_a_wrong_unit_is_not_believed():
    columns = {"energy": E, "i0": VALUES["i0"], "it": VALUES["it"]}
    documents = runs.documents(columns, runs.FE, keys={"energy": {"units": "keV"}})
    assert_channels(scan(documents).sweeps[0], "i0 it")


HC = 12398.41984
ANGLES = np.degrees(np.arcsin(HC / (2 * 3.1356 * E)))


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("deg", 1.0),
        ("degrees", 1.0),
        ("rad", np.pi / 180),
        ("mdeg", 1e3),
        ("", 1.0),
        ("", np.pi / 180),
    ],
)
@pytest.mark.parametrize("spacing", ["config", "start", "crystal", "configuration"])
def test_bragg_angles(unit, factor, spacing):
    columns = {"mono_bragg": ANGLES * factor, "i0": VALUES["i0"], "it": VALUES["it"]}
    start = dict(runs.FE)
    if spacing == "start":
        start["mono"] = {"d_spacing": 3.1356}
    if spacing == "crystal":
        start["mono"] = {"name": "Si(111)"}
    documents = runs.documents(columns, start, keys={"mono_bragg": {"units": unit}})
    if spacing == "configuration":
        documents[1][1]["configuration"] = {"mono": {"data": {"mono_d_spacing": 3.1356}}}
    config = {"d_spacing": 3.1356} if spacing == "config" else {}
    assert_channels(scan(documents, **config).sweeps[0], "i0 it")


def test_an_angle_without_spacing_is_declined_with_the_reason():
    columns = {"bragg": ANGLES, "i0": VALUES["i0"], "it": VALUES["it"]}
    result = found(runs.documents(columns, runs.FE, keys={"bragg": {"units": "deg"}}))
    assert isinstance(result, Declined)
    assert "lattice spacing" in result.flag.message


def test_an_energy_is_preferred_to_an_angle():
    columns = {"bragg": ANGLES, "energy": E + 1.0, "i0": VALUES["i0"], "it": VALUES["it"]}
    documents = runs.documents(columns, runs.FE, keys={"bragg": {"units": "deg"}})
    np.testing.assert_array_equal(scan(documents, d_spacing=3.1356).sweeps[0].energy, E + 1.0)


def test_the_unit_of_a_motor_record_nobody_set_does_not_hide_an_energy():
    columns = {"energy": E, "energy_gap": E / 1e3, "i0": VALUES["i0"], "it": VALUES["it"]}
    millimetres = {key: {"units": "mm"} for key in ("energy", "energy_gap")}
    documents = runs.documents(columns, runs.FE, keys=millimetres)
    assert_channels(scan(documents).sweeps[0], "i0 it")


def test_millimetres_that_cross_no_edge_are_no_energy():
    columns = {"energy_jack": E - 7000, "i0": VALUES["i0"], "it": VALUES["it"]}
    result = found(runs.documents(columns, runs.FE, keys={"energy_jack": {"units": "mm"}}))
    assert isinstance(result, Declined)


@pytest.mark.parametrize("config", [{}, {"energy": "energy", "energy_units": "eV"}])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("start", [{}, runs.FE])
def test_energies_that_were_not_read_do_not_cut_the_scan_up(bad, start, config):
    energy = np.where(np.arange(E.size) % 17 == 5, bad, E)
    columns = {"energy": energy, "i0": VALUES["i0"], "it": VALUES["it"]}
    (sweep,) = scan(runs.documents(columns, start), **config).sweeps
    known = np.isfinite(sweep.energy)
    np.testing.assert_array_equal(sweep.energy[known], E[energy == E])
    np.testing.assert_array_equal(sweep.i0[known], VALUES["i0"][energy == E])


SPIKES = {
    "one": {20: 9999.0},
    "one below": {20: 5000.0},
    "two": {20: 5000.0, 90: 9999.0},
    "several in a row": {60: 5000.0, 61: 5000.1, 62: 9999.0},
    "inside the range": {20: 7200.0, 120: 7000.0},
    "close together": {70: 9999.0, 72: 5000.0, 75: 5000.0},
    "coarse part": {170: 9999.0},
    "first": {0: 5000.0},
    "last": {-1: 9999.0},
}


@pytest.mark.parametrize("where", SPIKES)
@pytest.mark.parametrize("key", ["energy", "e_mono", "configured"])
@pytest.mark.parametrize("way", [1, -1])
def test_energies_that_jump_out_of_the_scan_and_come_back_are_unknown(where, key, way):
    energy = E[::way].copy()
    for index, value in SPIKES[where].items():
        energy[index] = value
    columns = {key: energy, "i0": VALUES["i0"][::way], "it": VALUES["it"][::way]}
    config = {"energy": key, "energy_units": "eV"} if key == "configured" else {}
    (sweep,) = scan(runs.documents(columns, runs.FE), **config).sweeps
    good = energy == E[::way]
    np.testing.assert_array_equal(sweep.energy[np.isfinite(sweep.energy)], E[::way][good])
    np.testing.assert_array_equal(sweep.it[np.isfinite(sweep.energy)], columns["it"][good])


def test_spikes_are_counted_among_the_points_dropped():
    energy = E.copy()
    energy[[20, 90]] = 5000.0, 9999.0
    columns = {"energy": energy, "i0": VALUES["i0"], "it": VALUES["it"]}
    result = scan(runs.documents(columns, runs.FE))
    (spectrum,) = spectra_from_scan(result, BeamlineConfig(), ReductionConfig())
    assert "2 points dropped (no valid energy)" in [flag.message for flag in spectrum.flags]


NO_SPIKES = {
    "step scan": E,
    "jitter": E + np.random.default_rng(0).normal(0, 0.5, len(E)),
    "back and forth": np.concatenate([np.linspace(7050, 7250, 9), np.linspace(7250, 7050, 9)[1:]]),
    "saw-tooth": np.tile(np.linspace(7050, 7250, 30), 4),
    "saw-tooth with fly-back": np.tile([*np.linspace(7050, 7250, 30), 7180.0, 7110.0], 4),
    "no order": np.random.default_rng(0).permutation(np.linspace(7050, 7250, 60)),
    "two in turn": np.tile([7100.0, 7130.0], 20),
    "hopping": np.concatenate([np.full(50, 7000.0), [7130.0], np.full(50, 7000.0)]),
    "dwelling": np.repeat(np.arange(7000.0, 7300, 25), 5),
    "few": np.array([7000.0, 7100.0, 9999.0, 7200.0]),
}


@pytest.mark.parametrize("kind", NO_SPIKES)
def test_other_ways_of_moving_the_energy_are_no_spikes(kind):
    energy = NO_SPIKES[kind]
    np.testing.assert_array_equal(without_spikes(energy), energy)
    np.testing.assert_array_equal(without_spikes(np.stack([energy, energy])), [energy, energy])


def test_configured_angle():
    columns = {"axis7": ANGLES, "a": VALUES["i0"], "b": VALUES["it"]}
    config = {"energy": "axis7", "energy_units": "deg", "d_spacing": 3.1356, "i0": "a", "it": "b"}
    assert_channels(scan(runs.documents(columns, runs.FE), **config).sweeps[0], "i0 it")


def test_readback_is_preferred_to_setpoint():
    columns = {"mono_setpoint": E, "mono": E + 0.1, "i0": VALUES["i0"], "it": VALUES["it"]}
    documents = runs.documents(
        columns, {**runs.FE, "motors": ["mono"]}, object_keys={"mono": ["mono", "mono_setpoint"]}
    )
    np.testing.assert_array_equal(scan(documents).sweeps[0].energy, E + 0.1)


def test_an_axis_without_a_telling_name_over_the_announced_edge():
    columns = {"motor": E, "det1": VALUES["i0"], "det2": VALUES["it"]}
    start = {**runs.FE, "motors": ["motor"], "hints": {"dimensions": [(["motor"], "primary")]}}
    result = scan(runs.documents(columns, start))
    assert_channels(result.sweeps[0], "i0 it")
    assert codes(result) == ["channels_guessed"]
    assert "I0 = det1" in result.flags[0].message


@pytest.mark.parametrize("unit", ["keV", "eV", ""])
@pytest.mark.parametrize("said", ["motors", "hints"])
@pytest.mark.parametrize("plan", ["scan", "xas_scan"])
def test_the_beam_energy_is_the_energy_where_it_is_scanned(unit, said, plan):
    columns = {"beam_energy": E if unit == "eV" else E / 1e3, "i0": VALUES["i0"]}
    columns["it"] = VALUES["it"]
    scanned = {
        "motors": {"motors": ["beam_energy"]},
        "hints": {"hints": {"dimensions": [(["beam_energy"], "primary")]}},
    }
    keys = {"beam_energy": {"units": unit}} if unit else {}
    start = {**runs.FE, "plan_name": plan, **scanned[said]}
    assert_channels(scan(runs.documents(columns, start, keys=keys)).sweeps[0], "i0 it")


@pytest.mark.parametrize("unit", ["keV", "eV", ""])
def test_the_energy_of_something_else_is_none_though_it_is_scanned(unit):
    columns = {"emission_energy": E if unit == "eV" else E / 1e3, "i0": VALUES["i0"]}
    columns["it"] = VALUES["it"]
    keys = {"emission_energy": {"units": unit}} if unit else {}
    start = {**runs.FE, "plan_name": "scan", "motors": ["emission_energy"]}
    assert found(runs.documents(columns, start, keys=keys)) is None


def test_the_beam_energy_is_the_storage_rings_where_it_is_not_scanned():
    columns = {"beam_energy": E + 9, "energy": E, "i0": VALUES["i0"], "it": VALUES["it"]}
    start = {**runs.FE, "motors": ["energy"]}
    keys = {"beam_energy": {"units": "eV"}}
    assert_channels(scan(runs.documents(columns, start, keys=keys)).sweeps[0], "i0 it")


UNNAMED = {
    "edge announced": runs.FE,
    "plan alone": {"plan_name": "xas_scan"},
    "element alone": {"plan_name": "xas_scan", "element": "Fe"},
    "another plan": {**runs.FE, "plan_name": "fly"},
}


@pytest.mark.parametrize("start", UNNAMED)
@pytest.mark.parametrize("key", ["e_mono", "vmono", "a"])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
@pytest.mark.parametrize("way", [1, -1])
def test_an_energy_without_a_telling_name_is_recognised_by_its_values(start, key, scale, way):
    columns = {"aux": np.linspace(1, 2, len(E)), key: E * scale, "i0": VALUES["i0"]}
    columns["it"] = VALUES["it"]
    documents = runs.documents({k: c[::way] for k, c in columns.items()}, UNNAMED[start])
    result = scan(documents)
    np.testing.assert_allclose(result.sweeps[0].energy, E[::way], rtol=1e-12)
    np.testing.assert_allclose(result.sweeps[0].it, VALUES["it"][::way])
    assert (result.element, result.edge) == ("Fe", "K")
    assert codes(result) == ["channels_guessed"]
    assert f"energy = {key}" in result.flags[0].message


@pytest.mark.parametrize("arrays", [True, False])
def test_an_energy_without_a_telling_name_that_is_swept_back_and_forth(arrays):
    energies = sweep_values(4, back=True)
    values = [runs.readings(e) for e in energies]
    columns = {"vmono": energies} | {k: [v[k] for v in values] for k in ("i0", "it")}
    if not arrays:
        columns = {k: np.concatenate(v) for k, v in columns.items()}
    assert len(scan(runs.documents(columns, runs.FE)).sweeps) == 4


def test_of_two_energies_without_a_telling_name_the_one_reached_is_taken():
    columns = {"e_mono_set": E, "e_mono": E + 0.1, "i0": VALUES["i0"], "it": VALUES["it"]}
    np.testing.assert_array_equal(scan(runs.documents(columns, runs.FE)).sweeps[0].energy, E + 0.1)


NO_ENERGY = {
    "emission": {"emission_energy": np.linspace(7050, 7150, 60), "energy": np.full(60, 7300.0)},
    "spectrometer": {"xes_en": np.linspace(7050, 7150, 60)},
    "fixed incident energy": {"vspec": np.linspace(7050, 7150, 60), "energy": np.full(60, 7300.0)},
    "stage": {"stage_y": np.linspace(6900, 7500, 60)},
    "clock": {"elapsed": np.linspace(0, 60, 60)},
    "gap": {"ivu": np.linspace(6.9, 7.3, 60)},
    "delay": {"delay": np.linspace(6900, 7500, 60)},
    "noise": {"alpha": np.random.default_rng(0).normal(7112, 30, 60)},
}


@pytest.mark.parametrize("kind", NO_ENERGY)
@pytest.mark.parametrize("motor", [True, False])
def test_what_crosses_the_edge_by_chance_is_no_energy(kind, motor):
    rng = np.random.default_rng(1)
    detectors = {"i0": rng.normal(1e5, 50, 60), "if": rng.normal(1e4, 30, 60)}
    moving = next(iter(NO_ENERGY[kind]))
    start = {**runs.FE, "plan_name": "scan", **({"motors": [f"{moving}_m"]} if motor else {})}
    assert found(runs.documents({**NO_ENERGY[kind], **detectors}, start)) is None


@pytest.mark.parametrize("signal", ["it", "f0"])
@pytest.mark.parametrize("order", [1, -1])
def test_channels_without_telling_names_are_recognised_by_their_data(signal, order):
    columns = {"alpha": VALUES["i0"], "beta": VALUES[signal], "gamma": np.linspace(1, 2, len(E))}
    shuffled = {k: columns[k] for k in sorted(columns)[::order]}
    result = scan(runs.documents({"energy": E, **shuffled}, runs.FE))
    assert_channels(result.sweeps[0], f"i0 {signal}")
    assert codes(result) == ["channels_guessed"]


def test_unknown_names_where_nothing_is_announced():
    columns = {"energy": E, "alpha": VALUES["i0"], "beta": VALUES["it"]}
    result = scan(runs.documents(columns, {"plan_name": "list_scan"}))
    assert_channels(result.sweeps[0], "i0 it")
    assert (result.element, result.edge) == ("Fe", "K")
    rng = np.random.default_rng(0)
    noise = {"energy": E, "alpha": rng.normal(9, 1, len(E)), "beta": np.geomspace(1, 2, len(E))}
    assert found(runs.documents(noise, {"plan_name": "list_scan"})) is None


def test_unknown_names_without_an_edge_in_the_data_are_declined():
    rng = np.random.default_rng(1)
    columns = {"energy": E, "alpha": rng.normal(5, 1, len(E)), "beta": rng.normal(5, 1, len(E))}
    result = found(runs.documents(columns, runs.FE))
    assert isinstance(result, Declined)
    assert result.flag.code == "channels_unknown"
    assert "alpha" in result.flag.message


def test_the_configuration_wins_over_names():
    columns = {"energy": E + 5, "real_axis": E, "i0": VALUES["it"], "it": VALUES["i0"]}
    documents = runs.documents(columns, runs.FE)
    result = scan(documents, energy="real_axis", i0="it", it="i0")
    assert_channels(result.sweeps[0], "i0 it")


def test_a_configured_key_that_is_missing_is_named():
    result = found(runs.xas(runs.PLAIN, runs.FE), i0="keithley")
    assert isinstance(result, Declined)
    assert "keithley" in result.flag.message
    result = found(runs.xas(runs.PLAIN, runs.FE), energy="hhm")
    assert isinstance(result, Declined)
    assert "hhm" in result.flag.message
    assert found(runs.documents(NOT_XAS["motor scan"]), energy="hhm") is None


def test_configured_fluorescence_keys_and_mode():
    columns = {"energy": E, "i0": VALUES["i0"], "a": VALUES["f2"], "b": VALUES["f0"]}
    result = scan(runs.documents(columns, runs.FE), fluorescence=("a", "b"), mode="fluorescence")
    assert_channels(result.sweeps[0], "i0 f2 f0")
    assert result.mode is Mode.FLUORESCENCE


def test_one_array_key_is_all_elements_of_a_detector():
    fluorescence = np.array([VALUES[f"f{k}"] for k in range(4)]).T
    columns = {"energy": E, "i0": VALUES["i0"], "vortex": fluorescence}
    assert_channels(scan(runs.documents(columns, runs.FE)).sweeps[0], "i0 f0 f1 f2 f3")


def test_regions_of_interest_are_not_taken_for_elements():
    columns = {"energy": E, "i0": VALUES["i0"]}
    for k in range(4):
        for roi in (1, 2):
            columns[f"xs_channel{k + 1}_rois_roi0{roi}_value"] = VALUES[f"f{k}"] * (2 - roi + 1e-3)
    sweep = scan(runs.documents(columns, runs.FE)).sweeps[0]
    assert sweep.fluorescence.shape == (4, len(E))
    np.testing.assert_allclose(sweep.fluorescence[2], VALUES["f2"] * (1 + 1e-3))


def test_of_two_detectors_the_one_that_shows_the_edge_is_taken():
    rng = np.random.default_rng(0)
    columns = {"energy": E, "i0": VALUES["i0"], "iff": rng.normal(100, 1, len(E))}
    columns |= {f"sdd{k}": VALUES[f"f{k}"] for k in range(4)}
    assert_channels(scan(runs.documents(columns, runs.FE)).sweeps[0], "i0 f0 f1 f2 f3")


def test_a_detectors_own_spectra_are_not_used():
    columns = {
        "energy": E,
        "i0": VALUES["i0"],
        "it": VALUES["it"],
        "xs_mca": np.ones((len(E), 4096)),
    }
    assert_channels(scan(runs.documents(columns, runs.FE)).sweeps[0], "i0 it")


def test_ready_made_absorption_is_used_only_without_channels():
    columns = {"energy": E, "xmu": np.log(VALUES["i0"] / VALUES["it"])}
    sweep = scan(runs.documents(columns, runs.FE)).sweeps[0]
    np.testing.assert_array_equal(sweep.mu, columns["xmu"])
    assert sweep.i0 is None
    both = runs.documents({**columns, "i0": VALUES["i0"], "it": VALUES["it"]}, runs.FE)
    assert scan(both).sweeps[0].mu is None


def sweep_values(n_sweeps: int, back: bool):
    up = np.linspace(7050, 7250, 120)
    return [up[::-1] if back and k % 2 else up for k in range(n_sweeps)]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("form", ["array events", "one array", "scalar events", "pages"])
def test_many_sweeps_in_one_run(back, form):
    energies = sweep_values(5, back)
    values = [runs.readings(e, seed=k) for k, e in enumerate(energies)]
    columns = {"energy": energies, "i0": [v["i0"] for v in values], "it": [v["it"] for v in values]}
    if form == "one array":
        columns = {k: [np.concatenate(v)] for k, v in columns.items()}
    elif form != "array events":
        columns = {k: np.concatenate(v) for k, v in columns.items()}
    result = scan(runs.documents(columns, runs.FE, pages=3 if form == "pages" else 0))
    assert len(result.sweeps) == 5
    for sweep, energy, value in zip(result.sweeps, energies, values, strict=True):
        # where the axis turns, two sweeps share a point
        assert abs(len(sweep.energy) - len(energy)) <= 1
        inside = np.isin(energy, sweep.energy)
        np.testing.assert_array_equal(sweep.energy[np.isin(sweep.energy, energy)][1:-1],
                                      energy[inside][1:-1])  # fmt: skip
        mu, true = np.log(sweep.i0 / sweep.it), np.log(value["i0"] / value["it"])
        assert np.abs(mu[2:-2] - np.interp(sweep.energy, *_up(energy, true))[2:-2]).max() < 1e-9


def _up(energy, values):
    order = np.argsort(energy)
    return energy[order], values[order]


def test_sweeps_of_unequal_length():
    energies = [e[: 120 - 7 * k] for k, e in enumerate(sweep_values(4, back=False))]
    values = [runs.readings(e) for e in energies]
    columns = {"energy": energies, "i0": [v["i0"] for v in values], "it": [v["it"] for v in values]}
    result = scan(runs.documents(columns, runs.FE))
    assert [len(s.energy) for s in result.sweeps] == [120, 113, 106, 99]
    np.testing.assert_array_equal(result.sweeps[2].it, values[2]["it"])


@pytest.mark.parametrize("role", ["i0", "it"])
@pytest.mark.parametrize("off", [-12, -3, -1, 1, 3, 12])
@pytest.mark.parametrize("n_sweeps", [1, 3])
def test_arrays_a_few_samples_shorter_or_longer_are_cut(role, off, n_sweeps):
    energy = np.linspace(7050, 7250, 500)
    values = runs.readings(np.linspace(7050, 7250 + 12 * 0.4, 520))
    lengths = {"energy": 500, "i0": 500, "it": 500, role: 500 + off}
    columns = {k: [{**values, "energy": energy}[k][:n]] * n_sweeps for k, n in lengths.items()}
    result = scan(runs.documents(columns, runs.FE))
    n = min(lengths.values())
    assert len(result.sweeps) == n_sweeps
    for sweep in result.sweeps:
        np.testing.assert_array_equal(sweep.energy, energy[:n])
        np.testing.assert_array_equal(sweep.i0, values["i0"][:n])
        np.testing.assert_array_equal(sweep.it, values["it"][:n])
    assert codes(result) == ["points_dropped"]
    count = abs(off) * n_sweeps
    points = "1 point" if count == 1 else f"{count} points"
    assert result.flags[0].message == f"{points} dropped (channels of different length)"


@pytest.mark.parametrize("axis", [0, 1])
def test_the_elements_of_a_detector_that_stopped_early_are_cut(axis):
    energy, values = np.linspace(7050, 7250, 500), runs.readings(np.linspace(7050, 7250, 500))
    elements = np.stack([values[f"f{k}"][:490] for k in range(4)], axis=axis)
    columns = {"energy": [energy], "i0": [values["i0"]], "sdd": [elements]}
    (sweep,) = scan(runs.documents(columns, runs.FE)).sweeps
    assert sweep.fluorescence.shape == (4, 490)
    np.testing.assert_array_equal(sweep.fluorescence[2], values["f2"][:490])
    assert len(sweep.energy) == len(sweep.i0) == 490


def test_arrays_of_quite_another_length_are_not_of_the_scan():
    energy, values = np.linspace(7050, 7250, 500), runs.readings(np.linspace(7050, 7250, 500))
    columns = {"energy": [energy], "i0": [values["i0"][:450]], "it": [values["it"]]}
    result = found(runs.documents(columns, runs.FE))
    assert isinstance(result, Declined)
    assert "no I0" in result.flag.message


def test_a_spectrum_nearly_as_long_as_the_scan_does_not_replace_a_channel():
    energy, values = np.linspace(7050, 7250, 500), runs.readings(np.linspace(7050, 7250, 500))
    columns = {"energy": [energy], "i0": [values["i0"]], "it": [values["it"]]}
    columns["sdd_mca"] = [np.ones(512)]
    (sweep,) = scan(runs.documents(columns, runs.FE)).sweeps
    assert sweep.fluorescence is None
    assert len(sweep.energy) == 500


@pytest.mark.parametrize("axis", [1, 2])
def test_array_events_of_a_detector_of_many_elements(axis):
    energies = sweep_values(3, back=False)
    values = [runs.readings(e) for e in energies]
    elements = [np.stack([v[f"f{k}"] for k in range(4)], axis=axis - 1) for v in values]
    columns = {"energy": energies, "i0": [v["i0"] for v in values], "sdd": elements}
    result = scan(runs.documents(columns, runs.FE))
    assert len(result.sweeps) == 3
    assert_channels(result.sweeps[1], "i0 f0 f1 f2 f3", energies[1], values[1])


def test_readback_jitter_is_no_turn():
    rng = np.random.default_rng(0)
    columns = {**VALUES, "energy": E + rng.normal(0, 0.3, len(E))}
    result = scan(runs.documents({k: columns[k] for k in ("energy", "i0", "it")}, runs.FE))
    assert len(result.sweeps) == 1
    assert len(result.sweeps[0].energy) == len(E)


def test_downward_scans_stay_as_they_were_taken():
    result = scan(runs.xas(runs.PLAIN, runs.FE, energy=E[::-1]))
    np.testing.assert_array_equal(result.sweeps[0].energy, E[::-1])


@pytest.mark.parametrize("snaking", [False, True])
def test_a_grid_with_the_energy_as_slow_axis_is_one_spectrum_a_place(snaking):
    energy, places = E[::2], 3
    values = [runs.readings(energy, seed=k) for k in range(places)]
    rows = []
    for i in range(len(energy)):
        line = range(places)[:: -1 if snaking and i % 2 else 1]
        rows += [(energy[i], values[k]["i0"][i], values[k]["it"][i], float(k)) for k in line]
    columns = dict(zip(("energy", "i0", "it", "sample_x"), np.array(rows).T, strict=True))
    start = {**runs.FE, "shape": [len(energy), places], "snaking": [False, snaking]}
    result = scan(runs.documents(columns, start))
    assert len(result.sweeps) == places
    assert_channels(result.sweeps[1], "i0 it", energy, values[1])
    assert result.places


@pytest.mark.parametrize("motors", [["sample_x", "energy"], ["energy"]])
def test_only_lines_of_a_map_are_places_and_the_same_scan_again_is_a_repeat(motors):
    columns = {"energy": np.tile(E, 3), **{k: np.tile(VALUES[k], 3) for k in ("i0", "it")}}
    shape = [3, len(E)][-len(motors) :]
    result = scan(runs.documents(columns, {**runs.FE, "shape": shape, "motors": motors}))
    assert len(result.sweeps) == 3
    assert result.places == (len(motors) == 2)


def test_waveforms_of_a_chamber_are_averaged():
    wave = np.repeat(VALUES["i0"][:, None], 10, axis=1)
    columns = {"energy": E, "i0": wave, "it": VALUES["it"]}
    assert_channels(scan(runs.documents(columns, runs.FE)).sweeps[0], "i0 it")


def test_the_stream_with_the_spectra_is_chosen():
    baseline = ("baseline", {"energy": [7000.0, 7400.0], "i0": [1.0, 2.0], "it": [1.0, 2.0]})
    other = ("monitor_i0", {"i0": np.ones(50)})
    documents = runs.xas(runs.PLAIN, runs.FE, before=[baseline, other], stream="fly")
    assert_channels(scan(documents).sweeps[0], "i0 it")


def test_the_configured_stream_wins():
    second = {"energy": E + 50, "i0": VALUES["i0"], "it": VALUES["it"]}
    documents = runs.xas(runs.PLAIN, runs.FE, before=[("second", second)])
    assert scan(documents).sweeps[0].energy[0] == E[0]
    assert scan(documents, stream="second").sweeps[0].energy[0] == E[0] + 50


def test_darks_from_a_stream_the_metadata_and_the_configuration():
    dark = ("dark", {"i0": [10.0, 20.0], "it": [1.0, 3.0]})
    documents = runs.xas(runs.PLAIN, {**runs.FE, "dark": {"it": 9.0, "ir": 4.0}}, before=[dark])
    assert dict(scan(documents).dark) == {"i0": 15.0, "it": 2.0}
    assert dict(scan(documents, dark={"i0": 1.5}).dark) == {"i0": 1.5, "it": 2.0}
    documents = runs.xas(runs.PLAIN, {**runs.FE, "dark": {"it": 9.0}, "i0_dark": 7.0})
    assert dict(scan(documents).dark) == {"i0": 7.0, "it": 9.0}


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ({"sample": "FeO"}, "FeO"),
        ({"sample": {"name": "FeO", "prep": "tape"}}, "FeO"),
        ({"sample_name": " Fe O\n"}, "Fe O"),
        ({"sample": None, "sample_id": 17}, "17"),
        ({"sample": float("nan"), "name": "x"}, "x"),
        ({"XDI": {"Sample": {"name": "goethite"}}}, "goethite"),
        ({"sample": ["a"]}, ""),
        ({}, ""),
    ],
)
def test_sample_names(start, name):
    assert scan(runs.xas(runs.PLAIN, {**runs.FE, **start})).sample == name


def test_sample_keys_of_the_configuration():
    start = {**runs.FE, "user": {"vial": "B7"}, "sample": "no"}
    assert scan(runs.xas(runs.PLAIN, start), sample_keys=("user.vial",)).sample == "B7"


def test_what_else_is_carried_along():
    start = {**runs.FE, "scan_id": 42, "mode": "Fluorescence yield", "e0": 7.1128, "time": 5.0}
    documents = runs.xas(runs.PLAIN, {**start, "odd": {1, 2}})
    result = scan(documents)
    assert (result.scan_id, result.mode, result.e0_announced) == (42, Mode.FLUORESCENCE, 7112.8)
    assert (result.plan_name, result.source) == ("xas_scan", "live")
    assert result.stop_time == documents[-1][1]["time"]
    assert result.uid == documents[0][1]["uid"]
    assert result.exit_status == "success"
    assert result.metadata["element"] == "Fe"


def test_an_aborted_run_is_flagged_and_read():
    documents = runs.xas(runs.PLAIN, runs.FE, energy=E[:40], exit_status="abort")
    result = scan(documents)
    assert codes(result) == ["scan_aborted"]
    assert "40 points" in result.flags[0].message
    assert result.exit_status == "abort"


def test_a_failed_run_says_why():
    documents = runs.xas(runs.PLAIN, runs.FE, exit_status="fail", reason="shutter\nstuck")
    result = scan(documents)
    assert codes(result) == ["scan_failed"]
    assert "shutter stuck" in result.flags[0].message


def test_a_run_without_stop():
    result = scan(runs.xas(runs.PLAIN, runs.FE)[:-1])
    assert codes(result) == ["no_stop"]
    assert result.exit_status == ""


def test_lost_events_are_flagged():
    documents = runs.xas(runs.PLAIN, runs.FE)
    result = scan([*documents[:50], *documents[53:]])
    assert codes(result) == ["data_missing"]
    assert f"3 of {len(E)}" in result.flags[0].message


def test_lost_events_of_another_stream_are_no_matter():
    baseline = ("baseline", {"t": np.arange(3.0)})
    documents = runs.xas(runs.PLAIN, runs.FE, before=[baseline])
    assert scan([d for i, d in enumerate(documents) if i != 3]).flags == ()


def test_a_run_aborted_before_its_first_point_is_declined():
    documents = runs.xas(runs.PLAIN, runs.FE)
    stop = {**documents[-1][1], "exit_status": "abort", "num_events": {}}
    result = found([documents[0], ("stop", stop)])
    assert isinstance(result, Declined)
    assert (result.flag.code, result.element, result.edge) == ("scan_aborted", "Fe", "K")


def test_an_announced_run_that_lost_everything_is_declined():
    documents = runs.xas(runs.PLAIN, runs.FE)
    result = found([documents[0], documents[-1]])
    assert isinstance(result, Declined)
    assert result.flag.code == "data_missing"
    assert result.uid == documents[0][1]["uid"]


def test_a_run_of_which_only_the_stop_came():
    documents = runs.xas(runs.PLAIN, runs.FE)
    result = found(documents[-1:])
    assert isinstance(result, Declined)
    assert result.flag.code == "data_missing"
    few = {**documents[-1][1], "num_events": {"primary": 2}}
    assert found([("stop", few)]) is None


def test_without_start_the_data_tell():
    result = scan(runs.xas(runs.PLAIN, runs.FE)[1:])
    assert (result.element, result.edge) == ("Fe", "K")
    assert "start_missing" in codes(result)


def test_an_energy_scan_over_no_edge_is_declined():
    energy = np.linspace(9180, 9240, 61)
    ones = np.ones(61)
    result = found(runs.documents({"energy": energy, "i0": ones, "it": ones}, {"plan_name": "xas"}))
    assert isinstance(result, Declined)
    assert result.flag.code == "element_unknown"


def test_a_dead_detector_is_still_a_scan():
    columns = {"energy": E, "i0": VALUES["i0"], "it": np.zeros(len(E))}
    assert_channels(scan(runs.documents(columns, runs.FE)).sweeps[0], "i0 it",
                    values={**VALUES, "it": np.zeros(len(E))})  # fmt: skip
    unnamed = scan(runs.documents(columns, {"plan_name": "xas"}))
    assert (unnamed.element, unnamed.edge) == ("Fe", "K")


def test_channels_and_energy_have_no_nan_padding():
    energies = [E, E[:50]]
    columns = {"energy": energies, "i0": [np.ones(len(e)) for e in energies]}
    columns["it"] = [np.exp(-runs.absorption(e)) for e in energies]
    for sweep in scan(runs.documents(columns, runs.FE)).sweeps:
        assert np.isfinite(sweep.energy).all()
        assert np.isfinite(sweep.it).all()


@pytest.mark.parametrize("summed", [True, False])
def test_spectra_in_a_file_out_of_reach_matter_only_without_their_sums(summed):
    names = {**runs.PLAIN, **({"f0": "xs_roi01_total"} if summed else {})}
    record = assemble(runs.xas(names, runs.FE))
    unread = Problem(ProblemKind.EXTERNAL, "no such file", stream="primary", key="xs_fluor")
    found = identify(replace(record, problems=(unread,)), BeamlineConfig())
    assert ("external_unread" in [f.code for f in found.flags]) is not summed


def test_fluorescence_is_never_taken_for_the_incident_beam():
    """Its ratio to the transmitted beam shows the edge better than any absorption does."""
    roles = {"scaler_ch2": "i0", "scaler_ch3": "it", "scaler_ch4": "ir", "scaler_ch5": "f0"}
    columns = {"energy": E, **{key: VALUES[role] for key, role in roles.items()}}
    assert_channels(scan(runs.documents(columns, runs.FE)).sweeps[0], "i0 it")
    del columns["scaler_ch2"]
    assert "no I0" in found(runs.documents(columns, runs.FE)).flag.message


@pytest.mark.parametrize("start", [{}, {"motors": ["undulator_energy", "mono_energy"]}])
def test_the_energy_of_an_insertion_device_is_the_last_resort(start):
    columns = {"undulator_energy": E + 30, "i0": VALUES["i0"], "it": VALUES["it"]}
    units = {"undulator_energy": {"units": "eV"}}
    both = {**columns, "mono_energy": E}
    result = scan(runs.documents(both, {**runs.FE, **start}, keys=units))
    np.testing.assert_array_equal(result.sweeps[0].energy, E)
    alone = scan(runs.documents(columns, {**runs.FE, **start}, keys=units))
    np.testing.assert_array_equal(alone.sweeps[0].energy, E + 30)


@pytest.mark.parametrize("where", ["primary", "baseline"])
def test_the_lattice_spacing_is_read_where_it_was_recorded(where):
    columns = {"mono_bragg": ANGLES, "i0": VALUES["i0"], "it": VALUES["it"]}
    n = len(E) if where == "primary" else 2
    recorded = {"mono_d_spacing": np.full(n, 3.1356)}
    before = [("baseline", recorded)] if where == "baseline" else []
    columns |= recorded if where == "primary" else {}
    degrees = {"mono_bragg": {"units": "deg"}}
    result = scan(runs.documents(columns, runs.FE, keys=degrees, before=before))
    np.testing.assert_allclose(result.sweeps[0].energy, E, rtol=1e-9)


@pytest.mark.parametrize("name", ["energy_monitor", "background_scan"])
def test_a_stream_whose_name_hides_it_is_named(name):
    documents = runs.xas(runs.PLAIN, runs.FE, stream=name)
    result = found(documents)
    assert isinstance(result, Declined)
    assert f"'{name}'" in result.flag.message
    assert_channels(scan(documents, stream=name).sweeps[0], "i0 it")


def test_energies_relative_to_the_edge_are_told_with_their_range():
    columns = {"energy": runs.GRID, "i0": VALUES["i0"], "it": VALUES["it"]}
    result = found(runs.documents(columns, {**runs.FE, "motors": ["energy"]}))
    assert "'energy', goes from -150 to 296: no energies" in result.flag.message


@pytest.mark.parametrize("blind", [slice(150, None), slice(0, 30)])
def test_events_without_an_energy_at_the_ends_are_told(blind):
    energy = E.copy()
    energy[blind] = np.nan
    columns = {"energy": energy, "i0": VALUES["i0"], "it": VALUES["it"]}
    result = scan(runs.documents(columns, runs.FE))
    (flag,) = result.flags
    n = len(E[blind])
    assert (flag.code, f"{n} points" in flag.message) == ("points_dropped", True)
    assert "no energy was read" in flag.message
    assert result.sweeps[0].energy.size == len(E) - n
