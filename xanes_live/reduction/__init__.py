"""Reduction: detector readings → μ(E) → normalised spectrum → the model's grid."""

from __future__ import annotations

from xanes_live.reduction.background import PreEdge, pre_edge
from xanes_live.reduction.channels import spectra_from_scan
from xanes_live.reduction.edge import find_e0
from xanes_live.reduction.merge import Merged, Stacked, merge, stack
from xanes_live.reduction.normalise import normalise
from xanes_live.reduction.one_edge import at_one_edge
from xanes_live.reduction.resample import Resampled, resample, resample_array, resample_wide

__all__ = [
    "Merged",
    "PreEdge",
    "Resampled",
    "Stacked",
    "at_one_edge",
    "find_e0",
    "merge",
    "normalise",
    "pre_edge",
    "resample",
    "resample_array",
    "resample_wide",
    "spectra_from_scan",
    "stack",
]
