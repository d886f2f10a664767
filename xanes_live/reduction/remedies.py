"""What is to be done about a scan, in sentences with its own numbers, for the flags that ask so."""

from __future__ import annotations

import math

from xanes_live.config import ReductionConfig
from xanes_live.domain import Mode
from xanes_live.reduction.uncertainty import post_edge_error

CALIBRATE = (
    "measure a foil, set reduction.align to 'foil', or to 'fixed' with what it is off by as "
    "energy_shift, and process again"
)
"""What helps where the table says that energies are wrong, but not by how much."""


def shift_by(off: float, config: ReductionConfig) -> str:
    """Return how to correct energies on which a foil is `off` eV from its place."""
    fixed = (config.energy_shift if config.align == "fixed" else 0.0) - off
    return (
        f"shift them by {-off:+.1f} eV, that is, set reduction.align to 'foil', or to 'fixed' with "
        f"energy_shift = {fixed:.1f}, and process again"
    )


def longer_or_else(reach: float, error: float) -> str:
    """Return how a scan is normalised best that ends too soon.

    Parameters
    ----------
    reach
        Its end, eV above the edge.
    error
        Relative error of its edge step as it was normalised.
    """
    constant = post_edge_error(reach, 0)
    if constant >= error:
        return (
            "So far there is too little above the edge for more than its mean, which was taken for "
            "the height of the edge."
        )
    return (
        "Where that cannot be, process it again with the order of the post-edge (nnorm in "
        "[reduction]) set to 0: the mean above the edge instead of a line through it is uncertain "
        f"by {100.0 * constant:.0f} %."
    )


def more_signal(mode: Mode, step: float, scale: float) -> str:
    """Return what makes an edge step larger that is small.

    Parameters
    ----------
    mode
        How it was measured.
    step
        The edge step.
    scale
        What it is small compared to: 1, or in fluorescence the background.
    """
    if mode is Mode.FLUORESCENCE:
        return (
            f"the counts rise by only {100.0 * step / scale:.1f} % at the edge, which a window of "
            "the detector closer around the line, or a filter before it, makes more"
        )
    return (
        f"a sample {scale / step:.0f} times as thick would have a step of 1, if it lets enough "
        "beam through; a dilute one is better measured in fluorescence"
    )


def times_the_counts(noise: float, wanted: float) -> int:
    """Return how many times the counts bring `noise` down to `wanted`, by counting statistics."""
    return math.ceil((noise / wanted) ** 2)
