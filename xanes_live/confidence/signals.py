"""The numbers a verdict is made from: one row a spectrum, one column a signal.

Every signal is ≥ 0 and grows when something is wrong. The same function serves a live scan and the
fit of the verdict, so that a weight always meets the quantity it was found for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xanes_live.confidence.copies import CHANGES
from xanes_live.confidence.experience import Experience, features, kinds_of
from xanes_live.confidence.novelty import Found, Library
from xanes_live.descriptor import first_peak
from xanes_live.domain import Array, Survey


@dataclass(frozen=True, slots=True)
class Signal:
    """One column."""

    name: str
    unit: float
    """Size that matters: the scale of log(1 + x/unit), with :data:`SIZES`."""
    flag: str
    """Code of the flag raised when this signal costs most, '' for none."""
    meaning: str
    learnt: bool = False
    """Whether it says itself how probable an error is, as it was taught on spectra of its own."""

    @property
    def sizes(self) -> Array:
        """Sizes at which the verdict weighs it, shape (len(SIZES),)."""
        return self.unit * np.array(SIZES)


SIZES = (0.05, 1.0, 20.0)
"""In units of a signal: from where on it is heard, counts, and counts in full."""
SIGNALS = (
    Signal("spread", 0.01, "members_disagree", "σ of the members' first-shell distances, Å"),
    Signal(
        "ambiguity", 0.02, "shell_ambiguous",
        "error of the distance that the network itself expects, Å",
    ),
    Signal(
        "beyond", 0.1, "other_distances",
        "odds, by the chance the network gives to every distance, that it is off by over 0.1 Å",
        learnt=True,
    ),
    Signal("g2_spread", 0.05, "members_disagree", "mean σ of G2 over its root-mean-square"),
    Signal("shift", 0.01, "sensitive_to_shift", "largest move of the first shell, ±1 and ±2 eV, Å"),
    Signal(
        "broadening", 0.01, "sensitive_to_broadening",
        "largest move of the first shell under 0.5, 1 and 3 eV FWHM, Å",
    ),
    Signal("g2_moved", 0.05, "g2_sensitive", "mean relative change of G2 under all changes"),
    Signal("peak", 0.03, "peak_disagrees", "first-shell distance against the first peak of G2, Å"),
    Signal("novelty", 0.02, "novel", "distance from the nearest training spectra, units of μ"),
    Signal("neighbours", 0.03, "neighbours_disagree", "first shell against the neighbours', Å"),
    Signal("neighbours_spread", 0.03, "neighbours_disagree", "spread of the neighbours', Å"),
    Signal("cyclic", 1.0, "cyclic_residual", "size of the cyclic residual, 1 is usual"),
    Signal(
        "experience", 0.1, "often_wrong",
        "odds that a prediction like this one, of a computed spectrum, was off by over 0.1 Å",
        learnt=True,
    ),
)  # fmt: skip
IN_DOUBT = "range"
"""How far the first shell moves within what the range of a scan leaves open, Å: an edge step less
certain than ensembles have learnt to live with, energies that were not measured. The verdict is not
fitted to it: it is known outright."""
NAMES = tuple(signal.name for signal in SIGNALS)
EXPERIENCE = NAMES.index("experience")
UNITS = np.stack([signal.sizes for signal in SIGNALS])
"""Shape (len(SIGNALS), len(SIZES))."""
_SHIFTED = np.array([change.kind == "shift" for change in CHANGES])
BY_NAME: Mapping[str, Signal] = {signal.name: signal for signal in SIGNALS} | {
    IN_DOUBT: Signal(IN_DOUBT, 0.01, "range_matters", "move within what the range leaves open, Å")
}


def measure(
    survey: Survey,
    radius: Array,
    found: Found | None,
    library: Library | None,
    score: Array | None,
    experience: Experience | None = None,
) -> Array:
    """Return the signals of some spectra.

    Parameters
    ----------
    survey
        What the ensemble says of n spectra and of their copies.
    radius
        Centres of the G2 functions, Å, shape (n_g2,).
    found
        Their nearest training spectra; None where the model has no library.
    library
        The training spectra.
    score
        Score of the cyclic residual, shape (n,); None without a forward ensemble.
    experience
        What became of earlier predictions; None where the model has none.

    Returns
    -------
    Array
        Shape (n, len(SIGNALS)), in their order; NaN where unknown.
    """
    n = len(survey.predictions)
    unknown = np.full(n, np.nan)
    log_error = survey.heads.get("first_shell_error", unknown)
    r, mean = survey.r, survey.mean
    size = np.maximum(rms(mean[:, 0]), 1e-6)
    moved = np.abs(r[:, 1:] - r[:, :1])
    changed = (rms(mean[:, 1:] - mean[:, :1]) / size[:, None]).mean(axis=1)
    near = (unknown, unknown, unknown)
    if found is not None and library is not None:
        opinion, spread = found.opinion(library.r)
        near = (found.mean_distance, np.abs(opinion - r[:, 0]), spread)
    said = {
        "spread": np.array([p.first_shell.sigma for p in survey.predictions]),
        "ambiguity": np.exp(np.clip(log_error, -6.0, 1.0)),
        "beyond": unknown if survey.others is None else odds(survey.others.beyond),
        "g2_spread": np.array([p.sigma.mean() for p in survey.predictions]) / size,
        "shift": moved[:, _SHIFTED].max(axis=1),
        "broadening": moved[:, ~_SHIFTED].max(axis=1),
        "g2_moved": changed,
        "peak": np.abs(first_peak(radius, mean[:, 0]) - r[:, 0]),
        "novelty": near[0],
        "neighbours": near[1],
        "neighbours_spread": near[2],
        "cyclic": unknown if score is None else score,
        "experience": unknown,
    }
    table = np.stack([said[name] for name in NAMES], axis=1)
    if experience is not None:
        shown = features(kinds_of(survey), r[:, 0], mean[:, 0], survey.sigma)
        table[:, EXPERIENCE] = experience.odds(shown)
    return table


def odds(probability: Array) -> Array:
    """Return the odds of a probability; the surest of networks is not believed beyond 10⁵ to 1."""
    bounded = np.clip(probability, 1e-5, 1.0 - 1e-5)
    return np.asarray(bounded / (1.0 - bounded))


def rms(values: Array) -> Array:
    """Return the root-mean-square along the last axis."""
    return np.asarray(np.sqrt((values**2).mean(axis=-1)))
