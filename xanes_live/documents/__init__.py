"""From Bluesky documents and files to scans.

Names are imported when they are asked for: files need no Bluesky.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xanes_live.lazy import lazily

if TYPE_CHECKING:
    from xanes_live.documents.callback import XanesCallback, assemble
    from xanes_live.documents.files import read_file

__all__ = ["XanesCallback", "assemble", "read_file"]
__getattr__, __dir__ = lazily(
    __name__, {"XanesCallback": "callback", "assemble": "callback", "read_file": "files"}
)
