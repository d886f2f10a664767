"""Every fault a beamline can have is named in one line, with what to do about it."""

import json
import os
import socket
import sqlite3
import stat
import threading
import time
from email.utils import formatdate

import h5py
import httpx
import numpy as np
import pytest
import zmq
from prometheus_client import CollectorRegistry

from tests import factories
from xanes_live.config import (
    API_KEY_VARIABLE,
    READER_KEY_VARIABLE,
    MetricsConfig,
    SourceConfig,
    parse,
)
from xanes_live.documents.wire import publisher_serializer
from xanes_live.errors import UnknownModelError
from xanes_live.service import check
from xanes_live.service.check_reader import reader_findings
from xanes_live.service.check_source import kafka_findings, listened, receive, source_findings
from xanes_live.service.check_tiled import NEEDED, clock_findings, tiled_findings
from xanes_live.service.endpoint import Endpoint
from xanes_live.service.finding import Finding, Level
from xanes_live.service.health import Health

KEY = "5ec2e7" * 12
START = {"uid": "u", "time": 1.0}


def message(name: str, body: bytes, prefix: bytes = b"") -> bytes:
    return b" ".join([prefix, name.encode(), body])


def packed(form: str) -> bytes:
    return publisher_serializer(form)(START)


def only(found) -> Finding:
    (finding,) = found
    return finding


# -- documents ----------------------------------------------------------------------------------


def test_documents_that_come_are_counted():
    messages = [message("start", packed("json")), message("event", packed("json"))]
    finding = listened(messages, SourceConfig(serializer="json"), 3.0)
    assert (finding.level, finding.text) == (Level.GOOD, "documents come: 1 start, 1 event")


@pytest.mark.parametrize(
    ("body", "serializer", "prefix", "words"),
    [
        # a pickle as bluesky sends it unless told otherwise: recognised by its marks, never loaded
        (b"\x80\x04}\x94.", "json", "", "serializer=publisher_serializer('msgpack')"),
        (packed("msgpack"), "json", "", "set serializer = 'msgpack'"),
        (packed("json"), "msgpack", "", "set serializer = 'json'"),
        (b"\x00\x01", "json", "", "is this a bluesky document stream?"),
        (packed("json"), "json", "other", "correct [source] prefix"),
    ],
)
def test_documents_that_would_not_be_understood(body, serializer, prefix, words):
    source = SourceConfig(serializer=serializer, prefix=prefix)
    finding = listened([message("event", body, b"mine")], source, 3.0)
    assert finding.level is Level.BAD
    assert words in finding.remedy


def test_silence_is_no_fault():
    assert listened([], SourceConfig(), 3.0).level is Level.NOTE


def test_a_running_publisher_is_heard():
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        publisher.setsockopt(zmq.LINGER, 0)
        config = parse({"source": {"address": f"127.0.0.1:{port}"}})
        repeat = threading.Event()
        thread = threading.Thread(target=_publish, args=(publisher, repeat))
        thread.start()
        try:
            heard = receive(f"tcp://127.0.0.1:{port}", 1.0)
        finally:
            repeat.set()
            thread.join()
        found = list(source_findings(config, 0.0))
    assert heard[0] == message("start", packed("json"))
    assert [f.level for f in found] == [Level.GOOD]


def _publish(publisher, stop):
    """Publish again and again: who listens is not there from the first message on."""
    while not stop.wait(0.02):
        publisher.send(message("start", packed("json")))


@pytest.mark.parametrize("address", ["localhost", "5578", ":5578", "host:port"])
def test_an_address_without_host_or_port(address):
    finding = only(source_findings(parse({"source": {"address": address}}), 0.0))
    assert "is not host:port" in finding.text


def test_no_proxy_is_said():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    finding = only(source_findings(parse({"source": {"address": f"127.0.0.1:{port}"}}), 0.0))
    assert finding.level is Level.BAD
    assert "bluesky-0MQ-proxy" in finding.remedy


