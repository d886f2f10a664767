"""From computed to measured spectra: what is varied at random while the network learns.

What limits a model trained on theory is the energy scale: measured spectra are computed ones
stretched by about 1.07 around 7120 eV, shifted, and broadened more and more with energy
(self-energy, vibrations, core-hole and instrument). On top come the errors of normalisation and
over-absorption of thick or concentrated samples, and some scans end too soon. All are drawn anew
each time a spectrum is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import Tensor

from xanes_live.config import Section
from xanes_live.domain import BEYOND_SCAN, Array

FWHM_TO_SIGMA = 1.0 / np.sqrt(8.0 * np.log(2.0))
N_DRAWS = 12
"""Random numbers needed for one spectrum, modes apart."""


class Augmentation(Section):
    """Widths of the random changes; normal unless said otherwise. The defaults change nothing."""

    pivot: float = 7120.0
    """Energy that a stretch leaves where it is, eV; one off the model's energies is replaced by an
    energy about the edge."""
    stretch: float = 1.0
    """Mean stretch of the computed energy scale."""
    stretch_sd: float = Field(0.0, ge=0)
    shift: float = 0.0
    """Mean shift, eV, of a spectrum whose Fermi energy is `fermi`."""
    shift_sd: float = Field(0.0, ge=0)
    fermi: float = 7116.0
    """Usual Fermi energy of the computed spectra, eV."""
    fermi_pull: float = 0.0
    """Share of the deviation of the computed Fermi energy from `fermi` that is taken back: muffin
    tins put it too high in metals."""
    fwhm_max: float = Field(0.0, ge=0)
    """Gaussian broadening at all energies, eV, uniform from 0."""
    far_fwhm_min: float = Field(0.0, ge=0)
    """Least further broadening far above the Fermi energy, eV."""
    far_fwhm_max: float = Field(0.0, ge=0)
    """Largest further broadening far above the Fermi energy, eV; uniform in between."""
    far_rise: float = Field(8.0, gt=0)
    """Energy above the Fermi energy within which the further broadening rises, eV: photoelectrons
    of higher energy live shorter and see thermal disorder more."""
    step: float = 0.0
    """Mean relative error of the edge step."""
    step_sd: float = Field(0.0, ge=0)
    slope_sd: float = Field(0.0, ge=0)
    """Error of the post-edge slope, per 50 eV."""
    curve_sd: float = Field(0.0, ge=0)
    """Error of the post-edge curvature, per (50 eV)²."""
    background_sd: float = Field(0.0, ge=0)
    """Offset of the whole spectrum."""
    pre_edge_sd: float = Field(0.0, ge=0, le=0.3)
    """How far the pre-edge line lies too low at the edge, in edge steps: what is below the edge
    comes out too high, what is 1 stays, since it is divided by the step to the post-edge line. With
    more than 0.3 nothing might be left of that step."""
    over_absorption_max: float = Field(0.0, ge=0)
    """1/α of the over-absorption (self-absorption), uniform from 0; see :func:`over_absorb`. Holes
    in a sample and harmonics in the beam damp a transmission spectrum alike."""
    over_absorption_share: float = Field(1.0, gt=0, le=1)
    """Share of the spectra that are over-absorbed; most of what is measured is not."""
    noise_max: float = Field(0.0, ge=0)
    """Standard deviation of point noise, uniform from 0."""
    cut_share: float = Field(0.0, ge=0, le=1)
    """Share of the spectra that end too soon, as scans do; see :func:`cut_short`."""
    cut_least: float = Field(25.0, gt=0)
    """Least energy above the pivot, eV, at which those end; uniform from there to the last."""

    @property
    def random(self) -> bool:
        """Whether anything is drawn at random."""
        widths = self.model_dump().items()
        return any(value > 0 for name, value in widths if name.endswith(("_sd", "_max")))


def over_absorb(mu: Tensor, inverse_alpha: Tensor) -> Tensor:
    """Return normalised μ as fluorescence of a thick sample would show it.

    The inverse of larch's ``fluo_corr`` (xraylarch 2026.3.1): with
    μ_corr = μ·α/(α + 1 − μ) follows μ = μ_corr·(α + 1)/(α + μ_corr).
    """
    return mu * (1.0 + inverse_alpha) / (1.0 + inverse_alpha * mu)


@dataclass(frozen=True)
class Bank:
    """Every spectrum at several broadenings, from which any broadening is interpolated.

    Attributes
    ----------
    values
        Shape (n_spectra, n_levels, n_energies).
    start, step
        First energy and spacing of the energies, eV.
    fwhm
        Spacing of the levels, eV; level 0 is not broadened.
    fermi
        Fermi energy of each spectrum, eV, shape (n_spectra,).
    kind
        Which of several :class:`Augmentation` a spectrum is given, shape (n_spectra,).
    """

    values: Tensor
    fermi: Tensor
    kind: Tensor
    start: float
    step: float
    fwhm: float

    @classmethod
    def build(
        cls,
        energy: Array,
        mu: NDArray[np.floating],
        fermi: Array,
        kind: ArrayLike = 0,
        *,
        fwhm_max: float,
        fwhm_step: float = 1.0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Bank:
        """Broaden `mu` (n_spectra, n_energies) on equally spaced `energy` by Gaussians.

        Raises
        ------
        ValueError
            If the energies are not equally spaced.
        """
        step = float(energy[1] - energy[0])
        if not np.allclose(np.diff(energy), step):
            raise ValueError("the energies of the training spectra must be equally spaced")
        n_levels = int(np.ceil(fwhm_max / fwhm_step)) + 1 if fwhm_max > 0 else 1
        source = torch.as_tensor(mu, dtype=torch.float32, device=device)
        levels = [broaden(source, k * fwhm_step / step).to(dtype) for k in range(n_levels)]
        own = torch.as_tensor(fermi, dtype=torch.float32, device=device)
        which = torch.as_tensor(np.broadcast_to(kind, len(mu)).copy(), device=device).long()
        return cls(torch.stack(levels, dim=1), own, which, float(energy[0]), step, fwhm_step)

    def sample(self, index: Tensor, energy: Tensor, fwhm: Tensor) -> Tensor:
        """Return spectra at any energies and broadenings (bilinear).

        Parameters
        ----------
        index
            Which spectrum, shape (...).
        energy
            Computed energies wanted, eV, shape (..., n); held at the ends.
        fwhm
            Broadening at each energy, eV, shape (..., n).

        Returns
        -------
        Tensor
            Shape (..., n), float32.
        """
        _, n_levels, n_energy = self.values.shape
        at = ((energy - self.start) / self.step).clamp(0, n_energy - 1.001)
        level = (fwhm / self.fwhm).clamp(0, max(n_levels - 1.001, 0))
        i, j = at.long(), level.long()
        u, v = at - i, level - j
        flat = self.values.reshape(-1)
        base = (index.unsqueeze(-1) * n_levels + j) * n_energy + i
        up = n_energy if n_levels > 1 else 0

        def taken(places: Tensor) -> Tensor:
            # four times faster on a CPU than flat[places]
            return flat.index_select(0, places.reshape(-1)).view(places.shape).float()

        low = torch.lerp(taken(base), taken(base + 1), u)
        high = torch.lerp(taken(base + up), taken(base + up + 1), u)
        return torch.lerp(low, high, v)


def broaden(mu: Tensor, fwhm: float) -> Tensor:
    """Convolve (n, n_energies) with a Gaussian of `fwhm` points; the ends are held."""
    if fwhm <= 0:
        return mu
    sigma = fwhm * FWHM_TO_SIGMA
    half = int(np.ceil(4 * sigma))
    x = torch.arange(-half, half + 1, device=mu.device, dtype=mu.dtype)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    padded = torch.nn.functional.pad(mu.unsqueeze(1), (half, half), mode="replicate")
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    return torch.nn.functional.conv1d(padded, kernel).squeeze(1)


def cut_short(mu: Tensor, grid: Tensor, end: Tensor) -> Tensor:
    """Return spectra as they are continued where a scan ends before the model's energies do.

    What was measured last goes over into 1, as :func:`xanes_live.reduction.resample` lets it.

    Parameters
    ----------
    mu
        Normalised, shape (..., n_grid).
    grid
        Energies, eV, ascending, shape (n_grid,).
    end
        Last energy measured, eV, shape (..., 1).
    """
    last = torch.searchsorted(grid, end, right=True).sub_(1).clamp_(min=0)
    beyond = (grid - end).clamp(min=0)
    continued = 1.0 + (mu.gather(-1, last) - 1.0) * torch.exp(-beyond / BEYOND_SCAN)
    return torch.where(grid > end, continued, mu)


class Settings:
    """Augmentations of several kinds of spectra, laid out for the device.

    Parameters
    ----------
    kinds
        One for each kind.
    device
        Where spectra are changed.
    modes
        What theory gets wrong, on the grid it is applied on, shape (n_modes, n_grid): added to
        spectra of the first kind. See :mod:`xanes_live.ensemble.discrepancy`.
    """

    def __init__(
        self,
        kinds: Sequence[Augmentation],
        device: str | torch.device = "cpu",
        modes: NDArray[np.float32] | None = None,
    ) -> None:
        self.names = tuple(Augmentation.model_fields)
        rows = [[float(getattr(kind, name)) for name in self.names] for kind in kinds]
        self.table = torch.tensor(rows, device=device)
        self.modes = None if modes is None else torch.tensor(modes, device=device)
        self.cuts = any(kind.cut_share for kind in kinds)

    @property
    def n_draws(self) -> int:
        """Random numbers needed for one spectrum."""
        return N_DRAWS + (0 if self.modes is None else len(self.modes))

    def of(self, kind: Tensor) -> dict[str, Tensor]:
        """Return each setting of spectra of these kinds, shape (..., 1)."""
        return dict(zip(self.names, self.table[kind].unsqueeze(-2).unbind(-1), strict=True))


def apply(
    bank: Bank, index: Tensor, grid: Tensor, settings: Settings, draws: Tensor, noise: Tensor
) -> Tensor:
    """Return spectra as they might have been measured.

    Parameters
    ----------
    bank
        The computed spectra.
    index
        Which spectra, any shape (...).
    grid
        The model's energies, eV, shape (n_grid,).
    settings
        Widths of the changes for each kind of spectrum.
    draws
        Uniform random numbers, shape (..., settings.n_draws).
    noise
        Standard normal random numbers, shape (..., n_grid) or broadcastable.

    Returns
    -------
    Tensor
        Shape (..., n_grid).
    """
    s = settings.of(bank.kind[index])
    normal: Tensor = torch.special.ndtri(draws.clamp(0.002, 0.998))  # nothing beyond 2.9 σ
    d, n = draws.unsqueeze(-2).unbind(-1), normal.unsqueeze(-2).unbind(-1)
    fermi = bank.fermi[index].unsqueeze(-1)
    shift = s["shift"] + s["shift_sd"] * n[1] - s["fermi_pull"] * (fermi - s["fermi"])
    stretch = (s["stretch"] + s["stretch_sd"] * n[0]).clamp(0.7, 1.5)
    far = s["far_fwhm_min"] + (s["far_fwhm_max"] - s["far_fwhm_min"]) * d[3]
    mu = moved(
        bank, index, grid, pivot=s["pivot"], stretch=stretch, shift=shift,
        fwhm=s["fwhm_max"] * d[2], far_fwhm=far, far_rise=s["far_rise"],
    )  # fmt: skip
    if settings.modes is not None:
        computed = (bank.kind[index] == 0).unsqueeze(-1)
        mu = mu + computed * (normal[..., N_DRAWS:] @ settings.modes)
    share = s["over_absorption_share"]
    thick = ((d[5] - (1.0 - share)) / share).clamp(min=0)
    mu = over_absorb(mu, s["over_absorption_max"] * thick)
    line = s["pre_edge_sd"] * n[4]
    mu = (mu + line) / (1.0 + line)
    post = (grid - s["pivot"]).clamp(min=0) / 50.0
    error = s["step"] + s["step_sd"] * n[6] + s["slope_sd"] * n[7] * post
    mu = mu * (1.0 + error + s["curve_sd"] * n[8] * post**2) + s["background_sd"] * n[9]
    mu = torch.addcmul(mu, d[10] * s["noise_max"], noise)
    if not settings.cuts:
        return mu
    share = s["cut_share"]
    short = ((d[11] - (1.0 - share)) / share.clamp(min=1e-6)).clamp(min=0)
    first = s["pivot"] + s["cut_least"]
    return cut_short(mu, grid, grid[-1] + short * (first - grid[-1]))


def moved(
    bank: Bank,
    index: Tensor,
    grid: Tensor,
    *,
    pivot: Tensor | float,
    stretch: Tensor,
    shift: Tensor,
    fwhm: Tensor,
    far_fwhm: Tensor,
    far_rise: Tensor | float,
) -> Tensor:
    """Return spectra stretched, shifted and broadened.

    Parameters
    ----------
    bank, index, grid
        As for :func:`apply`.
    pivot, stretch, shift, fwhm, far_fwhm, far_rise
        What an :class:`Augmentation` draws, eV, and `stretch` without unit; numbers, or of a shape
        to be broadcast to (..., n_grid).

    Returns
    -------
    Tensor
        Shape (..., n_grid).
    """
    energy = pivot + (grid - pivot - shift) / stretch
    above = (energy - bank.fermi[index].unsqueeze(-1)).clamp(min=0)
    return bank.sample(index, energy, fwhm + far_fwhm * (1.0 - torch.exp(-above / far_rise)))


def transferred(
    energy: Array,
    mu: NDArray[np.floating],
    fermi: Array,
    settings: Augmentation,
    grid: Array,
    *,
    modes: NDArray[np.float32] | None = None,
    generator: torch.Generator | None = None,
    chunk: int = 512,
) -> NDArray[np.float32]:
    """Return computed spectra as they would be measured.

    Without a `generator` on average: all draws at their middle, no noise.

    Parameters
    ----------
    energy, mu, fermi
        Computed spectra: (n_energies,) equally spaced, (n, n_energies) and (n,).
    settings
        Means and widths of the changes.
    grid
        Energies wanted, eV, shape (n_grid,).
    modes
        What theory gets wrong, shape (n_modes, n_grid): see :class:`Settings`.
    generator
        Of random errors of measurement.
    chunk
        Spectra worked on at a time.

    Returns
    -------
    Array
        Shape (n, n_grid).
    """
    wanted = torch.tensor(grid, dtype=torch.float32)
    table, noise = Settings([settings], modes=modes), torch.zeros(1)
    widest = settings.fwhm_max + settings.far_fwhm_max
    result = np.empty((len(mu), len(grid)), dtype=np.float32)
    for start in range(0, len(mu), chunk):
        part = slice(start, start + chunk)
        bank = Bank.build(energy, mu[part], fermi[part], fwhm_max=widest)
        index = torch.arange(len(bank.fermi))
        draws = torch.full((len(index), table.n_draws), 0.5)
        if generator is not None:
            draws = torch.rand(draws.shape, generator=generator)
            noise = torch.randn((len(index), len(grid)), generator=generator)
        result[part] = apply(bank, index, wanted, table, draws, noise).numpy()
    return result
