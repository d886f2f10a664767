"""Every flag there is: one table from which flags are made and the reference page is generated.

A flag's *message* says what was seen in this scan, with its numbers; its *meaning*, *cause* and
*remedy* are the same for every scan. Codes are part of the published interface: add, never rename.
"""

from __future__ import annotations

from dataclasses import dataclass

from xanes_live.domain import Flag, Severity

INFO, WARNING, ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR


@dataclass(frozen=True, slots=True)
class FlagKind:
    """One row of the table; `message` is a :meth:`str.format` template."""

    code: str
    severity: Severity
    message: str
    cause: str
    remedy: str


def _table(*rows: FlagKind) -> dict[str, FlagKind]:
    table = {row.code: row for row in rows}
    if len(table) != len(rows):
        raise ValueError("a flag code is listed twice")
    return table


FLAGS: dict[str, FlagKind] = _table(
    # Of flags of one severity the one listed first is shown first: what ended the scan, then what
    # was wrong with the beam and the detectors, then with the energies, the edge and the ranges,
    # then what the model makes of it. An operator wants the cause before its consequences.
    FlagKind(
        "internal_error",
        ERROR,
        "an internal error stopped this scan: {reason}",
        "A defect in the software.",
        "Report it with the run's uid; the raw data are untouched.",
    ),
    # -- documents -------------------------------------------------------------------------
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
        "{count} events lost on the way were re-read from Tiled",
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
    # -- reduction -------------------------------------------------------------------------
    FlagKind(
        "channel_saturated",
        WARNING,
        "{channel} is saturated at {fraction:.0%} of its points",
        "Too much gain or too much beam.",
        "Lower the gain or attenuate, and repeat.",
    ),
    FlagKind(
        "channel_low",
        WARNING,
        "{channel} is at the level of its dark current",
        "No beam, a closed shutter, a dead or unplugged detector.",
        "Check beam and detector.",
    ),
    FlagKind(
        "channel_invalid",
        WARNING,
        "{channel} has {count} invalid values (NaN, ≤ 0)",
        "Read-out errors or over-subtracted dark current.",
        "Check the detector and its offset.",
    ),
    FlagKind(
        "over_absorption",
        WARNING,
        "self-absorption suspected: {reason}",
        "Fluorescence of a thick, concentrated sample: what it absorbs most, it shows too weakly.",
        "Measure in transmission, or dilute or thin the sample, or detect at grazing exit.",
    ),
    FlagKind(
        "detector_dead",
        ERROR,
        "no usable signal: {reason}",
        "The detector gave nothing that follows the energy.",
        "Check the detector; repeat the scan.",
    ),
    FlagKind(
        "mode_changed",
        WARNING,
        "announced as {announced}, but {reason}: {used} is used",
        "The detector of the announced mode was not read or gave no edge.",
        "Check that detector, or set the mode in the configuration.",
    ),
    FlagKind(
        "elements_left_out",
        INFO,
        "fluorescence elements left out: {elements}",
        "They were dead, saturated or disagreed with the others.",
        "",
    ),
    FlagKind(
        "points_dropped",
        INFO,
        "{count} points dropped ({reason})",
        "Non-finite or duplicate energies, or invalid readings.",
        "",
    ),
    FlagKind(
        "too_few_points",
        ERROR,
        "only {count} usable points",
        "The scan is too short to be a spectrum.",
        "Repeat with more points.",
    ),
    FlagKind(
        "not_sorted",
        INFO,
        "energies were not in order and have been sorted",
        "The monochromator was scanned downwards or back and forth.",
        "",
    ),
    FlagKind(
        "glitch",
        WARNING,
        "{count} glitched points, the worst at {energy:.1f} eV, were removed",
        "Bragg glitches of the monochromator or of a crystalline sample, spikes of electronics.",
        "Detune or rotate the sample if they are near the edge.",
    ),
    FlagKind(
        "glitch_kept",
        WARNING,
        "{count} glitched points, the worst at {energy:.1f} eV, were left in (deglitch is off)",
        "Bragg glitches of the monochromator or of a crystalline sample, spikes of electronics.",
        "Set deglitch in the [reduction] section.",
    ),
    FlagKind(
        "dropout",
        ERROR,
        "intensity dropped out at {energy:.1f} eV for {count} points",
        "Beam loss, top-up or a shutter during the scan.",
        "Repeat the scan.",
    ),
    FlagKind(
        "no_edge",
        ERROR,
        "no absorption edge found in the data",
        "The element is absent, or the detector saw no beam.",
        "Check sample position and detector.",
    ),
    FlagKind(
        "energy_scale_off",
        WARNING,
        "the energy scale seems wrong: {reason}",
        "The monochromator lost its calibration, or a wrong crystal or offset is set.",
        "Calibrate with a foil, or set reduction.align to 'foil' or 'fixed', and process again.",
    ),
    FlagKind(
        "edge_far",
        WARNING,
        "e0 {e0:.1f} eV is {offset:+.1f} eV from the tabulated edge",
        "The energy scale is off, or the sample is unusual.",
        "Measure a reference foil; calibrate the monochromator.",
    ),
    FlagKind(
        "short_pre_edge",
        WARNING,
        "only {available:.0f} eV of pre-edge",
        "The scan starts too near the edge to fix the baseline.",
        "Start at least 50 eV below the edge.",
    ),
    FlagKind(
        "short_post_edge",
        WARNING,
        "only {available:.0f} eV above the edge: the edge step is uncertain by {percent:.0f} %",
        "The scan ends too early to fix the normalisation.",
        "Scan further above the edge.",
    ),
    FlagKind(
        "too_short",
        ERROR,
        "too short to normalise: {available:+.0f} eV around the edge",
        "There is nothing to normalise to.",
        "Scan from −50 to at least +100 eV around the edge.",
    ),
    FlagKind(
        "small_edge_step",
        WARNING,
        "edge step {step:.3g} is small",
        "Dilute or thin sample, or a large background.",
        "Longer counting, or fluorescence.",
    ),
    FlagKind(
        "edge_step_unstable",
        WARNING,
        "the edge step depends on how it is normalised: {low:.3g} to {high:.3g} (±{percent:.0f} %)",
        "A curved background, or strong structure at the ends of the scan.",
        "Scan further on both sides, or set pre1 … norm2 in the [reduction] section.",
    ),
    FlagKind(
        "negative_edge_step",
        ERROR,
        "the signal falls at the edge (step {step:.3g})",
        "Channels are exchanged, or the signal is not absorption.",
        "Check the channel mapping.",
    ),
    FlagKind(
        "noisy",
        WARNING,
        "noise is {percent:.1f} % of the edge step",
        "Few counts.",
        "Longer counting or more repeats.",
    ),
    FlagKind(
        "aligned",
        INFO,
        "energies shifted by {shift:+.2f} eV ({how})",
        "Alignment is on in the configuration.",
        "",
    ),
    FlagKind(
        "alignment_doubtful",
        WARNING,
        "alignment to the foil is doubtful: {reason}",
        "The reference channel is noisy, empty or another element.",
        "Check the reference foil.",
    ),
    FlagKind(
        "grid_not_covered",
        WARNING,
        "the model needs {low:.1f}–{high:.1f} eV, {missing:.0f} % of it is not measured",
        "The scan is shorter than the model's range.",
        "Scan the whole range of the model.",
    ),
    FlagKind(
        "coarse_grid",
        WARNING,
        "steps of up to {step:.2f} eV near the edge are coarse",
        "Too few points to resolve the XANES.",
        "Use 0.5 eV steps or finer from −20 to +50 eV.",
    ),
    # -- history: repeats of one sample ----------------------------------------------------
    FlagKind(
        "beam_damage",
        WARNING,
        "the repeats drift: {what} by {change} over {count} repeats ({chance})",
        "The beam changes the sample, or it dries, melts, moves or reacts; or the energies drift.",
        "Use the first repeats only: {keep}. Attenuate or defocus the beam, or move the sample.",
    ),
    FlagKind(
        "energy_drifts",
        WARNING,
        "the energy scale drifts: the foil moves by {change:+.2f} eV over {count} repeats",
        "The monochromator warms up, slips or was recalibrated between the scans.",
        "Set reduction.align to 'foil' and process the runs again; let the monochromator settle.",
    ),
    FlagKind(
        "repeat_disagrees",
        WARNING,
        "repeat {which} does not agree with the other {others}: {times:.1f} times their scatter",
        "The sample or the beam moved, a glitch, a bubble, or another sample.",
        "Leave it out of the merge; look at its channels.",
    ),
    FlagKind(
        "more_repeats_help",
        INFO,
        "one more repeat would narrow the interval by about {by:.3f} Å (now ±{half:.2f} Å)",
        "The distance still depends on the noise of the merge.",
        "Take another repeat if the distance has to be more certain.",
    ),
    # -- ensemble and confidence -----------------------------------------------------------
    FlagKind(
        "no_first_shell",
        ERROR,
        "no significant peak in the predicted G2",
        "The model sees no first shell it knows.",
        "Compare with a measured standard.",
    ),
    FlagKind(
        "ensemble_spread",
        WARNING,
        "the first shell is known to ±{half:.2f} Å only: the members disagree",
        "The spectrum is unlike those the model was trained on.",
        "Treat the distance as a guide only; compare with standards.",
    ),
    FlagKind(
        "ensemble_spread_large",
        ERROR,
        "the members do not agree on a first shell (±{half:.2f} Å)",
        "The spectrum is outside what the model knows.",
        "Do not use the distance.",
    ),
    FlagKind(
        "first_shell_unlikely",
        ERROR,
        "the distance is right within 0.1 Å with a probability of only {percent:.0f} %",
        "The signals named next to it: a spectrum unlike those learnt from, or a damaged one.",
        "Do not use the distance.",
    ),
    FlagKind(
        "first_shell_uncertain",
        WARNING,
        "the distance is right within 0.1 Å with a probability of {percent:.0f} %",
        "The signals named next to it.",
        "Treat the distance as a guide; compare with a measured standard.",
    ),
    FlagKind(
        "members_disagree",
        WARNING,
        "the members of the ensemble disagree (by {value:.2g})",
        "The spectrum is unlike those the model was trained on.",
        "Treat the distance as a guide only; compare with standards.",
    ),
    FlagKind(
        "shell_ambiguous",
        WARNING,
        "spectra like this one leave the distance open by about {value:.2f} Å",
        "Several structures give nearly this spectrum.",
        "Compare with measured standards of the structures in question.",
    ),
    FlagKind(
        "sensitive_to_shift",
        WARNING,
        "the distance moves by {value:.2f} Å when the energies are shifted by 1 to 2 eV",
        "The prediction hangs on the energy scale.",
        "Calibrate with a foil; trust differences between scans of one session only.",
    ),
    FlagKind(
        "sensitive_to_broadening",
        WARNING,
        "the distance moves by {value:.2f} Å when the spectrum is broadened",
        "The prediction hangs on fine structure that resolution or noise may have changed.",
        "Measure with better resolution or longer.",
    ),
    FlagKind(
        "peak_disagrees",
        WARNING,
        "the first peak of G2 lies {value:.2f} Å from the first-shell distance",
        "The network contradicts itself: mixed, split or distorted shells, or an unknown kind.",
        "Look at G2: there may be two distances.",
    ),
    FlagKind(
        "novel",
        WARNING,
        "unlike the training spectra: differs by {value:.3f} rms from the nearest",
        "A compound or a distortion of the spectrum that the model never met.",
        "Compare with a measured standard; check normalisation and self-absorption.",
    ),
    FlagKind(
        "neighbours_disagree",
        WARNING,
        "the most similar training spectra have first shells {value:.2f} Å from this or each other",
        "Spectra of different structures look alike here.",
        "Look at the nearest compounds and judge which is plausible.",
    ),
    FlagKind(
        "cyclic_residual",
        WARNING,
        "the spectrum shows what no predicted structure explains (residual {value:.1f} × usual)",
        "A glitch, noise, another element, or a compound unlike all computed ones.",
        "See where in energy the residual lies; check the channels there.",
    ),
    FlagKind(
        "limit_soft",
        WARNING,
        "the first shell looks like sulfur, phosphorus or their kin ({percent:.0f} %)",
        "Muffin-tin theory describes covalent Fe–S badly: such predictions can be wrong and sure.",
        "Compare with a measured sulfide; expect errors of 0.1 to 0.2 Å.",
    ),
    FlagKind(
        "limit_metallic",
        WARNING,
        "the first shell looks metallic ({percent:.0f} %)",
        "Computed energies of metals are off by several eV, and the first two shells of a bcc "
        "metal overlap: distances come out too short.",
        "Use EXAFS or a measured standard for metals.",
    ),
    FlagKind(
        "limit_linear_carbon",
        WARNING,
        "the first shell looks like carbonyl or cyanide ({percent:.0f} %)",
        "Scattering along the line Fe–C–O or Fe–C–N is strong, and theory exaggerates it.",
        "Expect a first shell that is too sure; compare with a measured standard.",
    ),
    FlagKind(
        "limit_under_coordinated",
        INFO,
        "fewer than six neighbours (about {number:.1f})",
        "Tetrahedral, planar and five-fold sites are rarer in training than octahedra.",
        "",
    ),
    FlagKind(
        "not_calibrated",
        INFO,
        "the model brings no verdict: the colour follows the members' spread alone",
        "It was trained but not calibrated against known structures.",
        "xanes-live calibrate",
    ),
)


