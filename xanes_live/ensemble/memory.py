"""Memory held on accelerators, for the service's metrics."""

from __future__ import annotations

import torch


def in_use() -> dict[str, int]:
    """Return bytes allocated by this process on each CUDA device, by name; empty without one."""
    if not torch.cuda.is_available():
        return {}
    return {f"cuda:{k}": torch.cuda.memory_allocated(k) for k in range(torch.cuda.device_count())}
