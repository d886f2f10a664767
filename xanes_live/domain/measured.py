"""What was measured: from detector readings to a normalised spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain.words import Array, Flag, Mode, Quality

BEYOND_SCAN = 10.0
"""Energy over which the value measured last goes over into the post-edge trend, eV, where a model
reaches further than a scan."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Raw detector readings of one sweep, in the order they were taken (may be unsorted)."""

    energy: Array
    """Monochromator energy, eV, shape (n_points,)."""
    i0: Array | None = None
    """Incident intensity, counts, shape (n_points,)."""
    it: Array | None = None
    """Transmitted intensity, counts, shape (n_points,)."""
    ir: Array | None = None
    """Intensity behind the reference foil, counts, shape (n_points,)."""
    fluorescence: Array | None = None
    """Fluorescence counts, shape (n_elements, n_points)."""
    mu: Array | None = None
    """Ready-made μ(E), shape (n_points,); set when a file holds no raw channels."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One run recognised as an X-ray absorption scan."""

    uid: str
    """Bluesky run uid, or a stable identifier of a file."""
    sweeps: tuple[Channels, ...]
    """One entry a sweep; most runs have one."""
    element: str
    """Absorbing element's symbol, '' when unknown."""
    edge: str
    """'K', 'L3', …; '' when unknown."""
    scan_id: int | None = None
    sample: str = ""
    plan_name: str = ""
    time: float = 0.0
    """Start of the run, s since the epoch; 0 when unknown."""
    stop_time: float = 0.0
    exit_status: str = "success"
    """'success', 'abort', 'fail', or '' when the run has no stop document."""
    mode: Mode | None = None
    """The mode announced or configured; None lets the data decide."""
    dark: Mapping[str, float] = field(default_factory=dict)
    """Dark counts per point by role ('i0', 'it', 'ir', 'fluorescence')."""
    e0_announced: float | None = None
    """Edge energy named in the metadata, eV."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The start document, JSON-safe."""
    source: str = ""
    """Where the documents came from: 'live', 'replay', a file name."""
    flags: tuple[Flag, ...] = ()
    places: bool = False
    """Whether the sweeps are places of a map, or other settings of a second axis of the scan, and
    so no repeats of each other."""


@dataclass(frozen=True, slots=True)
class Declined:
    """An XAS scan that is not predicted, and the reason in one flag."""

    uid: str
    flag: Flag
    element: str = ""
    edge: str = ""
    scan_id: int | None = None
    sample: str = ""
    time: float = 0.0
    stop_time: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """μ(E) of one sweep: energies strictly increasing, all values finite."""

    energy: Array
    """eV, shape (n_points,), strictly increasing."""
    mu: Array
    """μ(E) times thickness, or I_f/I_0; shape (n_points,)."""
    mode: Mode
    element: str
    edge: str
    index: int = 0
    """Which sweep of the run."""
    reference: Array | None = None
    """μ(E) of the reference foil on `energy`, shape (n_points,)."""
    i0: Array | None = None
    """Incident intensity on `energy`, shape (n_points,)."""
    noise: float | None = None
    """Standard deviation of the point-to-point noise of μ, in units of μ."""
    quality: Mapping[str, Quality] = field(default_factory=dict)
    """Quality by channel: 'i0', 'it', 'ir', 'fluorescence[3]', …"""
    e0_announced: float | None = None
    compared: bool = False
    """Whether transmission measured along tells of fluorescence that it is damped, or that not."""
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class NormalisedSpectrum:
    """A spectrum with edge energy, pre- and post-edge, as larch and Athena define them."""

    energy: Array
    """eV, shape (n_points,), after alignment (`energy_shift` already applied)."""
    mu: Array
    normalised: Array
    """(μ − pre) / edge_step, shape (n_points,)."""
    flattened: Array
    pre_edge: Array
    """Pre-edge line on `energy`."""
    post_edge: Array
    """Post-edge polynomial on `energy`."""
    e0: float
    """Edge energy, eV, on the aligned scale."""
    edge_step: float
    edge_step_sigma: float | None
    """Estimated standard uncertainty of the edge step from ranges and noise; None if unknown."""
    energy_shift: float
    """Shift added to the measured energies by alignment, eV; 0 when alignment is off."""
    ranges: Mapping[str, float]
    """pre1, pre2, norm1, norm2 (eV relative to e0), nnorm, nvict actually used."""
    spectrum: Spectrum
    flags: tuple[Flag, ...] = ()
    """All flags so far, the spectrum's included."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A sweep that could not be taken to the next stage; the flags say why."""

    index: int
    """Which sweep of the run."""
    flags: tuple[Flag, ...]
    """All flags so far; at least one of severity error."""
    spectrum: Spectrum | None = None
    """μ(E), where the sweep got that far."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The spectrum on the model's own grid."""

    energy: Array
    """eV, shape (n_grid,)."""
    mu: Array
    """Normalised (or flattened, as the model says) μ, shape (n_grid,)."""
    covered: NDArray[np.bool_]
    """False where the value was extrapolated, shape (n_grid,)."""
    flags: tuple[Flag, ...] = ()
    """Flags of resampling alone."""
