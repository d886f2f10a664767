"""Flags of the run itself: how it ended, what of it arrived, what it is."""

from __future__ import annotations

from xanes_live.flags.kind import ERROR, INFO, WARNING, FlagKind

RUN = (
    FlagKind(
        "internal_error",
        ERROR,
        "an internal error stopped this scan: {reason}",
        "A defect in the software.",
        "Report it with the run's uid; the raw data are untouched.",
    ),
    FlagKind(
        "unreadable",
        ERROR,
        "not readable: {reason}",
        "The file or archive entry is not XAS data in a form known here.",
        "Export it as XDI or as text with columns for energy and signal.",
    ),
    FlagKind(
        "no_model",
        ERROR,
        "no model for the {element} {edge} edge: not predicted",
        "Models are trained for one element and edge; none of those loaded fits this scan.",
        "Train or install an ensemble for this edge, or check element and edge in the metadata.",
    ),
    FlagKind(
        "element_unknown",
        ERROR,
        "the absorbing element could not be determined",
        "The start document names no element and no edge lies inside the energies scanned.",
        "Put element and edge into the plan's metadata, or set them in the configuration.",
    ),
    FlagKind(
        "channels_unknown",
        ERROR,
        "no usable channels: {reason}",
        "Energy, I0 or a signal could not be recognised among the data keys.",
        "Name the keys in the [beamline] section of the configuration.",
    ),
    FlagKind(
        "wrong_edge",
        ERROR,
        "announced as {element} {edge} ({expected:.0f} eV) but the data {found}",
        "Wrong metadata, or the monochromator was elsewhere.",
        "Correct element and edge in the plan's metadata; check the monochromator calibration.",
    ),
    FlagKind(
        "scan_aborted",
        ERROR,
        "the run was aborted after {points} points",
        "Somebody or a suspender stopped the plan.",
        "Repeat the scan.",
    ),
    FlagKind(
        "scan_failed",
        ERROR,
        "the run ended with an error: {reason}",
        "The plan raised an exception.",
        "Look at the beamline's log; repeat the scan.",
    ),
    FlagKind(
        "no_stop",
        ERROR,
        "the run never ended (no stop document)",
        "The RunEngine died or the documents were lost.",
        "Check the RunEngine; replay the run.",
    ),
    FlagKind(
        "data_missing",
        ERROR,
        "{missing} of {expected} events are missing{detail}",
        "Documents were lost on the way and the run could not be re-read completely.",
        "Replay the run from Tiled once it is complete there.",
    ),
    FlagKind(
        "data_recovered",
        INFO,
        "re-read from Tiled: {count} events lost on the way",
        "The subscriber started late, was busy, or the network lost documents.",
        "",
    ),
    FlagKind(
        "external_unread",
        ERROR,
        "external data of {key} could not be read: {reason}",
        "The file is not reachable from here, or its format is unknown.",
        "Mount the detector's file system, or let the service read through Tiled.",
    ),
    FlagKind(
        "data_truncated",
        ERROR,
        "not all data of the run were kept: {reason}",
        "The run holds more values than the service keeps of one run, or the service was overrun.",
        "Raise service.max_points; replay the run.",
    ),
    FlagKind(
        "scan_incomplete",
        WARNING,
        "{points} of {announced} announced points were taken",
        "The plan was stopped (which Bluesky counts as success), or announced too many points.",
        "Repeat the scan if its end is missing.",
    ),
    FlagKind(
        "start_missing",
        WARNING,
        "the beginning of the run was not received: sample and announced edge are not known",
        "The subscriber started in mid-run and the run was not found in Tiled.",
        "Replay the run once it is in Tiled.",
    ),
    FlagKind(
        "channels_guessed",
        WARNING,
        "channels were recognised by their data alone: {roles}",
        "The names of the data keys do not say what they measure.",
        "Name the keys in the [beamline] section of the configuration.",
    ),
    FlagKind(
        "streams_unused",
        INFO,
        "predicted from stream {used!r}; not used, though a scan as well: {streams}",
        "Several streams of the run hold energy and channels, by other detectors or energies.",
        "Name the stream in the [beamline] section of the configuration if another one is meant; "
        "give each scan a run of its own.",
    ),
    FlagKind(
        "channel_absent",
        INFO,
        "a configured channel is not used: {reason}",
        "The [beamline] section names a data key that this run lacks, or that holds a spectrum.",
        "Record it, or correct the [beamline] section of the configuration.",
    ),
    FlagKind(
        "units_corrected",
        INFO,
        "{key!r} is configured as {configured}, but its values are {found}: read as {found}",
        "energy_units in the configuration does not fit the values.",
        "Correct energy_units in the [beamline] section, or leave it out.",
    ),
)
