"""What the routes of the page share."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from xanes_live.config import Config
from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.rawrun import RawRuns
from xanes_live.dashboard.reprocess import Reprocessor
from xanes_live.dashboard.state import Board


@dataclass(frozen=True, slots=True)
class Context:
    """Made once for an application."""

    board: Board
    feed: Feed
    raw: RawRuns
    config: Config
    reprocessor: Reprocessor


def of(connection: HTTPConnection) -> Context:
    """Return the context of a request or websocket."""
    context: Context = connection.app.state.context
    return context
