"""What a training step needs to run on a GPU without waiting for Python.

Random numbers are drawn for many steps at a time, and the step itself is recorded once as a CUDA
graph; choosing, changing and learning then happen on the device without a word from the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

AHEAD = {"cpu": 1, "cuda": 64}
"""Steps for which random numbers are drawn at a time. 64 steps of 15 members and batches of 32
spectra of 475 points are 58 MB."""
WARM_UP = 3
"""Steps computed outright before the recording: libraries choose kernels in them."""


class Draws:
    """The random numbers of a training; a member's do not depend on which others are trained.

    Parameters
    ----------
    seed
        Of the training.
    members
        Numbers of the members.
    batch
        Spectra in a full batch.
    n_grid
        Points of a spectrum.
    n_draws
        Uniform numbers a spectrum needs.
    device
        Where they are drawn.
    """

    def __init__(
        self,
        seed: int,
        members: Sequence[int],
        batch: int,
        n_grid: int,
        n_draws: int,
        device: torch.device,
    ) -> None:
        self._seed, self._members, self._device = seed, members, device
        self._ahead = AHEAD.get(device.type, AHEAD["cuda"])
        self._shapes = ((self._ahead, batch, n_draws), (self._ahead, batch, n_grid))
        self._block = -1
        self._uniform = self._normal = torch.empty(0)

    def at(self, step: int, batch: int) -> tuple[Tensor, Tensor]:
        """Return numbers for one step.

        Returns
        -------
        Tensor
            Uniform, shape (n_members, batch, n_draws).
        Tensor
            Standard normal, shape (n_members, batch, n_grid).
        """
        block, row = divmod(step, self._ahead)
        if block != self._block:
            self._draw(block)
        return self._uniform[:, row, :batch], self._normal[:, row, :batch]

    def _draw(self, block: int) -> None:
        uniform, normal = [], []
        for member in self._members:
            generator = torch.Generator(self._device)
            generator.manual_seed(mixed(self._seed, member, block))
            flat, round_ = self._shapes
            uniform.append(torch.rand(flat, generator=generator, device=self._device))
            normal.append(torch.randn(round_, generator=generator, device=self._device))
        self._uniform, self._normal = torch.stack(uniform), torch.stack(normal)
        self._block = block


class Recorded:
    """Work on tensors of fixed shapes, recorded as a CUDA graph after it has warmed up.

    The first calls are computed outright and count like all others. Whatever the work changes or
    reads besides its inputs must stay where it is in memory.
    """

    def __init__(self, work: Callable[..., Tensor]) -> None:
        self._work, self._calls = work, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: tuple[Tensor, ...] = ()
        self._said = torch.empty(0)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the work gives."""
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._aside(inputs)
        if self._graph is None:
            self._record(inputs)
        for own, new in zip(self._given, inputs, strict=True):
            own.copy_(new)
        if self._graph is not None:
            self._graph.replay()
        return self._said.clone()

    def _aside(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Compute on another stream than the usual one, as is needed before a recording."""
        usual = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(usual)
        with torch.cuda.stream(stream):
            said = self._work(*inputs)
        usual.wait_stream(stream)
        torch.cuda.synchronize()
        return said

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._given = tuple(t.clone() for t in inputs)
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._said = self._work(*self._given)


def mixed(*numbers: int) -> int:
    """Return one well-mixed seed for several small numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(2))
