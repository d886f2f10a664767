"""One prediction with all that was found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xanes_live.confidence.limits import Kind
from xanes_live.domain import Array, Evidence, Prediction


@dataclass(frozen=True, slots=True)
class Examined:
    """What :meth:`xanes_live.confidence.judge.Judge.examine` says of one spectrum."""

    prediction: Prediction
    """Its first shell has the calibrated interval."""
    probability: float
    """That the first-shell distance is right within 0.1 Å."""
    signals: Mapping[str, float]
    blame: Mapping[str, float]
    """Log-odds each signal costs."""
    strange: tuple[str, ...]
    """Signals larger than those of nearly all unseen computed spectra, whatever the verdict."""
    kind: Kind
    """What the first shell probably consists of."""
    evidence: Evidence
    g2_expected: Array | None = None
    """Error of G2 that experience expects, shape (n_g2,)."""
