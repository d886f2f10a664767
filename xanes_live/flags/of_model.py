"""Flags of the model: what it makes of a spectrum, and what is known of it."""

from __future__ import annotations

from xanes_live.flags.kind import ERROR, INFO, WARNING, FlagKind

MODEL = (
    FlagKind(
        "no_first_shell",
        ERROR,
        "no significant peak in the predicted G2{but}",
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
        "other_distances",
        WARNING,
        "the network holds other distances possible{other}",
        "Several structures with different distances give nearly this spectrum.",
        "Compare with measured standards of the structures in question.",
    ),
    FlagKind(
        "range_matters",
        WARNING,
        "the distance moves by {value:.2f} Å within what the range of the scan leaves open",
        "The scan begins too shortly before the edge, ends too soon after it, or is noisy.",
        "Scan from 100 eV below to 150 eV above the edge. Scans that end 40 to 100 eV above it are "
        "better processed with the order of the post-edge (nnorm in [reduction]) set to 0.",
    ),
    FlagKind(
        "sensitive_to_shift",
        WARNING,
        "the distance moves by {value:.2f} Å when the energies are shifted by 1 to 2 eV",
        "The prediction hangs on the energy scale.",
        "Calibrate with a foil to within 0.5 eV; trust differences between scans of one session "
        "only.",
    ),
    FlagKind(
        "g2_sensitive",
        WARNING,
        "G2 changes by {value:.0%} when the energies are shifted or the spectrum is broadened",
        "It hangs on the energy scale, or on fine structure that resolution may change.",
        "Calibrate with a foil; treat peaks of G2 as a guide.",
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
        "often_wrong",
        WARNING,
        "predictions like this one were often wrong when tried on computed spectra",
        "Kind of shell, distance and G2 with its spread, taken together, are as when it is wrong.",
        "Treat the distance as a guide; look at the nearest compounds and at G2.",
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
        "metal overlap.",
        "The distance may come out 0.1 to 0.2 Å off, in either direction: use EXAFS or a measured "
        "standard for metals.",
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
        "Where there are four or fewer the distance may come out too long, by 0.1 to 0.4 Å: "
        "compare with a measured standard of such a site.",
    ),
    FlagKind(
        "not_calibrated",
        INFO,
        "the model brings no verdict: the colour follows the members' spread alone",
        "It was trained but not calibrated against known structures.",
        "xanes-live calibrate",
    ),
)
