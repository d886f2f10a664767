"""Every flag there is: one table from which flags are made and the reference page is generated.

A flag's *message* says what was seen in this scan, with its numbers; its *meaning*, *cause* and
*remedy* are the same for every scan. Codes are part of the published interface: add, never rename.
"""

from xanes_live.flags.kind import FlagKind
from xanes_live.flags.order import CAUSES, SYMPTOMS, by_importance
from xanes_live.flags.table import FLAGS, make

__all__ = ["CAUSES", "FLAGS", "SYMPTOMS", "FlagKind", "by_importance", "make"]
