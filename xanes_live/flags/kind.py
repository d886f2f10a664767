"""What a flag is, whatever scan it is raised for."""

from __future__ import annotations

from dataclasses import dataclass

from xanes_live.domain import Severity

INFO, WARNING, ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR


@dataclass(frozen=True, slots=True)
class FlagKind:
    """One row of the table; `message` and `remedy` are :meth:`str.format` templates."""

    code: str
    severity: Severity
    message: str
    cause: str
    remedy: str
