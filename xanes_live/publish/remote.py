"""The few requests that publication needs of Tiled, each of them one HTTP request.

Spoken directly rather than through Tiled's Python client: the number of requests is what
publication costs, faults must come back at once (the client retries for 45 s unless told otherwise
before its first import), and a fault's kind decides what happens next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
import numpy as np
import orjson
from numpy.typing import NDArray

from xanes_live.config import TiledConfig
from xanes_live.errors import XanesLiveError
from xanes_live.publish.address import api_root, quoted, segments

SPEC = {"name": "XanesPrediction", "version": "1"}
BLOCK_BYTES = 8 << 20
"""Longer arrays go in several requests, each well inside the time-out."""
HDF5 = "application/x-hdf5"
_AGAIN = {408, 425, 429}


class UnreachableError(XanesLiveError, ConnectionError):
    """Tiled cannot be reached, or fails; worth trying again, with anything."""


class ServerFaultError(UnreachableError):
    """Tiled answers, but with a fault of its own (5xx) or asks for patience (429)."""


class GoneError(ServerFaultError):
    """The node to write into is not there (any more), or may not be seen with this key."""


class RefusedError(XanesLiveError, PermissionError):
    """Tiled does not let this key do this (401, 403); nothing will pass until that changes."""


class RejectedError(XanesLiveError, ValueError):
    """Tiled will not have this one result; others may pass."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a published result has come."""

    status: str
    arrays: str
    ended: bool = True
    """Whether the run had ended when this was made of it: it has a stop document's time."""
    file: str = ""
    """Where its arrays are if they were registered as a file, '' if not."""


_STANDING = {
    "fields": ["metadata", "data_sources"],
    "include_data_sources": "true",
    "select_metadata": "{status: status, arrays: arrays, stop_time: stop_time}",
}