def test_kafka_topics():
    kafka = pytest.importorskip("confluent_kafka")
    producer = kafka.Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1})
    broker = next(iter(producer.list_topics(timeout=10).brokers.values()))
    producer.produce("beamline", b"x")
    producer.flush(10)
    fields = {"kind": "kafka", "address": f"{broker.host}:{broker.port}"}
    good, bad = kafka_findings(SourceConfig(**fields, topics=("beamline", "nowhere")), 10.0)
    assert (good.level, bad.level) == (Level.GOOD, Level.BAD)
    assert "4 partitions, 1 messages kept, group xanes-live" in good.text
    assert "there are: beamline" in bad.text
    assert only(kafka_findings(SourceConfig(**fields), 10.0)).level is Level.BAD
    away = SourceConfig(kind="kafka", address="127.0.0.1:9", topics=("a",))
    assert "no Kafka at 127.0.0.1:9" in only(kafka_findings(away, 0.5)).text


# -- Tiled --------------------------------------------------------------------------------------


class Tiled:
    """As much of Tiled's interface as is asked for, with faults to choose from."""

    def __init__(self, **changes):
        self.scopes = [*NEEDED]
        self.access_tags = None
        self.expiration = None
        self.version = "0.2.20"
        self.formats = {"BlueskyRun": ["application/json-seq"]}
        self.multi_user = True
        self.clock = 0.0
        self.nodes = {"raw": {}, "sandbox": {}, "sandbox/xanes_live": {}}
        self.refuse = ""
        self.content = b""
        self.reads_files = False
        self.refuse_register = "register" not in changes.get("scopes", ())
        self.__dict__.update(changes)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answer(request, request.url.path.removeprefix("/api/v1"))
        answer.headers["date"] = formatdate(time.time() + self.clock, usegmt=True)
        return answer

    def answer(self, request, path):
        if path == "/":
            return httpx.Response(200, json=self.about())
        if request.headers.get("authorization") != f"Apikey {KEY}":
            return httpx.Response(401, json={"detail": "Invalid API key"})
        if path == "/auth/apikey":
            info = {"scopes": self.scopes, "access_tags": self.access_tags}
            return httpx.Response(200, json=info | {"expiration_time": self.expiration})
        if path == "/auth/whoami":
            return httpx.Response(200, json={"roles": [{"scopes": [*NEEDED, "delete:node"]}]})
        if request.method in {"POST", "PATCH", "PUT"} and self.refuse:
            return httpx.Response(403, json={"detail": self.refuse})
        kind, _, rest = path.strip("/").partition("/")
        return getattr(self, f"{request.method.lower()}_{kind}")(request, rest)

    def about(self):
        providers = [{"provider": "facility"}] if self.multi_user else []
        authentication = {"required": True, "providers": providers}
        return {
            "library_version": self.version,
            "formats": self.formats,
            "authentication": authentication,
        }

    def get_metadata(self, _, path):
        if path and path not in self.nodes:
            return httpx.Response(404, json={})
        return httpx.Response(
            200, json={"data": {"attributes": {"metadata": self.nodes.get(path)}}}
        )

    def get_search(self, _, path):
        if path not in self.nodes:
            return httpx.Response(404, json={})
        run = {"attributes": {"metadata": {"selected": {"uid": "a", "time": 1_760_000_000.0}}}}
        return httpx.Response(200, json={"data": [run], "meta": {"count": 17}})

    def post_metadata(self, request, path):
        body = json.loads(request.content)
        key = f"{path}/{body['id']}"
        if key in self.nodes:
            return httpx.Response(409, json={})
        self.nodes[key] = body["metadata"]
        return httpx.Response(200, json={})

    def post_register(self, request, path):
        if self.refuse_register:
            return httpx.Response(401, json={"detail": "Requires scopes ['register']"})
        if self.reads_files:
            uri = json.loads(request.content)["data_sources"][0]["assets"][0]["data_uri"]
            with h5py.File(uri.removeprefix("file://localhost")) as file:
                self.content = file["check"][()].tobytes()
        return self.post_metadata(request, path)

    def patch_metadata(self, request, path):
        body = json.loads(request.content)
        assert body.get("content-type") == "application/json-patch+json"
        for step in body["metadata"]:
            self.nodes[path][step["path"].strip("/")] = step["value"]
        return httpx.Response(200, json={})

    def put_array(self, request, _):
        self.content = request.content
        return httpx.Response(200, json={})

    def get_array(self, *_):
        return httpx.Response(200 if self.content else 500, content=self.content)

    def delete_metadata(self, _, path):
        del self.nodes[path]
        return httpx.Response(200, json={})


