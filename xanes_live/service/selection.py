"""Which runs of an archive are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xanes_live.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions a run must meet, all of them."""

    uids: tuple[str, ...] = ()
    since: float | None = None
    """Start time, s since the epoch."""
    until: float | None = None
    search: tuple[tuple[str, str], ...] = ()
    """Pairs of key and value the start document must hold."""

    @classmethod
    def parse(
        cls, uids: list[str], since: str | None, until: str | None, search: list[str]
    ) -> Selection:
        """Make a selection from command-line words.

        Raises
        ------
        ConfigurationError
            If a time is not ISO 8601 or a search has no '='.
        """
        pairs = []
        for word in search:
            key, equals, value = word.partition("=")
            if not equals or not key:
                raise ConfigurationError(f"--search {word!r}: expected key=value")
            pairs.append((key, value))
        return cls(tuple(uids), _time(since), _time(until), tuple(pairs))


def _time(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a time like 2026-11-20T13:00") from None
