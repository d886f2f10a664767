"""A trained network's weights arranged for inference: bands for convolutions, scales folded in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from xanes_live.ensemble.bands import Band, Tiling, band, position_first, tiling
from xanes_live.ensemble.stacked import Stacked


@dataclass(frozen=True, slots=True)
class Layout:
    """All weights, arranged for :class:`xanes_live.ensemble.engine.Engine`."""

    mean: Tensor
    """Subtracted from a spectrum, shape (n_input,)."""
    cut: Tiling
    """How a spectrum is cut into tiles."""
    bands: tuple[Band, ...]
    dense: tuple[tuple[Tensor, Tensor], ...]
    """Weights (n_members, n_in, n_out), the inputs of the first ordered (position, channel), and
    biases (n_members, 1, n_out), of each dense layer."""

    @property
    def features(self) -> int:
        """What the first dense layer takes of one spectrum: the valid outputs come first."""
        return int(self.dense[0][0].shape[1])

    def to(self, dtype: torch.dtype) -> Layout:
        """Return the weights in another precision; the mean and the last layer keep theirs."""
        bands = tuple(
            Band(b.body.to(dtype), b.halo.to(dtype), b.bias.to(dtype)) for b in self.bands
        )
        inner = tuple((w.to(dtype), b.to(dtype)) for w, b in self.dense[:-1])
        return Layout(self.mean, self.cut, bands, (*inner, self.dense[-1]))


class Folded(NamedTuple):
    """Weights and biases with the scales of input and output folded in, all members together."""

    mean: Tensor
    """Subtracted from a spectrum, shape (n_input,)."""
    conv: list[tuple[Tensor, Tensor]]
    """(n_members, c_out, c_in, kernel) and (n_members, c_out)."""
    dense: list[tuple[Tensor, Tensor]]
    """(n_members, n_out, n_in), the inputs of the first after convolutions ordered (position,
    channel), and (n_members, n_out)."""


def fold(network: Stacked) -> Folded:
    """Return the weights of a trained network with the scales of input and output folded in."""
    conv, dense = network.weights("conv"), network.weights("dense")
    first = conv or dense
    first[0] = (first[0][0] / network.input_scale, first[0][1])
    if conv:
        dense[0] = (position_first(dense[0][0], network.architecture), dense[0][1])
    scale = network.output_scale
    dense[-1] = (dense[-1][0] * scale[:, None], dense[-1][1] * scale + network.output_mean)
    return Folded(network.input_mean.clone(), conv, dense)


def lay_out(network: Stacked) -> Layout:
    """Arrange the weights of a trained network as band matrices."""
    a, folded = network.architecture, fold(network)
    cut = tiling(a)
    pairs = zip(folded.conv, cut.sizes, strict=True)
    return Layout(
        folded.mean,
        cut,
        tuple(_own(band(w, b, a.stride, t)) for (w, b), t in pairs),
        tuple((w.transpose(1, 2).contiguous(), b.unsqueeze(1)) for w, b in folded.dense),
    )


def _own(found: Band) -> Band:
    return Band(found.body.contiguous(), found.halo.contiguous(), found.bias.contiguous())
