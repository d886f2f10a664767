"""The publishing thread under every fault a server can show."""

import logging
import sqlite3
import threading
from dataclasses import replace

import httpx
import pytest

from tests import factories
from tests.unit.publish.fake_tiled import FakeTiled, lost, raising, status
from xanes_live.config import Config
from xanes_live.publish import writer
from xanes_live.publish.document import declined_node, node
from xanes_live.publish.outbox import Outbox, State
from xanes_live.publish.remote import Remote
from xanes_live.publish.writer import Condition, Publisher

CONFIG = Config.model_validate({"tiled": {"arrays": "none"}})
PATIENCE_S = 20.0
LIKE = node(factories.result(), CONFIG)


def node_of(key):
    return replace(LIKE, key=key)


@pytest.fixture
def server():
    return FakeTiled()


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "outbox.sqlite")
    yield box
    box.close()


@pytest.fixture
def publisher(server, outbox):
    remote = Remote(CONFIG.tiled, "secret-key", server.transport())
    made = Publisher(CONFIG.tiled, "secret-key", outbox, remote=remote)
    yield made
    made.stop()


@pytest.fixture
def fast(monkeypatch):
    """Pauses of milliseconds."""
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "REFUSED_PAUSE_S", "REJECTED_PAUSE_S"):
        monkeypatch.setattr(writer, name, 0.005)
    monkeypatch.setattr(writer, "LONGEST_REJECTED_PAUSE_S", 0.01)


def down(request):
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize(
    "fault",
    [
        raising(httpx.ConnectError("refused")),
        raising(httpx.ConnectTimeout("late")),
        raising(httpx.ReadTimeout("late")),
        raising(httpx.RemoteProtocolError("cut")),
        status(500),
        status(502),
        status(503),
        status(429),
        status(408),
        status(401),
        status(403),
        status(422),
        status(413),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2, 3, 4])
def test_no_fault_loses_or_doubles_a_result(server, outbox, publisher, fast, fault, before):
    server.faults = [lambda request: None] * before + [fault, fault]
    for key in ("a-1", "b-2", "c-3"):
        publisher.put(node_of(key))
    publisher.start()
    assert publisher.flush(PATIENCE_S)
    assert {k: n.metadata["status"] for k, n in server.results().items()} == {
        "a-1": "complete",
        "b-2": "complete",
        "c-3": "complete",
    }
    assert publisher.health.condition is Condition.OK


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut"), httpx.ReadError("reset")]
)
def test_an_answer_that_is_lost_does_not_double_a_result(server, publisher, fast, error):
    server.always = None
    server.faults = [lost(server, error)] * 8
    publisher.put(node_of("a-1"))
    publisher.start()
    assert publisher.flush(PATIENCE_S)
    assert set(server.results()) == {"a-1"}


