"""The two-body G2 descriptor of the wACSF and what can be read from it."""

from xanes_live.descriptor.g2 import G2Grid, g2, g2_from_distances, neighbours
from xanes_live.descriptor.peaks import find_peaks, first_peak
from xanes_live.descriptor.shell import (
    RIGHT,
    combine_votes,
    coordination,
    first_shell,
    ligand,
    shell_distance,
    shell_votes,
)

__all__ = [
    "RIGHT",
    "G2Grid",
    "combine_votes",
    "coordination",
    "find_peaks",
    "first_peak",
    "first_shell",
    "g2",
    "g2_from_distances",
    "ligand",
    "neighbours",
    "shell_distance",
    "shell_votes",
]
