"""Measured spectra of compounds whose structure is known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.descriptor import G2Grid, g2
from xanes_live.documents.files import read_file
from xanes_live.domain import Array, Flag, NormalisedSpectrum, Unusable
from xanes_live.edges import edge_energy
from xanes_live.ensemble.data import TrainingSet, measured_parents
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.reduction import normalise, resample, spectra_from_scan

COLUMNS = ("id", "file", "compound", "first_shell", "quality", "amcsd", "leave_out")
SCORED = ("A", "B")
"""Qualities whose first-shell distance is trusted enough to score against."""
BAD = "X"
"""Quality of a spectrum nothing is to be learnt from."""
QUALITIES = (*SCORED, "C", BAD)


@dataclass(frozen=True, slots=True)
class Reference:
    """One row of the table of measured spectra."""

    id: str
    file: Path
    compound: str
    """Spectra of one compound are judged together and left out together."""
    first_shell: float
    """Mean first-shell distance of the known structure, Å."""
    quality: str
    """'A' and 'B' are scored, 'C' is looked at, 'X' is known to be bad."""
    amcsd: str
    """Number of the structure in the AMCSD; '' if unknown."""
    leave_out: tuple[str, ...]
    """Words in the names of computed structures that are this compound."""
    element: str = ""
    """Its absorber, if that is another than the model's."""

    @property
    def scored(self) -> bool:
        """Whether its distance is trusted enough to score against."""
        return self.quality in SCORED


@dataclass(frozen=True)
class MeasuredSet:
    """Measured spectra, normalised, with what is known; all arrays share the first axis."""

    references: tuple[Reference, ...]
    energy: Array
    """eV, shape (n_energies,)."""
    mu: Array
    """Normalised or flattened μ, shape (n, n_energies)."""
    g2: Array
    """G2 of the known structures, mean over sites, shape (n, n_g2); NaN where unknown."""
    grid: G2Grid
    flags: tuple[tuple[Flag, ...], ...] = ()
    """What an operator is told of each scan and its reduction, whatever is predicted from it."""

    @property
    def told(self) -> dict[str, tuple[Flag, ...]]:
        """:attr:`flags` by the id of the spectrum."""
        return {r.id: flags for r, flags in zip(self.references, self.flags, strict=False)}

    @property
    def shell(self) -> Array:
        """Known first-shell distances, Å, shape (n,)."""
        return np.array([r.first_shell for r in self.references])

    @property
    def compound(self) -> NDArray[np.str_]:
        """Compound of each spectrum, shape (n,)."""
        return np.array([r.compound for r in self.references])

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which spectra count, shape (n,)."""
        return np.array([r.scored for r in self.references])

    def on(self, grid: Array) -> Array:
        """Return the spectra on other energies, eV, shape (n, len(grid))."""
        return np.array([np.interp(grid, self.energy, row) for row in self.mu])

    def names(self, compounds: set[str]) -> set[str]:
        """Return these compounds and the ids of their spectra."""
        return compounds | {r.id for r in self.references if r.compound in compounds}

    def words(self, compounds: set[str]) -> tuple[str, ...]:
        """Return the words that name these compounds among computed structures."""
        return tuple(w for r in self.references if r.compound in compounds for w in r.leave_out)

    def training_set(self, energy: Array, chosen: NDArray[np.bool_] | None = None) -> TrainingSet:
        """Return the chosen spectra (the scored ones) as something to learn from."""
        chosen = self.scored if chosen is None else chosen
        n = int(chosen.sum())
        ids = np.array([r.id for r in self.references])[chosen]
        return TrainingSet(
            energy=energy,
            mu=self.on(energy)[chosen].astype(np.float32),
            g2=self.g2[chosen],
            shell=self.shell[chosen],
            coordination=np.full(n, np.nan),
            ligand=np.full(n, ""),
            fermi=np.zeros(n),
            parent=measured_parents(self.compound[chosen]),
            source=np.full(n, "measured"),
            id=ids,
            measured=np.ones(n, dtype=bool),
            grid=self.grid,
        )


def say_what_is_not_left_out(
    data: TrainingSet, measured: MeasuredSet, say: Callable[[str], None]
) -> None:
    """Say in one line which scored compounds' words name no computed structure, if any.

    Either none was computed, or a word is wrong and the model learns from the very structure that
    it is judged by.
    """
    scored = sorted({r.compound for r in measured.references if r.scored})
    names = [name for name in scored if not data.named(measured.words({name})).any()]
    if names:
        say(
            f"no computed spectrum is left out with {', '.join(names)}: "
            f"{'its' if len(names) == 1 else 'their'} leave_out words match no parent"
        )


def read_references(table: Path, root: Path | None = None) -> tuple[Reference, ...]:
    """Read the table of measured spectra.

    Parameters
    ----------
    table
        CSV with the columns id, file, compound, first_shell, quality, amcsd, leave_out (words
        separated by '|') and, where a spectrum is of another element than the model, element.
    root
        Folder the files are in; by default the table's own.

    Raises
    ------
    ConfigurationError
        If the table is missing or empty, lacks a column or a cell, a distance is no number or a
        quality none of :data:`QUALITIES`.
    """
    root = root or table.parent
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or (), list(reader)
    except OSError as error:
        raise ConfigurationError(f"{table}: {error.strerror}") from None
    missing = set(COLUMNS) - set(columns)
    if missing:
        raise ConfigurationError(f"{table}: lacks {', '.join(sorted(missing))}")
    if not rows:
        raise ConfigurationError(f"{table}: names no spectrum")
    return tuple(_reference(row, root, f"{table}, row {k}") for k, row in enumerate(rows, 1))


def scored_references(table: Path, root: Path | None = None) -> tuple[Reference, ...]:
    """Return those of :func:`read_references` that are scored; ConfigurationError if none is."""
    return tuple(r for r in references_to_judge_by(table, root) if r.scored)


def references_to_judge_by(table: Path, root: Path | None = None) -> tuple[Reference, ...]:
    """Return those of :func:`read_references`; ConfigurationError if none of them is scored."""
    references = read_references(table, root)
    if not any(r.scored for r in references):
        raise ConfigurationError(f"{table}: no spectrum of quality A or B")
    return references


def _reference(row: dict[str, str | None], root: Path, where: str) -> Reference:
    short = [name for name in COLUMNS if row[name] is None]
    if short:
        raise ConfigurationError(f"{where}: lacks {', '.join(short)}")
    cell = {name: str(row[name]).strip() for name in COLUMNS}
    try:
        distance = float(cell["first_shell"])
    except ValueError:
        raise ConfigurationError(
            f"{where}: first_shell is {cell['first_shell']!r}, not a distance in Å"
        ) from None
    if cell["quality"] not in QUALITIES:
        raise ConfigurationError(f"{where}: quality is {cell['quality']!r}, not A, B, C or X")
    return Reference(
        id=cell["id"],
        file=root / cell["file"],
        compound=cell["compound"],
        first_shell=distance,
        quality=cell["quality"],
        amcsd=cell["amcsd"],
        leave_out=tuple(w.strip() for w in cell["leave_out"].split("|") if w.strip()),
        element=(row.get("element") or "").strip(),
    )


def read_measured(
    references: tuple[Reference, ...],
    energy: Array,
    form: str,
    grid: G2Grid,
    structures: Path | None = None,
    *,
    element: str = "Fe",
    edge: str = "K",
    needed: Array | None = None,
) -> MeasuredSet:
    """Reduce measured spectra as the live path would.

    Those of another element are moved by the difference of the tabulated edges.

    Parameters
    ----------
    references
        Which, and what is known of them.
    energy
        Energies wanted, eV, shape (n_energies,).
    form
        'normalised' or 'flattened'.
    grid
        Radial functions of the expected G2.
    structures
        File of crystal structures with ``info["amcsd"]``, for the expected G2.
    element
        The absorber, around whose sites the expected G2 is.
    edge
        Its edge, and that of the other elements.
    needed
        The energies of `energy` that a scan has to hold not to be flagged, eV, shape (n_needed,);
        None for all.

    Raises
    ------
    ConfigurationError
        If a structure named in the table does not hold the absorber, or an element has no such edge
        in the table.
    ReadError
        If a spectrum cannot be read or reduced, or lies elsewhere than the energies asked for; a
        reference that fails is no reference.
    """
    needed = energy if needed is None else needed
    mu, told = [], []
    for reference in references:
        by = _from_edge_to_edge(element, reference.element, edge)
        spectrum, flags = _reduced(reference)
        mu.append(_on(spectrum, energy + by, form, reference.file.name))
        told.append((*flags, *resample(spectrum, needed + by, form).flags))
    known = _expected(references, grid, structures, element)
    return MeasuredSet(references, energy, np.array(mu), known, grid, tuple(told))


def _from_edge_to_edge(element: str, other: str, edge: str) -> float:
    """Return how far the edge of another element, if it is one, lies above the absorber's, eV."""
    if other in ("", element):
        return 0.0
    try:
        return edge_energy(other, edge) - edge_energy(element, edge)
    except KeyError:
        raise ConfigurationError(f"no {edge} edge of {other!r} or {element!r} known") from None


