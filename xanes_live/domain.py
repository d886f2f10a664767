"""The words of the pipeline: one frozen dataclass for each thing that flows through it.

    documents ─► Scan ─► Spectrum ─► NormalisedSpectrum ─► ModelInput ─► Prediction
              ─► Assessment ─► Result ─► Tiled

Arrays are float64 unless said otherwise and must not be changed after construction.
Energies are in eV, distances in Å. One :class:`Scan` holds all sweeps of one run; from
:class:`Spectrum` on, one object is one spectrum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Severity(StrEnum):
    """How much a flag matters: a note, a reason for caution, a reason not to trust."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Confidence(StrEnum):
    """The one colour an operator acts on."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class Mode(StrEnum):
    """How μ(E) was measured."""

    TRANSMISSION = "transmission"
    FLUORESCENCE = "fluorescence"
    REFERENCE = "reference"
    GIVEN = "given"
    """μ(E) came ready-made, from a file say."""


class Quality(StrEnum):
    """Channel quality in the words of NSLS-II ISS."""

    GOOD = "good"
    SATURATED = "saturated"
    LOW_AMPLITUDE = "low_amplitude"
    INVALID_VALUES = "invalid_values"


@dataclass(frozen=True, slots=True)
class Flag:
    """Something an operator should know about a scan.

    Codes are lower-case, underscored, stable across versions, and all registered in
    :mod:`xanes_live.flags` (code → severity, meaning, cause, remedy).
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the JSON form published with a result."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "remedy": self.remedy,
        }


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


@dataclass(frozen=True, slots=True)
class Peak:
    """A maximum of the predicted G2."""

    r: float
    """Å."""
    height: float
    region: str
    """'near' (1–3.5 Å) or 'far' (3.5–6 Å)."""


@dataclass(frozen=True, slots=True)
class FirstShell:
    """Distance from the absorber to its first shell of neighbours."""

    r: float
    """Å; NaN when no peak is significant."""
    sigma: float
    """Standard deviation over members, Å."""
    low: float
    """Lower end of the 95 % interval, Å."""
    high: float
    members: Array
    """Each member's own estimate, Å, shape (n_members,); NaN where it has none."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the ensemble says of one spectrum."""

    radius: Array
    """Centres of the G2 functions, Å, shape (n_g2,)."""
    mean: Array
    """Mean G2 over members, shape (n_g2,)."""
    sigma: Array
    """Standard deviation over members (ddof = 1), shape (n_g2,)."""
    members: Array
    """shape (n_members, n_g2)."""
    first_shell: FirstShell
    peaks: tuple[Peak, ...]
    eta: float
    """Width parameter of the G2 functions, Å⁻²."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the ensemble says of spectra and of changed copies of each, copy 0 being unchanged."""

    predictions: tuple[Prediction, ...]
    """Of the unchanged spectra, n of them."""
    mean: Array
    """Mean G2 over members, shape (n, n_copies, n_g2)."""
    r: Array
    """First-shell distance, Å, shape (n, n_copies)."""
    heads: Mapping[str, Array] = field(default_factory=dict)
    """Mean over members of the network's further outputs by name, unchanged spectra, (n,)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a change of the spectrum does to its prediction."""

    kind: str
    """'shift' or 'broadening'."""
    value: float
    """Shift of the energies, or FWHM of the Gaussian, eV."""
    r: float
    """First-shell distance predicted then, Å."""
    g2: float
    """Root-mean-square change of G2, in units of the root-mean-square of G2."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training compound whose spectrum is like the measured one."""

    name: str
    distance: float
    """Root-mean-square difference of normalised μ."""
    r: float
    """First-shell distance of the compound, Å."""
    ligand: str
    """Commonest element of its first shell."""


@dataclass(frozen=True, slots=True)
class Cyclic:
    """The spectrum that the predicted G2 leads back to."""

    energy: Array
    """eV, shape (n_grid,)."""
    measured: Array
    """Normalised μ, shape (n_grid,)."""
    returned: Array
    """What the forward ensemble makes of the prediction, shape (n_grid,)."""
    residual: Array
    """measured − returned, shape (n_grid,)."""
    score: float
    """Size of the residual in units of what is usual for unseen spectra."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about a prediction besides the ensemble's own spread."""

    sensitivity: tuple[Moved, ...] = ()
    nearest: tuple[Neighbour, ...] = ()
    """Nearest training compounds, nearest first."""
    novelty: float | None = None
    """Share of held-out spectra that lie nearer to the training spectra, 0 … 1."""
    cyclic: Cyclic | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """How far to trust a prediction."""

    confidence: Confidence
    flags: tuple[Flag, ...]
    """Everything known against (and about) the result, most important first."""
    lower: Array
    """Lower edge of the calibrated 95 % band of G2, shape (n_g2,)."""
    upper: Array
    probability: float | None = None
    """Probability that the first-shell distance is right within 0.1 Å."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """The numbers the verdict was made from, by name."""
    evidence: Evidence = Evidence()
    skill_to: float | None = None
    """Distance up to which G2 of measured spectra is predicted better than by its mean, Å; None
    where that was never tested."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model made a prediction."""

    id: str
    version: str
    hash: str
    element: str
    edge: str


@dataclass(frozen=True, slots=True)
class SpectrumResult:
    """All that is known of one spectrum; a stage that could not be reached is None."""

    index: int
    normalised: NormalisedSpectrum | None
    model_input: ModelInput | None
    prediction: Prediction | None
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Result:
    """All that is known of one run: what is published as one node."""

    scan: Scan
    spectra: tuple[SpectrumResult, ...]
    """One entry a sweep, in order."""
    model: ModelInfo
    config_hash: str
    key: str
    """Deterministic name of the node in Tiled."""
    software: str
    """'xanes-live 0.1.0'"""


@dataclass(frozen=True, slots=True)
class Drift:
    """A change that goes on in one direction over the repeats of a sample."""

    measure: str
    """What drifts, in words: 'the edge position'."""
    unit: str
    change: float
    """By how much from the first repeat to the last, in `unit`."""
    chance: float
    """Probability of a drift as large in repeats that do not drift."""
    keep: int
    """How many repeats, from the first, have not drifted enough to do harm."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A repeat that does not agree with the others."""

    position: int
    """Which one, counted from 0 in the order they were taken."""
    times: float
    """Its distance from the others in units of what is usual among them."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One spectrum among the repeats of a sample."""

    uid: str
    scan_id: int | None
    index: int
    """Which sweep of the run."""
    used: bool = True
    """Whether it is part of the merge."""


@dataclass(frozen=True, slots=True)
class MergedRepeats:
    """The mean of the repeats that agree, and what the ensemble says of it."""

    energy: Array
    """eV, shape (n_points,)."""
    mu: Array
    """Mean of normalised μ, shape (n_points,)."""
    sigma: Array
    """Standard error of the mean, shape (n_points,)."""
    count: int
    """How many were merged."""
    first_shell: FirstShell | None = None
    noise: float | None = None
    """Standard deviation of the first-shell distance by the noise of the merge, Å."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the repeats of a sample taken so far say together."""

    of: tuple[Repeat, ...]
    """In the order they were taken; the present run's last."""
    drift: Drift | None
    outlier: Outlier | None
    merged: MergedRepeats | None
    one_more_narrows_by: float | None
    """By how much another repeat would narrow the half-width of the interval of the merge, Å."""
    advice: str = ""
    """The same in a sentence."""
    flags: tuple[Flag, ...] = ()
    """What the present run is flagged with."""
