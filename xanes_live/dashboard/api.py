"""What a page fetches once: results, raw channels, files, merges; and the one thing it may change.

Errors are JSON with one sentence for the operator under `error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xanes_live.dashboard import export
from xanes_live.dashboard.context import of
from xanes_live.dashboard.live import recognised, simple_mu
from xanes_live.dashboard.merging import merged
from xanes_live.dashboard.reprocess import NotAllowedError
from xanes_live.dashboard.reprocess import Request as Wish
from xanes_live.dashboard.runs import SELECT
from xanes_live.dashboard.safe import mapping, number, text
from xanes_live.dashboard.tiled import NotThereError, RefusedError, TiledError
from xanes_live.domain import Array, Scan
from xanes_live.publish.names import children_of

MAX_BODY = 65_536
MAX_KEYS = 40
MAX_STACK = 1_000_000
"""Values sent of one image; beyond that every other energy is left out."""
STACKS = ("radius", "energy", "mean", "sigma", "lower", "upper", "normalised", "flattened")
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY

Handler = Callable[[Request], Awaitable[Response]]


class BadRequestError(ValueError):
    """The page asked for something that makes no sense."""


def routes() -> list[BaseRoute]:
    """Return the routes under `/api`."""
    get = {
        "/api/result/{key}": _result,
        "/api/stacks/{key}": _stacks,
        "/api/raw/{key}": _raw,
        "/api/export/{name}": _export,
        "/api/merge": _merge,
        "/api/context": _context,
    }
    found: list[BaseRoute] = [Route(p, _answering(f), methods=["GET"]) for p, f in get.items()]
    return [*found, Route("/api/reprocess", _answering(_reprocess), methods=["POST"])]


def _answering(handler: Handler) -> Handler:
    """Return `handler` with its faults as answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (BadRequestError, ValidationError) as error:
            return _fault(400, _sentence(error))
        except (NotAllowedError, RefusedError) as error:
            return _fault(403, str(error))
        except NotThereError as error:
            return _fault(404, str(error))
        except TiledError as error:
            return _fault(503, str(error))

    return answer


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
    return str(error)


def _fault(status: int, sentence: str) -> Response:
    return _json({"error": text(sentence, 600)}, status)


def _json(value: object, status: int = 200) -> Response:
    body = orjson.dumps(value, option=_OPTIONS)
    headers = {"Cache-Control": "no-store"}
    return Response(body, status, headers, media_type="application/json")


async def _result(request: Request) -> Response:
    return _json(await of(request).feed.detail(request.path_params["key"]))


async def _stacks(request: Request) -> Response:
    """Return the arrays of a run of many spectra."""
    feed = of(request).feed
    path = f"{feed.results_path}/{request.path_params['key']}"
    document = await feed.reader.metadata(path)
    present = {child["key"]: child for child in await feed.reader.children(path)}
    children = children_of(document, present)
    arrays: dict[str, Array] = {}
    for name in (name for name in STACKS if name in children):
        child = present[children[name]]
        structure = mapping(child.get("structure"))
        arrays[name] = await feed.reader.array(f"{path}/{child['key']}", structure)
    if not arrays:
        raise NotThereError("the arrays of this run are not in Tiled (yet)")
    return _json({name: _thinned(a).astype(np.float32) for name, a in _fitting(arrays).items()})


