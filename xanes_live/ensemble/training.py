"""Joint bootstrap training: all members advance in one batched computation.

Each member sees its own resample of the data in its own order and its own random changes. Nothing
mixes members, and every random number of member m depends on the seed and on m alone, so training
a member by itself gives the same weights.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xanes_live import log
from xanes_live.ensemble.augment import Augmentation, Bank, Settings, apply
from xanes_live.ensemble.classes import cross_entropy, shares
from xanes_live.ensemble.data import TrainingSet
from xanes_live.ensemble.discrepancy import modes_of
from xanes_live.ensemble.fingerprint import fingerprint
from xanes_live.ensemble.heads import HEADS, LOG_ERROR, SHELL, WIDTH, laplace_loss
from xanes_live.ensemble.recipe import DataSection, Recipe
from xanes_live.ensemble.stacked import STORED, Stacked
from xanes_live.ensemble.step import Draws, Recorded
from xanes_live.errors import ConfigurationError

_log = log.get(__name__)
Progress = Callable[[int, float], None]
"""Called after each epoch with the number of epochs done and the mean training loss."""

MARGIN = 25.0
"""Computed energies kept beyond the model's, eV: what stretch and shift may ask for."""


@dataclass
class Trained:
    """Outcome of a training."""

    network: Stacked
    resamples: NDArray[np.int64]
    """Which spectra each member was given, shape (n_members, n)."""
    losses: list[float] = field(default_factory=list)
    """Mean loss of each epoch."""

    def out_of_bag(self, n: int) -> NDArray[np.bool_]:
        """Return which of `n` spectra a member has *not* seen, shape (n_members, n)."""
        unseen = np.ones((len(self.resamples), n), dtype=bool)
        for row, resample in zip(unseen, self.resamples, strict=True):
            row[resample] = False
        return unseen


def resample(data: TrainingSet, recipe: Recipe, member: int) -> NDArray[np.int64]:
    """Return the indices member `member` learns from.

    As many computed spectra as there are, drawn with replacement: with ``resample = "parent"``
    whole parents, so that what a member has not seen is not a distorted copy of what it has.
    Measured spectra are drawn apart from them, as many times as there are as the recipe says, each
    compound as often as any other, however often it was measured.
    """
    how, computed = recipe.training.resample, np.flatnonzero(~data.measured)
    rng = np.random.default_rng([recipe.training.seed, member])
    if how == "none":
        drawn = computed
    else:
        pick = _by_sample if how == "sample" else _by_parent
        part = data.take(computed)
        drawn = computed[pick(part, _weights(part, recipe.data), rng)]
    measured = np.flatnonzero(data.measured)
    if not len(measured):
        return drawn
    count = round((recipe.measured.weight if recipe.measured else 1.0) * len(measured))
    _, compound, times = np.unique(data.parent[measured], return_inverse=True, return_counts=True)
    share = 1.0 / (len(times) * times[compound])
    return np.concatenate([drawn, rng.choice(measured, size=count, p=share)])


def draws_hash(data: TrainingSet, recipe: Recipe) -> str:
    """Return the sha256 of which computed spectra each member is given.

    It tells whether what is drawn today is what a model was trained with: the draws hang on the
    spectra, the recipe, and on what counts as a first shell (``[data.ligands]``).
    """
    computed = data.take(~data.measured)
    found = hashlib.sha256()
    for member in range(recipe.training.members):
        found.update(resample(computed, recipe, member).astype("<i8").tobytes())
    return found.hexdigest()


