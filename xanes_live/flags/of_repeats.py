"""Flags of a series: repeats of one sample."""

from __future__ import annotations

from xanes_live.flags.kind import INFO, WARNING, FlagKind

REPEATS = (
    FlagKind(
        "beam_damage",
        WARNING,
        "the repeats drift: {what} by {change} over {count} repeats ({chance})",
        "The beam changes the sample, or it dries, melts, moves or reacts; or the energies drift.",
        "Use {keep}. Attenuate or defocus the beam, or move the sample.",
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
        "{which} does not agree with the other {others}: {times:.1f} times their scatter",
        "The sample or the beam moved, a glitch, a bubble, or another sample.",
        "Leave it out of the merge; look at its channels.",
    ),
    FlagKind(
        "first_repeat_differs",
        WARNING,
        "{first}, the first that is compared, differs from all later repeats: either it was "
        "spoiled, or the beam changed the sample at once and the later ones are damaged",
        "The beam was not steady yet, or beam damage that was complete after the first repeat; "
        "the repeats alone cannot tell which.",
        "Measure a fresh spot: if its first repeat looks like this one, the later ones are "
        "damaged.",
    ),
    FlagKind(
        "two_repeats_disagree",
        WARNING,
        "the two repeats, {first} and {second}, do not agree: {times:.1f} times what their noise "
        "explains; one of them is wrong",
        "The sample or the beam moved, a glitch, a bubble, or another sample; which of them was "
        "spoiled cannot be told from two.",
        "Take a third repeat; look at the channels of both.",
    ),
    FlagKind(
        "repeats_scatter",
        WARNING,
        "the repeats differ by {times:.1f} times what their noise explains",
        "Spots of different composition or thickness, or a sample or beam that changes in steps.",
        "Look at the repeats: if they are of two kinds, average and predict each kind apart.",
    ),
    FlagKind(
        "more_repeats_help",
        INFO,
        "one more repeat would narrow the interval by about {by:.3f} Å (now ±{half:.2f} Å)",
        "The distance still depends on the noise of the merge.",
        "Take another repeat if the distance has to be more certain.",
    ),
)
