"""Convolutions of one spectrum as plain products of its windows with the kernels, for a CPU.

For a single spectrum a convolution is over before oneDNN has decided how to compute it: 25 µs a
layer, whatever the layer does. Copying every window an output needs into a row and multiplying the
rows takes a third of that where the windows are short, as in the paper's network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LONGEST = 32_768
"""Numbers in the windows of a later layer, all members, up to which this is faster: 19 000 and
28 000 take 14 and 17 µs, 34 000 and 68 000 take 25 and 62 µs; oneDNN takes 27 for each (one core
of an AMD EPYC 9005, torch 2.13, 15 members)."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """One convolution of blocks, of all members."""

    weight: Tensor
    """Shape (n_members, kernel · before, after): numbers of a block before and after it."""
    bias: Tensor
    """Shape (n_members, 1, after)."""
    stride: int
    """Blocks from one window to the next."""
    outputs: int
    """Windows."""

    @property
    def windows(self) -> int:
        """Numbers in the windows of all members."""
        return len(self.weight) * self.outputs * int(self.weight.shape[1])


class First:
    """The first convolution, of a spectrum that is the same for all members."""

    def __init__(self, kernels: Kernels) -> None:
        self._weight = kernels.weight.transpose(0, 1).flatten(1).contiguous()
        self._bias = kernels.bias.flatten()
        self._size = (kernels.outputs, int(kernels.weight.shape[1]))
        self._stride = (kernels.stride, 1)

    def __call__(self, spectrum: Tensor) -> Tensor:
        """Take a contiguous (1, points) to (outputs, n_members · after)."""
        return torch.addmm(self._bias, spectrum.as_strided(self._size, self._stride), self._weight)


class Later:
    """The convolutions after the first, at least one."""

    def __init__(self, kernels: Sequence[Kernels]) -> None:
        self._kernels = kernels

    @staticmethod
    def suit(kernels: Sequence[Kernels]) -> bool:
        """Tell whether these are faster than oneDNN's."""
        return len(kernels) > 0 and all(k.windows <= LONGEST for k in kernels)

    def __call__(self, hidden: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        """Take a contiguous (points, n_members · before) to (n_members, features)."""
        members = len(self._kernels[0].weight)
        before = hidden.shape[1] // members
        member, point = before, hidden.shape[1]
        for k in self._kernels:
            width = int(k.weight.shape[1]) // before
            size = (members, k.outputs, width, before)
            windows = hidden.as_strided(size, (member, k.stride * point, point, 1))
            rows = windows.reshape(members, k.outputs, -1)
            hidden = activation(torch.baddbmm(k.bias, rows, k.weight))
            before = int(hidden.shape[2])
            member, point = hidden.shape[1] * before, before
        return hidden
