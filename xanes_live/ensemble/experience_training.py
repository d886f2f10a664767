"""Training of the networks that know what became of earlier predictions.

See :mod:`xanes_live.confidence.experience` for what they are for and how they are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from xanes_live.domain import Array

BATCH, RATE, DECAY, DROPPED = 128, 3e-3, 1e-3, 0.2
LEAST_SQUARE = 1e-6
"""Added to squared errors: where G2 is nothing whatever is predicted, the logarithm has an end."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Of answers and targets, both (n_networks, n, n_out)."""


@dataclass(frozen=True)
class Size:
    """How many networks, how wide, and for how long they learn."""

    networks: int
    hidden: int
    epochs: int
    steps: int = 0
    """At least; more epochs where there are few spectra."""

    def epochs_of(self, per_epoch: int) -> int:
        """Return the number of epochs of so many steps."""
        return max(self.epochs, -(-self.steps // per_epoch))


OF_DISTANCE, OF_G2 = Size(15, 32, 30), Size(3, 64, 10, steps=600)


class _Networks(nn.Module):
    """All networks side by side: layers of shape (n_networks, n_in, n_out)."""

    def __init__(self, size: Size, n_in: int, n_out: int, generator: torch.Generator) -> None:
        super().__init__()
        self.size = size
        sizes = (n_in, size.hidden, size.hidden, n_out)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in pairwise(sizes):
            drawn = torch.rand((size.networks, a, b), generator=generator) * 2.0 - 1.0
            self.weights.append(nn.Parameter(drawn / a**0.5))
            self.biases.append(nn.Parameter(torch.zeros(size.networks, 1, b)))

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """Answer, (n_networks, n, n_out); `keep` (n_networks, n, hidden) drops hidden values."""
        x = functional.silu(torch.baddbmm(self.biases[0], x, self.weights[0])) * keep
        x = functional.silu(torch.baddbmm(self.biases[1], x, self.weights[1]))
        return torch.baddbmm(self.biases[2], x, self.weights[2])


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
    loss = functional.binary_cross_entropy_with_logits
    return _trained(OF_DISTANCE, shown, wrong[:, None], np.zeros(1), loss, most, seed)


def train_g2_experience(
    shown: Array, error: Array, *, most: float, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Learn how far G2 is off at every radius: the logarithm of the mean squared error.

    By the likelihood of normally distributed errors; rows of which any error is unknown teach
    nothing.

    Parameters
    ----------
    shown
        Features of predictions of unseen spectra, shape (n, n_features).
    error
        Predicted − true G2, shape (n, n_g2).
    most, seed
        As in :func:`train_experience`.

    Returns
    -------
    dict
        As from :func:`train_experience`.
    """
    known = np.isfinite(error).all(axis=1)
    squared = error[known] ** 2 + LEAST_SQUARE
    usual = np.log(squared.mean(axis=0))
    return _trained(OF_G2, shown[known], squared, usual, _of_squares, most, seed)


def _of_squares(said: Tensor, squared: Tensor) -> Tensor:
    return (squared * torch.exp(-said) + said).mean()


def _trained(
    size: Size,
    shown: Array,
    target: NDArray[Any],
    start: Array,
    loss: Loss,
    most: float,
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Train networks whose outputs begin at `start`, shape (n_out,); return their arrays."""
    mean, scale = shown.mean(axis=0), np.maximum(shown.std(axis=0), 1e-6)
    x = torch.tensor(np.clip((shown - mean) / scale, -most, most), dtype=torch.float32)
    y = torch.tensor(target, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    networks = _Networks(size, x.shape[1], y.shape[1], generator)
    with torch.no_grad():
        networks.biases[-1] += torch.tensor(start, dtype=torch.float32)
    _learn(networks, x, y, loss, generator)
    found = {"mean": mean, "scale": scale}
    for k, (weight, bias) in enumerate(zip(networks.weights, networks.biases, strict=True)):
        found |= {f"weight.{k}": weight.detach().numpy(), f"bias.{k}": bias.detach().numpy()}
    return {name: value.astype(np.float32) for name, value in found.items()}


def _learn(
    networks: _Networks, x: Tensor, y: Tensor, loss_of: Loss, generator: torch.Generator
) -> None:
    size = networks.size
    optimiser = torch.optim.AdamW(networks.parameters(), RATE, weight_decay=DECAY)
    per_epoch = -(-len(x) // BATCH)
    epochs = size.epochs_of(per_epoch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * per_epoch)
    for _ in range(epochs):
        orders = [torch.randperm(len(x), generator=generator) for _ in range(size.networks)]
        for index in torch.split(torch.stack(orders), BATCH, dim=1):
            drawn = torch.rand((*index.shape, size.hidden), generator=generator)
            said = networks(x[index], (drawn >= DROPPED) / (1.0 - DROPPED))
            loss = loss_of(said, y[index])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss * size.networks)  # each by its own mean
            optimiser.step()
            schedule.step()
