"""Documents as bytes: exact both ways, NaN-safe, and pickles never run."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import threading
import time
from typing import ClassVar

import msgpack
import numpy as np
import pytest
import zmq as pyzmq
from hypothesis import given
from hypothesis import strategies as st

from tests import runs
from xanes_live.documents import wire
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.zmq import ZmqSource, start_proxy
from xanes_live.errors import ConfigurationError

KINDS = ["json", "msgpack"]
DOCUMENT = {
    "uid": "u",
    "data": {"a": 1.5, "b": float("nan"), "c": np.arange(6.0).reshape(2, 3), "d": np.float64(2)},
    "flag": np.bool_(True),
    "set": {1},
    "none": None,
    "odd": object(),
}


class Boom:
    """Unpickling this leaves a mark."""

    mark: ClassVar[list] = []

    def __reduce__(self):
        return (Boom.mark.append, (1,))


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind):
    back = wire.deserializer(kind)(wire.publisher_serializer(kind)(DOCUMENT))
    assert back["data"]["a"] == 1.5
    assert back["data"]["b"] is None or np.isnan(back["data"]["b"])
    np.testing.assert_array_equal(back["data"]["c"], np.arange(6.0).reshape(2, 3))
    assert (back["data"]["d"], back["flag"], back["set"], back["none"]) == (2.0, True, [1], None)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_arrives_as_nan_in_the_columns(kind):
    records: list = []
    callback = XanesCallback(records.append)
    dumps, loads = wire.publisher_serializer(kind), wire.deserializer(kind)
    columns = {"energy": np.array([7000.0, np.nan, 7002.0]), "i0": np.array([np.inf, 1.0, 2.0])}
    for name, document in runs.documents(columns):
        callback(name, loads(dumps(document)))
    found = records[0].streams["primary"].columns
    np.testing.assert_array_equal(found["energy"], columns["energy"])
    assert found["i0"][1] == 1.0
    assert not np.isfinite(found["i0"][0])


@pytest.mark.parametrize("pages", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_floats_survive_to_the_bit(kind, pages):
    dumps, loads = wire.publisher_serializer(kind), wire.deserializer(kind)
    records: list = []
    callback = XanesCallback(records.append)
    documents = runs.xas(runs.PLAIN, runs.FE, pages=pages)
    for name, document in documents:
        callback(name, loads(dumps(document)))
    i0 = runs.readings(7112.0 + runs.GRID)["i0"]
    assert records[0].streams["primary"].columns["i0"].tobytes() == i0.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_are_refused(kind):
    for payload in (pickle.dumps({"a": Boom()}), pickle.dumps(Boom()), pickle.dumps([1, 2])):
        try:
            found = wire.deserializer(kind)(payload)
        except ValueError:
            continue
        assert not isinstance(found, dict)
    assert Boom.mark == []


CRAFTED = {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": pickle.dumps(Boom())}


def test_an_array_of_objects_in_msgpack_is_refused():
    with pytest.raises(ValueError, match="refused"):
        wire.from_msgpack(msgpack.packb({"a": CRAFTED}))
    assert Boom.mark == []


@pytest.mark.parametrize("change", [{b"type": "|O"}, {b"type": "V8"}, {b"type": [["a", "|O"]]}])
def test_other_arrays_that_are_no_numbers_are_refused(change):
    with pytest.raises(ValueError, match=r"refused|document"):
        wire.from_msgpack(msgpack.packb({**CRAFTED, b"kind": b"", **change}))
    assert Boom.mark == []


def test_pickles_stay_refused_after_bluesky_kafka_has_patched_msgpack():
    pytest.importorskip("bluesky_kafka")
    code = """
import pickle, msgpack
class Boom:
    def __reduce__(self):
        return (print, ("UNPICKLED",))
crafted = msgpack.packb({b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1],
                         b"data": pickle.dumps(Boom())})
import bluesky_kafka
from xanes_live.documents.wire import from_msgpack
try:
    from_msgpack(crafted)
except ValueError as error:
    print("refused")
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["refused"]


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_value_error(message):
    for kind in KINDS:
        with contextlib.suppress(ValueError):
            wire.deserializer(kind)(message)


def test_numpy_packed_by_msgpack_numpy_itself_is_read():
    msgpack_numpy = pytest.importorskip("msgpack_numpy")
    packed = msgpack.packb(
        {"a": np.arange(3), "b": np.float32(1.5), "c": np.array(["x", "yz"])},
        default=msgpack_numpy.encode,
    )
    back = wire.from_msgpack(packed)
    np.testing.assert_array_equal(back["a"], [0, 1, 2])
    assert back["b"] == 1.5
    assert back["c"].tolist() == ["x", "yz"]


def test_kafka_without_its_extra(monkeypatch):
    from xanes_live.config import SourceConfig
    from xanes_live.documents.kafka import KafkaSource
    from xanes_live.errors import MissingDependencyError

    monkeypatch.setitem(sys.modules, "bluesky_kafka", None)
    monkeypatch.delitem(sys.modules, "bluesky_kafka.consume", raising=False)
    with pytest.raises(MissingDependencyError, match=r"xanes-live\[kafka\]"):
        KafkaSource(SourceConfig(kind="kafka", topics=("t",)))


# -- ZMQ -----------------------------------------------------------------------------------------


