"""The ensemble of reverse networks: spectrum in, G2 with spread out; and its training.

Names are imported when they are asked for, so that the command line starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xanes_live.ensemble.device import choose_device
    from xanes_live.ensemble.ensemble import Ensemble
    from xanes_live.ensemble.registry import available, find_model, known_models

__all__ = ["Ensemble", "available", "choose_device", "find_model", "known_models"]
_HOME = {
    "Ensemble": "ensemble",
    "available": "registry",
    "choose_device": "device",
    "find_model": "registry",
    "known_models": "registry",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Name what there is to be imported, which Tab asks for."""
    return sorted({*globals(), *__all__})
