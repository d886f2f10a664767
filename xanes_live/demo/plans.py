"""The plans of the simulated beamline, with start metadata as different beamlines give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import numpy as np
from bluesky import Msg
from ophyd import SoftPositioner

from xanes_live.demo.devices import (
    Bench,
    Detector,
    EnergyAxis,
    FluorescenceDetector,
    IonChamber,
    Shutter,
    SweepDetector,
)
from xanes_live.demo.flyer import Flyer, HDF5Flyer, PageFlyer
from xanes_live.demo.programme import Entry, Regions
from xanes_live.demo.samples import Sample
from xanes_live.domain import Array

Messages = Iterator[Any]
"""What a plan yields."""

SWEEPS: Final = 20
SWEEP_S: Final = 20.0
"""QEXAFS: sweeps a run, and the duration of each, s of beamtime."""
FLY_S: Final = 300.0
"""Duration of a fly scan, s of beamtime."""


class Hall:
    """Everything that stands in the experimental hall, made once.

    Parameters
    ----------
    bench
        Where the experiment of the moment stands.
    directory
        Where detectors write files.
    """

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.bench, self.directory = bench, directory
        self.energy = EnergyAxis("mono_energy", bench)
        self.shutter = Shutter("shutter", bench)
        self.i0 = IonChamber("I0", bench, "i0", gate=True)
        self.it, self.ir = IonChamber("It", bench, "it"), IonChamber("Ir", bench, "ir")
        self.fluorescence = FluorescenceDetector("If", bench)
        self.sample_x = SoftPositioner(name="sample_x", egu="mm", init_pos=0.0, limits=(-20, 20))
        # The neighbouring station has a keV axis and names its scaler channels as it likes.
        self.kev = EnergyAxis("energy", bench, egu="keV", per_ev=1e-3)
        self.scaler = [
            IonChamber("scaler_I0", bench, "i0", gate=True),
            IonChamber("scaler_I1", bench, "it"),
        ]

    @property
    def sample(self) -> Sample:
        """The sample in the beam."""
        return self.bench.experiment.sample


def energies(sample: Sample, regions: Regions) -> Array:
    """Return the energies of a scan (eV, shape (n_points,)), within what was measured."""
    parts = [np.arange(low, high, step) for low, high, step in regions]
    grid = sample.e0 + np.concatenate([*parts, [regions[-1][1]]])
    inside: Array = grid[(grid >= sample.energy[0]) & (grid <= sample.energy[-1])]
    return inside


def _metadata(
    hall: Hall, plan: str, mode: str, axis: str, grid: Array, detectors: Sequence[str]
) -> dict[str, Any]:
    """Start metadata of a beamline that describes its scans well."""
    sample = hall.sample
    return {
        "plan_name": plan,
        "sample": sample.name,
        "sample_formula": sample.formula,
        "sample_preparation": sample.preparation,
        "element": sample.element,
        "edge": sample.edge,
        "e0": sample.e0,
        "mode": mode,
        "mono": {"name": "Si(111)", "d_spacing": 3.1356},
        "motors": [axis],
        "detectors": list(detectors),
        "num_points": int(grid.size),
        "hints": {"dimensions": [([axis], "primary")]},
    }


def _step(
    hall: Hall,
    axis: EnergyAxis,
    detectors: Sequence[Detector],
    positions: Sequence[float],
    metadata: Mapping[str, Any],
    stop_after: int | None = None,
) -> Messages:
    """Dark reading, then one event a position; pauses for good after `stop_after` points."""

    @bpp.stage_decorator(list(detectors))  # type: ignore[untyped-decorator]
    @bpp.run_decorator(md=dict(metadata))  # type: ignore[untyped-decorator]
    def inner() -> Messages:
        yield from bps.mv(hall.shutter, 0)
        yield from bps.trigger_and_read(list(detectors), name="dark")
        yield from bps.mv(hall.shutter, 1)
        for done, position in enumerate(positions):
            if done == stop_after:
                yield from bps.pause()
            yield from _point(axis, detectors, float(position))

    yield from inner()


def _point(axis: EnergyAxis, detectors: Sequence[Detector], position: float) -> Messages:
    """Move, count, read.

    The messages of `mv` and `trigger_and_read`, which themselves keep a stack trace for each
    message: that is a third of the time a point takes.
    """
    yield Msg("checkpoint")
    yield Msg("set", axis, position, group="move")
    yield Msg("wait", group="move")
    for detector in detectors:
        yield Msg("trigger", detector, group="count")
    yield Msg("wait", group="count")
    yield Msg("create", name="primary")
    for device in (axis, *detectors):
        yield Msg("read", device)
    yield Msg("save")


def transmission(hall: Hall, entry: Entry) -> Messages:
    """Step scan with the reference foil behind the sample."""
    grid = energies(hall.sample, entry.regions)
    detectors = [hall.i0, hall.it, hall.ir]
    names = [d.name for d in detectors]
    metadata = _metadata(hall, "xas_step_scan", "transmission", hall.energy.name, grid, names)
    yield from _step(hall, hall.energy, detectors, list(grid), metadata, entry.stop_after)


def fluorescence(hall: Hall, entry: Entry) -> Messages:
    """Step scan with the four-element detector; It and Ir are read as well."""
    grid = energies(hall.sample, entry.regions)
    detectors = [hall.i0, hall.it, hall.ir, hall.fluorescence]
    names = [d.name for d in detectors]
    metadata = _metadata(hall, "xas_step_scan", "fluorescence", hall.energy.name, grid, names)
    yield from _step(hall, hall.energy, detectors, list(grid), metadata, entry.stop_after)


def kev(hall: Hall, entry: Entry) -> Messages:
    """Step scan of the neighbouring station: keV, other names, XDI-like metadata."""
    grid, sample = energies(hall.sample, entry.regions), hall.sample
    metadata = {
        "plan_name": "xafs",
        "sample_name": sample.name,
        "motors": [hall.kev.name],
        "detectors": [d.name for d in hall.scaler],
        "hints": {"dimensions": [([hall.kev.name], "primary")]},
        "XDI": {
            "Element": {"symbol": sample.element, "edge": sample.edge},
            "Sample": {"name": sample.name, "prep": sample.preparation},
            "Mono": {"name": "Si 111", "d_spacing": 3.1356},
        },
    }
    yield from _step(hall, hall.kev, hall.scaler, list(grid * 1e-3), metadata, entry.stop_after)


def generic(hall: Hall, entry: Entry) -> Messages:
    """Bluesky's own `list_scan` over the energy: neither element nor edge is named."""
    grid = [float(e) for e in energies(hall.sample, entry.regions)]
    metadata = {"sample_name": "unknown powder 7"}
    yield from bp.list_scan([hall.i0, hall.it], hall.energy, grid, md=metadata)


