"""Convolutions by oneDNN, which PyTorch brings, with weights kept in oneDNN's own order.

MKL, behind ``torch.addmm`` and ``torch.bmm``, leaves half of the vector width of AMD processors
unused and knows no groups; oneDNN does both and applies the rectifier on the way. It is reached
through the operators PyTorch's own compiler uses, because the public ones turn the weights around
at every call. Measured on one core of an AMD EPYC 9005 (torch 2.13): 8 rows through 15 layers of
432 × 256 take 0.39 ms as ``torch.baddbmm``, 0.55 ms as a public grouped convolution and 0.14 ms
like this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import torch
from torch import Tensor
from torch.nn import functional

_OPERATORS = ("_convolution_pointwise", "_reorder_convolution_weight")
_FEWER = Lock()
"""Held while PyTorch is set to fewer threads."""


class Convolution:
    """One grouped convolution along the last axis, on the CPU in float32.

    Parameters
    ----------
    weight
        Shape (c_out, c_in / groups, kernel).
    bias
        Shape (c_out,).
    points
        Length of the rows it is meant for: the order of the weights is chosen for that, others are
        convolved as well.
    relu
        Whether the result is rectified.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        *,
        points: int,
        stride: int = 1,
        groups: int = 1,
        relu: bool = False,
    ) -> None:
        self._how = ([0, 0], [1, stride], [1, 1], groups)
        shape = [1, weight.shape[1] * groups, 1, points]
        pack = torch.ops.mkldnn._reorder_convolution_weight  # noqa: SLF001
        self._weight: Tensor = pack(weight.unsqueeze(2).contiguous(), *self._how, shape)
        self._bias, self._kind = bias.contiguous(), "relu" if relu else "none"

    def __call__(self, rows: Tensor) -> Tensor:
        """Convolve what :func:`channels_last` made of rows; :func:`rows_of` gives rows again."""
        convolve = torch.ops.mkldnn._convolution_pointwise.default  # noqa: SLF001
        found: Tensor = convolve(rows, self._weight, self._bias, *self._how, self._kind, [], "")
        return found


def channels_last(rows: Tensor) -> Tensor:
    """Return contiguous rows (n, points, c) as oneDNN wants to be told of them, (n, c, 1, points).

    One layer's result is the next one's input as it is: each view would cost a microsecond.
    """
    return rows.unsqueeze(1).permute(0, 3, 1, 2)


def rows_of(found: Tensor) -> Tensor:
    """Return the rows (n, points, c), contiguous, that (n, c, 1, points) is a view of."""
    return found.permute(0, 2, 3, 1).squeeze(1)


@cache
def available() -> bool:
    """Whether the operators are there and do what they are wanted for.

    Nothing promises that they stay as they are from one version of PyTorch or one processor to the
    next, so a small convolution is tried.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS) and _right()


def _right() -> bool:
    """Whether a small convolution comes out as by the public operator."""
    rows = torch.linspace(-1.0, 1.0, 2 * 9 * 4).reshape(2, 9, 4)
    weight, bias = torch.linspace(-1.0, 1.0, 6 * 2 * 3).reshape(6, 2, 3), torch.arange(6.0) - 3.0
    expected = functional.conv1d(rows.transpose(1, 2), weight, bias, stride=2, groups=2).relu()
    try:
        convolve = Convolution(weight, bias, points=9, stride=2, groups=2, relu=True)
        found = rows_of(convolve(channels_last(rows)))
    except (RuntimeError, TypeError):
        return False
    wanted = expected.transpose(1, 2)
    return found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-4, atol=1e-4)


@contextmanager
def threads(most: int | None) -> Iterator[None]:
    """Let this thread's work use at most so many threads meanwhile; None changes nothing.

    A thread that asks PyTorch for the first time takes over the number then set, for good: it has
    to wait until another's lower one is gone.
    """
    with _FEWER:
        before = torch.get_num_threads()
        if most is not None and most < before:
            torch.set_num_threads(most)
            try:
                yield
            finally:
                torch.set_num_threads(before)
            return
    yield


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right.T`` of large float32 matrices as fast as the CPU can."""
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        linear = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        found: Tensor = linear(left, right, None, "none", [], "")
        return found
    return left @ right.T
