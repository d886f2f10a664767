"""Convolutions of a few channels as grouped convolutions of about sixteen, for a CPU.

Successive points of a layer's output are taken together as one *block* of about
:data:`LANES` numbers, (point, channel). What a convolution makes of blocks is again a convolution,
one group a member, with more channels than before and hardly more products: eight channels, kernel
8 and stride 2 become sixteen channels, kernel 5 and stride 2, of whose weights a fifth are zero.
Sixteen numbers are what a vector register holds, and what oneDNN has its fast kernels for.

Points lie before members and members before the numbers of a block, (n, points, members · block),
so that what one layer writes is what the next one reads. The dense layers are the same thing with
kernel 1 and the spectra as points. Points added behind a spectrum give outputs of no meaning behind
the valid ones; the weights that read them are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from xanes_live.ensemble.bands import places
from xanes_live.ensemble.layout import Folded
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.onednn import Convolution, channels_last, rows_of, threads
from xanes_live.ensemble.windows import First, Kernels, Later

LANES = 16
"""Float32 numbers in a vector register of 512 bits."""
USUAL = 8
"""Spectra at a time in live use: one and its changed copies."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How the layers of an architecture are cut into blocks."""

    sizes: tuple[int, ...]
    """Points in a block before each convolution and after the last."""
    kernels: tuple[int, ...]
    """Blocks that a block of each convolution's output needs."""
    strides: tuple[int, ...]
    """Blocks from one of these to the next."""
    blocks: tuple[int, ...]
    """Blocks before each convolution and after the last. Those before the first are points of the
    spectrum, some of them perhaps behind its end."""


