"""The ensemble of reverse networks: spectrum in, G2 with spread out; and its training.

Names are imported when they are asked for, so that the command line starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xanes_live.ensemble.device import choose_device
    from xanes_live.ensemble.ensemble import Ensemble
    from xanes_live.ensemble.registry import available, find_model, known_models

__all__ = ["Ensemble", "available", "choose_device", "find_model", "known_models"]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name == "Ensemble":
        from xanes_live.ensemble import ensemble as module  # noqa: PLC0415
    elif name == "choose_device":
        from xanes_live.ensemble import device as module  # type: ignore[no-redef] # noqa: PLC0415
    elif name in __all__:
        from xanes_live.ensemble import registry as module  # type: ignore[no-redef] # noqa: PLC0415
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(module, name)
