"""The web server of the operator's page.

Everything that changes goes through one websocket: the page asks ("I have these versions"), the
server answers with what is newer, at the latest after :data:`TICK_S`; so there is never a queue
between them. Everything a page fetches once is a GET under `/api`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from xanes_live import __version__, log
from xanes_live.config import Config, MetricsConfig
from xanes_live.dashboard import api
from xanes_live.dashboard.context import Context, of
from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.live import LiveScan
from xanes_live.dashboard.monitor import Monitor
from xanes_live.dashboard.rawrun import RawRuns
from xanes_live.dashboard.reprocess import Reprocessor
from xanes_live.dashboard.security import LOOPBACK, Guard
from xanes_live.dashboard.service import ServiceHealth
from xanes_live.dashboard.state import Board
from xanes_live.dashboard.tiled import TiledReader
from xanes_live.dashboard.view import FIELDS

STATIC = Path(__file__).parent / "static"
TICK_S = 1.0
"""A page hears from the server at least this often, and so knows that it is there."""

_log = log.get(__name__)


class Pull(BaseModel):
    """The one message a page sends: what it has."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["pull"]
    epoch: Annotated[str, Field(max_length=32)] = ""
    """Of the server it got its versions from."""
    have: Annotated[dict[Annotated[str, Field(max_length=16)], int], Field(max_length=16)] = {}
    """Version by part."""
    history: bool = False
    """Whether it shows the history."""
    frames: int = 0
    """How many messages it has drawn."""


def create_app(
    uri: str,
    api_key: str | None,
    results_path: str = "sandbox/xanes_live",
    raw_path: str = "raw",
    writer_key: str | None = None,
    *,
    config: Config | None = None,
    hosts: Sequence[str] = LOOPBACK,
    reader: TiledReader | None = None,
) -> Starlette:
    """Return the web application of the page.

    Parameters
    ----------
    uri
        Address of the Tiled server.
    api_key
        A reader's key; None on a server without authentication.
    results_path, raw_path
        Containers of the results and of the raw runs.
    writer_key
        A key that may create results; without one nothing can be reprocessed.
    config
        How to read this beamline's runs: for the scan in progress, raw channels, reprocessing.
    hosts
        Host names the server answers to; '*' for any.
    reader
        Instead of one of `uri` and `api_key`.
    """
    settings = _settings(config or Config(), uri, results_path, raw_path)
    board = Board()
    reader = reader or TiledReader(uri, api_key, settings.tiled.timeout_s)
    raw = RawRuns(reader, raw_path)
    reprocessor = Reprocessor(raw, settings, uri, writer_key)
    feed = Feed(reader, board, results_path, raw_path)
    context = Context(board, feed, raw, settings, reprocessor)
    # Without a configuration nobody said where the service is: its neighbour might answer.
    service = ServiceHealth(settings.metrics if config is not None else MetricsConfig(port=0))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(reader.close)
            stack.callback(reprocessor.close)
            task = asyncio.create_task(_follow(context, service))
            stack.push_async_callback(_end, task)
            yield

    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard, hosts=tuple(hosts))],
        lifespan=lifespan,
    )
    app.state.context = context
    return app


def _settings(config: Config, uri: str, results_path: str, raw_path: str) -> Config:
    """Return `config` with the places the page was given."""
    places = {"uri": uri, "results_path": results_path, "raw_path": raw_path}
    return config.model_copy(update={"tiled": config.tiled.model_copy(update=places)})


async def _follow(context: Context, service: ServiceHealth) -> None:
    await context.reprocessor.look_at_key()
    live = LiveScan(context.feed, context.config)
    about = {
        "beamline": context.config.beamline.name,
        "software": f"xanes-live {__version__}",
        "fields": FIELDS,
        "uri": context.config.tiled.uri,
        "path": context.config.tiled.results_path,
        "reprocess": context.reprocessor.about(),
    }
    monitor = Monitor(context.feed, about, service=service)
    async with asyncio.TaskGroup() as group:
        group.create_task(context.feed.run())
        group.create_task(live.run())
        group.create_task(monitor.run())
        group.create_task(service.run())


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _routes() -> list[BaseRoute]:
    return [
        Route("/", _index),
        WebSocketRoute("/ws", _live),
        *api.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


async def _index(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _live(websocket: WebSocket) -> None:
    """Answer pulls until the page goes."""
    board = of(websocket).board
    await websocket.accept()
    try:
        while True:
            pull = Pull.model_validate_json(await websocket.receive_text())
            message = await board.message(
                pull.epoch, pull.have, history=pull.history, wait_s=TICK_S
            )
            await websocket.send_text(message.decode())
    except WebSocketDisconnect:
        return
    except (ValidationError, KeyError):
        await websocket.close(1008, "not a message of this page")


def run_dashboard(
    host: str,
    port: int,
    uri: str,
    api_key: str | None,
    results_path: str = "sandbox/xanes_live",
    raw_path: str = "raw",
    writer_key: str | None = None,
    *,
    config: Config | None = None,
    hosts: Sequence[str] = (),
    listener: socket.socket | None = None,
) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    host, port
        Where to listen.
    hosts
        Names besides loopback and `host` under which the page is reached, a tunnel's say.
    listener
        A bound socket instead of `host` and `port`.

    Other parameters are those of :func:`create_app`.
    """
    import uvicorn  # noqa: PLC0415 - an optional extra

    names = (*LOOPBACK, host, *hosts)
    app = create_app(uri, api_key, results_path, raw_path, writer_key, config=config, hosts=names)
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws_max_size=65_536,
        timeout_graceful_shutdown=2,
    )
    log.event(_log, logging.INFO, "page served", host=host, port=port)
    uvicorn.Server(settings).run(sockets=[listener] if listener else None)