def look(tiled: Tiled, key: str = KEY, **settings) -> list[Finding]:
    config = parse({"tiled": {"uri": "http://tiled", "api_key": key, **settings}})
    return list(tiled_findings(config, httpx.MockTransport(tiled)))


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    monkeypatch.delenv(READER_KEY_VARIABLE, raising=False)


def test_a_server_as_it_should_be():
    tiled = Tiled()
    found = look(tiled)
    assert [f.level for f in found] == [Level.GOOD] * len(found)
    text = "\n".join(f.line() for f in found)
    for words in ("is Tiled 0.2.20", "17 there", "a node written", "an array written", "stays"):
        assert words in text
    assert tiled.nodes["sandbox/xanes_live/xanes-live-check"]["status"].startswith("check ")
    assert np.frombuffer(tiled.content).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert look(tiled)[0].level is Level.GOOD  # a second time, with the node already there


def test_what_may_be_deleted_is_deleted():
    tiled = Tiled(scopes=[*NEEDED, "delete:node", "delete:revision"])
    found = look(tiled)
    assert "sandbox/xanes_live/xanes-live-check" not in tiled.nodes
    assert [f.subject for f in found if f.level is Level.NOTE] == ["key"]  # it may do too much


@pytest.mark.parametrize(
    ("changes", "settings", "level", "words", "remedy"),
    [
        ({"version": "0.3.0"}, {}, Level.NOTE, "is Tiled 0.3.0", "tested with 0.2.20"),
        ({"clock": 90.0}, {}, Level.NOTE, "differs by +90 s", "NTP"),
        ({"clock": -90.0}, {}, Level.NOTE, "differs by -9", "NTP"),
        ({"scopes": ["read:data"]}, {}, Level.BAD, "lacks read:metadata", "make_keys.py"),
        ({"access_tags": ["a"]}, {}, Level.BAD, "restricted to the tags a", "access_tags"),
        (
            {"access_tags": ["a"]},
            {"access_tags": ["b"]},
            Level.BAD,
            "not for tag b, only for a",
            "access_tags",
        ),
        (
            {"expiration": "2020-01-01T00:00:00+00:00"},
            {},
            Level.NOTE,
            "expires in -",
            "make a new one",
        ),
        ({}, {"raw_path": "row"}, Level.BAD, "/row: no such container", "raw_path"),
        ({"formats": {}}, {}, Level.BAD, "406", "media_types"),
        ({"refuse": "wrong tags"}, {}, Level.BAD, "refused", "access_tags"),
        ({"refuse": "no"}, {}, Level.BAD, "refused", "right to write"),
        ({"multi_user": False}, {}, Level.NOTE, "single-user", "config.yml"),
    ],
)
def test_each_fault_is_named(changes, settings, level, words, remedy):
    wrong = [f for f in look(Tiled(**changes), **settings) if f.level is not Level.GOOD]
    assert any(words in f.text and remedy in f.remedy and f.level is level for f in wrong), wrong


def test_files_need_a_scope_and_a_server_that_reads_them(tmp_path):
    settings = {"arrays": "file", "arrays_directory": str(tmp_path)}
    wrong = [f for f in look(Tiled(), **settings) if f.level is Level.BAD]
    assert [f.subject for f in wrong] == ["key", "results"]
    assert "lacks register" in wrong[0].text
    found = look(Tiled(scopes=[*NEEDED, "register"], reads_files=True), **settings)
    assert "registered and read back" in found[-3].text
    unread = look(Tiled(scopes=[*NEEDED, "register"], refuse_register=False), **settings)
    assert any("readable_storage" in f.remedy for f in unread)


