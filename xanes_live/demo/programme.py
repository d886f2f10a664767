"""What the simulated beamline measures, and what should become of each scan; data only.

Distances are those of reference crystals (XAS Data Library samples are not characterised
themselves), so that a comparison needs the tolerance given with each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from xanes_live.demo.simulation import NO_FAULT, Fault
from xanes_live.errors import ConfigurationError

Plan = Literal[
    "transmission", "fluorescence", "kev", "generic", "pages", "hdf5", "qexafs", "alignment"
]
Outcome = Literal["result", "declined", "ignored"]

TRUSTED: Final = frozenset({"green", "amber"})
DOUBTED: Final = frozenset({"amber", "red"})
ANY_COLOUR: Final = frozenset({"green", "amber", "red"})
RED: Final = frozenset({"red"})

Regions = tuple[tuple[float, float, float], ...]
XANES: Final[Regions] = ((-100.0, -20.0, 8.0), (-20.0, 70.0, 0.5), (70.0, 250.0, 6.0))
"""(from, to, step) relative to the tabulated edge, eV; clipped to what was measured of a sample."""
SHORT: Final[Regions] = ((-14.0, 18.0, 0.5),)


@dataclass(frozen=True, slots=True)
class Expected:
    """What should be in Tiled after a scan."""

    outcome: Outcome = "result"
    """'declined': a node that says why there is no prediction; 'ignored': nothing at all."""
    colours: frozenset[str] = TRUSTED
    """Confidence of every spectrum is one of these."""
    flags: frozenset[str] = frozenset()
    """At least one of these codes is published (none asked for when empty)."""
    n_spectra: int = 1
    first_shell: float | None = None
    """Known mean first-shell distance, Å; None where there is none to compare with."""
    tolerance: float = 0.15
    """Largest deviation from `first_shell`, Å."""
    exit_status: str = "success"
    """Of the raw run's stop document."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of the programme: `repeats` runs of one plan on one sample."""

    name: str
    plan: Plan
    sample: str
    """Key of :data:`xanes_live.demo.samples.FILES`."""
    expected: Expected = field(default_factory=Expected)
    repeats: int = 1
    fault: Fault = NO_FAULT
    regions: Regions = XANES
    stop_after: int | None = None
    """Points after which the operator aborts the scan."""


DECLINED: Final = Expected("declined", flags=frozenset({"no_model"}), colours=ANY_COLOUR)

PROGRAMME: Final[tuple[Entry, ...]] = (
    # Well-behaved scans. The metal is measured because every beamline does; its first two shells
    # overlap, so there is no single distance to compare with.
    Entry("fe-foil", "transmission", "fe_foil", Expected(colours=ANY_COLOUR)),
    Entry("feo", "transmission", "feo", Expected(first_shell=2.16)),
    Entry("fe2o3", "transmission", "fe2o3", Expected(first_shell=2.03)),
    Entry("fe3o4", "transmission", "fe3o4", Expected(first_shell=2.01)),
    # Sulfides are what muffin-tin theory is worst at: the result must say so.
    Entry("fes2", "transmission", "fes2", Expected(colours=DOUBTED)),
    Entry("goethite", "fluorescence", "goethite", Expected(first_shell=2.02)),
    # This spectrum disagrees with siderite of two other laboratories.
    Entry("siderite", "fluorescence", "siderite", Expected(colours=ANY_COLOUR)),
    # Other ways to describe and to deliver a scan.
    Entry("fe3c-kev", "kev", "fe3c", Expected(colours=ANY_COLOUR)),
    Entry("fen-no-edge-named", "generic", "fen", Expected(colours=ANY_COLOUR)),
    Entry("fe3o4-event-pages", "pages", "fe3o4", Expected(first_shell=2.01)),
    Entry("fe2o3-hdf5", "hdf5", "fe2o3", Expected(first_shell=2.03)),
    Entry("fes2-qexafs", "qexafs", "fes2", Expected(n_spectra=20, colours=ANY_COLOUR)),
    Entry("vivianite", "fluorescence", "vivianite", Expected(colours=ANY_COLOUR), repeats=3),
    Entry(
        "ferrihydrite-dead-element",
        "fluorescence",
        "ferrihydrite",
        Expected(colours=ANY_COLOUR, flags=frozenset({"elements_left_out"})),
        fault=Fault(dead=("fluorescence[2]",)),
    ),
    # Scans no model is for.
    Entry("cu-foil", "transmission", "cu_foil", DECLINED),
    Entry("mno2", "transmission", "mno2", DECLINED),
    Entry("sample-alignment", "alignment", "feo", Expected("ignored", n_spectra=0)),
    # Scans that went wrong.
    Entry(
        "feo-aborted",
        "transmission",
        "feo",
        Expected(colours=RED, flags=frozenset({"scan_aborted"}), exit_status="abort"),
        stop_after=120,
    ),
    Entry(
        "fe2o3-dead-detector",
        "transmission",
        "fe2o3",
        Expected(
            colours=RED,
            flags=frozenset({"detector_dead", "channel_low", "channels_unknown", "no_edge"}),
        ),
        fault=Fault(dead=("it", "ir")),
    ),
    Entry(
        "fe3o4-i0-dropout",
        "transmission",
        "fe3o4",
        Expected(colours=RED, flags=frozenset({"dropout"})),
        fault=Fault(i0_dropout=(9.4, 10.6)),
    ),
    Entry(
        "feo-too-short",
        "transmission",
        "feo",
        Expected(colours=RED, flags=frozenset({"too_short"})),
        regions=SHORT,
    ),
)


def select(names: str | Iterable[str] = "full") -> tuple[Entry, ...]:
    """Return the entries called `names` (comma-separated or a sequence) in programme order.

    'full' is the whole programme.

    Raises
    ------
    ConfigurationError
        If there is no entry of that name.
    """
    wanted = names.split(",") if isinstance(names, str) else list(names)
    if wanted == ["full"]:
        return PROGRAMME
    known = {entry.name for entry in PROGRAMME}
    if missing := sorted(set(wanted) - known):
        raise ConfigurationError(f"no entry {', '.join(missing)} in the programme: {sorted(known)}")
    return tuple(entry for entry in PROGRAMME if entry.name in wanted)
