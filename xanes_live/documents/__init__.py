"""From Bluesky documents and files to scans.

Names are imported when they are asked for: files need no Bluesky.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xanes_live.documents.callback import XanesCallback, assemble
    from xanes_live.documents.files import read_file

__all__ = ["XanesCallback", "assemble", "read_file"]
_HOME = {"XanesCallback": "callback", "assemble": "callback", "read_file": "files"}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Name what there is to be imported, which Tab asks for."""
    return sorted({*globals(), *__all__})
