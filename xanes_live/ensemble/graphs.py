"""Work of a fixed size, ready to go: CUDA graphs with pinned buffers, and their plain stand-in.

A few spectra take a GPU some microseconds; starting a dozen kernels from Python takes ten times
that. A graph is recorded once for each of a few batch sizes and started by a single call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

S = TypeVar("S")
Compute = Callable[[Tensor], tuple[Tensor, ...]]
"""Spectra (n, n_input) on the device to tensors there, the spectra in the last but one axis."""

TOP = 1024
"""Largest batch a rung is recorded for."""


class Slot(Protocol):
    """One batch on its way through the device."""

    def start(self, rows: Tensor) -> None:
        """Begin with spectra on the host, float32, shape (n, n_input)."""
        ...

    def result(self) -> tuple[Tensor, ...]:
        """Wait for it and return what was computed, on the host; valid until the next start."""
        ...


class Direct:
    """Computes when it is started; for the CPU."""

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._compute, self._device = compute, device
        self._said: tuple[Tensor, ...] = ()

    def start(self, rows: Tensor) -> None:
        """Compute."""
        self._said = tuple(t.cpu() for t in self._compute(rows.to(self._device)))

    def result(self) -> tuple[Tensor, ...]:
        """Return what was computed."""
        return self._said


class Captured:
    """A computation of `size` spectra recorded as a CUDA graph on a stream of its own.

    Fewer spectra are computed together with whatever the buffers held before: no spectrum changes
    what is said of another.
    """

    def __init__(self, compute: Compute, size: int, n_input: int, device: torch.device) -> None:
        self.size, self._n = size, 0
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._host = torch.zeros(size, n_input, pin_memory=True)
        self._given = torch.zeros(size, n_input, device=device)
        torch.cuda.synchronize(device)
        with torch.cuda.stream(self.stream):
            for _ in range(3):  # libraries choose kernels and take workspace before the recording
                compute(self._given)
        torch.cuda.synchronize(device)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self.stream, capture_error_mode="thread_local"):
            self._said = compute(self._given)
        self._back = tuple(torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in self._said)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def start(self, rows: Tensor) -> None:
        """Copy in, compute, copy back: all queued, nothing waited for."""
        self._n = len(rows)
        self._host[: self._n].copy_(rows)
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            self._given.copy_(self._host, non_blocking=True)
            self._graph.replay()
            for back, said in zip(self._back, self._said, strict=True):
                back.copy_(said, non_blocking=True)
            self._done.record(self.stream)

    def result(self) -> tuple[Tensor, ...]:
        """Wait and return the rows asked for."""
        self._done.synchronize()
        return tuple(t.narrow(-2, 0, self._n) for t in self._back)

    def on_device(self, spectra: Tensor) -> tuple[Tensor, ...]:
        """Compute spectra that are on the device already; the result is the caller's own."""
        self._given[: len(spectra)].copy_(spectra)
        self._graph.replay()
        return tuple(t.narrow(-2, 0, len(spectra)).clone() for t in self._said)


class Ladder(Generic[S]):
    """Slots for batch sizes that double, each made when it is first needed.

    Parameters
    ----------
    make
        Makes the slot for a size.
    top
        Largest size.
    """

    def __init__(self, make: Callable[[int], S], top: int = TOP) -> None:
        self._make, self.top = make, top
        self._rungs: dict[int, S] = {}

    def __getitem__(self, n: int) -> S:
        """Return the smallest slot that holds `n` spectra, 1 ≤ n ≤ top."""
        size = min(1 << (n - 1).bit_length(), self.top)
        if size not in self._rungs:
            self._rungs[size] = self._make(size)
        return self._rungs[size]
