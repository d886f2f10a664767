"""Measured spectra of neighbouring elements, moved onto the model's energies.

The K-edge spectrum of a 3d metal is mostly its surroundings': with its edge put where the model's
is, it is a spectrum the model was not taught. What a model says of such spectra, and how sure it
is, is as near to a blind test as can be had at home. A hard one: the absorber's own phase moves
with its atomic number, edges shift otherwise with oxidation, and energy scales are known to 1 or
2 eV only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.confidence.judge import Judge
from xanes_live.descriptor import RIGHT
from xanes_live.domain import Array
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.evaluation.confidence_scores import auroc
from xanes_live.evaluation.measured import Reference, read_measured, scored_references
from xanes_live.evaluation.report import Report
from xanes_live.evaluation.scores import shell_scores

ELSEWHERE = "Neighbouring elements"


@dataclass(frozen=True)
class Elsewhere:
    """What a model says of spectra of other elements; arrays of shape (n,)."""

    references: tuple[Reference, ...]
    r: Array
    """Predicted first-shell distance, Å."""
    half_width: Array
    """Of its 95 % interval, Å."""
    probability: Array
    """Of being right within 0.1 Å."""

    @property
    def known(self) -> Array:
        """Known distances, Å."""
        return np.array([r.first_shell for r in self.references])

    @property
    def error(self) -> Array:
        """Predicted − known, Å."""
        return np.asarray(self.r - self.known)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether the interval holds the known distance."""
        return np.abs(self.error) <= self.half_width


def ask_elsewhere(ensemble: Ensemble, table: Path, root: Path | None = None) -> Elsewhere | None:
    """Examine the spectra of a table; None if the model was never calibrated.

    Raises
    ------
    ConfigurationError, ReadError
        If the table or one of its spectra cannot be read.
    """
    judge = Judge.of(ensemble)
    if judge is None:
        return None
    references = scored_references(table, root)
    measured = read_measured(
        references, judge.wide, ensemble.input_form, ensemble.model.grid,
        element=ensemble.info.element, edge=ensemble.info.edge,
    )  # fmt: skip
    found = judge.examine(measured.mu)
    shells = [one.prediction.first_shell for one in found]
    return Elsewhere(
        references,
        np.array([s.r for s in shells]),
        np.array([(s.high - s.low) / 2 for s in shells]),
        np.array([one.probability for one in found]),
    )


def add_elsewhere(page: Report, found: Elsewhere, sure: float) -> dict[str, Any]:
    """Add the section; return its numbers.

    Parameters
    ----------
    page
        The report.
    found
        What the model says.
    sure
        Probability from which a verdict is green.
    """
    page.heading(
        ELSEWHERE,
        "Measured spectra of other elements, moved by the difference of the tabulated edges: what "
        "the model as it is says of them, without flags of scans. Median, mean and share within "
        "0.1 Å count compounds, the other figures spectra.",
    )
    elements = np.array([r.element for r in found.references])
    parts = {"all": np.ones(len(elements), dtype=bool)}
    parts |= {str(e): elements == e for e in dict.fromkeys(elements.tolist())}
    numbers = {name: _numbers(found, mask, sure) for name, mask in parts.items()}
    page.table(
        ("first shell", "spectra", "compounds", "median / Å", "mean / Å", "within 0.1 Å",
         "interval holds", "median half-width / Å", "green", "green but wrong", "AUROC"),
        [
            (name, n["spectra"], n["count"], n["median"], n["mean"], n["right"], n["inside"],
             n["half_width"], n["green"], n["green_but_wrong"], n["auroc"])
            for name, n in numbers.items()
        ],
    )  # fmt: skip
    page.table(
        ("spectrum", "element", "known / Å", "predicted / Å", "± / Å", "probability"),
        [
            (r.id, r.element, r.first_shell, float(found.r[i]), float(found.half_width[i]),
             float(found.probability[i]))
            for i, r in enumerate(found.references)
        ],
    )  # fmt: skip
    numbers["each"] = {
        r.id: round(float(found.error[i]), 4) for i, r in enumerate(found.references)
    }
    return numbers


def _numbers(found: Elsewhere, mask: NDArray[np.bool_], sure: float) -> dict[str, Any]:
    compound = np.array([r.compound for r in found.references])[mask]
    error, chance = found.error[mask], found.probability[mask]
    wrong, green = ~(np.abs(error) <= RIGHT), chance >= sure
    return {
        **shell_scores(error, compound),
        "spectra": int(mask.sum()),
        "inside": float(found.inside[mask].mean()),
        "half_width": float(np.median(found.half_width[mask])),
        "green": float(green.mean()),
        "green_but_wrong": int((green & wrong).sum()),
        "auroc": auroc(1.0 - chance, wrong),
    }
