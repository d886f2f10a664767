"""A configuration that does not fit the run is put right or told, and never hides a scan."""

from __future__ import annotations

import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.domain import Declined, Scan

E = 7112.0 + runs.GRID
VALUES = {"energy": E, **runs.readings(E)}
ANGLES = np.degrees(np.arcsin(12398.41984 / (2 * 3.1356 * E)))
KEYS = {"energy": "energy", "i0": "i0", "it": "it", "ir": "ir", "sdd1": "f0", "sdd2": "f1"}
BARE = {"plan_name": "scan", "motors": ["energy"]}
STARTS = pytest.mark.parametrize("start", [runs.FE, BARE])


def found(columns, start, keys=None, before=(), **config):
    made = runs.documents(columns, start, keys=keys, before=before)
    return identify(assemble(made), BeamlineConfig(**config))


def all_channels():
    return {key: VALUES[role] for key, role in KEYS.items()}


@STARTS
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"stream": "fly"}, ["'fly'", "there are 'primary'"]),
        ({"energy": "hhm"}, ["energy = 'hhm'", "there are energy"]),
        ({"i0": "keithley"}, ["i0 = 'keithley'", "there are i0"]),
    ],
)
def test_a_scan_that_the_configuration_hides_is_declined_with_what_is_there(start, config, words):
    declined = found(all_channels(), start, **config)
    assert isinstance(declined, Declined)
    assert declined.flag.code == "channels_unknown"
    for word in words:
        assert word in declined.flag.message


@pytest.mark.parametrize(
    "config",
    [{"stream": "fly"}, {"energy": "hhm"}, {"i0": "keithley"}, {"energy_units": "keV"}],
)
def test_what_is_no_scan_stays_none_whatever_is_configured(config):
    motor = {"sample_x": np.linspace(0, 1, 40), "i0": np.ones(40), "it": np.ones(40)}
    assert found(motor, {"plan_name": "scan", "motors": ["sample_x"]}, **config) is None


@STARTS
@pytest.mark.parametrize(
    ("config", "words", "there"),
    [
        ({"it": "keithley"}, "it = 'keithley'", "there are it"),
        ({"ir": "keithley"}, "ir = 'keithley'", "there are ir"),
        ({"fluorescence": ("x1", "x2")}, "fluorescence = 'x1 + x2'", "there are sdd1, sdd2"),
        ({"fluorescence": ("sdd1", "x2")}, "fluorescence = 'x2'", "there are sdd1, sdd2"),
    ],
)
def test_a_configured_channel_the_run_does_without_is_named(start, config, words, there):
    scan = found(all_channels(), start, **config)
    assert isinstance(scan, Scan)
    (flag,) = scan.flags
    assert (flag.code, str(flag.severity)) == ("channel_absent", "info")
    assert words in flag.message
    assert there in flag.message


@STARTS
def test_a_configured_channel_that_holds_spectra_is_named(start):
    columns = {**all_channels(), "i0": np.ones((len(E), 700))}
    declined = found(columns, start, i0="i0")
    assert isinstance(declined, Declined)
    assert "i0 = 'i0' of the configuration has 700 values a point" in declined.flag.message


def test_energy_and_channels_in_two_streams_are_both_named():
    detectors = {"i0": VALUES["i0"], "it": VALUES["it"]}
    declined = found({"energy": E}, runs.FE, before=[("detectors", detectors)])
    assert isinstance(declined, Declined)
    assert "in other streams: 'detectors' (i0, it)" in declined.flag.message


RIGHT = {"eV": E, "keV": E / 1e3, "deg": ANGLES, "rad": np.radians(ANGLES), "mdeg": ANGLES * 1e3}


@STARTS
@pytest.mark.parametrize(
    ("configured", "real", "key"),
    [
        ("keV", "eV", "energy"),
        ("eV", "keV", "energy"),
        ("deg", "eV", "energy"),
        ("rad", "keV", "mono_energy"),
        ("keV", "eV", "axis7"),
        ("rad", "deg", "bragg"),
        ("deg", "rad", "bragg"),
        ("mdeg", "deg", "bragg"),
        ("deg", "mdeg", "bragg"),
        ("eV", "deg", "bragg"),
    ],
)
def test_a_configured_unit_that_does_not_fit_the_values_is_corrected_and_told(
    start, configured, real, key
):
    columns = {key: RIGHT[real], "i0": VALUES["i0"], "it": VALUES["it"]}
    scan = found(columns, start, energy=key, energy_units=configured, d_spacing=3.1356)
    assert isinstance(scan, Scan)
    np.testing.assert_allclose(scan.sweeps[0].energy, E, rtol=1e-9)
    assert (scan.element, scan.edge) == ("Fe", "K")
    assert [flag.code for flag in scan.flags] == ["units_corrected"]
    assert f"configured as {configured}, but its values are {real}" in scan.flags[0].message


@pytest.mark.parametrize("unit", list(RIGHT))
def test_a_configured_unit_that_fits_is_not_spoken_of(unit):
    columns = {"axis7": RIGHT[unit], "i0": VALUES["i0"], "it": VALUES["it"]}
    config = {"energy": "axis7", "energy_units": unit, "d_spacing": 3.1356}
    assert found(columns, runs.FE, **config).flags == ()


def test_values_that_are_no_energies_in_any_unit_are_told_with_their_range():
    columns = {"axis7": ANGLES, "i0": VALUES["i0"], "it": VALUES["it"]}
    declined = found(columns, runs.FE, energy="axis7", energy_units="eV")
    assert isinstance(declined, Declined)
    assert "from 15.4786 to 16.4977: no energies in eV near the Fe K edge" in declined.flag.message


@STARTS
@pytest.mark.parametrize("unit", ["deg", "mm", "Å", "user units"])
def test_an_energy_that_says_it_is_something_else_is_believed_to_be_an_energy(start, unit):
    columns = {"energy": E, "i0": VALUES["i0"], "it": VALUES["it"]}
    scan = found(columns, start, keys={"energy": {"units": unit}})
    assert isinstance(scan, Scan)
    np.testing.assert_array_equal(scan.sweeps[0].energy, E)


@STARTS
def test_an_energy_in_degrees_is_the_bragg_angle(start):
    columns = {"energy": ANGLES, "i0": VALUES["i0"], "it": VALUES["it"]}
    degrees = {"energy": {"units": "deg"}}
    scan = found(columns, start, keys=degrees, d_spacing=3.1356)
    assert isinstance(scan, Scan)
    np.testing.assert_allclose(scan.sweeps[0].energy, E, rtol=1e-9)
    lacking = found(columns, {**start, **runs.FE}, keys=degrees)
    assert "'energy' is a Bragg angle" in lacking.flag.message
