"""The ensemble as the live path uses it: resident on its device, spectra in, predictions out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike

from xanes_live.descriptor import RIGHT, combine_votes, find_peaks, first_shell, shell_votes
from xanes_live.domain import Array, FirstShell, ModelInfo, Others, Prediction, Survey
from xanes_live.ensemble.classes import beyond, likeliest_other, probabilities
from xanes_live.ensemble.device import choose_device
from xanes_live.ensemble.engine import Engine
from xanes_live.ensemble.forward import Cycle
from xanes_live.ensemble.library import Arrays, Words, read_library
from xanes_live.ensemble.registry import ModelFolder, read_model, unsaved
from xanes_live.ensemble.stacked import Stacked

if TYPE_CHECKING:
    from xanes_live.ensemble.recipe import Recipe

CHUNK = 4096
"""Spectra computed at a time: bounds memory whatever the size of a map."""


class Rows(Protocol):
    """A two-dimensional array of which parts can be read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    def __getitem__(self, rows: slice) -> ArrayLike:
        """Return some rows."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """Predictions of consecutive spectra."""

    start: int
    """Row of the first."""
    mean: Array
    """G2, shape (k, n_g2)."""
    sigma: Array
    """Standard deviation over members, shape (k, n_g2)."""
    first_shell: Array
    """Distance, Å, shape (k,); NaN where there is none."""
    first_shell_sigma: Array
    """Its standard deviation over members, Å, shape (k,)."""


class Ensemble:
    """A trained ensemble.

    Make one with :meth:`load`. Not safe for use by several threads at the same time.
    """

    def __init__(self, model: ModelFolder, device: str = "auto") -> None:
        self.model = model
        self.device = choose_device(device)
        self.engine = Engine(model.network.to(self.device))

    @classmethod
    def load(cls, name_or_path: str | Path, device: str = "auto") -> Ensemble:
        """Load a model by the name of its folder in ``models/``, or by path.

        Raises
        ------
        UnknownModelError
            If there is no such model.
        ModelFormatError
            If its folder is damaged or of a version this code does not read.
        ConfigurationError
            If the device cannot be used.
        """
        return cls(read_model(name_or_path), device)

    @classmethod
    def in_memory(cls, network: Stacked, recipe: Recipe, device: str = "auto") -> Ensemble:
        """Make an ensemble of a network just trained, without calibration."""
        return cls(unsaved(network, recipe), device)

    @property
    def info(self) -> ModelInfo:
        """Identity of the model."""
        return self.model.info

    @property
    def energy(self) -> Array:
        """Energies the model wants μ at, eV, shape (n_grid,)."""
        return self.model.energy

    @property
    def radius(self) -> Array:
        """Centres of the G2 functions, Å, shape (n_g2,)."""
        return self.model.grid.radius

    @property
    def eta(self) -> float:
        """Width parameter of the G2 functions, Å⁻²."""
        return self.model.grid.eta

    @property
    def input_form(self) -> str:
        """'normalised' or 'flattened': which μ the model wants."""
        return self.model.input_form

    @property
    def n_members(self) -> int:
        """Number of members."""
        return self.model.n_members

    @property
    def calibration(self) -> Mapping[str, Any]:
        """Calibration data of the model, as in the ``[calibration]`` section of model.toml."""
        return self.model.calibration

    @cached_property
    def library(self) -> tuple[Arrays, Words] | None:
        """Training spectra made small, with their names; None if the model brings none."""
        return read_library(self.model.path, self.model.description.get("library"))

    @property
    def cycle(self) -> Callable[[Array, Array], Cycle] | None:
        """Spectra (n, n_grid) and G2 (n, n_g2) to what the forward ensemble says of both."""
        return self.model.forward.residual if self.model.forward else None

    def predict(self, mu: ArrayLike) -> tuple[Prediction, ...]:
        """Return one prediction a spectrum.

        Parameters
        ----------
        mu
            Normalised μ on :attr:`energy`, shape (n, n_grid) or (n_grid,).

        Raises
        ------
        ValueError
            If the shape does not fit or a value is not finite.
        """
        return self._predictions(self.outputs(mu))

    def survey(self, mu: ArrayLike, further: ArrayLike | None = None) -> Survey:
        """Predict spectra together with changed copies of each, all in one batch.

        Parameters
        ----------
        mu
            Normalised μ on :attr:`energy`, shape (n, n_copies, n_grid); copy 0 is unchanged.
        further
            Spectra of which nothing but the distance is wanted, in the same batch, (m, n_grid).

        Raises
        ------
        ValueError
            As :meth:`predict`.
        """
        spectra = np.asarray(mu)
        n, n_copies = spectra.shape[:2]
        count, rows = n * n_copies, spectra.reshape(n * n_copies, -1)
        outputs = self.outputs(rows if further is None else np.concatenate((rows, further)))
        distances = combine_votes(self.votes(outputs))[0] + self._offset()
        mean = outputs[:count, :, : len(self.radius)].mean(axis=1)
        r, unchanged = distances[:count].reshape(n, n_copies), outputs[:count:n_copies]
        return Survey(
            predictions=self._predictions(unchanged),
            mean=mean.reshape(n, n_copies, -1),
            r=r,
            heads=self._heads(unchanged),
            others=self._others(unchanged, r[:, 0]),
            r_further=distances[count:],
        )

    def _heads(self, outputs: Array) -> dict[str, Array]:
        """Return the mean over members of each head, (n, n_members, n_total) → (n,)."""
        start, names = len(self.radius), self.model.architecture.heads
        said = outputs[..., start : start + len(names)].mean(axis=1)
        return dict(zip(names, said.T, strict=True))

    def _others(self, outputs: Array, r: Array) -> Others | None:
        """Return what the network's classes say of distances other than `r`, (n,)."""
        centres = np.array(self.model.architecture.classes)
        if not centres.size:
            return None
        likely, centres = probabilities(outputs[..., -centres.size :]), centres + self._offset()
        return Others(
            beyond(likely, centres, r, RIGHT), *likeliest_other(likely, centres, r, RIGHT)
        )

    def _predictions(self, outputs: Array) -> tuple[Prediction, ...]:
        g2 = outputs[..., : len(self.radius)]
        mean, sigma = moments(g2)
        shells = [self._shell(v) for v in self.votes(outputs)]
        return tuple(
            Prediction(
                radius=self.radius,
                mean=mean[i],
                sigma=sigma[i],
                members=g2[i],
                first_shell=shells[i],
                peaks=find_peaks(self.radius, mean[i], sigma[i]),
                eta=self.eta,
            )
            for i in range(len(mean))
        )

    def predict_arrays(self, mu: ArrayLike) -> tuple[Array, Array, Array]:
        """Return mean (n, n_g2), σ (n, n_g2; ddof = 1) and members (n, n_members, n_g2) of G2."""
        members = self.outputs(mu)[..., : len(self.radius)]
        return (*moments(members), members)

    def outputs(self, mu: ArrayLike) -> Array:
        """Return all outputs of all members, shape (n, n_members, n_total): G2, heads, classes."""
        spectra = np.atleast_2d(np.asarray(mu))
        if len(spectra) <= CHUNK:
            return self._said(spectra)
        result = np.empty((len(spectra), self.n_members, self.model.architecture.n_total))
        for start, said in self._blocks(spectra):
            result[start : start + len(said)] = said
        return result

    def stream(self, mu: Rows) -> Iterator[Block]:
        """Predict spectra too many to be held, a block at a time.

        Parameters
        ----------
        mu
            Anything with a shape (n, n_grid) whose rows can be sliced: a memory-mapped array, a
            Tiled array, ….

        Yields
        ------
        Block
            In order; memory stays that of one block.

        Raises
        ------
        ValueError
            As :meth:`predict`.
        """
        size = len(self.radius)
        for start, said in self._blocks(mu):
            mean, sigma = moments(said[..., :size])
            shell, shell_sigma = combine_votes(self.votes(said))
            yield Block(start, mean, sigma, shell + self._offset(), shell_sigma)

    def _blocks(self, mu: Rows) -> Iterator[tuple[int, Array]]:
        """Yield the first row and all outputs of each block, (k, n_members, n_total)."""
        for start in range(0, mu.shape[0], CHUNK):
            yield start, self._said(mu[start : start + CHUNK])

    def _said(self, mu: ArrayLike) -> Array:
        """Return all outputs of one block of spectra, (k, n_members, n_total)."""
        rows = np.array(mu, dtype=np.float32)  # of our own: writable
        if rows.ndim != 2 or rows.shape[1] != len(self.energy):
            raise ValueError(f"spectra of shape (n, {len(self.energy)}) wanted, not {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("spectra must be finite")
        said = self.engine(torch.from_numpy(rows).to(self.device)).transpose(0, 1)
        return said.cpu().numpy().astype(np.float64)

    def votes(self, outputs: Array) -> Array:
        """Return each member's first-shell distance, Å, shape (n, n_members).

        A model with a head for it gives the distance itself, others by the shape of G2.
        """
        column = self.model.architecture.column("first_shell")
        if column is not None:
            return outputs[..., column]
        return shell_votes(self.radius, outputs[..., : len(self.radius)], self.model.grid.r_c)

    def _offset(self) -> float:
        return float(self.calibration.get("first_shell", {}).get("offset", 0.0))

    def _shell(self, votes: Array) -> FirstShell:
        settings = self.calibration.get("first_shell", {})
        return first_shell(
            votes,
            offset=settings.get("offset", 0.0),
            scale=settings.get("scale", 1.0),
            floor=settings.get("floor", 0.0),
        )


def moments(members: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation (ddof = 1) over members, (n, n_members, k) → (n, k)."""
    mean = members.mean(axis=1)
    if members.shape[1] < 2:
        return mean, np.zeros_like(mean)
    return mean, members.std(axis=1, ddof=1)
