"""What theory gets wrong even of a known structure, as directions a network learns to ignore.

Stretch, shift and broadening bring a computed spectrum close to the measured one of the same
compound, but not onto it: muffin tins, frozen orbitals and the missing many-body terms leave a
residual. The residuals of different compounds have a few shapes in common. Their principal
components, drawn at random with the size they were found with, are added to every computed spectrum
while the network learns, so that nothing is concluded from what theory cannot say.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.errors import ConfigurationError, ReadError

if TYPE_CHECKING:
    from xanes_live.ensemble.recipe import Recipe

FITTED = ("stretch", "shift", "fwhm", "far_fwhm", "step")
"""Columns of :attr:`Discrepancies.fitted`: fields of an augmentation, for one spectrum."""


@dataclass(frozen=True)
class Discrepancies:
    """Measured spectra beside the computed ones of their compound; all share the first axis."""

    energy: Array
    """eV, shape (n_energies,)."""
    residual: Array
    """Measured μ less the fitted computed one, shape (n, n_energies)."""
    id: NDArray[np.str_]
    """Measured spectrum, shape (n,)."""
    compound: NDArray[np.str_]
    """Shape (n,)."""
    computed: NDArray[np.str_]
    """Computed spectrum that fits best, shape (n,)."""
    fitted: Array
    """What makes it fit, shape (n, len(FITTED)): eV where it is an energy."""
    fermi: Array
    """Fermi energy of the computed spectrum, eV, shape (n,)."""

    def __len__(self) -> int:
        """Return the number of measured spectra."""
        return len(self.residual)

    @property
    def rms(self) -> Array:
        """Root-mean-square residual, shape (n,)."""
        return np.asarray(np.sqrt((self.residual**2).mean(axis=1)))

    def take(self, chosen: NDArray[np.bool_]) -> Discrepancies:
        """Return the spectra of a mask."""
        named = ("residual", "id", "compound", "computed", "fitted", "fermi")
        return replace(self, **{name: getattr(self, name)[chosen] for name in named})

    def without(self, names: Sequence[str]) -> Discrepancies:
        """Return what is left when compounds, or measured spectra by their id, are left out."""
        return self.take(~np.isin(self.compound, list(names)) & ~np.isin(self.id, list(names)))

    def modes(self, energy: Array, count: int, largest: float) -> NDArray[np.float32]:
        """Return the shapes residuals have in common, each as large as one standard deviation.

        Parameters
        ----------
        energy
            eV, shape (n_energy,); beyond the ends of the residuals their last value is held.
        count
            How many shapes at most.
        largest
            Root-mean-square residual above which a spectrum is left out: something else is wrong
            with it (another sample, one orientation of a crystal, a bad normalisation).

        Returns
        -------
        Array
            Shape (n_modes, n_energy): σ_k times the k-th principal component about zero, every
            compound counting once.
        """
        usable = self.take(self.rms <= largest)
        names = np.unique(usable.compound)
        if not len(names) or not count:
            return np.zeros((0, len(energy)), dtype=np.float32)
        each = [usable.residual[usable.compound == name].mean(axis=0) for name in names]
        _, size, shape = np.linalg.svd(np.array(each), full_matrices=False)
        modes = (size[:, None] * shape / np.sqrt(len(names)))[:count]
        return np.array([np.interp(energy, self.energy, mode) for mode in modes], dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write an ``.npz``, whatever the file's name."""
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        with path.open("wb") as file:
            np.savez_compressed(file, **columns | {"residual": self.residual.astype(np.float32)})

    @classmethod
    def load(cls, path: Path) -> Discrepancies:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ConfigurationError
            If there is no such file.
        ReadError
            If it is something else.
        """
        if not path.is_file():
            raise ConfigurationError(f"{path}: no such file; xanes-live transfer makes it")
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return cls(**{name: file[name] for name in cls.__dataclass_fields__})
        except (KeyError, ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
            raise ReadError(f"{path}: not written by xanes-live transfer ({error})") from None


def modes_of(recipe: Recipe, energy: Array) -> NDArray[np.float32] | None:
    """Return the modes a recipe asks for on `energy`, eV, shape (n_modes, n_energy).

    None where it asks for none.

    Raises
    ------
    ConfigurationError, ReadError
        If there is no such file, it is something else, or another edge's.
    """
    section, model = recipe.discrepancy, recipe.model
    if section is None:
        return None
    found = Discrepancies.load(section.path)
    first, last = float(found.energy[0]), float(found.energy[-1])
    if last < model.energy_start or first > model.energy_stop:
        raise ConfigurationError(
            f"{section.path}: residuals from {first:g} to {last:g} eV are of another edge than a "
            f"model from {model.energy_start:g} to {model.energy_stop:g} eV"
        )
    kept = found.without(section.leave_out)
    return np.float32(section.scale) * kept.modes(energy, section.modes, section.largest)


def recipe_without(recipe: Recipe, names: set[str]) -> Recipe:
    """Return `recipe` learning nothing from residuals of these compounds or spectra."""
    section = recipe.discrepancy
    if section is None:
        return recipe
    left = tuple(sorted({*section.leave_out, *names}))
    return recipe.model_copy(update={"discrepancy": section.model_copy(update={"leave_out": left})})
