"""The few requests the page needs of Tiled, asynchronous and with a reader's key.

Spoken directly rather than through Tiled's Python client: the history asks the server to select
a summary of each document (a hundredth of its size), thousands of results are read while live
ones keep coming in on the same thread, and a subscription takes no scope beyond reading.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from xanes_live.dashboard.safe import mapping
from xanes_live.errors import XanesLiveError
from xanes_live.publish.address import api_root, quoted, segments

MAX_MESSAGE = 64 << 20
"""Longest notification taken, bytes: a document with everything in it may be long."""
MAX_VALUES = 20_000_000
"""Longest array fetched."""


class TiledError(XanesLiveError, ConnectionError):
    """Tiled cannot be reached or fails; the message is fit for an operator."""


class NotThereError(TiledError):
    """There is no such node."""


class RefusedError(TiledError):
    """Tiled does not let this key read there."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some children of a container."""

    items: tuple[tuple[str, Any], ...]
    """Key and (selected) metadata."""
    cursor: str | None
    """Where the next page begins; None at the end."""


class TiledReader:
    """Reads one Tiled server.

    Parameters
    ----------
    uri
        Address of the server.
    api_key
        A reader's key; None on a server without authentication.
    timeout_s
        Time after which a request counts as failed.
    transport
        Instead of the network, for tests.

    Notes
    -----
    Every method raises :class:`TiledError` or one of its kinds.
    """

    def __init__(
        self,
        uri: str,
        api_key: str | None,
        timeout_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.root = api_root(uri)
        self._headers = {"Authorization": f"Apikey {api_key}"} if api_key else {}
        self._timeout_s = timeout_s
        # A facility's proxy is asked for a distant server, never for this machine.
        distant = urlsplit(uri).hostname not in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx.AsyncClient(
            base_url=self.root,
            headers=self._headers,
            timeout=timeout_s,
            transport=transport,
            trust_env=distant,
        )

    async def newest(
        self,
        path: str,
        select: str,
        limit: int = 300,
        cursor: str | None = None,
        above: tuple[str, float] | None = None,
    ) -> Page:
        """Return children of the container `path`, the last created first.

        Parameters
        ----------
        path
            Of the container.
        select
            JMESPath of what is wanted of each child's metadata.
        limit
            At most 300.
        cursor
            Of the page before.
        above
            Only those whose metadata have a larger number than this one under this name.
        """
        params = {
            "sort": "-",
            "page[limit]": str(limit),
            "fields": "metadata",
            "select_metadata": select,
            "omit_links": "true",
        }
        if cursor is not None:
            params["page[cursor]"] = cursor
        if above is not None:
            condition = "filter[comparison][condition]"
            params |= {f"{condition}[operator]": "gt", f"{condition}[key]": above[0]}
            params[f"{condition}[value]"] = repr(above[1])
        answer = await self._get(f"/search/{_place(path)}", params)
        found = tuple(
            (str(item["id"]), mapping(_metadata(item)).get("selected"))
            for item in answer.get("data") or []
        )
        return Page(found, _cursor(mapping(answer.get("links")).get("next")))

    async def children(self, path: str, limit: int = 300) -> list[dict[str, Any]]:
        """Return the children of a node: key, family, structure, metadata."""
        params = {"page[limit]": str(limit), "omit_links": "true"}
        answer = await self._get(f"/search/{_place(path)}", params)
        return [{"key": item["id"], **item["attributes"]} for item in answer.get("data") or []]

    async def metadata(self, path: str) -> Mapping[str, Any]:
        """Return the metadata of one node."""
        params = {"fields": "metadata", "omit_links": "true"}
        answer = await self._get(f"/metadata/{_place(path)}", params)
        return mapping(_metadata(mapping(answer.get("data"))))

    async def table(self, path: str) -> Mapping[str, list[Any]]:
        """Return the columns of a table."""
        return mapping(await self._get(f"/table/full/{_place(path)}", {"format": _JSON}))

    async def array(
        self, path: str, structure: Mapping[str, Any] | None = None
    ) -> NDArray[np.float64]:
        """Return a numerical array as float64.

        Parameters
        ----------
        path
            Of the array.
        structure
            As Tiled describes it; asked for if None.

        Raises
        ------
        TiledError
            Also when the array is not numerical or has more than :data:`MAX_VALUES` values.
        """
        if structure is None:
            params = {"fields": "structure", "omit_links": "true"}
            answer = await self._get(f"/metadata/{_place(path)}", params)
            structure = mapping(
                mapping(mapping(answer.get("data")).get("attributes")).get("structure")
            )
        shape, dtype = _layout(structure, path)
        blob = await self._send(f"/array/full/{_place(path)}", {"format": _OCTETS})
        try:
            return np.frombuffer(blob, dtype).reshape(shape).astype(np.float64)
        except ValueError:
            raise TiledError(f"{path} is not as long as Tiled says") from None

    async def scopes(self) -> tuple[str, ...] | None:
        """Return what the key may do; None where the server does not say."""
        with suppress(NotThereError, KeyError):
            return tuple((await self._get("/auth/apikey", {}))["scopes"])
        return None

    async def subscribe(self, path: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what happens in the container `path`, first of all its schema."""
        scheme = "wss" if self.root.startswith("https") else "ws"
        place = f"{self.root.partition('://')[2]}/stream/single/{_place(path)}"
        try:
            async with connect(
                f"{scheme}://{place}?envelope_format=json",
                additional_headers=self._headers,
                max_size=MAX_MESSAGE,
                open_timeout=self._timeout_s,
                # A cable pulled out is noticed after these.
                ping_interval=5,
                ping_timeout=10,
                close_timeout=1,
            ) as socket:
                async for frame in socket:
                    yield mapping(loads(frame))
        except InvalidStatus as error:
            raise _refusal(error.response.status_code, path) from None
        except (OSError, WebSocketException, TimeoutError) as error:
            raise TiledError(_reason(error)) from None
        raise TiledError("Tiled ended the subscription")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _get(self, path: str, params: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        return loads(await self._send(path, params))

    async def _send(self, path: str, params: Mapping[str, str]) -> bytes:
        try:
            response = await self._http.get(path, params=params)
        except httpx.HTTPError as error:
            raise TiledError(_reason(error)) from None
        if response.is_success:
            return response.content
        raise _refusal(response.status_code, path)


_JSON = "application/json"
_OCTETS = "application/octet-stream"


def loads(content: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Parse JSON; also the NaN and Infinity that Python writes and JSON has not."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(content)
    except ValueError:
        raise TiledError("Tiled sent something that is not JSON") from None


def _place(path: str) -> str:
    """Return a node's path as part of a URL; never one that leads out of the tree."""
    names = segments(path)
    if {".", ".."} & set(names):
        raise NotThereError("there is no such node")
    return quoted(*names)


def _layout(structure: Mapping[str, Any], path: str) -> tuple[list[int], np.dtype[Any]]:
    shape = [int(n) for n in structure.get("shape") or []]
    kind = mapping(structure.get("data_type"))
    if kind.get("kind") not in {"f", "i", "u", "b"} or np.prod(shape) > MAX_VALUES:
        raise TiledError(f"{path} is not an array that can be shown")
    order = ">" if kind.get("endianness") == "big" else "<"
    return shape, np.dtype(f"{order}{kind['kind']}{kind['itemsize']}")


def _metadata(item: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    return mapping(item.get("attributes")).get("metadata")


def _cursor(link: object) -> str | None:
    """Return the cursor of a link to the next page."""
    if not isinstance(link, str):
        return None
    cursor: str | None = httpx.URL(link).params.get("page[cursor]")
    return cursor


def _refusal(status: int, path: str) -> TiledError:
    if status in {401, 403}:
        remedy = "start the page with a key that may read (XANES_LIVE_READER_KEY)"
        return RefusedError(f"Tiled refuses this page's key for {path} ({status}): {remedy}")
    if status == 404:
        return NotThereError(f"Tiled has no {path}")
    return TiledError(f"Tiled fails with status {status}")


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "Tiled does not answer in time"
    return "Tiled cannot be reached"
