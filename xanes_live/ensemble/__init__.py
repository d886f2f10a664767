"""The ensemble of reverse networks: spectrum in, G2 with spread out; and its training.

Names are imported when they are asked for, so that the command line starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xanes_live.lazy import lazily

if TYPE_CHECKING:
    from xanes_live.ensemble.device import choose_device
    from xanes_live.ensemble.ensemble import Ensemble
    from xanes_live.ensemble.registry import available, find_model, known_models

__all__ = ["Ensemble", "available", "choose_device", "find_model", "known_models"]
__getattr__, __dir__ = lazily(
    __name__,
    {
        "Ensemble": "ensemble",
        "available": "registry",
        "choose_device": "device",
        "find_model": "registry",
        "known_models": "registry",
    },
)
