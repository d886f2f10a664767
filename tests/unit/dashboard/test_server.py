"""The web server: who is let in, what headers go out, what the websocket takes."""

import warnings

import httpx
import orjson
import pytest
from starlette.websockets import WebSocketDisconnect

from xanes_live.dashboard.security import host_name
from xanes_live.dashboard.server import create_app

with warnings.catch_warnings():
    # Starlette's test client has begun to prefer httpx2, which nothing else here needs.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.filterwarnings("ignore", message=".*httpx2.*")
    from starlette.testclient import TestClient


@pytest.fixture
def client():
    """A page whose Tiled does not exist."""
    app = create_app("http://127.0.0.1:9", "secret-key")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_and_its_headers(client):
    answer = client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret-key" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_other_host_names_are_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8050", "localhost", "[::1]:1", "LOCALHOST:80"])
def test_loopback_is_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_further_names_can_be_allowed():
    app = create_app("http://127.0.0.1:9", None, hosts=("beamline.example",))
    with TestClient(app, base_url="http://beamline.example") as client:
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "x"])
def test_a_websocket_of_another_page_is_refused(client, origin):
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/ws", headers={"origin": origin, "host": "127.0.0.1:8050"}),
    ):
        pass


def test_a_post_of_another_page_is_refused(client):
    body = {"keys": ["k"]}
    headers = {"origin": "http://evil.example"}
    assert client.post("/api/reprocess", json=body, headers=headers).status_code == 421


def pull(socket, **values):
    socket.send_text(orjson.dumps({"type": "pull", **values}).decode())
    return orjson.loads(socket.receive_text())


def test_the_websocket_answers_pulls(client):
    headers = {"origin": "http://127.0.0.1", "host": "127.0.0.1"}
    with client.websocket_connect("/ws", headers=headers) as socket:
        first = pull(socket)
        second = pull(socket, epoch=first["epoch"], have=first["versions"])
    assert first["type"] == "state"
    assert first["parts"]["status"]["reprocess"]["possible"] is False
    assert second["epoch"] == first["epoch"]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{}",
        "[]",
        '{"type": "push"}',
        '{"type":"pull","have":{"a":"x"}}',
        '{"type":"pull","more":1}',
        "nonsense",
    ],
)
def test_the_websocket_takes_nothing_else(client, message):
    with client.websocket_connect("/ws", headers={"host": "127.0.0.1"}) as socket:
        socket.send_text(message)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1008


def test_without_tiled_every_request_says_so(client):
    for path in ("result/k", "stacks/k", "raw/k", "export/k.csv", "merge?key=k", "context"):
        answer = client.get(f"/api/{path}")
        assert answer.status_code == 503, path
        assert answer.json()["error"].startswith("Tiled")


@pytest.mark.parametrize(
    ("path", "status"),
    [("export/k.exe", 400), ("merge", 400), ("raw/k?index=x", 400), ("result/..", 404)],
)
def test_requests_that_make_no_sense(client, path, status):
    assert client.get(f"/api/{path}").status_code == status


def test_nothing_is_reprocessed_without_a_key(client):
    answer = client.post("/api/reprocess", json={"keys": ["k"], "changes": {"e0": 7112}})
    assert answer.status_code == 403
    assert "key" in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"keys": []},
        {"keys": ["k"], "changes": {"e0": "x"}},
        {"keys": ["k"], "more": 1},
        {"keys": ["k"], "changes": {"device": "cuda"}},
        {"keys": ["k"] * 21},
        {"keys": ["k" * 300]},
        {"keys": ["k"], "changes": {"nnorm": 9}},
        {"keys": ["k"], "changes": {"align": "twice"}},
    ],
)
def test_wishes_are_checked(client, body):
    assert client.post("/api/reprocess", json=body).status_code == 400


def test_only_json_of_a_reasonable_length_is_taken(client):
    assert client.post("/api/reprocess", content=b"{}").status_code == 400
    long = httpx.Headers({"content-type": "application/json"})
    body = b'{"keys": ["' + b"x" * 100_000 + b'"]}'
    assert client.post("/api/reprocess", content=body, headers=long).status_code == 400


def test_static_files_do_not_lead_out(client):
    assert client.get("/static/main.js").status_code == 200
    assert client.get("/static/%2e%2e/server.py").status_code == 404
    assert client.get("/static/../server.py").status_code == 404


def test_names_of_hosts():
    assert host_name("[::1]:8050") == "[::1]"
    assert host_name("Localhost:1") == "localhost"