def _by_sample(
    data: TrainingSet, weight: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    return rng.choice(len(data), size=len(data), p=weight / weight.sum())


def _weights(data: TrainingSet, section: DataSection) -> NDArray[np.float64]:
    """Return how often each spectrum is drawn beside the others, shape (n,)."""
    source = np.array([section.weights.get(str(s), 1.0) for s in data.source])
    found: NDArray[np.float64] = source * np.array(
        [section.ligands.get(str(x), 1.0) for x in data.ligand]
    )
    if not found.any():
        raise ConfigurationError("[data] weights, ligands: every spectrum has weight 0")
    return found


def _by_parent(
    data: TrainingSet, weight: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    _, which = np.unique(data.parent, return_inverse=True)
    sizes = np.bincount(which)
    by_parent = np.split(np.argsort(which, kind="stable"), np.cumsum(sizes)[:-1])
    share = np.bincount(which, weights=weight) / sizes  # a large family is not drawn more often
    some: list[NDArray[np.int64]] = []
    while sum(map(len, some)) < len(data):
        some += [by_parent[p] for p in rng.choice(len(sizes), len(sizes), p=share / share.sum())]
    return np.concatenate(some)[: len(data)]


class Trainer:
    """State of one training: network, optimiser, and where it stands.

    Parameters
    ----------
    data
        What to learn.
    recipe
        How.
    members
        Which members; all by default. Those left out do not change those trained.
    device
        'cpu', 'cuda', ….

    Raises
    ------
    ConfigurationError
        If there is nothing to learn from, or it does not cover the model's energies.
    """

    def __init__(
        self,
        data: TrainingSet,
        recipe: Recipe,
        members: Sequence[int] | None = None,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.section = recipe, recipe.training
        self.members = tuple(range(self.section.members) if members is None else members)
        self.device = torch.device(device)
        m = recipe.model
        self.energy = m.energy
        self.grid = torch.tensor(self.energy, dtype=torch.float32, device=self.device)
        _refuse_too_little(data, recipe)
        data = data.within(m.energy_start - MARGIN, m.energy_stop + MARGIN)
        self.kinds = _kinds(recipe)
        self.bank = _bank(data, self.kinds, self.device)
        modes = modes_of(recipe, self.energy)
        _say_if_none(recipe, modes)
        self.settings = Settings(self.kinds, self.device, modes)
        self.target = torch.tensor(targets(data, recipe), device=self.device)
        self.shell = recipe.architecture().column(SHELL) or recipe.descriptor.size
        self.resamples = np.stack([resample(data, recipe, k) for k in self.members])
        self.network = self._network(data)
        self.network.to(self.device)
        self.average = [p.detach().clone() for p in self.network.parameters()]
        self.rate, self.pull = (torch.zeros((), device=self.device) for _ in range(2))
        self.optimiser = torch.optim.Adam(
            self.network.parameters(),
            self.rate,
            weight_decay=self.section.weight_decay,
            fused=True,
            capturable=self.device.type == "cuda",
        )
        size = (self.section.batch, len(self.grid), self.settings.n_draws)
        self.draws = Draws(self.section.seed, self.members, *size, self.device)
        self.recorded = Recorded(self._advance) if self.device.type == "cuda" else None
        self.epoch, self.step = 0, 0
        self.losses: list[float] = []

    def _network(self, data: TrainingSet) -> Stacked:
        architecture, seed = self.recipe.architecture(), self.section.seed
        parts = [Stacked.initialised(architecture, 1, seed, k) for k in self.members]
        network = Stacked(architecture, len(parts))
        for name, value in network.state_dict().items():
            if value.dim() and value.shape[0] == len(parts) and "put_" not in name:
                value.copy_(torch.cat([p.state_dict()[name] for p in parts]))
        if self.recipe.network.standardise:
            self._standardise(network, len(data))
        return network

    def _standardise(self, network: Stacked, n: int) -> None:
        """Set the scale of input and output from the data as they will be shown."""
        generator = torch.Generator(self.device).manual_seed(self.section.seed)
        index = torch.arange(n, device=self.device)[:20_000]
        size = (len(index), self.settings.n_draws)
        draws = torch.rand(size, generator=generator, device=self.device)
        noise = torch.zeros(1, device=self.device)
        shown = apply(self.bank, index, self.grid, self.settings, draws, noise)
        network.input_mean.copy_(shown.mean(0).cpu())
        network.input_scale.copy_((shown - shown.mean(0)).std().cpu())
        mean, spread = _scale(self.target)
        n_g2, last = network.architecture.n_output, len(mean) - len(network.architecture.classes)
        mean[last:], spread[last:] = 0.0, 1.0  # of a logarithm of a probability there is no scale
        network.output_mean.copy_(mean.cpu())
        spread[:n_g2] = spread[:n_g2].square().mean().sqrt()  # one unit for all of G2
        network.output_scale.copy_(spread.clamp(min=1e-3).cpu())

    def run(self, progress: Progress | None = None, checkpoint: Path | None = None) -> Trained:
        """Train to the last epoch; with `checkpoint`, save after each and resume from there.

        Raises
        ------
        ConfigurationError
            If the training diverges.
        """
        if checkpoint is not None and checkpoint.exists():
            self.restore(checkpoint)
        while self.epoch < self.section.epochs:
            self.losses.append(self.one_epoch())
            self.epoch += 1
            stored = self.recipe.model.stored
            refuse_diverged(
                self.network, stored, f"training diverged in epoch {self.epoch}",
                f"[training] rate than {self.section.rate:g}", self.losses[-1],
            )  # fmt: skip
            if checkpoint is not None:
                self.save(checkpoint)
            if progress is not None:
                progress(self.epoch, self.losses[-1])
        return Trained(self._final(), self.resamples, self.losses)

    def _final(self) -> Stacked:
        """Return the network with averaged weights, if there is an average."""
        if self.section.average:
            with torch.no_grad():
                for own, mean in zip(self.network.parameters(), self.average, strict=True):
                    own.copy_(mean)
        return self.network.eval()

    def one_epoch(self) -> float:
        """Show every member its resample once; return the mean loss."""
        self.network.train()
        order = np.stack([self._order(k, row) for k, row in enumerate(self.resamples)])
        shuffled = torch.as_tensor(order, device=self.device)
        size = min(self.section.batch, shuffled.shape[1])
        total = torch.zeros((), device=self.device)
        batches = torch.split(shuffled, size, dim=1)
        for batch in batches:
            total += self.one_step(batch)
        return float(total) / len(batches)

    def _order(self, row: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.section.seed, self.members[row], 1 + self.epoch])
        return rng.permutation(indices)

    def one_step(self, index: Tensor) -> Tensor:
        """Advance all members by one batch, (n_members, batch) indices; return the mean loss."""
        n, step = index.shape[1], self.step + 1
        draws = self.draws.at(self.step, n)
        self.rate.fill_(self._rate(len(self.resamples[0])))
        self.pull.fill_(1.0 - min(self.section.average, step / (step + 10.0)))
        full = self.recorded is not None and n == self.section.batch
        loss = (self.recorded if full and self.recorded else self._advance)(index, *draws)
        self.step = step
        return loss

    def _advance(self, index: Tensor, draws: Tensor, noise: Tensor) -> Tensor:
        """Show a batch, learn from it, follow with the average: nothing but work on the device."""
        shown = apply(self.bank, index, self.grid, self.settings, draws, noise)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.network(shown), self.target[index])
        torch.autograd.backward(loss.sum())  # a sum: each member gets the gradient of its own loss
        self.optimiser.step()
        if self.section.average:
            with torch.no_grad():
                for mean, own in zip(self.average, self.network.parameters(), strict=True):
                    mean.lerp_(own, self.pull)
        return loss.detach().mean()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each member's loss in units of the output scale, shape (n_members,)."""
        n_g2 = self.network.architecture.n_output
        last = n_g2 + len(self.network.architecture.heads)
        said, wanted = output[..., :last], target[..., :last]
        known = torch.isfinite(wanted)  # of a measured spectrum perhaps only the distance is
        error = torch.where(known, said - wanted, 0.0) / self.network.output_scale[:last]
        loss = error[..., :n_g2].square().mean(dim=(1, 2))
        for k, name in enumerate(self.network.architecture.heads, start=n_g2):
            if name == WIDTH:
                own = error[..., self.shell].detach() * self.network.output_scale[self.shell]
                size = laplace_loss(own.abs(), output[..., k]) * known[..., self.shell]
            else:
                head = error[..., k]
                robust = name == SHELL and self.section.head_loss == "l1"
                size = _smooth(head) if robust else head.square()
            loss = loss + self.section.head_weight * HEADS[name].weight * size.mean(dim=1)
        return loss + self.section.head_weight * self._of_classes(output, target)

    def _of_classes(self, output: Tensor, target: Tensor) -> Tensor | float:
        """Each member's loss by the classes of distance, shape (n_members,); 0 without any."""
        count = len(self.network.architecture.classes)
        if not count:
            return 0.0
        own = cross_entropy(output[..., -count:], target[..., -count:])
        return self.section.classes_weight * own.mean(dim=1)

    def _rate(self, n: int) -> float:
        if self.section.schedule == "constant":
            return self.section.rate
        last = self.section.epochs * -(-n // self.section.batch)
        warm = min(1.0, (self.step + 1) / (0.03 * last + 1))
        cosine: float = 0.5 * (1.0 + np.cos(np.pi * min(1.0, self.step / last)))
        return self.section.rate * warm * max(cosine, 1e-3)

    @cached_property
    def fingerprint(self) -> str:
        """What a state saved by :meth:`save` must agree in to be gone on with, in hex digits."""
        modes = self.settings.modes
        tensors = (self.bank.values[:, 0], self.bank.fermi, self.bank.kind, self.target)
        arrays = [t.float().cpu().numpy() for t in tensors]
        arrays += [np.array(self.members), self.resamples]
        return fingerprint(self.recipe, [*arrays, None if modes is None else modes.cpu().numpy()])

    def save(self, path: Path) -> None:
        """Write everything needed to go on from here; the file is replaced as a whole."""
        from xanes_live.ensemble.checkpoint import write_checkpoint  # noqa: PLC0415

        write_checkpoint(self, path)

    def restore(self, path: Path) -> None:
        """Continue from a file of :meth:`save`."""
        from xanes_live.ensemble.checkpoint import read_checkpoint  # noqa: PLC0415

        read_checkpoint(self, path)


def refuse_diverged(network: Stacked, stored: str, what: str, rate: str, loss: float = 0.0) -> None:
    """Raise ConfigurationError if a loss, or a weight as it is to be stored, is no number.

    A loss is found before the step it asks for, so that the last step shows in the weights alone.
    """
    kept = (p.detach().to(STORED[stored]) for p in network.parameters())
    if np.isfinite(loss) and all(bool(torch.isfinite(weight).all()) for weight in kept):
        return
    raise ConfigurationError(
        f"the {what}: its loss or its weights are no numbers any more; a lower {rate} may help, "
        "and so may more spectra"
    )


def targets(data: TrainingSet, recipe: Recipe) -> NDArray[np.float32]:
    """Return what the network is to say, shape (n, n_total)."""
    heads = recipe.architecture().heads
    unknown = set(heads) - set(HEADS)
    if unknown:
        raise ConfigurationError(f"no head {sorted(unknown)}; there are {', '.join(HEADS)}")
    columns = [HEADS[h].target(data)[:, None] for h in heads]
    if centres := recipe.architecture().classes:
        columns.append(shares(data.shell, np.array(centres)))
    return np.concatenate([data.g2, *columns], axis=1).astype(np.float32)


def _scale(target: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and spread of each output; of one never known, those of a small error."""
    known = torch.isfinite(target)
    count = known.sum(0)
    mean = torch.where(known, target, 0.0).sum(0) / count.clamp(min=1)
    square = torch.where(known, (target - mean).square(), 0.0).sum(0) / (count - 1).clamp(min=1)
    nothing = count < 2
    return torch.where(nothing, LOG_ERROR, mean), torch.where(nothing, 1.0, square.sqrt())


def _smooth(error: Tensor) -> Tensor:
    """Absolute error, rounded off within three tenths of the scale."""
    return functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.3)


def _refuse_too_little(data: TrainingSet, recipe: Recipe) -> None:
    """Raise ConfigurationError if nothing is left, or spectra end before the model's energies."""
    if data.measured.all():
        raise ConfigurationError(f"{recipe.data.path}: no computed spectrum to learn from")
    data.must_cover(recipe.model.energy_start, recipe.model.energy_stop, recipe.data.path)


def _say_if_none(recipe: Recipe, modes: NDArray[np.float32] | None) -> None:
    """Log that no residual is left of those a recipe wants learnt from."""
    section = recipe.discrepancy
    if section is not None and section.modes and modes is not None and not len(modes):
        log.event(
            _log, logging.WARNING, "trained without [discrepancy]: all residuals are left out",
            path=section.path.name, largest=section.largest, leave_out=", ".join(section.leave_out),
        )  # fmt: skip


def _kinds(recipe: Recipe) -> tuple[Augmentation, ...]:
    """Return what is varied of computed spectra, and of measured ones if there are any."""
    if recipe.measured is None:
        return (recipe.augmentation,)
    return (recipe.augmentation, recipe.measured.augmentation)


def _bank(data: TrainingSet, kinds: Sequence[Augmentation], device: torch.device) -> Bank:
    widest = max(kind.fwhm_max + kind.far_fwhm_max for kind in kinds)
    kind = data.measured.astype(np.int64) if len(kinds) > 1 else 0
    return Bank.build(
        data.energy, data.mu.astype(np.float64), data.fermi, kind, fwhm_max=widest, device=device
    )
