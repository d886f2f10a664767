"""Everything known about trust in one model's predictions, laid out once for use on every scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.special import logit

from xanes_live.confidence.assess import NO_BAND, Calibration
from xanes_live.confidence.copies import CHANGES, centre, copies, wide_grid
from xanes_live.confidence.examined import Examined
from xanes_live.confidence.experience import Experience
from xanes_live.confidence.limits import Kind, ordinary
from xanes_live.confidence.merged_noise import with_noise
from xanes_live.confidence.novelty import Found, Library
from xanes_live.confidence.signals import IN_DOUBT, NAMES, measure, rms
from xanes_live.confidence.verdict import Verdict, less_certain
from xanes_live.descriptor import RIGHT
from xanes_live.domain import (
    Array,
    Cyclic,
    Evidence,
    Moved,
    Neighbour,
    Prediction,
    Rival,
    Survey,
)
from xanes_live.errors import ModelFormatError

RIVAL_FROM = 0.15
"""Another distance is told where the network gives it at least this probability."""


class Cycle(Protocol):
    """What a forward ensemble says of some spectra and the G2 predicted from them."""

    @property
    def returned(self) -> Array:
        """Spectra that lead to these G2, shape (n, n_grid)."""
        ...

    @property
    def residual(self) -> Array:
        """Measured − returned, shape (n, n_grid)."""
        ...

    @property
    def score(self) -> Array:
        """Size of the residual in units of the usual one, shape (n,)."""
        ...


class Judged(Protocol):
    """What is needed of a model."""

    @property
    def energy(self) -> Array:
        """Energies the model wants μ at, eV, shape (n_grid,)."""
        ...

    @property
    def radius(self) -> Array:
        """Centres of the G2 functions, Å, shape (n_g2,)."""
        ...

    @property
    def calibration(self) -> Mapping[str, Any]:
        """Calibration data of the model."""
        ...

    @property
    def library(self) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """Arrays and words of the library of training spectra, if the model has one."""
        ...

    @property
    def cycle(self) -> Callable[[Array, Array], Cycle] | None:
        """What a forward ensemble says of spectra (n, n_grid) and G2 (n, n_g2), if there is one."""
        ...

    def survey(self, mu: Array, further: Array | None = None) -> Survey:
        """Predict spectra with copies, (n, n_copies, n_grid), and further ones, (m, n_grid)."""
        ...


@dataclass(frozen=True, slots=True)
class Looked:
    """What a model and its library say of some spectra; see :func:`look`."""

    mu: Array
    """The spectra on the model's energies, shape (n, n_grid)."""
    survey: Survey
    found: Found | None
    cycle: Cycle | None
    signals: Array
    """Shape (n, len(NAMES))."""


def look(
    model: Judged,
    library: Library | None,
    wide: Array,
    mu: Array,
    experience: Experience | None = None,
    further: Array | None = None,
) -> Looked:
    """Predict spectra with their copies, look them up, and measure every signal.

    Live scans and the spectra that verdicts are fitted to both come through here.

    Parameters
    ----------
    model
        The ensemble.
    library
        Its training spectra, if it has any.
    wide
        Energies, eV, shape (n_wide,), from :func:`xanes_live.confidence.copies.wide_grid`.
    mu
        Normalised μ on `wide`, shape (n, n_wide).
    experience
        What became of the model's earlier predictions, if that is known.
    further
        Spectra on the model's energies of which only the distance is wanted, shape (m, n_grid).
    """
    grid = model.energy
    inner = mu[:, centre(wide, grid)]
    rows = np.concatenate([inner[:, None], copies(wide, mu, grid)], axis=1)
    survey = model.survey(rows, further)
    found = library.look_up(wide, mu, grid) if library else None
    cycle = model.cycle(inner, survey.mean[:, 0]) if model.cycle else None
    score = None if cycle is None else cycle.score
    signals = measure(survey, model.radius, found, library, score, experience)
    return Looked(inner, survey, found, cycle, signals)


