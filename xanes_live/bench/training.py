"""One step of all members: joint, beside plain modules that learn one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xanes_live.bench.device import synchronise
from xanes_live.bench.inference import unstacked
from xanes_live.bench.rows import Row
from xanes_live.bench.timing import in_turns
from xanes_live.descriptor import G2Grid
from xanes_live.ensemble.augment import apply
from xanes_live.ensemble.data import TrainingSet, from_distances
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.recipe import Recipe, parse_recipe
from xanes_live.ensemble.step import WARM_UP
from xanes_live.ensemble.training import Trainer

TARGETS = {"cpu": 2.0, "cuda": 100.0}
BATCH, SPECTRA = 32, 256
ENERGY = np.arange(7085.0, 7188.0, 0.4)


def recipe_for(architecture: Architecture, members: int) -> Recipe:
    """Return a recipe for the bare network: loss of G2 alone, every change of the spectra."""
    a = architecture
    return parse_recipe(
        {
            "model": {
                "id": "bench", "version": "0", "element": "Fe",
                "energy_start": 7112.5, "energy_stop": 7160.0, "n_energy": a.n_input,
            },
            "data": {"path": "none.npz"},
            "descriptor": {"size": a.n_output},
            "network": {
                "channels": list(a.channels), "kernel": a.kernel, "stride": a.stride,
                "hidden": list(a.hidden), "heads": [], "activation": a.activation, "norm": a.norm,
            },
            "training": {"members": members, "batch": BATCH, "epochs": 1000},
            "augmentation": {
                "stretch_sd": 0.02, "shift_sd": 1.0, "fwhm_max": 2.0, "step_sd": 0.02,
                "noise_max": 0.01,
            },
        }
    )  # fmt: skip


def made_up_set(n_g2: int) -> TrainingSet:
    """Return edges with one oscillation whose period follows the first-shell distance."""
    r = np.random.default_rng(0).uniform(1.8, 2.5, SPECTRA)
    k = np.sqrt(np.clip(ENERGY - 7118.0, 0, None) * 0.2625)
    edge = 0.5 + np.arctan((ENERGY - 7118.0) / 1.5) / np.pi
    mu = edge * (1.0 + 0.3 * np.sin(2 * r[:, None] * k) * np.exp(-0.3 * k))
    names = np.array([f"made up {i}" for i in range(SPECTRA)])
    return from_distances(
        ENERGY,
        mu,
        np.repeat(r[:, None], 6, axis=1),
        np.full((SPECTRA, 6), 8),
        np.full(SPECTRA, 7118.0),
        (names, np.full(SPECTRA, "made up"), names),
        G2Grid(size=n_g2),
    )


@dataclass(frozen=True)
class OneByOne:
    """Plain modules, each with an optimiser of its own, shown what the joint training shows."""

    trainer: Trainer
    """Where spectra, changes and random numbers come from."""
    members: list[torch.nn.Sequential]
    optimisers: list[torch.optim.Adam]

    @classmethod
    def of(cls, trainer: Trainer) -> OneByOne:
        """Make plain members of a joint training."""
        members = [m.to(trainer.device).train() for m in unstacked(trainer.network)]
        return cls(trainer, members, [torch.optim.Adam(m.parameters(), 2e-3) for m in members])

    def step(self, index: Tensor, numbers: tuple[Tensor, Tensor] | None = None) -> None:
        """Advance every member by one batch, (n_members, batch) indices.

        `numbers` are the random ones, as of :meth:`Draws.at`; None draws new ones.
        """
        own, net = self.trainer, self.trainer.network
        for k, (member, optimiser) in enumerate(zip(self.members, self.optimisers, strict=True)):
            draws, noise = (n[k] for n in numbers) if numbers else self._drawn(index.shape[1])
            shown = apply(own.bank, index[k], own.grid, own.settings, draws, noise)
            scaled = ((shown - net.input_mean) / net.input_scale).unsqueeze(1)
            target = (own.target[index[k]] - net.output_mean) / net.output_scale
            optimiser.zero_grad()
            loss = (member(scaled) - target).square().mean()
            torch.autograd.backward(loss)
            optimiser.step()

    def _drawn(self, batch: int) -> tuple[Tensor, Tensor]:
        device = self.trainer.device
        uniform = torch.rand(batch, self.trainer.settings.n_draws, device=device)
        return uniform, torch.randn(batch, len(self.trainer.grid), device=device)


def training(
    architecture: Architecture, members: int, device: torch.device, budget_s: float
) -> Row:
    """Measure one step of joint training."""
    data = made_up_set(architecture.n_output)
    trainer = Trainer(data, recipe_for(architecture, members), device=str(device))
    trainer.network.train()
    plain = OneByOne.of(trainer)
    index = torch.as_tensor(trainer.resamples[:, :BATCH], device=device)

    def ours() -> None:
        trainer.one_step(index)
        synchronise(device)

    def theirs() -> None:
        plain.step(index)
        synchronise(device)

    for _ in range(WARM_UP + 1):  # until the step is recorded
        ours()
    found = in_turns({"ours": ours, "plain": theirs}, budget_s)
    return Row(
        "training",
        f"training step of {members} members, {BATCH} spectra each",
        members,
        found["ours"],
        found["plain"],
        target=TARGETS.get(device.type),
    )
