"""Every flag there is: one table from which flags are made and the reference page is generated.

A flag's *message* says what was seen in this scan and its *remedy* what to do about it, both with
its numbers; the *cause* is the same for every scan. Codes are part of the published interface:
add, never rename.
"""

from xanes_live.flags.kind import FlagKind
from xanes_live.flags.order import CAUSES, SYMPTOMS, by_importance
from xanes_live.flags.table import FLAGS, make

__all__ = ["CAUSES", "FLAGS", "SYMPTOMS", "FlagKind", "by_importance", "make"]
