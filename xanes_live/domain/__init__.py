"""The words of the pipeline: one frozen dataclass for each thing that flows through it.

    documents ─► Scan ─► Spectrum ─► NormalisedSpectrum ─► ModelInput ─► Prediction
              ─► Assessment ─► Result ─► Tiled

Arrays are float64 unless said otherwise and must not be changed after construction.
Energies are in eV, distances in Å. One :class:`Scan` holds all sweeps of one run; from
:class:`Spectrum` on, one object is one spectrum.
"""

from xanes_live.domain.measured import (
    BEYOND_SCAN,
    Channels,
    Declined,
    ModelInput,
    NormalisedSpectrum,
    Scan,
    Spectrum,
    Unusable,
)
from xanes_live.domain.predicted import (
    Assessment,
    Cyclic,
    Evidence,
    FirstShell,
    Moved,
    Neighbour,
    Others,
    Peak,
    Prediction,
    Rival,
    Survey,
)
from xanes_live.domain.repeats import (
    REPEATABLE,
    SHARED,
    Drift,
    MergedRepeats,
    Outlier,
    Repeat,
    Repeats,
)
from xanes_live.domain.result import ModelInfo, Result, SpectrumResult
from xanes_live.domain.words import Array, Confidence, Flag, Mode, Quality, Severity

__all__ = [
    "BEYOND_SCAN",
    "REPEATABLE",
    "SHARED",
    "Array",
    "Assessment",
    "Channels",
    "Confidence",
    "Cyclic",
    "Declined",
    "Drift",
    "Evidence",
    "FirstShell",
    "Flag",
    "MergedRepeats",
    "Mode",
    "ModelInfo",
    "ModelInput",
    "Moved",
    "Neighbour",
    "NormalisedSpectrum",
    "Others",
    "Outlier",
    "Peak",
    "Prediction",
    "Quality",
    "Repeat",
    "Repeats",
    "Result",
    "Rival",
    "Scan",
    "Severity",
    "Spectrum",
    "SpectrumResult",
    "Survey",
    "Unusable",
]
