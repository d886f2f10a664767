"""Convolutions of a few channels as products with small dense band matrices.

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

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from xanes_live.ensemble.network import Architecture

LAST_TILE = 4
"""Outputs of the last convolution in a tile: with the paper's network all tiles are 32 numbers.
3 is as fast on a CPU, 8 slower by a tenth to a third."""


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
class Tiling:
    """How the spectra of an architecture are cut."""

    sizes: tuple[int, ...]
    """Outputs of each convolution in a tile. They shrink by the stride from layer to layer, and
    the smallest still holds the halo."""
    tiles: int
    """Tiles of a spectrum, the same in every layer."""
    padding: int
    """Points added behind a spectrum."""


def suits(architecture: Architecture) -> bool:
    """Tell whether bands can be used: convolutions there must be, normalisation must not."""
    return architecture.norm == "none" and len(architecture.channels) > 0


@cache
def tiling(architecture: Architecture) -> Tiling:
    """Cut the spectra of an architecture into tiles."""
    a = architecture
    last = max(LAST_TILE, -(-(a.kernel - a.stride) // a.stride))
    count = len(a.channels)
    whole = last * a.stride**count  # points of a spectrum that end up in one tile
    tiles = max(-(-a.n_input // whole), -(-a.lengths()[-1] // last))
    sizes = tuple(last * a.stride ** (count - 1 - i) for i in range(count))
    return Tiling(sizes, tiles, tiles * whole - a.n_input)


def products(architecture: Architecture) -> int:
    """Return the multiplications of one member's bands for one spectrum, those by zero counted."""
    a, cut = architecture, tiling(architecture)
    pairs = zip(a.conv_sizes(), cut.sizes, strict=True)
    return sum(cut.tiles * a.stride * tile**2 * n_in * n_out for (n_in, n_out), tile in pairs)


def band(weight: Tensor, bias: Tensor, stride: int, tile: int) -> Band:
    """Spread kernels over a tile; differentiable.

    Parameters
    ----------
    weight, bias
        Of one convolution, (n_members, c_out, c_in, kernel) and (n_members, c_out).
    stride, tile
        Of the convolution, and its outputs in a tile.
    """
    members, c_out, c_in, kernel = weight.shape
    inside, beyond = stride * tile, max(0, kernel - stride)
    where = places(kernel, stride, tile).to(weight)
    full = (weight.reshape(-1, kernel) @ where).view(members, c_out, c_in, inside + beyond, tile)
    full = full.permute(0, 3, 2, 4, 1)  # (member, point, channel, output, channel)
    reached = sum(stride * p + kernel > inside for p in range(tile))
    return Band(
        full[:, :inside].reshape(members, inside * c_in, tile * c_out),
        full[:, inside:, :, tile - reached :].reshape(members, beyond * c_in, reached * c_out),
        bias.unsqueeze(1).expand(-1, tile, -1).reshape(members, 1, tile * c_out),
    )


@cache
def places(kernel: int, stride: int, tile: int) -> Tensor:
    """Return where each point of the kernel goes: ones, shape (kernel, points·tile)."""
    points = stride * tile + max(0, kernel - stride)
    with torch.inference_mode(mode=False):  # kept for training, whoever asks first
        where = torch.zeros(kernel, points, tile)
        for p in range(tile):
            where[range(kernel), range(stride * p, stride * p + kernel), p] = 1.0
        return where.flatten(1)


def tiled(spectra: Tensor, cut: Tiling) -> Tensor:
    """Return spectra (…, n, n_input) in tiles one below the other, (…, n·tiles, points)."""
    padded = functional.pad(spectra, (0, cut.padding))
    return padded.view(*spectra.shape[:-2], spectra.shape[-2] * cut.tiles, -1)


def convolve(
    tiles: Tensor, bands: tuple[Band, ...], activation: Callable[[Tensor], Tensor]
) -> Tensor:
    """Take tiles (n_members, n·tiles, points) through all convolutions."""
    hidden = tiles
    for one in bands:
        out = torch.baddbmm(one.bias, hidden, one.body)
        read, changed = one.reach
        if changed:
            out[:, :-1, -changed:] += torch.bmm(hidden[:, 1:, :read], one.halo)
        hidden = activation(out)
    return hidden


def position_first(weight: Tensor, architecture: Architecture) -> Tensor:
    """Return the first dense weights (n_members, n_out, n_in) for inputs (position, channel)."""
    channels, length = architecture.channels[-1], architecture.lengths()[-1]
    split = weight.reshape(*weight.shape[:2], channels, length)
    return split.transpose(2, 3).reshape(weight.shape)