def test_a_key_that_inherits_has_the_scopes_of_its_account():
    found = look(Tiled(scopes=["inherit"]))
    assert any("valid" in f.text and "create:node" in f.text for f in found)


@pytest.mark.parametrize(
    ("key", "words"), [("", "none is set"), ("ab" * 32, "does not know the key")]
)
def test_without_a_good_key_nothing_else_is_tried(key, words):
    found = look(Tiled(), key=key) if key else list(_without_key())
    assert words in found[-1].text
    assert all(f.subject in {"tiled", "clock", "key"} for f in found)


def _without_key():
    config = parse({"tiled": {"uri": "http://tiled"}})
    return tiled_findings(config, httpx.MockTransport(Tiled()))


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(404)])
def test_something_else_answers(answer):
    config = parse({"tiled": {"uri": "http://tiled"}})
    finding = only(tiled_findings(config, httpx.MockTransport(lambda _: answer)))
    assert "is no Tiled server" in finding.text


def test_nobody_answers():
    def fail(request):
        raise httpx.ConnectError("connection refused")

    config = parse({"tiled": {"uri": "http://tiled"}})
    finding = only(tiled_findings(config, httpx.MockTransport(fail)))
    assert finding.level is Level.BAD
    assert "connection refused" in finding.text


@pytest.mark.parametrize(
    ("changes", "levels", "words"),
    [
        ({"scopes": ["read:metadata", "read:data"]}, [Level.GOOD, Level.GOOD], "reads /raw"),
        ({}, [Level.NOTE, Level.GOOD, Level.GOOD], "create:node"),
        ({"nodes": {"raw": {}}, "scopes": []}, [Level.BAD, Level.GOOD], "does not see /sandbox"),
    ],
)
def test_the_readers_key(monkeypatch, changes, levels, words):
    monkeypatch.setenv(READER_KEY_VARIABLE, KEY)
    config = parse({"tiled": {"uri": "http://tiled"}}).tiled
    found = list(reader_findings(config, httpx.MockTransport(Tiled(**changes))))
    assert [f.level for f in found] == levels
    assert any(words in f.text for f in found)


def test_a_readers_key_that_is_none(monkeypatch):
    config = parse({"tiled": {"uri": "http://tiled"}}).tiled
    assert list(reader_findings(config, httpx.MockTransport(Tiled()))) == []
    monkeypatch.setenv(READER_KEY_VARIABLE, "ab" * 36)
    finding = only(reader_findings(config, httpx.MockTransport(Tiled())))
    assert "does not know it" in finding.text


def test_a_server_without_a_clock_is_not_judged():
    assert list(clock_findings(None, time.time())) == []


# -- this machine -------------------------------------------------------------------------------


def test_an_outbox_that_can_be_kept(tmp_path):
    found = list(check.state_findings(tmp_path / "state"))
    assert found[0].level is not Level.BAD
    assert "GiB free" in found[0].text
    assert list((tmp_path / "state").iterdir()) == []


def test_an_outbox_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in only(check.state_findings(tmp_path / "file")).text


def test_what_waits_and_what_is_damaged(tmp_path):
    file = tmp_path / "outbox.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE outbox (state TEXT)")
        database.executemany("INSERT INTO outbox VALUES (?)", [("pending",), ("done",)])
    database.close()
    assert "1 results wait" in list(check.state_findings(tmp_path))[-1].text
    file.write_bytes(b"no database" * 100)
    last = list(check.state_findings(tmp_path))[-1]
    assert (last.level, "damaged" in last.text) == (Level.BAD, True)


def test_file_system_of_the_deepest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text("dev / ext4 rw 0 0\nhost:/x /data nfs4 rw 0 0\nbroken\n")
    assert check.file_system(tmp_path / "a", mounts) == "ext4"
    assert check.file_system(type(tmp_path)("/data/state"), mounts) == "nfs4"
    assert check.file_system(tmp_path, tmp_path / "none") == ""


