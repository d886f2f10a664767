"""Outputs of the network besides G2: what they are taught and how much they count.

The first-shell distance deserves an output of its own. The others serve confidence: how wrong the
distance probably is, and of what kind the first shell is, because the theory learnt from has its
limits by kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xanes_live.descriptor.shell import LIGANDS
from xanes_live.domain import Array
from xanes_live.ensemble.data import TrainingSet

SHELL, WIDTH = "first_shell", "first_shell_error"
LOG_ERROR = -3.0
"""Where the logarithm of the expected error (Å) starts: 0.05 Å."""
SOFT = ("P", "S", "As", "Se", "Sb", "Te", "Si", "Ge", "Bi")


@dataclass(frozen=True)
class Head:
    """One further output."""

    target: Callable[[TrainingSet], Array]
    """What it is to say of each spectrum, shape (n,); NaN where that is not known."""
    weight: float
    """Weight of its loss beside that of G2, in units of its own spread."""


def _kind(*elements: str, inverse: bool = False) -> Callable[[TrainingSet], Array]:
    def target(data: TrainingSet) -> Array:
        of_kind = np.isin(data.ligand, elements, invert=inverse)
        return np.where(data.ligand == "", np.nan, of_kind * 1.0)

    return target


def _error(data: TrainingSet) -> Array:
    return np.full(len(data), np.nan)  # known only while learning: see laplace_loss


HEADS = {
    SHELL: Head(lambda data: data.shell, 1.0),
    WIDTH: Head(_error, 0.2),
    "coordination": Head(lambda data: np.clip(data.coordination, 0.0, 12.0), 0.2),
    "soft": Head(_kind(*SOFT), 0.1),
    "carbon": Head(_kind("C"), 0.1),
    "metal": Head(_kind(*LIGANDS, inverse=True), 0.1),
}
"""By name: the first-shell distance (Å), the logarithm of its expected absolute error (Å), the
number of neighbours in the first shell (up to 12), and the probabilities that most of these are
phosphorus, sulfur and heavier (soft), carbon, or metal."""


def laplace_loss(error: Tensor, log_scale: Tensor) -> Tensor:
    """Return −log likelihood of absolute errors (Å) under Laplace distributions of these scales.

    Least where the scale is the mean absolute error. The error is to be passed without its
    gradient, so that learning how wrong a distance is does not change the distance.
    """
    bounded = log_scale.clamp(-6.0, 1.0)
    return (error + 0.003) * torch.exp(-bounded) + bounded