class Remote:
    """The results container of a Tiled server.

    Parameters
    ----------
    config
        Where it is.
    key
        API key of the service; None on a server without authentication.
    transport
        Instead of the network, for tests.

    Notes
    -----
    Every method raises `UnreachableError`, `RefusedError` or `RejectedError`.
    """

    def __init__(
        self, config: TiledConfig, key: str | None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._place = segments(config.results_path)
        self._tags = list(config.access_tags) or None
        self._ready = False
        headers = {"Authorization": f"Apikey {key}"} if key else {}
        self._http = httpx.Client(
            base_url=api_root(config.uri),
            headers=headers,
            timeout=config.timeout_s,
            transport=transport,
        )

    def create(self, key: str, metadata: Mapping[str, Any], file: Path | None = None) -> bool:
        """Create the node of a result; False if there is one of that name.

        Parameters
        ----------
        key
            Name of the node.
        metadata
            The whole document.
        file
            An HDF5 file whose datasets become the node's children, registered in the same request:
            a node and its arrays appear together or not at all.
        """
        self._ensure_container()
        body = {
            "id": key,
            "structure_family": "container",
            "metadata": metadata,
            "specs": [SPEC],
            "access_tags": self._tags,
            "data_sources": [] if file is None else [_external(file)],
        }
        kind = "metadata" if file is None else "register"
        return self._post(kind, self._place, body)

    def standing(self, key: str) -> Standing | None:
        """Return how far a published node has come; None if there is no such node."""
        response = self._send("GET", f"/metadata/{quoted(*self._place, key)}", params=_STANDING)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        attributes = _checked(response).json()["data"]["attributes"]
        found = attributes["metadata"].get("selected", attributes["metadata"]) or {}
        return Standing(
            str(found.get("status")),
            str(found.get("arrays")),
            ended=bool(found.get("stop_time")),
            file=_registered(attributes.get("data_sources") or ()),
        )

    def replace(self, key: str, metadata: Mapping[str, Any]) -> None:
        """Put another document in the place of a result's; the server keeps the old as a revision.

        The arrays stay as they are.
        """
        self._patch(key, [{"op": "replace", "path": "", "value": metadata}], keep_old=True)

    def write_array(self, key: str, name: str, values: NDArray[Any], units: str) -> str:
        """Write one array below a result, over what is there of it; returns under which name.

        That is `name`, with the shape behind it where another shape has the name: no key of a
        service may delete, and Tiled does not shrink arrays.
        """
        values = np.ascontiguousarray(values)
        if not self._make_array(key, name, values, units) and not self._fits(key, name, values):
            name = f"{name}_{'x'.join(map(str, values.shape))}"
            self._make_array(key, name, values, units)
        self._fill_array((*self._place, key, name), values)
        return name

    def _make_array(self, key: str, name: str, values: NDArray[Any], units: str) -> bool:
        """Create the node of an array; False if there is one of that name."""
        body = {
            "id": name,
            "structure_family": "array",
            "metadata": {"units": units},
            "specs": [],
            "access_tags": self._tags,
            "data_sources": [_internal(values, _rows_a_block(values))],
        }
        return self._post("metadata", (*self._place, key), body)

    def _fits(self, key: str, name: str, values: NDArray[Any]) -> bool:
        """Whether the array that has this name is of the same shape and kind of number.

        Where the server does not say, it is taken to be: what does not fit, it then refuses.
        """
        path = f"/metadata/{quoted(*self._place, key, name)}"
        answer = _checked(self._send("GET", path, params={"fields": "structure"})).json()
        structure = answer["data"]["attributes"].get("structure")
        if not structure:
            return True
        kind = structure.get("data_type") or {}
        there = (structure.get("shape"), kind.get("kind"), kind.get("itemsize"))
        return there == (list(values.shape), values.dtype.kind, values.itemsize)

    def _fill_array(self, place: tuple[str, ...], values: NDArray[Any]) -> None:
        path, rows = quoted(*place), _rows_a_block(values)
        if rows >= len(values):
            self._put(f"/array/full/{path}", values)
            return
        for block, first in enumerate(range(0, len(values), rows)):
            index = ",".join([str(block), *["0"] * (values.ndim - 1)])
            self._put(f"/array/block/{path}?block={index}", values[first : first + rows])

    def amend(self, key: str, changes: Mapping[str, Any]) -> None:
        """Change some entries of a result's document, without keeping the old version."""
        steps = [{"op": "add", "path": _pointer(k), "value": v} for k, v in changes.items()]
        self._patch(key, steps, keep_old=False)

    def _patch(self, key: str, steps: list[dict[str, Any]], *, keep_old: bool) -> None:
        # A merge patch that does not name the access tags takes all of them away (tiled 0.2.20).
        body = {"content-type": "application/json-patch+json", "metadata": steps, "specs": None}
        drop = "false" if keep_old else "true"
        path = f"/metadata/{quoted(*self._place, key)}?drop_revision={drop}"
        response = self._send("PATCH", path, content=_json(body), headers=_JSON)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise GoneError(f"no result {key!r} in Tiled")
        _checked(response)

    def read(self, key: str, name: str) -> bytes:
        """Return the bytes of one array of a result."""
        path = f"/array/full/{quoted(*self._place, key, name)}"
        return _checked(self._send("GET", path, headers={"Accept": _BYTES["Content-Type"]})).content

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ensure_container(self) -> None:
        if self._ready:
            return
        for depth, name in enumerate(self._place):
            body: dict[str, Any] = {
                "id": name,
                "structure_family": "container",
                "metadata": {},
                "specs": [],
                "access_tags": self._tags,
            }
            if not self._exists(self._place[: depth + 1]):
                self._post("metadata", self._place[:depth], body)
        self._ready = True

    def _exists(self, place: tuple[str, ...]) -> bool:
        response = self._send("GET", f"/metadata/{quoted(*place)}", params={"fields": ""})
        if response.status_code == httpx.codes.NOT_FOUND:
            return False
        _checked(response)
        return True

    def _post(self, kind: str, place: tuple[str, ...], body: Mapping[str, Any]) -> bool:
        """Create a node in `place`; False if one of that name exists."""
        response = self._send(
            "POST", f"/{kind}/{quoted(*place)}", content=_json(body), headers=_JSON
        )
        if response.status_code == httpx.codes.CONFLICT:
            return False
        if response.status_code == httpx.codes.NOT_FOUND:
            self._ready = False  # the container was removed: made again at the next try
            raise GoneError(f"no container {'/'.join(place)!r} in Tiled")
        _checked(response)
        return True

    def _put(self, path: str, values: NDArray[Any]) -> None:
        _checked(self._send("PUT", path, content=values.tobytes(), headers=_BYTES))

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401
        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise UnreachableError(f"{method} {path}: {error!r}") from None


_JSON = {"Content-Type": "application/json"}
_BYTES = {"Content-Type": "application/octet-stream"}


def _json(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body)


def _checked(response: httpx.Response) -> httpx.Response:
    """Return `response` if it is a success, else raise what kind of fault it is."""
    code = response.status_code
    if response.is_success:
        return response
    message = f"{response.request.method} {response.request.url.path}: {code} {response.text[:300]}"
    if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise RefusedError(message)
    if code in _AGAIN or not 400 <= code < 500:
        raise ServerFaultError(message)
    raise RejectedError(message)


def _registered(sources: Sequence[Mapping[str, Any]]) -> str:
    """Return the path of the file that a node's children are read from, '' if there is none."""
    uris = [asset["data_uri"] for source in sources for asset in source.get("assets") or ()]
    return unquote(urlsplit(uris[0]).path) if uris else ""


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _external(file: Path) -> dict[str, Any]:
    asset = {
        "data_uri": f"file://localhost{quote(str(file))}",
        "is_directory": False,
        "parameter": "data_uris",
        "num": 0,
    }
    return {
        "structure_family": "container",
        "structure": None,
        "mimetype": HDF5,
        "parameters": {},
        "management": "external",
        "assets": [asset],
    }


def _internal(values: NDArray[Any], rows: int) -> dict[str, Any]:
    """Return Tiled's description of an array stored in chunks of `rows` along its first axis."""
    chunks = [_split(values.shape[0], rows), *[[n] for n in values.shape[1:]]]
    kind = {
        "endianness": "not_applicable" if values.itemsize == 1 else "little",
        "kind": values.dtype.kind,
        "itemsize": values.itemsize,
        "dt_units": None,
    }
    structure = {
        "data_type": kind,
        "chunks": chunks,
        "shape": list(values.shape),
        "dims": None,
        "resizable": False,
    }
    return {
        "structure_family": "array",
        "structure": structure,
        "mimetype": None,
        "parameters": {},
        "management": "writable",
        "assets": [],
    }


def _rows_a_block(values: NDArray[Any]) -> int:
    row = values.nbytes // max(1, len(values))
    return max(1, min(len(values), BLOCK_BYTES // max(1, row)))


def _split(total: int, size: int) -> list[int]:
    whole, rest = divmod(total, size)
    return [size] * whole + ([rest] if rest else [])
