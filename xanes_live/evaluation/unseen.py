"""Signals of spectra that an ensemble has not seen: what a verdict is fitted to and judged by.

For each fold an ensemble, its forward ensemble and its library are made without a share of the
structures and of the measured compounds; what is left out is then examined exactly as a live scan
would be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xanes_live.confidence.copies import wide_grid
from xanes_live.confidence.experience import kinds_of
from xanes_live.confidence.judge import look
from xanes_live.confidence.novelty import Library
from xanes_live.confidence.signals import NAMES
from xanes_live.descriptor import combine_votes, first_peak
from xanes_live.domain import Array
from xanes_live.ensemble.augment import transferred
from xanes_live.ensemble.data import (
    TrainingSet,
    folds_by_parent,
    measured_compound,
    measured_parents,
)
from xanes_live.ensemble.data_files import read_columns
from xanes_live.ensemble.discrepancy import modes_of, recipe_without
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.fingerprint import fingerprint
from xanes_live.ensemble.forward_training import principal
from xanes_live.ensemble.recipe import Recipe
from xanes_live.ensemble.train import forward_ensemble, shown
from xanes_live.ensemble.training import Trainer, targets
from xanes_live.errors import ReadError
from xanes_live.evaluation.folds import check_folds, compound_folds, data_without
from xanes_live.evaluation.measured import MeasuredSet
from xanes_live.evaluation.spoiled import SPOILED, spoiled
from xanes_live.processes import each
from xanes_live.whole import written_whole

N_COMPONENTS = 24
"""Principal components of the library."""
CHUNK = 256
THEORY, EXACT = COMPUTED = ("theory", "exact")
"""Computed spectra with everything a recipe draws at random, what theory gets wrong included; and
the same spectra as if theory, transferred as it is on average, were exact: what differs then are
samples (damping) and laboratories (energy scale, resolution, edge step, slope, noise)."""
DAMAGED = "damaged"
"""The latter, each spoiled in one of the ways of :data:`.SPOILED`: for experience to learn from."""
MEASURED = "measured"
"""Measured spectra as they are."""
LAB_SHIFT, LAB_STRETCH = 1.0, 0.01
"""Standard deviations of energy scales of laboratories: eV, and of distances from the edge. Iron
foils of the reference libraries have their first inflections within 1.3 eV of each other."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Unseen:
    """Examined spectra; all arrays share the first axis."""

    id: NDArray[np.str_]
    parent: NDArray[np.str_]
    """Structure or compound: what is never on both sides of a split."""
    source: NDArray[np.str_]
    """'theory' or 'exact' (:data:`COMPUTED`), 'damaged' (:data:`DAMAGED`), 'measured', or
    'spoiled: …' for measured ones spoiled deliberately."""
    ligand: NDArray[np.str_]
    coordination: Array
    truth: Array
    """First-shell distance, Å."""
    r: Array
    """Predicted first-shell distance, Å."""
    signals: Array
    """Shape (n, len(SIGNALS))."""
    g2_truth: Array
    """Shape (n, n_g2); NaN where unknown."""
    g2_mean: Array
    g2_sigma: Array
    g2_expected: Array
    """Error of G2 that experience expects, shape (n, n_g2); NaN before it was asked."""
    distance: Array
    """Mean distance from the nearest library spectra."""
    peak_sigma: Array
    """σ of the members' first peaks of G2, Å: what a confidence was made of before."""
    heads: Array
    """Kind of first shell the network sees: soft, carbon, metal, coordination; (n, 4)."""
    scored: NDArray[np.bool_]
    """Whether the truth is trusted enough to score against."""

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.r)

    @property
    def error(self) -> Array:
        """Predicted − known first-shell distance, Å, shape (n,)."""
        return self.r - self.truth

    def take(self, chosen: NDArray[np.bool_]) -> Unseen:
        """Return the spectra selected by a mask."""
        return Unseen(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def of(self, source: str) -> Unseen:
        """Return the spectra whose source begins with a word."""
        return self.take(np.char.startswith(self.source, source))

    @classmethod
    def joined(cls, parts: list[Unseen]) -> Unseen:
        """Return several tables as one."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def save(self, path: Path) -> None:
        """Write the table as a NumPy archive (.npz), which is there whole or not at all."""
        with written_whole(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Unseen:
        """Read what :meth:`save` wrote; ReadError if it is damaged, KeyError if it is another."""
        columns = read_columns(path)
        return cls(*(columns[f.name] for f in fields(cls)))


def examine_folds(
    data: TrainingSet,
    recipe: Recipe,
    measured: MeasuredSet | None,
    *,
    n_folds: int,
    seed: int = 0,
    device: str = "cpu",
    work: Path | None = None,
    jobs: int = 1,
    say: Say = print,
) -> Unseen:
    """Train without a share of parents and compounds, `n_folds` times; examine what was left out.

    Parameters
    ----------
    data
        Computed spectra.
    recipe
        How to train.
    measured
        Measured spectra of known structure on energies at least as wide as the judge's.
    n_folds, seed
        Which share is left out when.
    device
        To train on.
    work
        Folder to keep finished folds in, and to resume from.
    jobs
        Folds trained at a time, each in a process of its own with one thread.
    say
        Told what is done.

    Raises
    ------
    ConfigurationError
        If there are too few parents for as many folds.
    """
    check_folds(data, measured, n_folds, seed)
    fold = folds_by_parent(data, n_folds, seed)
    compounds = compound_folds(measured, n_folds, seed)
    key = fingerprint_of(data, recipe, measured)
    parts: dict[int, Unseen] = {}
    paths = {k: work / f"fold-{k}-of-{n_folds}-{key}.npz" for k in range(n_folds)} if work else {}
    for k, path in paths.items():
        if not path.exists():
            continue
        try:
            parts[k] = Unseen.load(path)
            say(f"fold {k + 1} of {n_folds}: found")
        except (ReadError, KeyError):
            say(f"{path} is damaged: made again")
    tasks = {
        k: (data, fold == k, recipe, measured, {n for n, f in compounds.items() if f == k}, device)
        for k in range(n_folds)
        if k not in parts
    }
    for k, part in each(_examine_fold, tasks, jobs):
        say(f"fold {k + 1} of {n_folds}: done")
        if k in paths:
            part.save(paths[k])
        parts[k] = part
    return Unseen.joined([parts[k] for k in range(n_folds)])


def fingerprint_of(data: TrainingSet, recipe: Recipe, measured: MeasuredSet | None) -> str:
    """Return what tells folds of one calibration from those of another, in hex digits."""
    known = () if measured is None else (measured.mu, measured.shell, measured.g2, measured.scored)
    columns = (*NAMES, *COMPUTED, DAMAGED, *(f.name for f in fields(Unseen)))
    words = (columns, data.ligand, data.parent, data.id, *_named(measured))
    taught = targets(data, recipe)
    arrays = (
        data.mu, taught, data.shell, data.coordination, data.fermi, modes_of(recipe, data.energy),
        *known, np.array([LAB_SHIFT, LAB_STRETCH]), *map(_as_bytes, words),
    )  # fmt: skip
    return fingerprint(recipe, arrays)[:8]


def _named(measured: MeasuredSet | None) -> list[tuple[str, ...]]:
    """Return what measured spectra are called, of which compound, and what is left out with it."""
    references = () if measured is None else measured.references
    return [(r.id, r.compound, *r.leave_out) for r in references]


def _as_bytes(words: Iterable[str]) -> NDArray[np.uint8]:
    """Return words as an array that no other words give."""
    return np.frombuffer(json.dumps([str(word) for word in words]).encode(), dtype=np.uint8)


def _examine_fold(
    data: TrainingSet,
    held: NDArray[np.bool_],
    recipe: Recipe,
    measured: MeasuredSet | None,
    left_out: set[str],
    device: str,
) -> Unseen:
    recipe = recipe_without(recipe, measured.names(left_out) if measured else left_out)
    rest = data_without(data.take(~held), recipe, measured, left_out)
    trainer = Trainer(rest, recipe, device=device)
    trained = trainer.run()
    ensemble = Ensemble.in_memory(trained.network, recipe, device)
    forward = forward_ensemble(trainer, trained, rest)
    ensemble.model = replace(ensemble.model, forward=forward)
    library = library_of(rest, recipe, ensemble.energy)
    parts = _computed(ensemble, library, data.take(held), recipe)
    if measured is not None and left_out:
        own = np.isin(measured.compound, list(left_out))
        parts += _measured(ensemble, library, measured, own)
    return Unseen.joined(parts)


def library_of(data: TrainingSet, recipe: Recipe, energy: Array) -> Library:
    """Return the library of a training set: its spectra as they are shown on average."""
    spectra = shown(data, recipe, energy).astype(np.float64)
    mean = spectra.mean(axis=0)
    basis = principal(spectra - mean, min(N_COMPONENTS, len(data) - 1))
    names, group = np.unique(data.parent, return_inverse=True)
    return Library(
        mean=mean, basis=basis, points=((spectra - mean) @ basis.T).astype(np.float32),
        group=group, names=tuple(map(_called, names)), r=data.shell, ligand=data.ligand,
    )  # fmt: skip


def _called(parent: str) -> str:
    """Return the name an operator reads: one of a measured compound says that it is measured."""
    compound = measured_compound(str(parent))
    return str(parent) if compound is None else f"{compound} (measured)"


def like_measured(data: TrainingSet, recipe: Recipe, energy: Array, seed: int) -> Array:
    """Return computed spectra with random, realistic errors of measurement, (n, len(energy)).

    None ends too soon: such scans are told by a flag, and by what their range leaves open.
    """
    whole = recipe.augmentation.model_copy(update={"cut_share": 0.0})
    made = transferred(
        data.energy, data.mu, data.fermi, whole, energy,
        modes=modes_of(recipe, energy), generator=torch.Generator().manual_seed(seed), chunk=CHUNK,
    )  # fmt: skip
    return made.astype(np.float64)


def as_if_exact(recipe: Recipe) -> Recipe:
    """Return a recipe whose computed spectra differ as samples and laboratories do, not theory."""
    lab = {"shift_sd": LAB_SHIFT, "stretch_sd": LAB_STRETCH}
    vary = recipe.augmentation
    narrowed = {name: min(getattr(vary, name), value) for name, value in lab.items()}
    return recipe.model_copy(
        update={"augmentation": vary.model_copy(update=narrowed), "discrepancy": None}
    )


def _computed(
    ensemble: Ensemble, library: Library, data: TrainingSet, recipe: Recipe
) -> list[Unseen]:
    wide, n, parts = wide_grid(ensemble.energy), len(data), []
    seed = recipe.training.seed + 1
    exact = like_measured(data, as_if_exact(recipe), wide, seed)
    shown_as = {
        THEORY: like_measured(data, recipe, wide, seed),
        EXACT: exact,
        DAMAGED: _damaged(wide, exact, seed),
    }
    for source, mu in shown_as.items():
        part = Unseen(
            id=data.id, parent=data.parent, source=np.full(n, source), ligand=data.ligand,
            coordination=data.coordination, truth=data.shell, g2_truth=data.g2,
            scored=np.full(n, source != DAMAGED), **_examined(ensemble, library, wide, mu),
        )  # fmt: skip
        parts.append(part)
    return parts


def _damaged(wide: Array, mu: Array, seed: int) -> Array:
    """Return spectra (n, n_wide) each spoiled in one way, drawn by lot."""
    which = np.random.default_rng(seed).integers(len(SPOILED), size=len(mu))
    made = mu.copy()
    for k, name in enumerate(SPOILED):
        made[which == k] = spoiled(wide, mu[which == k], name)
    return made


def _measured(
    ensemble: Ensemble, library: Library, measured: MeasuredSet, own: NDArray[np.bool_]
) -> list[Unseen]:
    wide = wide_grid(ensemble.energy)
    ids = np.array([r.id for r in measured.references])[own]
    n, parts = int(own.sum()), []
    for name in ("", *SPOILED):
        mu = measured.on(wide)[own]
        found = _examined(ensemble, library, wide, spoiled(wide, mu, name) if name else mu)
        part = Unseen(
            id=ids, parent=measured_parents(measured.compound[own]),
            source=np.full(n, f"spoiled: {name}" if name else MEASURED),
            ligand=np.full(n, ""), coordination=np.full(n, np.nan), truth=measured.shell[own],
            g2_truth=measured.g2[own], scored=measured.scored[own], **found,
        )  # fmt: skip
        parts.append(part)
    return parts


def _examined(ensemble: Ensemble, library: Library, wide: Array, mu: Array) -> dict[str, Array]:
    """Return the columns of a table that come from examining spectra on `wide`."""
    parts = [
        _examined_chunk(ensemble, library, wide, mu[i : i + CHUNK])
        for i in range(0, len(mu), CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _examined_chunk(
    ensemble: Ensemble, library: Library, wide: Array, mu: Array
) -> dict[str, Array]:
    seen = look(ensemble, library, wide, mu)
    survey = seen.survey
    members = np.stack([p.members for p in survey.predictions])
    assert seen.found is not None  # noqa: S101 - there is a library
    return {
        "r": survey.r[:, 0],
        "signals": seen.signals,
        "g2_mean": survey.mean[:, 0],
        "g2_sigma": survey.sigma,
        "g2_expected": np.full_like(survey.mean[:, 0], np.nan),
        "distance": seen.found.mean_distance,
        "peak_sigma": _peak_sigma(ensemble.radius, members),
        "heads": kinds_of(survey),
    }


def _peak_sigma(radius: Array, members: Array) -> Array:
    """Return the σ over members of the first peak of G2, Å, (n,); as wide as G2 without peaks."""
    _, sigma = combine_votes(first_peak(radius, members), least=2)
    return np.where(np.isfinite(sigma), sigma, np.ptp(radius))
