"""Computed spectra packed small, some 200 bytes each, to be kept beside a model.

An ordinary NumPy archive. Spectra are smooth, so that their second differences are small whole
numbers; neighbours are sorted by distance, so that the steps between them are. Both are exact to
half a unit, which is less than an experiment's noise and a crystal structure's error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZipFile

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.errors import ConfigurationError
from xanes_live.whole import written_whole

Columns = dict[str, NDArray[Any]]
NAMES = ("parent", "source", "id")
PACKED = {
    "energy", "fermi", *NAMES, "mu_unit", "mu_curvature",
    "distance_unit", "distance_step", "atom_offset", "atom_number",
}  # fmt: skip
"""Arrays of an archive."""
MU_UNIT = 5e-4
DISTANCE_UNIT = 5e-4
"""Å."""


def write_packed(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write spectra.

    Parameters
    ----------
    path
        File to write (.npz); its folder is made where it lacks.
    columns
        `energy` (eV, n_energy), `mu` (n × n_energy), `fermi` (eV, n), `parent`, `source`, `id` (n),
        `atom_offset` (n + 1): site i has atoms offset[i]:offset[i+1], the absorber first;
        `atom_number` and `atom_distance` (Å from the absorber).

    Raises
    ------
    ConfigurationError
        If a spectrum or a distance is not a number or jumps more than can be written.
    """
    offset = np.asarray(columns["atom_offset"], dtype=np.int64)
    distance, number = _sorted(columns["atom_distance"], columns["atom_number"], offset)
    step = np.diff(_units(distance, DISTANCE_UNIT), prepend=0)
    first = offset[:-1][np.diff(offset) > 0]
    step[first] = _units(distance[first], DISTANCE_UNIT)
    arrays: Columns = {
        "energy": np.asarray(columns["energy"], dtype=np.float64),
        "fermi": np.asarray(columns["fermi"], dtype=np.float32),
        **{name: np.asarray(columns[name], dtype=str) for name in NAMES},
        "mu_unit": np.array(MU_UNIT),
        "mu_curvature": _small(_curvature(columns["mu"]), np.int16),
        "distance_unit": np.array(DISTANCE_UNIT),
        "distance_step": _small(step, np.uint16),
        "atom_offset": offset,
        "atom_number": number.astype(np.uint8),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, ZipFile(part, "w", ZIP_BZIP2) as file:
        for name, values in arrays.items():
            with file.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, values, allow_pickle=False)


def unpacked(columns: Mapping[str, NDArray[Any]]) -> Columns:
    """Return what :func:`write_packed` was given from the arrays of an archive."""
    kept = {name: columns[name] for name in ("energy", "fermi", *NAMES, "atom_offset")}
    twice = np.cumsum(columns["mu_curvature"], axis=1, dtype=np.int32)
    mu = np.cumsum(twice, axis=1, dtype=np.int32) * np.float32(columns["mu_unit"])
    sums = np.cumsum(columns["distance_step"], dtype=np.int64)
    offset = columns["atom_offset"]
    before = np.concatenate([[0], sums])[offset[:-1]]  # of all atoms before a site
    distance = (sums - np.repeat(before, np.diff(offset))) * float(columns["distance_unit"])
    return kept | {
        "mu": mu.astype(np.float32),
        "atom_number": columns["atom_number"],
        "atom_distance": distance,
    }


def _curvature(mu: NDArray[Any]) -> NDArray[np.int64]:
    whole = _units(np.asarray(mu, dtype=np.float64), MU_UNIT)
    return np.diff(np.diff(whole, axis=1, prepend=0), axis=1, prepend=0)


def _sorted(
    distance: NDArray[Any], number: NDArray[Any], offset: NDArray[np.int64]
) -> tuple[Array, NDArray[Any]]:
    """Sort the atoms of each site by distance, equal ones by number; the absorber is at 0."""
    site = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    order = np.lexsort((number, distance, site))
    return np.asarray(distance, dtype=np.float64)[order], np.asarray(number)[order]


def _units(values: Array, unit: float) -> NDArray[np.int64]:
    if not np.isfinite(values).all():
        raise ConfigurationError("a spectrum or a distance is not a number: cannot be packed")
    whole: NDArray[np.int64] = np.round(values / unit).astype(np.int64)
    return whole


def _small(values: NDArray[np.int64], kind: type[np.integer[Any]]) -> NDArray[Any]:
    limits = np.iinfo(kind)
    if values.size and (values.min() < limits.min or values.max() > limits.max):
        raise ConfigurationError("a spectrum or a distance jumps too much to be packed")
    return values.astype(kind)
