"""Runs of a real RunEngine with simulated ophyd devices of every odd name."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.identify import identify
from xanes_live.domain import Declined, Scan

pytest.importorskip("ophyd")

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky import RunEngine
from ophyd import Component, Device, Signal
from ophyd.sim import SynAxis, SynSignal

E = 7112.0 + runs.GRID[::3]


class Beamline:
    """A monochromator in the given units and detectors that see a made-up edge."""

    def __init__(self, axis: str, detectors: dict[str, str], scale=1.0, egu="", e0=7112.0):
        self.axis = SynAxis(name=axis, egu=egu) if egu else SynAxis(name=axis)
        self.scale, self.e0 = scale, e0

        def seen(role: str):
            energy = np.array([self.axis.readback.get() / self.scale])
            return float(runs.readings(energy, e0=self.e0)[role][0])

        self.detectors = [
            SynSignal(func=lambda role=role: seen(role), name=name)
            for name, role in detectors.items()
        ]


@pytest.fixture(scope="module")
def engine():
    return RunEngine({}, context_managers=[])


@pytest.fixture
def taken(engine):
    """Run a plan and return what was identified of each of its runs."""

    def run(plan, **config):
        records = []
        callback = XanesCallback(records.append)
        token = engine.subscribe(callback)
        try:
            engine(plan)
        except RuntimeError:
            pass  # plans that fail on purpose
        finally:
            engine.unsubscribe(token)
        assert callback.counters.errors == 0
        return [identify(r, BeamlineConfig(**config)) for r in records]

    return run


def test_a_list_scan_of_odd_names(taken):
    beamline = Beamline("Mono_E", {"ic_up": "i0", "ic_down": "it", "Passiv8": "f0"})
    plan = bp.list_scan(
        beamline.detectors, beamline.axis, list(E), md={"element": "Fe", "edge": "K"}
    )
    (scan,) = taken(plan)
    assert isinstance(scan, Scan)
    np.testing.assert_allclose(scan.sweeps[0].energy, E)
    np.testing.assert_allclose(
        scan.sweeps[0].it, [runs.readings(np.array([e]))["it"][0] for e in E]
    )
    assert (scan.element, scan.edge, scan.exit_status) == ("Fe", "K", "success")


def test_kilo_electron_volts(taken):
    beamline = Beamline("dcm", {"i0": "i0", "i1": "it"}, scale=1e-3, egu="keV")
    plan = bp.list_scan(beamline.detectors, beamline.axis, list(E * 1e-3), md=runs.FE)
    (scan,) = taken(plan)
    np.testing.assert_allclose(scan.sweeps[0].energy, E, rtol=1e-9)


def test_sim_motor_and_detectors_without_any_hint_in_the_names(taken):
    beamline = Beamline("motor", {"det1": "i0", "det2": "it"})
    (scan,) = taken(bp.list_scan(beamline.detectors, beamline.axis, list(E), md=runs.FE))
    assert isinstance(scan, Scan)
    np.testing.assert_allclose(scan.sweeps[0].energy, E)
    assert [f.code for f in scan.flags] == ["channels_guessed"]


def test_motor_scans_and_counts_are_ignored(taken):
    beamline = Beamline("sample_x", {"i0": "i0", "it": "it"})
    assert taken(bp.scan(beamline.detectors, beamline.axis, -3, 3, 11, md=runs.FE)) == [None]
    assert taken(bp.count(beamline.detectors, 5)) == [None]


def test_back_and_forth(taken):
    beamline = Beamline("energy", {"i0": "i0", "it": "it"})
    there = list(7112.0 + np.linspace(-60, 120, 40))
    plan = bp.list_scan(beamline.detectors, beamline.axis, (there + there[::-1]) * 2, md=runs.FE)
    (scan,) = taken(plan)
    assert len(scan.sweeps) == 4


def test_repeats_of_a_grid_in_one_run(taken):
    beamline = Beamline("energy", {"i0": "i0", "it": "it"})
    grid = list(7112.0 + np.linspace(-60, 120, 40))
    (scan,) = taken(bp.list_scan(beamline.detectors, beamline.axis, grid * 3, md=runs.FE))
    assert [len(s.energy) for s in scan.sweeps] == [40, 40, 40]


def test_nested_runs_and_baseline(taken):
    beamline = Beamline("energy", {"i0": "i0", "it": "it"})
    temperature = SynSignal(func=lambda: 300.0, name="temperature")

    @bpp.baseline_decorator([temperature, beamline.axis])
    def plan():
        return (yield from bp.list_scan(beamline.detectors, beamline.axis, list(E), md=runs.FE))

    (scan,) = taken(plan())
    np.testing.assert_allclose(scan.sweeps[0].energy, E)


def test_an_aborted_and_a_failed_run(engine, taken):
    beamline = Beamline("energy", {"i0": "i0", "it": "it"})

    def stopped(fails: bool):
        @bpp.run_decorator(md=runs.FE)
        def inner():
            for energy in E[:30]:
                yield from bps.mv(beamline.axis, energy)
                yield from bps.trigger_and_read([*beamline.detectors, beamline.axis])
            if fails:
                raise RuntimeError("the shutter closed")
            yield from bps.close_run(exit_status="abort", reason="enough")

        return inner()

    (failed,) = taken(stopped(fails=True))
    assert [f.code for f in failed.flags] == ["scan_failed"]
    assert "the shutter closed" in failed.flags[0].message
    assert len(failed.sweeps[0].energy) == 30


def test_runs_interleaved_by_one_plan(taken):
    one = Beamline("energy", {"i0": "i0", "it": "it"})
    two = Beamline("mono_energy", {"I0": "i0", "It": "it"}, e0=8979.0)

    @bpp.set_run_key_decorator("second")
    @bpp.run_decorator(md={"element": "Cu", "edge": "K"})
    def second():
        for energy in E[::4]:
            yield from bps.mv(two.axis, energy - 7112.0 + 8979.0)
            yield from bps.trigger_and_read([*two.detectors, two.axis])
            yield from bps.checkpoint()

    @bpp.set_run_key_decorator("first")
    @bpp.run_decorator(md=runs.FE)
    def first():
        for energy in E[::4]:
            yield from bps.mv(one.axis, energy)
            yield from bps.trigger_and_read([*one.detectors, one.axis])
        yield from second()
        for energy in E[1::4]:
            yield from bps.mv(one.axis, energy)
            yield from bps.trigger_and_read([*one.detectors, one.axis])

    copper, iron = taken(first())
    assert (copper.element, iron.element) == ("Cu", "Fe")
    np.testing.assert_allclose(copper.sweeps[0].energy, E[::4] - 7112.0 + 8979.0)
    assert sum(len(s.energy) for s in iron.sweeps) == len(E[::4]) + len(E[1::4])


def test_array_valued_events_of_a_fly_scan(taken):
    class Sweeper(Device):
        energy = Component(Signal, value=E)
        i0 = Component(Signal, value=np.zeros(len(E)))
        it = Component(Signal, value=np.zeros(len(E)))

        def trigger(self):
            values = runs.readings(E, seed=int(time.time() * 1e6) % 2**31)
            self.i0.put(values["i0"])
            self.it.put(values["it"])
            return super().trigger()

    (scan,) = taken(bp.count([Sweeper(name="qexafs")], 6, md={"plan_name": "qexafs"}))
    assert len(scan.sweeps) == 6
    np.testing.assert_array_equal(scan.sweeps[3].energy, E)
    assert (scan.element, scan.edge) == ("Fe", "K")
    assert not np.array_equal(scan.sweeps[0].i0, scan.sweeps[1].i0)


def test_files_written_by_a_detector_are_read_through_its_handler(taken, tmp_path):
    from ophyd.sim import SynSignalWithRegistry

    axis = SynAxis(name="energy")

    def image():
        energy = np.array([axis.readback.get()])
        values = runs.readings(energy)
        return np.array([values[f"f{k}"][0] for k in range(4)])

    fluorescence = SynSignalWithRegistry(func=image, name="xspress3", save_path=str(tmp_path))
    i0 = SynSignal(func=lambda: runs.readings(np.array([axis.readback.get()]))["i0"][0], name="i0")
    (scan,) = taken(bp.list_scan([fluorescence, i0], axis, list(E[::4]), md=runs.FE))
    assert isinstance(scan, Scan), scan
    assert scan.sweeps[0].fluorescence.shape == (4, len(E[::4]))
    expected = [runs.readings(np.array([e]))["f2"][0] for e in E[::4]]
    np.testing.assert_allclose(scan.sweeps[0].fluorescence[2], expected)


def test_files_that_are_gone_are_named(taken, tmp_path):
    from ophyd.sim import SynSignalWithRegistry

    axis = SynAxis(name="energy")
    fluorescence = SynSignalWithRegistry(
        func=lambda: np.ones(4), name="xspress3", save_path=str(tmp_path)
    )

    def plan():
        i0 = SynSignal(func=lambda: 1.0, name="i0")
        yield from bp.list_scan([fluorescence, i0], axis, list(E[::4]), md=runs.FE)

    records = []
    callback = XanesCallback(records.append)
    engine = RunEngine({}, context_managers=[])
    engine.subscribe(callback)
    engine(plan())
    for file in tmp_path.iterdir():
        file.unlink()
    declined = identify(records[0], BeamlineConfig())
    assert isinstance(declined, Declined)
    assert declined.flag.code == "external_unread"
    assert "xspress3" in declined.flag.message