def _fly_grid(sample: Sample, points: int, low: float, high: float) -> Array:
    inside = energies(sample, ((low, high, 1.0),))
    return np.linspace(inside[0], inside[-1], points)


def _fly(hall: Hall, flyer: Flyer, grid: Array, plan: str) -> Messages:
    """Kick off, collect into stream 'primary' until complete."""
    axis = f"{flyer.name}_energy"
    metadata = _metadata(hall, plan, "transmission", axis, grid, [flyer.name])

    @bpp.run_decorator(md=metadata)  # type: ignore[untyped-decorator]
    def inner() -> Messages:
        yield from bps.declare_stream(flyer, name="primary", collect=True)
        yield from bps.kickoff(flyer, wait=True)
        yield from bps.collect_while_completing(
            [flyer], [flyer], flush_period=0.1, stream_name="primary"
        )

    yield from inner()


def pages(hall: Hall, entry: Entry) -> Messages:  # noqa: ARG001  all plans are called alike
    """Fly scan of 600 points that arrives as `event_page`."""
    grid = _fly_grid(hall.sample, 600, -100.0, 200.0)
    yield from _fly(hall, PageFlyer("fly", hall.bench, grid, FLY_S), grid, "fly_scan")


def hdf5(hall: Hall, entry: Entry) -> Messages:  # noqa: ARG001  all plans are called alike
    """Fly scan of 600 points into an HDF5 file."""
    grid = _fly_grid(hall.sample, 600, -100.0, 200.0)
    flyer = HDF5Flyer("panda", hall.bench, grid, FLY_S, hall.directory)
    yield from _fly(hall, flyer, grid, "fly_scan_hdf5")


def qexafs(hall: Hall, entry: Entry) -> Messages:  # noqa: ARG001  all plans are called alike
    """Many sweeps up and down in one run, one array-valued event each."""
    grid = _fly_grid(hall.sample, 400, -60.0, 140.0)
    detector = SweepDetector("qexafs", hall.bench, grid, SWEEP_S)
    axis = detector.energy.name
    metadata = _metadata(hall, "qexafs", "transmission", axis, grid, [detector.name])
    metadata |= {"num_points": SWEEPS, "num_sweeps": SWEEPS}
    yield from bp.count([detector], SWEEPS, md=metadata)


def alignment(hall: Hall, entry: Entry) -> Messages:
    """Scan of a sample motor: not XAS, to be left alone."""
    metadata = {"purpose": "sample alignment", "sample": entry.sample}
    yield from bp.scan([hall.i0, hall.it], hall.sample_x, -5.0, 5.0, 21, md=metadata)


PLANS: Final[dict[str, Callable[[Hall, Entry], Messages]]] = {
    "transmission": transmission,
    "fluorescence": fluorescence,
    "kev": kev,
    "generic": generic,
    "pages": pages,
    "hdf5": hdf5,
    "qexafs": qexafs,
    "alignment": alignment,
}
