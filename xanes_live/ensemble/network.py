"""The reverse network: normalised μ(E) in, G2 out.

Three strided one-dimensional convolutions and three dense layers after David et al., Digital
Discovery 2, 1461 (2023), and a family around them. What the paper leaves open is a field of
:class:`Architecture` and is recorded with every model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from xanes_live.domain import Array
from xanes_live.ensemble.classes import WIDEST

Activation = Literal["relu", "gelu", "silu"]
Norm = Literal["none", "batch", "layer"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


@dataclass(frozen=True)
class Architecture:
    """Shape of one member.

    The defaults are the paper's, with its "own set of 2 filters" read as a channel multiplier of 2.
    """

    n_input: int = 475
    """Points of the spectrum."""
    channels: tuple[int, ...] = (2, 4, 8)
    """Channels of each convolution."""
    kernel: int = 8
    stride: int = 2
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the dense layers before the last."""
    n_output: int = 50
    """G2 values."""
    heads: tuple[str, ...] = ()
    """Further outputs after G2; 'first_shell' is the first-shell distance, Å."""
    classes: tuple[float, ...] = ()
    """Centres, Å, equally spaced, of classes of first-shell distance, each with an output after
    the heads; see :mod:`xanes_live.ensemble.classes`."""
    activation: Activation = "relu"
    norm: Norm = "none"

    def __post_init__(self) -> None:
        """Refuse a network through which nothing passes."""
        if min(self.kernel, self.stride, *self.channels, *self.hidden) < 1:
            raise ValueError("kernel, stride, channels and hidden are at least 1")
        if self.lengths()[-1] < 1:
            raise ValueError(f"{self.n_input} points are too few for {len(self.channels)} layers")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}")
        if self.classes:
            self._refuse_other_than_classes(np.diff(self.classes))

    def _refuse_other_than_classes(self, steps: Array) -> None:
        if not len(steps) or not np.allclose(steps, steps[0], rtol=0.0, atol=1e-6):
            raise ValueError("classes are two or more distances, equally spaced")
        if self.classes[0] <= 0.0 or not 0.0 < steps[0] <= WIDEST + 1e-6:
            raise ValueError(f"classes are ascending distances, at most {WIDEST} Å wide")

    def lengths(self) -> tuple[int, ...]:
        """Return the number of points before and after each convolution."""
        lengths = [self.n_input]
        for _ in self.channels:
            lengths.append((lengths[-1] - self.kernel) // self.stride + 1)
        return tuple(lengths)

    @property
    def n_total(self) -> int:
        """Number of outputs, heads and classes included."""
        return self.n_output + len(self.heads) + len(self.classes)

    def column(self, head: str) -> int | None:
        """Return which output a head is; None if there is no such head."""
        return self.n_output + self.heads.index(head) if head in self.heads else None

    def dense_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return (inputs, outputs) of each dense layer."""
        flat = self.channels[-1] * self.lengths()[-1] if self.channels else self.n_input
        sizes = (flat, *self.hidden, self.n_total)
        return tuple(pairwise(sizes))

    def conv_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return (input, output) channels of each convolution."""
        return tuple(pairwise((1, *self.channels)))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as TOML types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Architecture:
        """Make an architecture from TOML types; TypeError for an unknown field."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        return cls(**fields)


PAPER = Architecture()
"""The literal configuration of the paper."""

NAMED: dict[str, Architecture] = {
    "paper": PAPER,
    "paper-narrow": Architecture(channels=(2, 2, 2)),
    "wide": Architecture(channels=(16, 16, 16), heads=("first_shell",)),
}
"""Configurations with a name, to start a recipe from."""


def layer_shape(architecture: Architecture, layer: int) -> tuple[int, ...]:
    """Shape of what leaves convolution or dense layer `layer`, the batch apart."""
    n_conv = len(architecture.channels)
    if layer < n_conv:
        return (architecture.channels[layer], architecture.lengths()[layer + 1])
    return (architecture.dense_sizes()[layer - n_conv][1],)


def make_norm(architecture: Architecture, layer: int) -> list[nn.Module]:
    """Return the normalisation after a layer: one module, or none."""
    shape = layer_shape(architecture, layer)
    if architecture.norm == "batch":
        return [nn.BatchNorm1d(shape[0])]
    return [nn.LayerNorm(shape)] if architecture.norm == "layer" else []


def make_member(architecture: Architecture) -> nn.Sequential:
    """Return one member as an ordinary module: the reference the stacked ensemble is tested with.

    Takes a tensor (batch, 1, n_input), gives (batch, n_total).
    """
    activation = ACTIVATIONS[architecture.activation]
    layers: list[nn.Module] = []
    for i, (c_in, c_out) in enumerate(architecture.conv_sizes()):
        layers.append(nn.Conv1d(c_in, c_out, architecture.kernel, architecture.stride))
        layers += [*make_norm(architecture, i), activation()]
    layers.append(nn.Flatten())
    last = len(architecture.hidden)
    for i, (n_in, n_out) in enumerate(architecture.dense_sizes()):
        layers.append(nn.Linear(n_in, n_out))
        if i < last:
            layers += [*make_norm(architecture, len(architecture.channels) + i), activation()]
    return nn.Sequential(*layers)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw Xavier-uniform weights and set biases to zero, as the paper's public code does."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
