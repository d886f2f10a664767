"""Many spectra through a few slots, so that copies and computation overlap; bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from xanes_live.ensemble.graphs import Slot


class Rows(Protocol):
    """A two-dimensional array of which parts can be read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    def __getitem__(self, rows: slice) -> ArrayLike:
        """Return some rows."""
        ...


def overlapped(
    slots: Sequence[Slot], rows: Rows, chunk: int
) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Send chunks of `rows` through `slots` in turn.

    While one slot computes, the next chunk is read and copied to another. Memory is that of the
    slots and one chunk, whatever the number of rows.

    Yields
    ------
    int
        First row of the chunk.
    tuple of Tensor
        What the slot said, on the host; to be used before the next is asked for.
    """
    running: deque[tuple[int, Slot]] = deque()
    for i, start in enumerate(range(0, rows.shape[0], chunk)):
        if len(running) == len(slots):
            first, slot = running.popleft()
            yield first, slot.result()
        part = np.array(rows[start : start + chunk], dtype=np.float32)  # of our own: writable
        slot = slots[i % len(slots)]
        slot.start(torch.from_numpy(part))
        running.append((start, slot))
    for first, slot in running:
        yield first, slot.result()


def gathered(
    parts: Iterator[tuple[int, tuple[Tensor, ...]]], shapes: Sequence[tuple[int, ...]]
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], ...]:
    """Return what `overlapped` yields as whole float32 arrays of `shapes`, rows first."""
    whole = tuple(np.empty(shape, dtype=np.float32) for shape in shapes)
    for start, said in parts:
        for array, tensor in zip(whole, said, strict=True):
            array[start : start + len(tensor)] = tensor.numpy()
    return whole