@dataclass(frozen=True)
class Judge:
    """Calibration, library and forward ensemble of one model, ready for use."""

    model: Judged
    wide: Array
    """Energies spectra are to be given on, eV, shape (n_wide,)."""
    calibration: Calibration
    verdict: Verdict
    library: Library | None
    usual: Array
    """Distances of held-out spectra from the library, ascending; what novelty is measured by."""
    experience: Experience | None = None

    @property
    def inner(self) -> slice:
        """Which part of :attr:`wide` the model's own energies are."""
        return centre(self.wide, self.model.energy)

    @classmethod
    def of(cls, model: Judged) -> Judge | None:
        """Lay out what a model brings; None if it was never calibrated.

        Raises
        ------
        ModelFormatError
            If its library does not fit it, or lacks what the band goes by.
        """
        stored = model.calibration.get("verdict")
        if stored is None:
            return None
        calibration, experience = Calibration.of(model), _experience(model)
        if calibration.band_expected and (experience is None or experience.g2 is None):
            raise ModelFormatError(NO_BAND)
        return cls(
            model=model,
            wide=wide_grid(model.energy),
            calibration=calibration,
            verdict=Verdict.from_mapping(stored),
            library=Library.from_arrays(*model.library) if model.library else None,
            usual=np.asarray(model.calibration.get("novelty", []), dtype=float),
            experience=experience,
        )

    def examine(self, mu: Array, doubts: Sequence[Array | None] = ()) -> list[Examined]:
        """Predict spectra and find out how far to trust that, all in one batch.

        Parameters
        ----------
        mu
            Normalised μ on :attr:`wide`, shape (n, n_wide).
        doubts
            Of each spectrum what it may be as well, on the model's own energies, (m, 2, n_grid):
            for m independent causes one standard deviation to both sides; None where nothing is in
            doubt, or no list at all.
        """
        pairs = [asked.reshape(-1, asked.shape[-1]) for asked in doubts if asked is not None]
        asked = np.concatenate(pairs) if pairs else None
        seen = look(self.model, self.library, self.wide, mu, self.experience, asked)
        survey, table = seen.survey, seen.signals
        used = table[:, self._used]
        further = _moved_by(doubts, survey.r[:, 0], survey.r_further)
        known = self.verdict.probability(used)
        chance = less_certain(known, further)
        cost, blame = logit(known) - logit(chance), self.verdict.blame(used)
        half = with_noise(self.verdict.half_width(used, ordinary(survey.heads, len(mu))), further)
        names = (*NAMES, IN_DOUBT)
        signals = np.column_stack([table, np.where(further > 0.0, further, np.nan)])
        expected = self._g2_expected(survey)
        return [
            Examined(
                prediction=_with_interval(survey.predictions[i], float(half[i])),
                probability=float(chance[i]),
                signals=dict(zip(names, signals[i].tolist(), strict=True)),
                blame={
                    **dict(zip(self.verdict.names, blame[i].tolist(), strict=True)),
                    IN_DOUBT: float(cost[i]),
                },
                strange=self._strange(table[i]),
                kind=Kind.of({name: float(v[i]) for name, v in survey.heads.items()}),
                evidence=self._evidence(i, seen),
                g2_expected=None if expected is None else expected[i],
            )
            for i in range(len(mu))
        ]

    def _g2_expected(self, survey: Survey) -> Array | None:
        """Return the errors of G2 that experience expects, (n, n_g2), if the band goes by them."""
        if self.experience is None or not self.calibration.band_expected:
            return None
        return self.experience.g2_error(survey.r[:, 0], survey.mean[:, 0], survey.sigma)

    @cached_property
    def _used(self) -> list[int]:
        """Columns of the signals that the verdict weighs."""
        return [NAMES.index(name) for name in self.verdict.names]

    def _strange(self, signals: Array) -> tuple[str, ...]:
        """Return the signals that are larger than those of nearly all unseen computed spectra."""
        limits = self.model.calibration.get("limits", {})
        return tuple(n for n, most in limits.items() if signals[NAMES.index(n)] > most)

    def _evidence(self, i: int, seen: Looked) -> Evidence:
        nearest: tuple[Neighbour, ...] = ()
        novelty, found = None, seen.found
        if found is not None and self.library is not None:
            nearest = self.library.describe(found.index[i], found.distance[i])
            if self.usual.size:
                place = np.searchsorted(self.usual, found.mean_distance[i])
                novelty = float(place / self.usual.size)
        cyclic = self._cyclic(i, seen)
        return Evidence(_moved(seen.survey, i), nearest, novelty, cyclic, _rival(seen.survey, i))

    def _cyclic(self, i: int, seen: Looked) -> Cyclic | None:
        cycle = seen.cycle
        if cycle is None:
            return None
        score = float(cycle.score[i])
        return Cyclic(self.model.energy, seen.mu[i], cycle.returned[i], cycle.residual[i], score)


def _moved_by(doubts: Sequence[Array | None], r: Array, found: Array) -> Array:
    """Return how far what is in doubt moves the distances `r`, Å, shape (n,).

    The rms of both sides of a cause, causes added in quadrature. Where a first shell is lost, it
    counts as moved by as much as makes it wrong.

    Parameters
    ----------
    doubts
        As for :meth:`Judge.examine`.
    r
        Distances of the spectra, Å, shape (n,).
    found
        Of all that they may be as well, one after the other, Å.
    """
    moved, taken = np.zeros(r.size), 0
    for i, pairs in enumerate(doubts):
        if pairs is None:
            continue
        off = found[taken : taken + 2 * len(pairs)] - r[i]
        off = np.where(np.isfinite(off), off, RIGHT)
        moved[i] = np.sqrt((off**2).sum() / 2.0)
        taken += off.size
    return moved


def _experience(model: Judged) -> Experience | None:
    if model.library is None:
        return None
    return Experience.from_arrays(model.library[0], model.radius.size)


def _moved(survey: Survey, i: int) -> tuple[Moved, ...]:
    mean = survey.mean[i]
    moved = rms(mean[1:] - mean[0]) / np.maximum(rms(mean[0]), 1e-6)
    return tuple(
        Moved(change.kind, change.value, r, g2)
        for change, r, g2 in zip(CHANGES, survey.r[i, 1:].tolist(), moved.tolist(), strict=True)
    )


def _rival(survey: Survey, i: int) -> Rival | None:
    others = survey.others
    if others is None or not others.probability[i] >= RIVAL_FROM:
        return None
    return Rival(float(others.r[i]), float(others.probability[i]))


def _with_interval(prediction: Prediction, half: float) -> Prediction:
    shell = prediction.first_shell
    low = max(shell.r - half, min(shell.r, 0.0))  # no distance is negative
    return replace(prediction, first_shell=replace(shell, low=low, high=shell.r + half))
