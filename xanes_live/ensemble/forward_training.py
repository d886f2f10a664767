"""Training of the forward ensemble, after the reverse members and on their resamples.

At use it is given *predicted* G2, so that is what it learns from: predictions of randomly changed
spectra by the members that have not seen them. What it is to answer is the spectrum as it would be
measured on average; the rest is fitted (:mod:`xanes_live.ensemble.nuisance`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xanes_live.domain import Array
from xanes_live.ensemble.augment import apply
from xanes_live.ensemble.forward import Forward, Scale
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.nuisance import Nuisance
from xanes_live.ensemble.recipe import ForwardSection, Recipe
from xanes_live.ensemble.stacked import Stacked
from xanes_live.ensemble.training import Progress, Trained, Trainer, refuse_diverged

MARGIN = 8.0
"""Energies learnt beyond the model's, eV: what a fitted shift and stretch reach for."""
LEAST_UNSEEN = 2
"""Reverse members that must not have seen a spectrum for its prediction to be used."""
CALIBRATION = 2
"""Further showings on which the usual residual is found."""
LEAST_SIGMA = 1e-3
"""Least usual residual, in units of the edge step: none is measured better."""
QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
SEED = 71
"""Keeps the random numbers apart from those of the reverse members."""


@dataclass(frozen=True)
class Shown:
    """Randomly changed spectra with what unseeing reverse members make of them."""

    mu: NDArray[np.float32]
    """Shape (n, n_grid)."""
    g2: NDArray[np.float32]
    """Shape (n, n_g2); NaN where too few members have not seen the spectrum."""


def wide_energy(recipe: Recipe) -> Array:
    """Return the model's energies continued on both sides with the same spacing, eV."""
    m = recipe.model
    step = (m.energy_stop - m.energy_start) / (m.n_energy - 1)
    extra = int(np.ceil(MARGIN / step))
    points = np.arange(-extra, m.n_energy + extra, dtype=np.float64)
    return m.energy_start + step * points


def train_forward(
    trainer: Trainer,
    trained: Trained,
    g2: Array,
    spectra: NDArray[np.float32],
    section: ForwardSection,
    progress: Progress | None = None,
) -> Forward:
    """Train a forward ensemble and find what is usual of its residuals.

    Parameters
    ----------
    trainer, trained
        The reverse ensemble, its training finished.
    g2
        True G2 of its data, shape (n, n_g2); NaN where unknown.
    spectra
        The data as they would be measured on average on :func:`wide_energy`, (n, n_wide).
    section
        How.
    progress
        Called after each epoch.

    Raises
    ------
    ConfigurationError
        If the training diverges.
    """
    settings = trainer.recipe.augmentation
    wide = wide_energy(trainer.recipe)
    nuisance = Nuisance(trainer.energy, wide, settings.pivot, settings.far_rise)
    offset = spectra.mean(axis=0, dtype=np.float64)
    components = principal(spectra - offset, section.components)
    inputs = _inputs(trainer, trained, g2, section)
    resamples = trained.resamples[: section.members]
    targets = (spectra - offset) @ components.T
    network = _network(section, resamples, inputs, targets, progress)
    refuse_diverged(
        network, trainer.recipe.model.stored, "training of the forward ensemble diverged",
        f"[forward] rate than {section.rate:g}",
    )  # fmt: skip
    forward = Forward(network, components, offset, nuisance)
    scale = calibrated(forward, trainer, trained)
    return Forward(network, components, offset, nuisance, scale)


def principal(centred: Array, count: int) -> Array:
    """Return the first principal components of spectra about zero, shape (count, n_wide)."""
    _, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    result: Array = vectors[:, ::-1][:, :count].T
    return np.ascontiguousarray(result)


def show(trainer: Trainer, trained: Trained, showing: int) -> Shown:
    """Change every spectrum at random and ask the members that have not seen it."""
    n, device = len(trainer.target), trainer.device
    generator = torch.Generator(device).manual_seed(_seed(trainer.section.seed, SEED, showing))
    unseen = trained.out_of_bag(n)
    mu = np.empty((n, len(trainer.grid)), dtype=np.float32)
    g2 = np.empty((n, trained.network.architecture.n_output), dtype=np.float32)
    for index in torch.split(torch.arange(n, device=device), 1024):
        size = (len(index), trainer.settings.n_draws)
        draws = torch.rand(size, generator=generator, device=device)
        noise = torch.randn((len(index), len(trainer.grid)), generator=generator, device=device)
        shown = apply(trainer.bank, index, trainer.grid, trainer.settings, draws, noise)
        with torch.inference_mode():
            said = trained.network(shown)[..., : g2.shape[1]].cpu().numpy()
        rows = index.cpu().numpy()
        mu[rows], g2[rows] = shown.cpu().numpy(), mean_of(said, unseen[:, rows], LEAST_UNSEEN)
    return Shown(mu, g2)


