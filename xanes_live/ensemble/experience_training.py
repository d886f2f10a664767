"""Training of the networks that know what became of earlier predictions.

See :mod:`xanes_live.confidence.experience` for what they are for and how they are asked.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xanes_live.domain import Array

NETWORKS, HIDDEN = 5, 32
EPOCHS, BATCH = 30, 128
RATE, DECAY, DROPPED = 3e-3, 1e-3, 0.2


class _Networks(nn.Module):
    """All networks side by side: layers of shape (n_networks, n_in, n_out)."""

    def __init__(self, n_in: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = (n_in, HIDDEN, HIDDEN, 1)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in pairwise(sizes):
            drawn = torch.rand((NETWORKS, a, b), generator=generator) * 2.0 - 1.0
            self.weights.append(nn.Parameter(drawn / a**0.5))
            self.biases.append(nn.Parameter(torch.zeros(NETWORKS, 1, b)))

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Log-odds, shape (n_networks, n); `keep` (n_networks, n, HIDDEN) drops hidden values."""
        x = functional.silu(torch.baddbmm(self.biases[0], x, self.weights[0]))
        if keep is not None:
            x = x * keep
        x = functional.silu(torch.baddbmm(self.biases[1], x, self.weights[1]))
        return torch.baddbmm(self.biases[2], x, self.weights[2]).squeeze(-1)


def train_experience(
    shown: Array, wrong: NDArray[np.bool_], *, most: float, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Learn to tell which predictions are wrong.

    Parameters
    ----------
    shown
        Features of predictions of unseen spectra, shape (n, n_features).
    wrong
        Which were, shape (n,).
    most
        Features are clipped to so many standard deviations.
    seed
        Of weights, order and dropout.

    Returns
    -------
    dict
        Arrays ``mean``, ``scale``, ``weight.k`` and ``bias.k`` of the layers k = 0, 1, 2.
    """
    mean, scale = shown.mean(axis=0), np.maximum(shown.std(axis=0), 1e-6)
    x = torch.tensor(np.clip((shown - mean) / scale, -most, most), dtype=torch.float32)
    y = torch.tensor(wrong, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    networks = _Networks(x.shape[1], generator)
    _learn(networks, x, y, generator)
    found = {"mean": mean, "scale": scale}
    for k, (weight, bias) in enumerate(zip(networks.weights, networks.biases, strict=True)):
        found |= {f"weight.{k}": weight.detach().numpy(), f"bias.{k}": bias.detach().numpy()}
    return {name: value.astype(np.float32) for name, value in found.items()}


def _learn(networks: _Networks, x: Tensor, y: Tensor, generator: torch.Generator) -> None:
    optimiser = torch.optim.AdamW(networks.parameters(), RATE, weight_decay=DECAY)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(EPOCHS):
        order = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(NETWORKS)])
        for index in torch.split(order, BATCH, dim=1):
            drawn = torch.rand((*index.shape, HIDDEN), generator=generator)
            said = networks(x[index], (drawn >= DROPPED) / (1.0 - DROPPED))
            loss = functional.binary_cross_entropy_with_logits(said, y[index])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss * NETWORKS)  # each by its own mean
            optimiser.step()
            schedule.step()
