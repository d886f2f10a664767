"""One thing found by a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self


class Level(IntEnum):
    """How much it matters."""

    GOOD = 0
    NOTE = 1
    """The service runs, but somebody should know."""
    BAD = 2
    """The service cannot do its work."""


_MARK = {Level.GOOD: "✓", Level.NOTE: "!", Level.BAD: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and how to mend it."""

    level: Level
    subject: str
    text: str
    remedy: str = ""

    @classmethod
    def good(cls, subject: str, text: str) -> Self:
        """Return a finding that all is well."""
        return cls(Level.GOOD, subject, text)

    @classmethod
    def note(cls, subject: str, text: str, remedy: str = "") -> Self:
        """Return a finding worth knowing."""
        return cls(Level.NOTE, subject, text, remedy)

    @classmethod
    def bad(cls, subject: str, text: str, remedy: str) -> Self:
        """Return a finding that has to be mended."""
        return cls(Level.BAD, subject, text, remedy)

    def line(self) -> str:
        """Return the finding as one line."""
        mend = f" → {self.remedy}" if self.remedy else ""
        return f"{_MARK[self.level]} {self.subject:<13} {self.text}{mend}"