def _fitting(arrays: dict[str, Array]) -> dict[str, Array]:
    """Return the arrays without every n-th energy where they are too many."""
    largest = max(a.size for a in arrays.values())
    stride = -(-largest // MAX_STACK)
    on_energy = ("energy", "normalised", "flattened")
    return {n: a[..., ::stride] if n in on_energy else a for n, a in arrays.items()}


def _thinned(array: Array) -> Array:
    return np.ascontiguousarray(array[:20_000])


async def _raw(request: Request) -> Response:
    """Return the raw channels of one sweep, in the order of energy."""
    context = of(request)
    index = int(number(_integer(request.query_params.get("index", "0"))) or 0)
    shown = await context.feed.detail(request.path_params["key"])
    try:
        record = await context.raw.record(await context.raw.find(shown["raw_uid"]))
    except NotThereError:
        raise NotThereError("the raw run is not in Tiled (yet)") from None
    scan = await asyncio.to_thread(recognised, record, context.config)
    if not isinstance(scan, Scan) or not scan.sweeps:
        raise NotThereError("the raw run cannot be read as an absorption scan")
    channels = scan.sweeps[min(max(index, 0), len(scan.sweeps) - 1)]
    mu, kind = simple_mu(channels, scan.mode)
    order = np.argsort(channels.energy, kind="stable")
    order = order[np.isfinite(channels.energy[order])]
    single = {"energy": channels.energy, "i0": channels.i0, "it": channels.it, "ir": channels.ir}
    answer: dict[str, Any] = {n: a[order] for n, a in single.items() if a is not None}
    if channels.fluorescence is not None:
        answer["fluorescence"] = [np.ascontiguousarray(e[order]) for e in channels.fluorescence]
    return _json({**answer, "mu": mu[order], "kind": kind, "sweeps": len(scan.sweeps)})


def _integer(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise BadRequestError(f"{text(word, 40)} is not a number") from None


async def _export(request: Request) -> Response:
    """Return a result as a file."""
    key, _, ending = request.path_params["name"].rpartition(".")
    feed = of(request).feed
    maker = export.MAKERS.get(ending)
    if maker is None:
        raise BadRequestError("known files are " + ", ".join(export.MAKERS))
    document = await feed.reader.metadata(f"{feed.results_path}/{key}")
    shown = await feed.detail(key)
    body = await asyncio.to_thread(maker, shown, document)
    headers = {"Content-Disposition": f'attachment; filename="{export.file_name(shown)}.{ending}"'}
    return Response(body, 200, headers, media_type=export.MEDIA_TYPES[ending])


async def _merge(request: Request) -> Response:
    """Return the merge of several results."""
    keys = request.query_params.getlist("key")
    if not 1 <= len(keys) <= MAX_KEYS:
        raise BadRequestError(f"give 1 to {MAX_KEYS} results")
    found = [await of(request).feed.detail(key) for key in dict.fromkeys(keys)]
    return _json(await asyncio.to_thread(merged, found))


async def _context(request: Request) -> Response:
    """Return the numbers of the start documents, by run, for trends."""
    feed = of(request).feed
    runs: dict[str, dict[str, float]] = {}
    cursor = None
    while len(runs) < 10_000:
        page = await feed.reader.newest(feed.raw_path, SELECT, 300, cursor)
        for uid, metadata in page.items:
            runs[text(uid)] = _numbers(mapping(mapping(metadata).get("start")))
        cursor = page.cursor
        if cursor is None:
            break
    return _json(runs)


def _numbers(start: Any, prefix: str = "", depth: int = 0) -> dict[str, float]:  # noqa: ANN401
    """Return the numbers of a start document, those inside mappings as 'outer.inner'."""
    found: dict[str, float] = {}
    for key, value in list(mapping(start).items())[:60]:
        name = f"{prefix}{text(key, 60)}"
        if (converted := number(value)) is not None:
            found[name] = converted
        elif depth < 2:
            found |= _numbers(value, f"{name}.", depth + 1)
    return dict(list(found.items())[:60])


async def _reprocess(request: Request) -> Response:
    """Preview or publish results with other settings of the reduction."""
    context = of(request)
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        raise BadRequestError("too long")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise BadRequestError("not JSON")
    wish = Wish.model_validate_json(await request.body())
    context.reprocessor.check()
    rows = [await context.feed.detail(key) for key in dict.fromkeys(wish.keys)]
    found = await context.reprocessor.run(rows, wish)
    return _json({"results": found, "published": wish.publish})