def test_pauses_grow_to_a_bound_while_tiled_is_away(server, outbox, publisher, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    server.always = down
    publisher.put(node_of("a-1"))
    pauses = [publisher.step() for _ in range(12)]
    assert pauses[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert pauses[-1] == writer.LONGEST_PAUSE_S
    health = publisher.health
    assert health.condition is Condition.RETRYING
    assert health.counts.pending == 1
    assert health.errors == 12
    server.always = None
    assert publisher.step() == 0.0
    assert publisher.health.condition is Condition.OK
    assert publisher.health.last_success > 0
    server.always = down
    publisher.put(node_of("b-2"))
    assert publisher.step() == 0.2


def test_pauses_differ_between_services(server, publisher):
    server.always = down
    publisher.put(node_of("a-1"))
    for _ in range(8):
        publisher.step()
    assert len({publisher.step() for _ in range(5)}) > 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_parks_loudly_and_recovers(server, publisher, caplog, code):
    server.always = status(code)
    publisher.put(node_of("a-1"))
    with caplog.at_level(logging.DEBUG, "xanes_live"):
        assert publisher.step() == writer.REFUSED_PAUSE_S
        assert publisher.step() == writer.REFUSED_PAUSE_S
    assert publisher.health.condition is Condition.PARKED
    assert str(code) in publisher.health.message
    loud = [r for r in caplog.records if r.levelno == logging.ERROR and "parked" in r.getMessage()]
    assert len(loud) == 2
    server.always = None
    assert publisher.step() == 0.0
    assert publisher.health.condition is Condition.OK
    assert set(server.results()) == {"a-1"}


def test_the_key_is_sent_but_never_shown(server, publisher, caplog):
    seen = []
    server.always = lambda request: seen.append(request.headers["Authorization"])
    publisher.put(node_of("a-1"))
    with caplog.at_level(logging.DEBUG):
        publisher.step()
        server.always = status(401)
        publisher.put(node_of("b-2"))
        publisher.step()
    assert seen[0] == "Apikey secret-key"
    assert "secret-key" not in caplog.text
    assert "secret-key" not in repr(publisher.health)
    assert all("secret-key" not in str(getattr(r, "values", "")) for r in caplog.records)


@pytest.mark.parametrize("code", [400, 404, 413, 415, 422, 500, 503])
def test_one_bad_result_does_not_hold_up_the_others(server, outbox, publisher, code):
    def only_bad(request):
        bad = b'"bad-1"' in request.content
        return httpx.Response(code, json={"detail": "no"}) if bad else None

    server.always = only_bad
    for key in ("bad-1", "b-2", "c-3"):
        publisher.put(node_of(key))
    for _ in range(4):
        publisher.step()
    assert set(server.results()) == {"b-2", "c-3"}
    assert outbox.state("bad-1") is State.PENDING
    assert publisher.health.counts.refused == 1
    server.always = None
    outbox.put_off("bad-1", -1.0, "")  # its pause is over
    publisher.step()
    assert "bad-1" in server.results()


def test_a_rejected_result_is_tried_less_and_less_often(server, outbox, publisher, monkeypatch):
    offs = []
    real = outbox.put_off

    def put_off(key, seconds, error):
        offs.append(seconds)
        real(key, -1.0, error)

    monkeypatch.setattr(outbox, "put_off", put_off)
    server.always = lambda r: httpx.Response(422) if b'"bad-1"' in r.content else None
    publisher.put(node_of("bad-1"))
    for _ in range(9):
        publisher.step()
    assert offs[:4] == [30.0, 60.0, 120.0, 240.0]
    assert offs[-1] == writer.LONGEST_REJECTED_PAUSE_S


def test_putting_does_not_wait_for_a_server_that_hangs(server, outbox, publisher):
    arrived, go_on = threading.Event(), threading.Event()

    def hang(request):
        arrived.set()
        assert go_on.wait(PATIENCE_S)

    server.always = hang
    publisher.start()
    publisher.put(node_of("a-1"))
    assert arrived.wait(PATIENCE_S)
    for number in range(20):  # returns although the thread is inside a request
        publisher.put(node_of(f"b-{number}"))
    assert outbox.counts().pending == 21
    assert not publisher.flush(0.0)
    go_on.set()
    assert publisher.flush(PATIENCE_S)
    assert len(server.results()) == 21


def test_a_new_result_wakes_an_idle_thread(server, publisher):
    publisher.start()
    for number in range(5):
        publisher.put(node_of(f"k-{number}"))
        assert publisher.flush(PATIENCE_S)
    assert len(server.results()) == 5


def test_what_is_left_at_the_end_is_published_by_the_next_start(server, tmp_path, fast):
    path = tmp_path / "o.sqlite"
    server.always = down
    outbox = Outbox(path)
    first = Publisher(
        CONFIG.tiled, "k", outbox, remote=Remote(CONFIG.tiled, "k", server.transport())
    ).start()
    first.put(node_of("a-1"))
    first.stop()
    outbox.close()
    assert server.results() == {}
    server.always = None
    outbox = Outbox(path)
    second = Publisher(
        CONFIG.tiled, "k", outbox, remote=Remote(CONFIG.tiled, "k", server.transport())
    ).start()
    assert second.flush(PATIENCE_S)
    second.stop()
    outbox.close()
    assert set(server.results()) == {"a-1"}


def test_a_full_disk_costs_no_result(server, outbox, publisher, monkeypatch, fast):
    real = outbox.put

    def full(node):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox, "put", full)
    publisher.start()
    publisher.put(node_of("a-1"))
    assert not publisher.flush(0.05)
    monkeypatch.setattr(outbox, "put", real)
    publisher.put(node_of("b-2"))
    assert publisher.flush(PATIENCE_S)
    assert set(server.results()) == {"a-1", "b-2"}
    assert publisher.working


def test_an_observer_that_fails_is_not_the_end(server, outbox, caplog):
    def fail(key):
        raise ValueError(key)

    remote = Remote(CONFIG.tiled, None, server.transport())
    publisher = Publisher(CONFIG.tiled, None, outbox, on_complete=fail, remote=remote)
    publisher.put(node_of("a-1"))
    publisher.put(declined_node(factories.declined(), CONFIG))
    publisher.step()
    publisher.step()
    publisher.stop()
    assert len(server.results()) == 2
    assert outbox.pending() == 0


def test_a_defect_with_one_result_does_not_stop_the_others(server, outbox, publisher, monkeypatch):
    real = publisher._delivery.advance

    def advance(item):
        if item.node.key == "bad-1":
            raise ZeroDivisionError
        return real(item)

    monkeypatch.setattr(publisher._delivery, "advance", advance)
    for key in ("bad-1", "b-2"):
        publisher.put(node_of(key))
    publisher.step()
    publisher.step()
    assert set(server.results()) == {"b-2"}
    assert outbox.state("bad-1") is State.PENDING


def test_a_publisher_that_never_started_stops(publisher):
    assert not publisher.working
    publisher.stop()
