"""Kafka, against the mock cluster that comes with confluent-kafka."""

from __future__ import annotations

import threading
import time
import uuid

import numpy as np
import pytest

from tests import runs
from xanes_live.config import SourceConfig
from xanes_live.documents.callback import XanesCallback
from xanes_live.errors import ConfigurationError

pytest.importorskip("bluesky_kafka")

from bluesky_kafka import Publisher
from confluent_kafka import Producer

from xanes_live.documents import wire
from xanes_live.documents.kafka import KafkaSource

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker():
    """Address of a mock cluster that lives as long as its producer."""
    cluster = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1})
    node = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    yield f"{node.host}:{node.port}"
    del cluster


def config(broker: str, topic: str, **changes) -> SourceConfig:
    options = {"session.timeout.ms": "6000", "topic.metadata.refresh.interval.ms": "200"}
    values = {"kind": "kafka", "address": broker, "topics": (topic,), "options": options}
    return SourceConfig(**{**values, **changes})


class Consuming:
    def __init__(self, settings: SourceConfig, callback) -> None:
        self.source = KafkaSource(settings)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.source.run, args=(callback, self.stop))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


def wait(condition, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


@pytest.fixture
def topic(broker) -> str:
    """A topic that exists."""
    name = f"beamline.{uuid.uuid4().hex[:8]}"
    producer = Producer({"bootstrap.servers": broker})
    producer.list_topics(name, timeout=10)
    return name


def publish(broker: str, topic: str, documents, serializer=wire.to_msgpack) -> None:
    publisher = Publisher(topic=topic, bootstrap_servers=broker, key="ISS", serializer=serializer)
    for name, document in documents:
        publisher(name, document)
    publisher.flush()


@pytest.mark.parametrize("serializer", [wire.to_msgpack, wire.to_json])
def test_a_run_published_before_the_service_starts_is_not_lost(broker, topic, serializer):
    publish(broker, topic, runs.xas(runs.PLAIN, runs.FE), serializer)
    records: list = []
    settings = config(broker, topic, group_id=uuid.uuid4().hex)
    with Consuming(settings, XanesCallback(records.append)) as consuming:
        wait(lambda: records)
        assert consuming.source.bad == 0
    np.testing.assert_array_equal(
        records[0].streams["primary"].columns["energy"], 7112.0 + runs.GRID
    )
    assert records[0].problems == ()


def test_what_is_no_document_is_skipped(broker, topic):
    producer = Producer({"bootstrap.servers": broker})
    for message in (b"", b"\xc1", b"[1", b"cos\nsystem\n(S'true'\ntR.", wire.to_msgpack(["start"])):
        producer.produce(topic, message, key="ISS")
    producer.flush()
    publish(broker, topic, [("unknown", {}), *runs.xas(runs.PLAIN, runs.FE)])
    records: list = []
    settings = config(broker, topic, group_id=uuid.uuid4().hex)
    with Consuming(settings, XanesCallback(records.append)) as consuming:
        wait(lambda: records)
        assert consuming.source.bad >= 4


def test_a_restarted_service_goes_on_where_it_was(broker, topic):
    group = uuid.uuid4().hex
    first, second = runs.xas(runs.PLAIN, runs.FE), runs.xas(runs.PLAIN, runs.FE)
    records: list = []
    publish(broker, topic, first)
    with Consuming(config(broker, topic, group_id=group), XanesCallback(records.append)):
        wait(lambda: len(records) == 1)
    publish(broker, topic, second)
    with Consuming(config(broker, topic, group_id=group), XanesCallback(records.append)):
        wait(lambda: len(records) == 2)
        time.sleep(0.3)
    assert [r.uid for r in records] == [first[0][1]["uid"], second[0][1]["uid"]]


def test_a_topic_is_needed(broker):
    with pytest.raises(ConfigurationError, match="topic"):
        KafkaSource(config(broker, "x", topics=()))
