"""The words all records share: how bad, how sure, how measured, and what to tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Severity(StrEnum):
    """How much a flag matters: a note, a reason for caution, a reason not to trust."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Confidence(StrEnum):
    """The one colour an operator acts on."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class Mode(StrEnum):
    """How μ(E) was measured."""

    TRANSMISSION = "transmission"
    FLUORESCENCE = "fluorescence"
    REFERENCE = "reference"
    GIVEN = "given"
    """μ(E) came ready-made, from a file say."""


class Quality(StrEnum):
    """Channel quality in the words of NSLS-II ISS."""

    GOOD = "good"
    SATURATED = "saturated"
    LOW_AMPLITUDE = "low_amplitude"
    INVALID_VALUES = "invalid_values"


@dataclass(frozen=True, slots=True)
class Flag:
    """Something an operator should know about a scan.

    Codes are lower-case, underscored, stable across versions, and all registered in
    :mod:`xanes_live.flags` (code → severity, meaning, cause, remedy).
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the JSON form published with a result."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "remedy": self.remedy,
        }