def mean_of(values: Array, chosen: NDArray[np.bool_], least: int = 1) -> Array:
    """Return the mean over the chosen members, (n_members, n, k) → (n, k); NaN if too few."""
    count = chosen.sum(axis=0)
    total = np.where(chosen[..., None], values, 0.0).sum(axis=0)
    mean = total / np.maximum(count, 1)[:, None]
    result: Array = np.where((count >= least)[:, None], mean, np.nan)
    return result


def _inputs(
    trainer: Trainer, trained: Trained, g2: Array, section: ForwardSection
) -> NDArray[np.float32]:
    """Return G2 to learn from, (n_showings, n, n_g2); NaN where nothing is known."""
    true = np.asarray(g2, dtype=np.float32)
    if section.inputs == "true":
        return true[None]
    said = np.stack([show(trainer, trained, k).g2 for k in range(section.showings)])
    said = np.where(np.isfinite(said), said, true)
    if section.inputs == "predicted":
        return said
    return np.concatenate(
        [said, np.broadcast_to(np.where(np.isfinite(true), true, said), said.shape)]
    )


def _network(
    section: ForwardSection,
    resamples: NDArray[np.int64],
    inputs: NDArray[np.float32],
    targets: Array,
    progress: Progress | None,
) -> Stacked:
    """Train dense networks from `inputs` to the components `targets`, (n, n_components)."""
    known = np.flatnonzero(np.isfinite(inputs).all(axis=(0, 2)))
    x, y = torch.tensor(inputs), torch.tensor(targets, dtype=torch.float32)
    network = _fresh(section, len(resamples), x[:, known], y[known])
    optimiser = torch.optim.Adam(network.parameters(), section.rate)
    rows = [r[np.isin(r, known)] for r in resamples]
    length = min(map(len, rows))
    last = section.epochs * -(-length // section.batch)
    step, loss = 0, torch.zeros(1)
    for epoch in range(section.epochs):
        index, showing = _order(rows, length, len(inputs), epoch)
        parts = (torch.split(order, section.batch, dim=1) for order in (index, showing))
        for which, showed in zip(*parts, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = _rate(section.rate, step / last)
            optimiser.zero_grad(set_to_none=True)
            error = network(x[showed, which]) - y[which]
            loss = (error / network.output_scale).square().mean(dim=(1, 2))
            torch.autograd.backward(loss.sum())
            optimiser.step()
            step += 1
        if progress is not None:
            progress(epoch + 1, float(loss.detach().mean()))
    return network.eval().requires_grad_(requires_grad=False)


def _fresh(section: ForwardSection, n_members: int, x: Tensor, y: Tensor) -> Stacked:
    """Return networks not yet trained, scaled to the data."""
    architecture = Architecture(
        n_input=x.shape[2], channels=(), hidden=section.hidden, n_output=y.shape[1],
        activation="silu",
    )  # fmt: skip
    network = Stacked.initialised(architecture, n_members, SEED)
    network.input_mean.copy_(x.mean(dim=(0, 1)))
    network.input_scale.copy_((x - network.input_mean).std())
    network.output_mean.copy_(y.mean(dim=0))
    network.output_scale.copy_(y.std(dim=0).max())  # one unit: errors of spectra count alike
    return network.train()


def _order(
    rows: list[NDArray[np.int64]], length: int, showings: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Return which spectrum and which showing each member sees when, (n_members, length)."""
    index, showing = [], []
    for member, row in enumerate(rows):
        rng = np.random.default_rng([SEED, member, epoch])
        index.append(rng.permutation(row)[:length])
        showing.append(rng.integers(0, showings, length))
    return torch.as_tensor(np.stack(index)), torch.as_tensor(np.stack(showing))


def _rate(rate: float, done: float) -> float:
    """Return the learning rate when a share `done` of all steps is behind: warm-up and cosine."""
    cosine: float = 0.5 * (1.0 + np.cos(np.pi * done))
    return rate * min(1.0, done / 0.02 + 0.02) * max(cosine, 1e-3)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


def calibrated(forward: Forward, trainer: Trainer, trained: Trained) -> Scale | None:
    """Find what is usual on spectra that neither ensemble has seen; None if there are none."""
    n = len(trainer.target)
    unseen = trained.out_of_bag(n)[: forward.n_members]
    residuals = []
    for k in range(CALIBRATION):
        shown = show(trainer, trained, 1000 + k)  # others than those learnt from
        use = np.isfinite(shown.g2).all(axis=1) & unseen.any(axis=0)
        if not use.any():
            return None
        components = mean_of(forward.members(shown.g2[use]), unseen[:, use])
        mu = shown.mu[use].astype(np.float64)
        residuals.append(mu - forward.fitted(mu, components)[0])
    return usual(np.concatenate(residuals))


def usual(residual: Array) -> Scale:
    """Return what is usual of residuals (n, n_grid)."""
    sigma = np.maximum(np.sqrt(np.mean(residual**2, axis=0)), LEAST_SIGMA)
    size = np.sqrt(np.mean((residual / sigma) ** 2, axis=1))
    middle = max(float(np.median(size)), 1e-3)
    quantiles = {f"{q:g}": round(float(np.quantile(size / middle, q)), 3) for q in QUANTILES}
    return Scale(sigma, middle, quantiles, len(residual))