class Listening:
    """A source on a thread, and what its callback received."""

    def __init__(self, address: str, serializer: str, prefix: str = "", callback=None) -> None:
        self.source = ZmqSource(address, serializer, prefix)
        self.received: list = []
        self.stop = threading.Event()
        target = callback or (lambda name, doc: self.received.append((name, doc)))
        self.thread = threading.Thread(target=self.source.run, args=(target, self.stop))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


def wait(condition, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


@pytest.fixture
def proxy():
    running = start_proxy("127.0.0.1:0", "127.0.0.1:0")
    yield running
    running.stop()


@pytest.fixture
def publish(proxy):
    """Return a function that sends bytes to the proxy."""
    with pyzmq.Context() as context, context.socket(pyzmq.PUB) as socket:
        socket.linger = 0
        socket.connect(f"tcp://{proxy.in_address}")
        yield socket.send


def greet(publish, listening, message=b" start {}") -> None:
    """Send until the subscription has reached the publisher."""
    before = listening.source.counters.messages

    def arrived():
        publish(message)
        time.sleep(0.02)
        return listening.source.counters.messages > before

    wait(arrived)
    time.sleep(0.2)
    listening.received.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_bluesky_publisher_through_the_proxy(proxy, kind):
    from bluesky.callbacks.zmq import Publisher

    records: list = []
    callback = XanesCallback(records.append)
    with Listening(proxy.out_address, kind, callback=callback):
        publisher = Publisher(proxy.in_address, serializer=wire.publisher_serializer(kind))
        documents = runs.xas(runs.PLAIN, runs.FE)

        def sent():
            callback_before = callback.counters.documents
            publisher("resource", {"uid": "x"})
            time.sleep(0.02)
            return callback.counters.documents > callback_before

        wait(sent)
        for name, document in documents:
            publisher(name, document)
        wait(lambda: records)
        publisher.close()
    np.testing.assert_array_equal(
        records[0].streams["primary"].columns["energy"], 7112.0 + runs.GRID
    )
    assert records[0].problems == ()


def test_bad_messages_are_skipped(proxy, publish):
    with Listening(proxy.out_address, "json") as listening:
        greet(publish, listening)
        bad = [
            b"", b"x", b" start", b" start {", b"\xff \xff \xff", b" \xff {}",
            b" event " + b"[" * 10**5, b" event " + pickle.dumps(Boom()), b" start nul", b"  ",
        ]  # fmt: skip
        for message in bad:
            publish(message)
        publish(b' unknown_name {"a": 1}')
        publish(b' stop {"a": 2}')
        wait(lambda: len(listening.received) == 2)
        assert listening.received == [("unknown_name", {"a": 1}), ("stop", {"a": 2})]
        assert listening.source.counters.bad == len(bad)
    assert Boom.mark == []


def test_a_callback_that_fails_does_not_end_the_source(proxy, publish):
    calls: list = []

    def fails(name, document):
        calls.append(name)
        raise RuntimeError(name)

    with Listening(proxy.out_address, "json", callback=fails) as listening:

        def twice():
            publish(b" start {}")
            time.sleep(0.02)
            return len(calls) >= 3

        wait(twice)
        assert listening.source.counters.messages == 0
        assert listening.source.counters.bad >= 3


def test_prefixes(proxy, publish):
    with Listening(proxy.out_address, "json", "mine") as listening:
        greet(publish, listening, b"mine start {}")
        publish(b"other stop {}")
        publish(b" stop {}")
        publish(b"mineral stop {}")
        publish(b'mine stop {"a": 1}')
        wait(lambda: listening.received)
        assert listening.received == [("stop", {"a": 1})]


def test_the_source_comes_back_with_the_proxy():
    first = start_proxy("127.0.0.1:0", "127.0.0.1:0")
    with (
        Listening(first.out_address, "json") as listening,
        pyzmq.Context() as context,
        context.socket(pyzmq.PUB) as socket,
    ):
        socket.linger = 0
        socket.connect(f"tcp://{first.in_address}")
        greet(socket.send, listening)
        first.stop()
        second = start_proxy(first.in_address, first.out_address)
        try:
            greet(socket.send, listening)
            socket.send(b' stop {"again": 1}')
            wait(lambda: listening.received)
            assert listening.received == [("stop", {"again": 1})]
        finally:
            second.stop()


def test_silence_lets_stale_runs_be_closed(proxy):
    records: list = []
    clock = [0.0]
    callback = XanesCallback(records.append, stale_s=10.0, clock=lambda: clock[0])
    for name, document in runs.xas(runs.PLAIN, runs.FE)[:-1]:
        callback(name, document)
    clock[0] = 11.0
    with Listening(proxy.out_address, "json", callback=callback):
        wait(lambda: records)


def test_configuration_errors():
    with pytest.raises(ConfigurationError, match="pickle is refused"):
        ZmqSource("127.0.0.1:1", "pickle")
    with pytest.raises(ConfigurationError, match="host:port"):
        start_proxy("5577", "127.0.0.1:0")
    with pytest.raises(ConfigurationError, match="host:port"):
        start_proxy("127.0.0.1:0", "5578")
    running = start_proxy("127.0.0.1:0", "127.0.0.1:0")
    with pytest.raises(ConfigurationError):
        start_proxy(running.in_address, "127.0.0.1:0")
    running.stop()


def test_the_proxy_listens_on_loopback_only(proxy):
    assert proxy.in_address.startswith("127.0.0.1:")
    assert proxy.out_address.startswith("127.0.0.1:")
