"""A network's weights as one small dense band matrix a convolution, for matrix products alone.

A spectrum is cut into tiles. What a tile of a layer's output needs is the tile of its input that
begins at the same place, and the first few points of the tile after it (the *halo*: kernel −
stride). Each convolution is then two products with matrices that hold the kernel once for every
output of a tile::

    out[tile]            = in[tile] @ body + bias
    out[tile][last few] += in[tile + 1][first few] @ halo

Tiles of successive layers shrink by the stride, so that there are equally many in every layer and
what one product writes is what the next one reads: nothing is copied or turned around. Most
entries of a band matrix are zero, but a dense product of about 32 × 32 is still several times
faster than a convolution with a handful of channels, on CPUs and on tensor cores alike.

The points added to make the spectrum a whole number of tiles give outputs of no meaning behind the
valid ones, and the last tile of a spectrum reads the halo from the next spectrum; no valid output
depends on either.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.stacked import Stacked

LAST_TILE = 4
"""Outputs of the last convolution in a tile: with the paper's network all tiles are 32 numbers."""


@dataclass(frozen=True, slots=True)
class Band:
    """One convolution of all members."""

    body: Tensor
    """Shape (n_members, stride·tile·c_in, tile·c_out)."""
    halo: Tensor
    """Shape (n_members, (kernel − stride)·c_in, reached·c_out); empty if nothing is reached."""
    bias: Tensor
    """Shape (n_members, 1, tile·c_out)."""

    @property
    def reach(self) -> tuple[int, int]:
        """How many numbers of the next tile are read, and how many of its own they change."""
        return int(self.halo.shape[1]), int(self.halo.shape[2])


@dataclass(frozen=True, slots=True)
class Layout:
    """All weights, arranged for :class:`xanes_live.ensemble.engine.Engine`."""

    mean: Tensor
    """Subtracted from a spectrum, shape (n_input,)."""
    padding: int
    """Points added behind a spectrum."""
    tiles: int
    """Tiles of a spectrum, the same in every layer."""
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
        dense = (*inner, self.dense[-1])
        return Layout(self.mean, self.padding, self.tiles, bands, dense)


def suits(architecture: Architecture) -> bool:
    """Tell whether the layout exists: convolutions there must be, normalisation layers must not."""
    return architecture.norm == "none" and len(architecture.channels) > 0


def lay_out(network: Stacked) -> Layout:
    """Arrange the weights of a trained network; the scales of input and output are folded in."""
    a = network.architecture
    sizes = tile_sizes(a)
    whole = sizes[-1] * a.stride ** len(sizes)  # points of a spectrum that end up in one tile
    tiles = max(-(-a.n_input // whole), -(-a.lengths()[-1] // sizes[-1]))
    conv, dense = network.weights("conv"), network.weights("dense")
    conv[0] = (conv[0][0] / network.input_scale, conv[0][1])
    dense[0] = (_position_first(dense[0][0], a), dense[0][1])
    scale = network.output_scale
    dense[-1] = (dense[-1][0] * scale[:, None], dense[-1][1] * scale + network.output_mean)
    return Layout(
        mean=network.input_mean.clone(),
        padding=tiles * whole - a.n_input,
        tiles=tiles,
        bands=tuple(_band(w, b, a.stride, t) for (w, b), t in zip(conv, sizes, strict=True)),
        dense=tuple((w.transpose(1, 2).contiguous(), b.unsqueeze(1)) for w, b in dense),
    )


def tile_sizes(architecture: Architecture) -> tuple[int, ...]:
    """Return the outputs of each convolution in a tile.

    They shrink by the stride from layer to layer, and the smallest holds the halo.
    """
    a = architecture
    last = max(LAST_TILE, -(-(a.kernel - a.stride) // a.stride))
    count = len(a.channels)
    return tuple(last * a.stride ** (count - 1 - i) for i in range(count))


def _band(weight: Tensor, bias: Tensor, stride: int, tile: int) -> Band:
    """Spread kernels (n_members, c_out, c_in, kernel) over a tile."""
    members, c_out, c_in, kernel = weight.shape
    inside, beyond = stride * tile, max(0, kernel - stride)
    full = weight.new_zeros(members, inside + beyond, c_in, tile, c_out)
    for p in range(tile):
        full[:, stride * p : stride * p + kernel, :, p] = weight.permute(0, 3, 2, 1)
    reached = sum(stride * p + kernel > inside for p in range(tile))
    return Band(
        full[:, :inside].reshape(members, inside * c_in, tile * c_out).contiguous(),
        full[:, inside:, :, tile - reached :].reshape(members, beyond * c_in, reached * c_out),
        bias.unsqueeze(1).repeat(1, tile, 1).reshape(members, 1, tile * c_out),
    )


def _position_first(weight: Tensor, architecture: Architecture) -> Tensor:
    """Return the first dense weights for features ordered (position, channel)."""
    channels, length = architecture.channels[-1], architecture.lengths()[-1]
    split = weight.reshape(*weight.shape[:2], channels, length)
    return split.transpose(2, 3).reshape(weight.shape)