def cut(architecture: Architecture) -> Cut:
    """Cut the layers of an architecture into blocks."""
    a = architecture
    sizes = [max(1, LANES // a.channels[-1])]
    for channels in reversed((0, *a.channels[:-1])):  # 0: the spectrum itself, point by point
        wanted = max(1, LANES // channels) if channels else 1
        stride = a.stride * sizes[0]  # must be a whole number of blocks
        sizes.insert(0, max(k for k in range(1, wanted + 1) if stride % k == 0))
    steps = list(pairwise(sizes))
    strides = tuple(a.stride * after // before for before, after in steps)
    kernels = tuple(-(-(a.stride * (n - 1) + a.kernel) // before) for before, n in steps)
    blocks = [-(-a.lengths()[-1] // sizes[-1])]
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        blocks.insert(0, (blocks[0] - 1) * stride + kernel)
    return Cut(tuple(sizes), kernels, strides, tuple(blocks))


class Blocks:
    """All members of a network at once, on the CPU in float32.

    Parameters
    ----------
    architecture
        With convolutions and without normalisation.
    folded
        The weights.
    activation
        Applied after each layer but the last; None for the rectifier.
    """

    def __init__(
        self,
        architecture: Architecture,
        folded: Folded,
        activation: Callable[[Tensor], Tensor] | None,
    ) -> None:
        self._cut, self._mean, self._activation = cut(architecture), folded.mean, activation
        self._members, relu = len(folded.conv[0][0]), activation is None
        kernels = [
            self._kernels(k, weight, bias, architecture.stride)
            for k, (weight, bias) in enumerate(folded.conv)
        ]
        self._conv = [self._convolution(k, found) for k, found in enumerate(kernels)]
        self._first = First(kernels[0])
        self._later = Later(kernels[1:]) if Later.suit(kernels[1:]) else None
        weights = [weight for weight, _ in folded.dense]
        features = self._cut.sizes[-1] * self._cut.blocks[-1] * architecture.channels[-1]
        weights[0] = functional.pad(weights[0], (0, features - weights[0].shape[2]))
        biases = [bias for _, bias in folded.dense]
        rectified = [relu] * (len(weights) - 1) + [False]
        self._dense = [
            Convolution(
                w.flatten(0, 1).unsqueeze(2), b.flatten(), points=USUAL, groups=len(w), relu=rectify
            )
            for w, b, rectify in zip(weights, biases, rectified, strict=True)
        ]
        self._plain = [
            (w.transpose(1, 2).contiguous(), b.unsqueeze(1))
            for w, b in zip(weights, biases, strict=True)
        ]

    def _kernels(self, layer: int, weight: Tensor, bias: Tensor, stride: int) -> Kernels:
        """Spread the kernels of one convolution over its blocks."""
        members, c_out, c_in, kernel = weight.shape
        before, after = self._cut.sizes[layer : layer + 2]
        where = places(kernel, stride, after).to(weight)
        full = (weight.reshape(-1, kernel) @ where).view(members, c_out, c_in, -1, after)
        reach = self._cut.kernels[layer] * before
        full = functional.pad(full, (0, 0, 0, reach - full.shape[3]))
        return Kernels(  # (member, point, channel, point of the output, its channel)
            full.permute(0, 3, 2, 4, 1).reshape(members, reach * c_in, after * c_out),
            bias.unsqueeze(1).repeat(1, after, 1).view(members, 1, -1),
            self._cut.strides[layer],
            self._cut.blocks[layer + 1],
        )

    def _convolution(self, layer: int, kernels: Kernels) -> Convolution:
        """Arrange the kernels of one convolution for oneDNN."""
        members, _, after = kernels.weight.shape
        split = kernels.weight.view(members, self._cut.kernels[layer], -1, after)
        return Convolution(
            split.permute(0, 3, 2, 1).flatten(0, 1),
            kernels.bias.flatten(),
            points=self._cut.blocks[layer],
            stride=kernels.stride,
            groups=members if layer else 1,  # the spectrum is the same for all
            relu=self._activation is None,
        )

    def __call__(self, spectra: Tensor) -> Tensor:
        """Return what every member says of spectra (n, n_input), shape (n_members, n, n_total)."""
        # few are done as soon by one thread as by two, and no layer waits for a core that others
        # use: with a busy neighbour 90 % of runs took up to 0.9 ms instead of 5
        with threads(1 if len(spectra) <= USUAL else None):
            return self._compute(spectra)

    def _compute(self, spectra: Tensor) -> Tensor:
        n = len(spectra)
        centred = spectra - self._mean
        padded = functional.pad(centred, (0, self._cut.blocks[0] - centred.shape[1]))
        if n == 1:
            return self._of_one(padded)
        hidden = self._through(self._conv, channels_last(padded.unsqueeze(2)))
        hidden = self._by_member(rows_of(hidden))
        hidden = channels_last(hidden.reshape(1, n, -1))
        hidden = self._through(self._dense[:-1], hidden)
        return rows_of(self._dense[-1](hidden)).view(n, self._members, -1).transpose(0, 1)

    def _of_one(self, spectrum: Tensor) -> Tensor:
        """Take one padded spectrum (1, points) through all layers, mostly as plain products.

        Of the dense layers these read the weights once, which takes as long either way, and start
        sooner.
        """
        activation = self._activation or torch.relu_
        hidden = activation(self._first(spectrum))
        if self._later is not None:
            features = self._later(hidden, activation)
        else:
            rows = rows_of(self._through(self._conv[1:], channels_last(hidden.unsqueeze(0))))
            features = self._by_member(rows)
        features = features.reshape(self._members, 1, -1)
        for weight, bias in self._plain[:-1]:
            features = activation(torch.baddbmm(bias, features, weight))
        weight, bias = self._plain[-1]
        return torch.baddbmm(bias, features, weight)

    def _by_member(self, rows: Tensor) -> Tensor:
        """Turn (n, points, n_members · block) into (n, n_members, points, block)."""
        return rows.view(len(rows), self._cut.blocks[-1], self._members, -1).transpose(1, 2)

    def _through(self, layers: Sequence[Convolution], hidden: Tensor) -> Tensor:
        for layer in layers:
            hidden = layer(hidden)
            if self._activation is not None:
                hidden = self._activation(hidden)
        return hidden