def make(code: str, **values: object) -> Flag:
    """Make the flag `code`, its message filled with `values`.

    Raises
    ------
    KeyError
        If the code is not in the table or a value of its message is missing.
    """
    kind = FLAGS[code]
    return Flag(kind.code, kind.severity, kind.message.format(**values), kind.remedy)


CAUSES = frozenset(
    {
        "channel_saturated",
        "over_absorption",
        "noisy",
        "energy_scale_off",
        "edge_far",
        "small_edge_step",
        "short_post_edge",
        "grid_not_covered",
        "scan_incomplete",
    }
)
"""Warnings that each are reason enough for the model not to know what to make of a spectrum."""
SYMPTOMS = frozenset({"no_first_shell", "ensemble_spread_large", "first_shell_unlikely"})
"""Errors that only say that the model does not know what to make of a spectrum."""
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 2, Severity.INFO: 3}
_LAST = list(FLAGS).index("no_first_shell")
"""From here on flags are the model's: their order is that in which they are given, by what each
costs."""
_RANK = {code: min(rank, _LAST) for rank, code in enumerate(FLAGS)}


def by_importance(flags: tuple[Flag, ...]) -> tuple[Flag, ...]:
    """Return `flags` without repeats of one message, in the order an operator wants them.

    Errors, warnings, infos, and in the order of the table among equals, those of the model as
    given; but a warning that says why a model does not know what to make of a spectrum
    (:data:`CAUSES`) goes before the error that it does not (:data:`SYMPTOMS`): it is what can be
    acted upon.
    """
    unique = {(f.code, f.message): f for f in flags}
    return tuple(sorted(unique.values(), key=_importance))


def _importance(flag: Flag) -> tuple[float, int]:
    level: float = _ORDER[flag.severity]
    if flag.code in SYMPTOMS:
        level = 1
    elif flag.code in CAUSES:
        level = 0.5
    return (level, _RANK.get(flag.code, _LAST))
