"""One dense layer of one member on a CPU, by the faster of the two libraries PyTorch brings.

MKL, behind ``torch.addmm``, leaves half of the vector width of AMD processors unused; oneDNN does
not, and applies the rectifier on the way. Measured on one core of an AMD EPYC 9005 (torch 2.13),
GFLOP/s for 432 inputs, 256 outputs and 8 / 64 / 256 / 1024 rows: MKL 70 / 103 / 105 / 99, oneDNN
58 / 176 / 221 / 206. oneDNN is reached through the operator PyTorch's own compiler uses; where a
build lacks it, ``torch.nn.functional.linear`` does the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)


def dense(rows: Tensor, weight: Tensor, bias: Tensor, *, relu: bool = False) -> Tensor:
    """Return ``rows @ weight.T + bias``, rectified if wanted.

    Parameters
    ----------
    rows
        Float32, on the CPU, shape (n, n_in).
    weight
        Shape (n_out, n_in).
    bias
        Shape (n_out,).
    """
    if ONEDNN:
        kind = "relu" if relu else "none"
        found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, kind, [], "")  # noqa: SLF001
        return found
    found = functional.linear(rows, weight, bias)
    return found.relu_() if relu else found
