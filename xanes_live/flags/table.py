"""The table of all flags, and how one is made."""

from __future__ import annotations

import re

from xanes_live.domain import Flag
from xanes_live.flags.kind import FlagKind
from xanes_live.flags.of_documents import RUN
from xanes_live.flags.of_model import MODEL
from xanes_live.flags.of_reduction import MEASUREMENT
from xanes_live.flags.of_repeats import REPEATS


def _table(*rows: FlagKind) -> dict[str, FlagKind]:
    table = {row.code: row for row in rows}
    if len(table) != len(rows):
        raise ValueError("a flag code is listed twice")
    return table


# Of flags of one severity the one listed first is shown first: what ended the scan, then what
# was wrong with the beam and the detectors, then with the energies, the edge and the ranges,
# then what the model makes of it. An operator wants the cause before its consequences.
FLAGS: dict[str, FlagKind] = _table(*RUN, *MEASUREMENT, *REPEATS, *MODEL)
"""Every flag by its code."""
_SEVERAL = re.compile(r"(?<![\d.,])1 ((?:\w+ )?(?:event|point|value))s\b")
"""One thing in the words for several."""


def make(code: str, **values: object) -> Flag:
    """Make the flag `code`, its message and its remedy filled with `values`.

    Raises
    ------
    KeyError
        If the code is not in the table or a value of either is missing.
    """
    kind = FLAGS[code]
    message, remedy = (
        _SEVERAL.sub(r"1 \1", text.format(**values)) for text in (kind.message, kind.remedy)
    )
    return Flag(kind.code, kind.severity, message, remedy)
