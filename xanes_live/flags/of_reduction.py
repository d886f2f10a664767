"""Flags of the measurement: detectors, energies, edge, ranges, noise."""

from __future__ import annotations

from xanes_live.flags.kind import ERROR, INFO, WARNING, FlagKind

MEASUREMENT = (
    FlagKind(
        "channel_saturated",
        WARNING,
        "{channel} is saturated at {fraction:.0%} of its points",
        "Too much gain or too much beam.",
        "Lower the gain or attenuate at least by half, and repeat: readings end at {top}, the "
        "highest should be no more than half of that.",
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
        "channel_frozen",
        WARNING,
        "{channel} gives the same reading at {count} points, as from {low:.0f} to {high:.0f} eV",
        "The detector or its read-out hung.",
        "Restart the read-out and repeat the scan: the spectrum is wrong there.",
    ),
    FlagKind(
        "signal_steps",
        WARNING,
        "the signal jumps by {size:+.2f} edge steps at {energy:.1f} eV and stays there",
        "The gain of an amplifier was changed during the scan, or the beam moved on the sample; "
        "far from the edge, it may be that of another element.",
        "Repeat the scan with all gains fixed: edge step and structure are wrong by about as much.",
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
        "only {count} usable points{where}",
        "The scan is too short, or its steps are too wide, to be a spectrum.",
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
        "{count} glitched points removed, the worst at {energy:.1f} eV",
        "Bragg glitches of the monochromator or of a crystalline sample, spikes of electronics.",
        "Detune or rotate the sample if they are near the edge.",
    ),
    FlagKind(
        "glitch_kept",
        WARNING,
        "{count} glitched points left in (deglitch is off), the worst at {energy:.1f} eV",
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
        "Correct the energies: {correct}. Calibrate the monochromator before the next scan.",
    ),
    FlagKind(
        "edge_far",
        WARNING,
        "e0 {e0:.1f} eV is {offset:+.1f} eV from the tabulated edge",
        "The energy scale is off, or the sample is unusual.",
        "Measure a reference foil: if its edge is off, too, calibrate the monochromator; if it is "
        "in its place, the sample is unusual.",
    ),
    FlagKind(
        "short_pre_edge",
        WARNING,
        "only {available:.0f} eV of pre-edge: the edge step is uncertain by {percent:.0f} %",
        "The scan starts too near the edge to fix the baseline.",
        "Start at {start:.0f} eV or below, which is 50 eV below the edge: that leaves "
        "{then:.0f} %.",
    ),
    FlagKind(
        "short_post_edge",
        WARNING,
        "only {available:.0f} eV above the edge: the edge step is uncertain by {percent:.0f} %",
        "The scan ends too early to fix the normalisation.",
        "Scan to {end:.0f} eV, which is 200 eV above the edge. {otherwise}",
    ),
    FlagKind(
        "range_replaced",
        INFO,
        "the scan holds too little of the configured {which} range ({asked}): "
        "{low:+.0f} to {high:+.0f} eV is fitted instead",
        "pre1 … norm2 in [reduction] were chosen for longer scans.",
        "Scan further, or set a range that all scans hold.",
    ),
    FlagKind(
        "too_short",
        ERROR,
        "too short to normalise: the scan {end} {distance:.0f} eV {side} the edge",
        "There is nothing to normalise to.",
        "Scan from −50 to at least +100 eV around the edge.",
    ),
    FlagKind(
        "small_edge_step",
        WARNING,
        "edge step {step:.3g} is small",
        "Dilute or thin sample, or a large background.",
        "Make the step larger or count longer: {more}.",
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
        "About {times:.0f} times the counts would bring it to {wanted:.0f} %: {times:.0f} repeats "
        "merged, or {times:.0f} times the counting time.",
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
        "Scan from {low:.0f} to {high:.0f} eV at least.",
    ),
    FlagKind(
        "coarse_grid",
        WARNING,
        "steps of up to {step:.2f} eV near the edge are coarse",
        "Too few points to resolve the XANES.",
        "Use 0.5 eV steps or finer from −20 to +50 eV.",
    ),
)
