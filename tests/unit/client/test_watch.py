"""The watch against announcements over a real websocket and a listing in memory."""

import json
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from xanes_live.client.watch import Watch

PATIENCE_S = 10.0


class Container(SimpleNamespace):
    """As much of Tiled's client of a container as the watch uses."""

    def __getitem__(self, key):
        return SimpleNamespace(metadata=self.nodes[key])


class Place:
    """A results container: listed over (mock) HTTP, announced over a websocket."""

    def __init__(self):
        self.nodes = {}
        self.sockets = []
        self.away = False
        self.connections = threading.Semaphore(0)
        self.http = httpx.Client(transport=httpx.MockTransport(self.list))
        self.server = serve(self.serve, "127.0.0.1", 0)
        port = self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.container = Container(
            uri=f"http://127.0.0.1:{port}/api/v1/metadata/sandbox/xanes_live",
            item={"links": {"search": "http://x/search"}},
            context=SimpleNamespace(http_client=self.http, api_key="abc"),
            nodes=self.nodes,
        )

    def list(self, request):
        if self.away:
            raise httpx.ConnectError("away")
        offset = int(request.url.params["page[offset]"])
        limit = int(request.url.params["page[limit]"])
        assert request.url.params["sort"] == "-"
        keys = list(reversed(self.nodes))[offset : offset + limit]
        data = [
            {"id": key, "attributes": {"metadata": {"selected": self.nodes[key]}}} for key in keys
        ]
        return httpx.Response(200, json={"data": data})

    def serve(self, socket):
        assert socket.request.path == (
            "/api/v1/stream/single/sandbox/xanes_live?envelope_format=json"
        )
        assert socket.request.headers["Authorization"] == "Apikey abc"
        socket.send(json.dumps({"type": "container-schema", "version": 1}))
        self.sockets.append(socket)
        self.connections.release()
        for _ in socket:
            pass
        with suppress(ValueError):
            self.sockets.remove(socket)

    def put(self, key, status="complete", *, announce=True, **more):
        new = key not in self.nodes
        self.nodes[key] = {"status": status, "n": len(self.nodes), **more}
        kind = "container-child-created" if new else "container-child-metadata-updated"
        message = {"type": kind, "key": key, "metadata": self.nodes[key]}
        for socket in tuple(self.sockets) if announce else ():
            with suppress(ConnectionClosed):
                socket.send(json.dumps(message))

    def cut(self):
        """End all connections as a killed server does."""
        for socket in tuple(self.sockets):
            with suppress(OSError):
                socket.socket.shutdown(2)
        self.sockets.clear()

    def close(self):
        self.cut()
        self.server.shutdown()
        self.http.close()


class Heard:
    def __init__(self):
        self.keys = []
        self.some = threading.Semaphore(0)

    def __call__(self, key, metadata):
        assert metadata["status"] == "complete"
        self.keys.append(key)
        self.some.release()

    def wait(self, count):
        for _ in range(count):
            assert self.some.acquire(timeout=PATIENCE_S)


@pytest.fixture
def place():
    made = Place()
    yield made
    made.close()


@contextmanager
def watching(place, heard, **options):
    options = {"reconcile_s": 1000.0, "retry_s": 0.05, **options}
    with Watch(lambda: place.container, heard, **options).start() as watch:
        assert place.connections.acquire(timeout=PATIENCE_S)
        yield watch


def test_what_exists_is_not_news_and_what_comes_is_heard_once(place):
    place.put("old")
    heard = Heard()
    with watching(place, heard) as watch:
        assert watch.connected or watch._listening.wait(PATIENCE_S)
        place.put("a")
        place.put("a")
        place.put("b")
        heard.wait(2)
    assert heard.keys == ["a", "b"]


def test_a_result_is_heard_when_it_is_complete_not_before(place):
    heard = Heard()
    with watching(place, heard):
        place.put("a", "writing")
        place.put("b")
        heard.wait(1)
        place.put("a")
        heard.wait(1)
    assert heard.keys == ["b", "a"]


def test_what_happened_while_the_connection_was_lost_is_delivered(place):
    heard = Heard()
    with watching(place, heard):
        place.put("a")
        heard.wait(1)
        place.away = True
        place.cut()
        place.put("b", announce=False)
        place.put("c", "writing", announce=False)
        place.away = False
        heard.wait(1)
        assert place.connections.acquire(timeout=PATIENCE_S)
        place.put("d")
        place.put("c")
        heard.wait(2)
    assert heard.keys[:2] == ["a", "b"]
    assert sorted(heard.keys) == ["a", "b", "c", "d"]


def test_many_missed_results_come_in_their_order(place, monkeypatch):
    monkeypatch.setattr("xanes_live.publish.tiled.PAGE", 10)
    monkeypatch.setattr("xanes_live.client.watch.PAGE", 10)
    for number in range(25):
        place.put(f"old{number}")
    heard = Heard()
    with watching(place, heard):
        place.away = True
        place.cut()
        for number in range(35):
            place.put(f"new{number}", announce=False)
        place.away = False
        heard.wait(35)
    assert heard.keys == [f"new{number}" for number in range(35)]


def test_an_announcement_that_never_came_is_made_up_for(place):
    heard = Heard()
    with watching(place, heard, reconcile_s=0.1):
        place.put("a", announce=False)
        heard.wait(1)
    assert heard.keys == ["a"]


def test_a_callback_that_fails_does_not_end_the_watch(place, caplog):
    heard = Heard()

    def fail_first(key, metadata):
        heard(key, metadata)
        if key == "a":
            raise ValueError(key)

    with watching(place, fail_first):
        place.put("a")
        place.put("b")
        heard.wait(2)
    assert heard.keys == ["a", "b"]
    assert "callback failed" in caplog.text


def test_nonsense_on_the_line_is_survived(place):
    heard = Heard()
    with watching(place, heard):
        (socket,) = place.sockets
        for text in ('{"type": "something-new"}', "[1, 2]", "not json", '{"key": "x"}', "null"):
            socket.send(text)
        place.put("a")
        heard.wait(1)
    assert heard.keys == ["a"]


def test_a_container_that_does_not_exist_yet_is_waited_for(place):
    heard = Heard()
    there = []
    watch = Watch(lambda: there[0] if there else None, heard, retry_s=0.05).start()
    place.put("a")
    there.append(place.container)
    heard.wait(1)
    watch.close()
    assert heard.keys == ["a"]


def test_nothing_comes_after_the_end(place):
    heard = Heard()
    with watching(place, heard) as watch:
        place.put("a")
        heard.wait(1)
    assert not watch._thread.is_alive()
    assert not watch.connected
    place.put("b")
    assert heard.keys == ["a"]


def test_it_can_be_closed_from_its_own_callback(place):
    heard = Heard()
    box = []

    def once(key, metadata):
        box[0].close()
        heard(key, metadata)

    with watching(place, once) as watch:
        box.append(watch)
        place.put("a")
        heard.wait(1)
        watch._thread.join(PATIENCE_S)
        assert not watch._thread.is_alive()


@pytest.mark.parametrize("announce", [True, False])
def test_a_result_that_was_replaced_is_heard_once_more(place, announce):
    place.put("a")
    heard = Heard()
    with watching(place, heard, reconcile_s=1000.0 if announce else 0.1) as watch:
        assert watch._listening.wait(PATIENCE_S)
        place.put("a", revised=1_760_000_000.0, announce=announce)
        heard.wait(1)
        place.put("a", arrays="complete", revised=1_760_000_000.0, announce=announce)
        place.put("b")
        heard.wait(1)
    assert heard.keys == ["a", "b"]