def _on(spectrum: NormalisedSpectrum, energy: Array, form: str, name: str) -> Array:
    """Return a spectrum on other energies, of which it must have measured half."""
    found = resample(spectrum, energy, form)
    if found.covered.mean() < 0.5:  # a scan of another element would be a flat line there
        raise ReadError(
            f"{name}: from {spectrum.energy[0]:.0f} to {spectrum.energy[-1]:.0f} eV, asked for are "
            f"{energy[0]:.0f} to {energy[-1]:.0f} eV: is it of this element and edge?"
        )
    return found.mu


def _reduced(reference: Reference) -> tuple[NormalisedSpectrum, tuple[Flag, ...]]:
    """Read and normalise one file: its first usable sweep, and what is to be said of it."""
    scans = read_file(reference.file)
    reduction = ReductionConfig()
    for scan in scans:
        sweeps = spectra_from_scan(scan, BeamlineConfig(), reduction)
        usable = [s for s in sweeps if not isinstance(s, Unusable)]
        for item in normalise(usable, reduction):
            if not isinstance(item, Unusable):
                return item, (*scan.flags, *item.flags)
    raise ReadError(f"{reference.file.name}: no usable spectrum")


def _expected(
    references: tuple[Reference, ...], grid: G2Grid, structures: Path | None, element: str
) -> Array:
    """G2 of the known structures, mean over the absorber's sites; NaN where unknown."""
    expected = np.full((len(references), grid.size), np.nan)
    if structures is None:
        return expected
    from ase.io import iread  # noqa: PLC0415 - only for this

    wanted = {r.amcsd for r in references if r.amcsd}
    known: dict[str, Array] = {}
    for atoms in iread(structures, index=":", format="extxyz"):
        number = str(atoms.info.get("amcsd", ""))
        if number in wanted and number not in known:
            sites = [k for k, symbol in enumerate(atoms.symbols) if symbol == element]
            if not sites:
                raise ConfigurationError(f"{structures}: no {element} in amcsd {number}")
            known[number] = np.mean([g2(atoms, k, grid) for k in sites], axis=0)
    for row, reference in zip(expected, references, strict=True):
        row[:] = known.get(reference.amcsd, np.nan)
    return expected
