"""A Tiled server in memory, as far as publication speaks to it, that can be made to fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np

API = "/api/v1"


class Killed(BaseException):
    """The publishing process dies here: nothing in it may catch this."""


@dataclass
class FakeNode:
    body: dict[str, Any]
    data: bytes | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        return self.body["metadata"]


@dataclass
class FakeTiled:
    """Answers requests; `faults` are used up first, one a request."""

    nodes: dict[str, FakeNode] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    faults: list[Callable[[httpx.Request], httpx.Response | None]] = field(default_factory=list)
    always: Callable[[httpx.Request], httpx.Response | None] | None = None
    """Asked before every request; None lets it pass."""
    revisions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Documents that were replaced, by node."""
    readers: list[Callable[[], None]] = field(default_factory=list)
    """Look at the nodes after every request."""

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.path)
        self.log.append(f"{request.method} {path.removeprefix(API)}")
        if self.always is not None and (answer := self.always(request)) is not None:
            return answer
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and (answer := fault(request)) is not None:
            return answer
        answer = self.serve(request)
        for look in self.readers:
            look()
        return answer

    def serve(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.path).removeprefix(API).strip("/")
        kind, _, place = path.partition("/")
        if request.method == "POST":
            return self._create(kind, place, json.loads(request.content))
        if place and place.removeprefix("full/").removeprefix("block/") not in self.nodes:
            return httpx.Response(404, json={"detail": "no such node"})
        if request.method == "GET":
            return self._metadata(place) if kind == "metadata" else self._bytes(place)
        answers = {"PUT": self._put, "PATCH": self._patch}
        return answers[request.method](place, request)

    def _bytes(self, place: str) -> httpx.Response:
        return httpx.Response(200, content=self.nodes[place.removeprefix("full/")].data or b"")

    def _patch(self, place: str, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert body["content-type"] == "application/json-patch+json"
        for step in body["metadata"]:
            assert step["op"] in {"add", "replace"}
            node = self.nodes[place]
            if step["path"] == "":
                self.revisions.setdefault(place, []).append(dict(node.metadata))
                node.body["metadata"] = step["value"]
            else:
                node.metadata[step["path"].removeprefix("/")] = step["value"]
        return httpx.Response(200, json={"id": place})

    def _create(self, kind: str, place: str, body: dict[str, Any]) -> httpx.Response:
        if place and place not in self.nodes:
            return httpx.Response(404, json={"detail": "no such container"})
        name = "/".join(part for part in (place, body["id"]) if part)
        if name in self.nodes:
            return httpx.Response(409, json={"detail": "exists"})
        external = any(source["assets"] for source in body.get("data_sources", ()))
        assert external == (kind == "register")
        self.nodes[name] = FakeNode(body)
        return httpx.Response(200, json={"id": body["id"]})

    def _metadata(self, place: str) -> httpx.Response:
        body = self.nodes[place].body if place else {"metadata": {}}
        selected = {k: body["metadata"].get(k) for k in ("status", "arrays", "stop_time")}
        sources = body.get("data_sources", [])
        attributes = {"metadata": {"selected": selected}, "data_sources": sources}
        attributes["structure"] = sources[0]["structure"] if sources else None
        return httpx.Response(200, json={"data": {"attributes": attributes}})

    def _put(self, place: str, request: httpx.Request) -> httpx.Response:
        full = place.startswith("full/")
        node = self.nodes[place.removeprefix("full/").removeprefix("block/")]
        structure = node.body["data_sources"][0]["structure"]
        size = int(np.prod(structure["shape"])) * structure["data_type"]["itemsize"]
        if full and len(request.content) != size:
            return httpx.Response(500, json={"detail": "Internal server error"})
        node.data = request.content if full else (node.data or b"") + request.content
        return httpx.Response(200, json=None)

    def array(self, place: str) -> np.ndarray:
        """Return the data of an array node as its structure says."""
        structure = self.nodes[place].body["data_sources"][0]["structure"]
        kind = structure["data_type"]
        data = self.nodes[place].data
        assert data is not None
        return np.frombuffer(data, f"<{kind['kind']}{kind['itemsize']}").reshape(structure["shape"])

    def results(self, path: str = "sandbox/xanes_live") -> dict[str, FakeNode]:
        """Return the published nodes by key."""
        depth = path.count("/") + 1
        return {
            name.rpartition("/")[2]: node
            for name, node in self.nodes.items()
            if name.startswith(path + "/") and name.count("/") == depth
        }


def status(code: int) -> Callable[[httpx.Request], httpx.Response]:
    """Return a fault that answers with `code` and does nothing."""
    return lambda request: httpx.Response(code, json={"detail": f"fault {code}"}, request=request)


def lost(server: FakeTiled, error: BaseException) -> Callable[[httpx.Request], httpx.Response]:
    """Return a fault in which the request is carried out but its answer never arrives."""

    def fault(request: httpx.Request) -> httpx.Response:
        server.serve(request)
        for look in server.readers:
            look()
        raise error

    return fault


def raising(error: BaseException) -> Callable[[httpx.Request], httpx.Response]:
    """Return a fault in which the request never arrives."""

    def fault(request: httpx.Request) -> httpx.Response:
        raise error

    return fault