def test_results_inside_the_raw_runs_are_refused(tmp_path):
    config = parse({"tiled": {"raw_path": "a", "results_path": "a/b", "arrays": "file"}})
    wrong = [f.text for f in check.configuration_findings(config, None) if f.level is Level.BAD]
    assert len(wrong) == 2
    assert "lies inside" in wrong[0]
    assert "arrays_directory" in wrong[1]


def test_a_key_others_can_read(tmp_path):
    path = tmp_path / "beamline.toml"
    path.write_text(f'[tiled]\napi_key = "{KEY}"\n')
    path.chmod(0o644)
    config = check.load(path)
    assert list(check.configuration_findings(config, path))[-1].level is Level.NOTE
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert list(check.configuration_findings(config, path))[-1].level is Level.GOOD


def test_models(monkeypatch):
    def unknown(_):
        raise UnknownModelError("cu-k", ("fe-k",))

    monkeypatch.setattr("xanes_live.service.service.load_predictors", unknown)
    finding = only(check.model_findings(parse({})))
    assert (finding.level, "available: fe-k" in finding.text) == (Level.BAD, True)


class Model:
    """Stands for an ensemble."""

    info = factories.MODEL
    energy = factories.model_input().energy
    device = "cuda:0"

    def __init__(self, fault=None):
        self.fault = fault

    def predict(self, mu):
        assert mu.shape == (1, self.energy.size)
        if self.fault:
            raise self.fault
        return [factories.prediction()]


@pytest.mark.parametrize(
    ("fault", "level", "words"),
    [
        (None, Level.GOOD, "fe-k 1.0.0 (0123456789abcdef) for the Fe K edge on cuda:0"),
        (RuntimeError("no kernel image"), Level.BAD, "does not compute"),
    ],
)
def test_a_model_is_tried(monkeypatch, fault, level, words):
    loaded = {("Fe", "K"): Model(fault)}
    monkeypatch.setattr("xanes_live.service.service.load_predictors", lambda _: loaded)
    finding = only(check.model_findings(parse({})))
    assert finding.level is level
    assert words in finding.text


@pytest.mark.parametrize(
    ("health", "level", "words"),
    [
        (Health(), Level.GOOD, "runs here and is well"),
        (Health(("the queue is full",)), Level.NOTE, "says: the queue is full"),
    ],
)
def test_a_running_service_is_asked(health, level, words):
    endpoint = Endpoint(MetricsConfig(), CollectorRegistry(), lambda: health).start(port=0)
    try:
        found = only(check.running_findings(MetricsConfig(port=endpoint.port)))
    finally:
        endpoint.stop()
    assert (found.level, words in found.text) == (level, True)
    assert list(check.running_findings(MetricsConfig(port=endpoint.port or 9))) == []


def test_something_else_on_the_port():
    with Endpoint(MetricsConfig(), CollectorRegistry(), lambda: None).start(port=0) as endpoint:
        found = only(check.running_findings(MetricsConfig(port=endpoint.port)))
    assert "something else answers" in found.text


# -- the command --------------------------------------------------------------------------------


def test_exit_code_and_no_secret(monkeypatch, capsys, tmp_path):
    leak = Finding.bad("tiled", f"refused Apikey {KEY}\nsecond line", "mend it")
    monkeypatch.setattr(check, "findings", lambda *_: [Finding.good("a", "fine"), leak])
    monkeypatch.setenv(API_KEY_VARIABLE, KEY)
    assert check.check_command(None, listen_s=0.0) == 1
    out = capsys.readouterr().out
    assert KEY not in out
    assert out.splitlines() == [
        "✓ a             fine",
        "✗ tiled         refused Apikey *** second line → mend it",
    ]
    monkeypatch.setattr(check, "findings", lambda *_: [Finding.note("a", "hm")])
    assert check.check_command(None, listen_s=0.0) == 0


def test_a_broken_file_is_the_only_finding(tmp_path, capsys):
    path = tmp_path / "a.toml"
    path.write_text("[tiled]\nurl = 3\n")
    assert check.check_command(path, listen_s=0.0) == 1
    assert capsys.readouterr().out.startswith("✗ configuration")
    assert os.listdir(tmp_path) == ["a.toml"]  # noqa: PTH208 - nothing else was made
