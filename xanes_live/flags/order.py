"""In which order an operator wants flags."""

from __future__ import annotations

from xanes_live.domain import Flag, Severity
from xanes_live.flags.of_model import MODEL
from xanes_live.flags.table import FLAGS

CAUSES = frozenset(
    {
        "channel_saturated",
        "channel_invalid",
        "channel_frozen",
        "signal_steps",
        "over_absorption",
        "glitch_kept",
        "noisy",
        "energy_scale_off",
        "alignment_doubtful",
        "edge_far",
        "small_edge_step",
        "short_pre_edge",
        "short_post_edge",
        "edge_step_unstable",
        "grid_not_covered",
        "coarse_grid",
        "scan_incomplete",
    }
)
"""Warnings that each are reason enough for the model not to know what to make of a spectrum."""
SYMPTOMS = frozenset({"no_first_shell", "ensemble_spread_large", "first_shell_unlikely"})
"""Errors that only say that the model does not know what to make of a spectrum."""
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 2, Severity.INFO: 3}
_LAST = len(FLAGS) - len(MODEL)
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
    unique = {(f.code, f.message): f for f in flags}.values()
    at_a_loss = any(f.code in SYMPTOMS for f in unique)
    return tuple(sorted(unique, key=lambda f: _importance(f, at_a_loss=at_a_loss)))


def _importance(flag: Flag, *, at_a_loss: bool) -> tuple[float, int]:
    level: float = _ORDER[flag.severity]
    if flag.code in SYMPTOMS:
        level = 1
    elif at_a_loss and flag.code in CAUSES:
        level = 0.5
    return (level, _RANK.get(flag.code, _LAST))
