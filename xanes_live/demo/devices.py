"""The ophyd devices of the simulated beamline; no EPICS, the hardware is an :class:`Experiment`.

Settling and counting take real time, scaled by `Experiment.time_scale`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final

import numpy as np
from ophyd import Component, Device, Kind, Signal, SoftPositioner
from ophyd.status import DeviceStatus, MoveStatus

from xanes_live.demo.simulation import ELEMENT_SHARE, Experiment
from xanes_live.domain import Array

SETTLE_S: Final = 0.3
"""Time the monochromator takes to settle after a step, s of beamtime."""
LIMITS_EV: Final = (4000.0, 25000.0)
JITTER_EV: Final = 0.02
"""Standard deviation of where the monochromator stops, eV."""


class Bench:
    """The mechanical place of an experiment: devices look there for what is in the beam now."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment


class EnergyAxis(SoftPositioner):  # type: ignore[misc]  # ophyd has no type information
    """Monochromator energy: stops near the wanted energy and reads back where it is.

    Parameters
    ----------
    name
        Device name and key of the readback; `name`_setpoint is the key of the setpoint.
    bench
        Where the experiment stands.
    egu
        Unit of this axis.
    per_ev
        Units of this axis per eV: 1 for an axis in eV, 0.001 for one in keV.
    """

    def __init__(self, name: str, bench: Bench, egu: str = "eV", per_ev: float = 1.0) -> None:
        self._bench, self._per_ev, self._setpoint = bench, per_ev, float("nan")
        settle_s = SETTLE_S * bench.experiment.time_scale
        limits = (LIMITS_EV[0] * per_ev, LIMITS_EV[1] * per_ev)
        super().__init__(name=name, egu=egu, limits=limits, settle_time=settle_s)

    def _setup_move(self, position: float, status: MoveStatus) -> None:
        experiment = self._bench.experiment
        stop_ev = float(position / self._per_ev + experiment.rng.normal(0.0, JITTER_EV))
        experiment.move(stop_ev)
        self._setpoint = float(position)
        super()._setup_move(stop_ev * self._per_ev, status)

    def read(self) -> dict[str, Any]:
        """Return readback and setpoint, as a motor record does."""
        reading = OrderedDict(super().read())
        reading[f"{self.name}_setpoint"] = {"value": self._setpoint, "timestamp": time.time()}
        return reading

    def describe(self) -> dict[str, Any]:
        """Describe readback and setpoint."""
        description = OrderedDict(super().describe())
        readback = {**description[self.name], "precision": 4}
        description[self.name] = readback
        description[f"{self.name}_setpoint"] = dict(readback)
        return description

    @property
    def hints(self) -> dict[str, Any]:
        """Name of the key to plot against."""
        return {"fields": [self.name]}


class Detector(Device):  # type: ignore[misc]  # ophyd has no type information
    """Base of the counters: configuration signals and timing.

    Parameters
    ----------
    name
        Device name.
    bench
        Where the experiment stands.
    gate
        Whether this detector takes the time to count; the others count while it does.
    """

    integration_time = Component(Signal, value=1.0, kind=Kind.config)
    dark_current = Component(Signal, value=40.0, kind=Kind.config)
    gain = Component(Signal, value=1.0, kind=Kind.config)

    channels: tuple[tuple[str, str], ...] = ()
    """(name of the component, channel of the experiment) of each counter."""

    def __init__(self, name: str, bench: Bench, *, gate: bool = False) -> None:
        self._bench, self.gate = bench, gate
        super().__init__(name=name)
        self.dark_current.put(bench.experiment.electronics["i0"].dark_rate)

    def trigger(self) -> DeviceStatus:
        """Count for the integration time; the status is done when counting is."""
        experiment, seconds = self._bench.experiment, float(self.integration_time.get())
        for component, channel in self.channels:
            getattr(self, component).put(experiment.count(channel, seconds))
        status = DeviceStatus(self, settle_time=self.gate * seconds * experiment.time_scale)
        status.set_finished()
        return status


class IonChamber(Detector):
    """An ion chamber; its one counter carries the device's own name."""

    counts = Component(Signal, value=0.0, kind=Kind.hinted)

    def __init__(self, name: str, bench: Bench, channel: str, *, gate: bool = False) -> None:
        self.channels = (("counts", channel),)
        super().__init__(name, bench, gate=gate)
        self.counts.name = name


class FluorescenceDetector(Detector):
    """A four-element detector, one counter an element: `name`_ch1 … `name`_ch4."""

    ch1 = Component(Signal, value=0.0, kind=Kind.hinted)
    ch2 = Component(Signal, value=0.0, kind=Kind.hinted)
    ch3 = Component(Signal, value=0.0, kind=Kind.hinted)
    ch4 = Component(Signal, value=0.0, kind=Kind.hinted)

    channels = tuple((f"ch{k + 1}", f"fluorescence[{k}]") for k in range(len(ELEMENT_SHARE)))


class Shutter(Device):  # type: ignore[misc]  # ophyd has no type information
    """Photon shutter: 1 open, 0 shut."""

    state = Component(Signal, value=1, kind=Kind.normal)

    def __init__(self, name: str, bench: Bench) -> None:
        self._bench = bench
        super().__init__(name=name)

    def set(self, value: int) -> DeviceStatus:
        """Open (1) or shut (0)."""
        self.state.put(value)
        self._bench.experiment.shutter_open = bool(value)
        status = DeviceStatus(self)
        status.set_finished()
        return status


class SweepDetector(Device):  # type: ignore[misc]  # ophyd has no type information
    """QEXAFS: each trigger is one sweep of the monochromator, up and down in turn, read as arrays.

    Parameters
    ----------
    name
        Device name; its keys are `name`_energy, `name`_i0, `name`_it and `name`_ir.
    bench
        Where the experiment stands.
    energy
        Energies of the upward sweep, eV, shape (n_points,).
    sweep_s
        Duration of a sweep, s of beamtime.
    """

    energy = Component(Signal, value=np.zeros(1), kind=Kind.normal)
    i0 = Component(Signal, value=np.zeros(1), kind=Kind.normal)
    it = Component(Signal, value=np.zeros(1), kind=Kind.hinted)
    ir = Component(Signal, value=np.zeros(1), kind=Kind.normal)

    def __init__(self, name: str, bench: Bench, energy: Array, sweep_s: float) -> None:
        self._bench, self._grid, self._sweep_s, self._count = bench, energy, sweep_s, 0
        super().__init__(name=name)
        for signal in (self.energy, self.i0, self.it, self.ir):
            signal.put(np.zeros_like(energy))

    def describe(self) -> dict[str, Any]:
        """Describe the arrays, the energy with its unit."""
        description = OrderedDict(super().describe())
        description[self.energy.name]["units"] = "eV"
        return description

    def trigger(self) -> DeviceStatus:
        """Make one sweep; the status is done when it ends."""
        experiment = self._bench.experiment
        grid = self._grid if self._count % 2 == 0 else self._grid[::-1]
        true = grid + experiment.rng.normal(0.0, JITTER_EV, grid.size)
        counts = experiment.sweep(true, self._sweep_s / grid.size)
        self.energy.put(true)
        for name in ("i0", "it", "ir"):
            getattr(self, name).put(counts[name])
        self._count += 1
        status = DeviceStatus(self, settle_time=self._sweep_s * experiment.time_scale)
        status.set_finished()
        return status
