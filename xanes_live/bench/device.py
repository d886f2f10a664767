"""What the device can do at best: a large matrix product and a large copy, measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from xanes_live.bench.rows import Floor
from xanes_live.bench.timing import in_turns
from xanes_live.ensemble import onednn
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.precision import Precision, products_in


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured peaks."""

    flops: float
    """float32 operations a second of a square matrix product."""
    flops_low: float | None
    """The same in the lower precision asked for; None in float32."""
    bandwidth: float
    """Bytes a second of a copy, read and written counted."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, 1e9 a second."""
        return {k: round(v / 1e9, 2) if v else None for k, v in asdict(self).items()}


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rates(device: torch.device, precision: Precision = "float32", budget_s: float = 1.0) -> Rates:
    """Measure the peaks of `device`."""
    order, n_bytes = (8192, 1 << 30) if device.type == "cuda" else (1024, 1 << 26)
    source = torch.rand(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    works = {
        "full": lambda: _product(order, device, "float32"),
        "copy": lambda: target.copy_(source),
    }
    if precision != "float32":
        works["low"] = lambda: _product(order, device, precision)
    waiting = {name: _waiting(work, device) for name, work in works.items()}
    found = in_turns(waiting, budget_s, least=5)
    best = {name: min(times.seconds) for name, times in found.items()}
    operations = 2.0 * order**3
    low = operations / best["low"] if "low" in best else None
    return Rates(operations / best["full"], low, 2 * n_bytes / best["copy"])


_MATRICES: dict[tuple[int, str], Tensor] = {}


def _product(order: int, device: torch.device, precision: Precision) -> Tensor:
    key = (order, f"{device}")
    if key not in _MATRICES:
        _MATRICES[key] = torch.rand(order, order, device=device)
    matrix = _MATRICES[key]
    if precision == "bfloat16":
        low = matrix.bfloat16()
        return low @ low
    if device.type == "cpu":
        return onednn.product(matrix, matrix)
    with products_in(precision):
        return matrix @ matrix


def _waiting(work: Any, device: torch.device) -> Any:  # noqa: ANN401
    def done() -> None:
        work()
        synchronise(device)

    return done


def operations(architecture: Architecture) -> int:
    """Return the floating-point operations one member needs for one spectrum."""
    a = architecture
    lengths = a.lengths()[1:]
    pairs = zip(a.conv_sizes(), lengths, strict=True)
    conv = sum(n_in * n_out * a.kernel * length for (n_in, n_out), length in pairs)
    return 2 * (conv + sum(n_in * n_out for n_in, n_out in a.dense_sizes()))


def parameters(architecture: Architecture) -> int:
    """Return the number of weights and biases of one member."""
    a = architecture
    conv = sum(n_in * n_out * a.kernel + n_out for n_in, n_out in a.conv_sizes())
    return conv + sum(n_in * n_out + n_out for n_in, n_out in a.dense_sizes())


def floor(architecture: Architecture, members: int, n: int, peak: Rates) -> Floor:
    """Return the least time for mean and σ of `n` spectra from `members` members."""
    work = n * members * operations(architecture)
    moved = 4 * (members * parameters(architecture))
    moved += 4 * n * (architecture.n_input + 2 * architecture.n_total)
    return Floor(work / (peak.flops_low or peak.flops), moved / peak.bandwidth)
