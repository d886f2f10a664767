"""The arrays of a node: 1-D for one spectrum, stacked with the spectra first for many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array, Confidence, SpectrumResult
from xanes_live.publish.jsonable import rounded

UNITS = {
    "radius": "Å",
    "energy": "eV",
    "e0": "eV",
    "first_shell_r": "Å",
    "first_shell_sigma": "Å",
    "first_shell_low": "Å",
    "first_shell_high": "Å",
}
"""Units of arrays that have one; G2 and normalised μ are numbers without."""
CODES = {Confidence.GREEN: 0, Confidence.AMBER: 1, Confidence.RED: 2}
"""Colours in the array `confidence` of a node with many spectra."""
MAX_LISTED = 2000
"""With more spectra than this the document leaves the lists to the arrays."""

MAX_VALUES = 20_000
"""Up to so many numbers the document of a run of several spectra also holds the curves of all of
them (200 kB of JSON), so that it is complete without the arrays."""
STACKED = ("mean", "sigma", "lower", "upper", "normalised", "flattened")
"""Arrays with one row a spectrum."""

Arrays = dict[str, NDArray[Any]]


def fits(arrays: Arrays) -> bool:
    """Whether the curves of all spectra go into the document."""
    return sum(array.size for array in arrays.values()) <= MAX_VALUES


def arrays_of(spectra: Sequence[SpectrumResult], chosen: SpectrumResult | None) -> Arrays:
    """Return what is published besides the document.

    Parameters
    ----------
    spectra
        All of the run.
    chosen
        The one the document describes; the others are put on its energies.

    Returns
    -------
    dict
        For one spectrum `radius`, `mean`, `sigma`, `lower`, `upper`, `energy`, `normalised`,
        `flattened`, each of shape (n,), as far as it got. For many, all but `radius` and `energy`
        get the spectra as first axis, NaN where a spectrum did not get so far, and one number a
        spectrum is added for the distances, e0, edge step, probability and colour.
    """
    if chosen is None:
        return {}
    if len(spectra) == 1:
        return _one(chosen)
    return {**_stacked_g2(spectra), **_stacked_curves(spectra, chosen), **numbers(spectra)}


def _one(spectrum: SpectrumResult) -> Arrays:
    arrays: Arrays = {}
    if spectrum.prediction is not None:
        said, verdict = spectrum.prediction, spectrum.assessment
        arrays |= {"radius": said.radius, "mean": said.mean, "sigma": said.sigma}
        arrays |= {"lower": verdict.lower, "upper": verdict.upper}
    if spectrum.normalised is not None:
        done = spectrum.normalised
        arrays |= {"energy": done.energy, "normalised": done.normalised}
        arrays |= {"flattened": done.flattened}
    return {name: np.ascontiguousarray(array, np.float64) for name, array in arrays.items()}


def _stacked_g2(spectra: Sequence[SpectrumResult]) -> Arrays:
    said = next((s.prediction for s in spectra if s.prediction is not None), None)
    if said is None:
        return {}
    empty = np.full(said.radius.size, np.nan)

    def stack(pick: Callable[[SpectrumResult], Array]) -> NDArray[np.float64]:
        return np.stack([empty if s.prediction is None else pick(s) for s in spectra])

    return {
        "radius": np.ascontiguousarray(said.radius),
        "mean": stack(lambda s: s.prediction.mean if s.prediction else empty),
        "sigma": stack(lambda s: s.prediction.sigma if s.prediction else empty),
        "lower": stack(lambda s: s.assessment.lower),
        "upper": stack(lambda s: s.assessment.upper),
    }


def _stacked_curves(spectra: Sequence[SpectrumResult], chosen: SpectrumResult) -> Arrays:
    reference = chosen.normalised or next((s.normalised for s in spectra if s.normalised), None)
    if reference is None:
        return {}
    energy = reference.energy
    shape = (len(spectra), energy.size)
    normalised, flattened = (np.full(shape, np.nan, np.float32) for _ in range(2))
    for row, spectrum in enumerate(spectra):
        if (done := spectrum.normalised) is not None:
            normalised[row] = on_grid(energy, done.energy, done.normalised)
            flattened[row] = on_grid(energy, done.energy, done.flattened)
    return {"energy": np.array(energy), "normalised": normalised, "flattened": flattened}


def on_grid(grid: Array, energy: Array, values: Array) -> Array:
    """Return `values` as they are if measured on `grid`, else interpolated, NaN outside."""
    if np.array_equal(grid, energy):
        return values
    return np.asarray(np.interp(grid, energy, values, left=np.nan, right=np.nan))


def numbers(spectra: Sequence[SpectrumResult]) -> Arrays:
    """Return one number a spectrum by name, shape (n_spectra,), NaN where there is none."""
    rows = [_numbers(spectrum) for spectrum in spectra]
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    codes = [CODES[s.assessment.confidence] for s in spectra]
    return {**columns, "confidence": np.array(codes, np.int8)}


def _numbers(spectrum: SpectrumResult) -> dict[str, float]:
    nan = float("nan")
    shell = spectrum.prediction.first_shell if spectrum.prediction else None
    done = spectrum.normalised
    chance = spectrum.assessment.probability
    return {
        "first_shell_r": shell.r if shell else nan,
        "first_shell_sigma": shell.sigma if shell else nan,
        "first_shell_low": shell.low if shell else nan,
        "first_shell_high": shell.high if shell else nan,
        "e0": done.e0 if done else nan,
        "edge_step": done.edge_step if done else nan,
        "probability": nan if chance is None else chance,
    }


def summary(
    spectra: Sequence[SpectrumResult], chosen: SpectrumResult | None, arrays: Arrays
) -> dict[str, Any]:
    """Return what the document says of all spectra of a run.

    One number a spectrum as lists, and the rows of the stacked `arrays` where they fit; those of
    `normalised` and `flattened` are on the energies of the described spectrum.
    """
    colours = Counter(s.assessment.confidence.value for s in spectra)
    flags = Counter(code for s in spectra for code in {f.code for f in s.assessment.flags})
    listed = len(spectra) <= MAX_LISTED
    lists = {name: column.tolist() for name, column in numbers(spectra).items()} if listed else {}
    if listed:
        lists["confidence"] = [s.assessment.confidence.value for s in spectra]
    return {
        "count": len(spectra),
        "described": chosen.index if chosen else None,
        "rule": "the document describes the median spectrum in the order of trust",
        "colours": dict(colours),
        "flag_counts": dict(flags),
        "grid": _grid(spectra, chosen),
        "listed": listed,
        **lists,
        **(_curves(arrays) if fits(arrays) else {}),
    }


def _curves(arrays: Arrays) -> dict[str, list[list[float | None]]]:
    return {name: [rounded(row) for row in arrays[name]] for name in STACKED if name in arrays}


def _grid(spectra: Sequence[SpectrumResult], chosen: SpectrumResult | None) -> str:
    reference = chosen.normalised if chosen else None
    energies = [s.normalised.energy for s in spectra if s.normalised is not None]
    if reference is None or all(np.array_equal(reference.energy, e) for e in energies):
        return "as measured, the same for all spectra"
    return f"interpolated on the energies of spectrum {chosen.index if chosen else 0}"
