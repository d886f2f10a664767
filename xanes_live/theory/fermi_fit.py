"""Fitting the prediction of the Fermi level to self-consistent spectra of one element.

Self-consistent runs of a few hundred structures say where the Fermi level lies; a run of the same
structures without self-consistency takes 0.2 s each and says what the prediction may use. See
:mod:`xanes_live.theory.fermi`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from xanes_live.errors import ConfigurationError, TheoryError
from xanes_live.processes import each
from xanes_live.theory.cluster import Cluster, make_cluster
from xanes_live.theory.export import records
from xanes_live.theory.feff_output import PotentialSummary
from xanes_live.theory.feff_run import run_feff
from xanes_live.theory.fermi import KINDS, features, fit_ridge, level_of
from xanes_live.theory.harmonics import Array
from xanes_live.theory.store import Record

FEWEST = 20
"""Structures of a kind (solids, molecules) below which it shares one fit with the other."""
FOLDS = 5
RARE = 5
"""Structures an element must occur in to have a coefficient of its own."""


@dataclass(frozen=True, slots=True)
class Known:
    """A structure whose self-consistent Fermi level is known."""

    cluster: Cluster
    overlapped: PotentialSummary
    """What FEFF says without self-consistency."""
    level: float
    """Self-consistent Fermi level, eV on the scale of the potentials."""
    parent: str

    @property
    def kind(self) -> str:
        """'solid' or 'molecule'."""
        return KINDS[0] if self.cluster.solid else KINDS[1]


def known_levels(
    path: Path, *, jobs: int = 1, report: Callable[[int], None] | None = None
) -> list[Known]:
    """Run the structures of self-consistent spectra again without self-consistency.

    Parameters
    ----------
    path
        Data set of ``xanes-live theory --scf``; its cheap spectra are passed over.
    jobs
        Worker processes.
    report
        Told how many are done.

    Raises
    ------
    ConfigurationError
        If there are none, or they are of several elements.
    MissingDependencyError
        Without FEFF8L.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file")
    found = [r for r in records(path) if r["scf"]]
    elements = sorted({str(r["element"]) for r in found})
    if len(elements) != 1:
        what = "several elements: " + ", ".join(elements) if elements else "no such spectrum"
        raise ConfigurationError(f"{path}: wanted are self-consistent spectra of one; {what}")
    known: list[Known] = []
    tasks = {k: (record,) for k, record in enumerate(found)}
    for done, (_, one) in enumerate(each(_known, tasks, jobs), start=1):
        known += [] if one is None else [one]
        if report is not None:
            report(done)
    return sorted(known, key=lambda one: (one.parent, one.level))


def _known(record: Record) -> Known | None:
    """Compute one; None where FEFF does not manage without self-consistency."""
    atoms = Atoms(numbers=record["numbers"], positions=record["positions"])
    solid = {1: True, 0: False}.get(int(record["solid"]))  # sets made earlier do not say: a guess
    try:
        cluster = make_cluster(atoms, 0, radius=np.inf, solid=solid)
        _, summary = run_feff(cluster)
    except TheoryError:
        return None
    return Known(cluster, summary, float(record["fermi_potential"]), str(record["parent"]))


def fit_fermi(known: Sequence[Known], *, penalty: float = 1.0) -> dict[str, Any]:
    """Fit the prediction, and find how far it is off for structures it has not seen.

    Parameters
    ----------
    known
        Structures of :func:`known_levels`, all of one absorber.
    penalty
        Of the ridge, on squared coefficients of standardised columns.

    Returns
    -------
    dict
        What :func:`xanes_live.theory.fermi.fermi_model` reads: for 'solid' and 'molecule' the
        coefficients, the number of structures and `error`, the mean absolute error (eV) for
        parents left out.

    Raises
    ------
    ConfigurationError
        With fewer than `FEWEST` structures.
    """
    if len(known) < FEWEST:
        raise ConfigurationError(f"{len(known)} self-consistent structures; {FEWEST} are needed")
    by_kind = {kind: [k for k in known if k.kind == kind] for kind in KINDS}
    shared = min(map(len, by_kind.values())) < FEWEST
    model: dict[str, Any] = {
        "about": "Ridge regression of the self-consistent Fermi level (eV, scale of the potentials)"
        " on [E_F, V_int] of overlapped potentials and the shares of elements among the"
        " neighbours. 'error': mean absolute error for parents left out of the fit, eV.",
        "element": chemical_symbols[known[0].cluster.numbers[0]],
    }
    for kind, own in by_kind.items():
        used = list(known) if shared else own
        model[kind] = _fitted(used, penalty) | {
            "n": len(own),
            "error": round(_error(used, kind, penalty), 3) if own else None,
        }
    return model


def off(model: Mapping[str, Any], known: Iterable[Known]) -> Array:
    """Return how far a prediction is off for each of these structures, eV, shape (n,)."""
    return np.array([level_of(model, k.cluster, k.overlapped) - k.level for k in known])


def mean_error(model: Mapping[str, Any], known: Iterable[Known]) -> float:
    """Return the mean absolute error of a prediction for these structures, eV; NaN for none."""
    errors = off(model, known)
    return float(np.abs(errors).mean()) if errors.size else float("nan")


def _fitted(known: Sequence[Known], penalty: float) -> dict[str, Any]:
    present = [set(k.cluster.numbers[1:].tolist()) for k in known]
    every = sorted(set().union(*present))
    elements = [z for z in every if sum(z in p for p in present) >= RARE]
    rows = np.array([features(k.cluster, k.overlapped, elements) for k in known])
    level = np.array([k.level for k in known])
    return {"elements": elements, **fit_ridge(rows, level, penalty)}


def _error(used: Sequence[Known], kind: str, penalty: float) -> float:
    """Mean absolute error for structures of a kind by fits to `used` without their parents."""
    fold = _folds([k.parent for k in used])
    errors: list[Array] = []
    for f in np.unique(fold):
        rest = [k for k, g in zip(used, fold, strict=True) if g != f]
        left = [k for k, g in zip(used, fold, strict=True) if g == f and k.kind == kind]
        if rest:
            errors.append(off(dict.fromkeys(KINDS, _fitted(rest, penalty)), left))
    return float(np.abs(np.concatenate(errors)).mean()) if errors else float("nan")


def _folds(parents: Sequence[str]) -> NDArray[np.int_]:
    _, group = np.unique(parents, return_inverse=True)
    order = np.random.default_rng(0).permutation(int(group.max()) + 1)
    return np.asarray(order[group] % FOLDS)


def worst(
    model: Mapping[str, Any], known: Sequence[Known], count: int = 3
) -> list[tuple[str, float]]:
    """Return the parents the prediction is furthest off for, and by how much, eV."""
    errors = off(model, known)
    furthest = np.argsort(-np.abs(errors))[:count]
    return [(known[i].parent, float(errors[i])) for i in furthest]
