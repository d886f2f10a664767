"""Tests of where documents come from."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from xanes_live.config import Config, SourceConfig
from xanes_live.documents.wire import Serializer, deserializer
from xanes_live.service.finding import Finding

_NAMES = frozenset({"start", "descriptor", "event", "event_page", "stop", "datum", "datum_page",
                    "resource", "stream_resource", "stream_datum", "bulk_events",
                    "bulk_datum"})  # fmt: skip

_FORMS: tuple[Serializer, ...] = ("json", "msgpack")


def source_findings(config: Config, listen_s: float) -> Iterator[Finding]:
    """Yield whether documents can come, and which do within `listen_s` seconds."""
    source = config.source
    if source.kind == "none":
        yield Finding.good("source", "none: in-process use or replay only")
    elif source.kind == "kafka":
        yield from kafka_findings(source, config.tiled.timeout_s)
    else:
        yield from _zmq(source, config.tiled.timeout_s, listen_s)


def _zmq(source: SourceConfig, timeout_s: float, listen_s: float) -> Iterator[Finding]:
    address = source.address.removeprefix("tcp://")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        text = f"address {source.address!r} is not host:port"
        yield Finding.bad("source", text, "give the out side of the proxy, e.g. 127.0.0.1:5578")
        return
    try:
        socket.create_connection((host, int(port)), timeout_s).close()
    except OSError as error:
        text = f"no ZMQ proxy at {address}: {error.strerror or error}"
        remedy = (
            "is bluesky-0MQ-proxy running there, and is this the port it names as its out side?"
        )
        yield Finding.bad("source", text, remedy)
        return
    yield Finding.good("source", f"something listens at {address}")
    if listen_s > 0:
        yield listened(receive(f"tcp://{address}", listen_s), source, listen_s)


def receive(address: str, listen_s: float) -> list[bytes]:
    """Return the messages published at `address` within `listen_s` seconds, 10 000 at most."""
    import zmq  # noqa: PLC0415 - only for this kind of source

    messages: list[bytes] = []
    end = time.monotonic() + listen_s
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.LINGER, 0)
        subscriber.connect(address)
        subscriber.subscribe(b"")
        while (left := end - time.monotonic()) > 0 and len(messages) < 10_000:
            if subscriber.poll(int(left * 1e3) + 1):
                messages.append(subscriber.recv())
    return messages


@dataclass(frozen=True, slots=True)
class _Message:
    prefix: bytes
    name: str
    form: str
    """'json', 'msgpack', 'pickle' or 'unknown'."""


def listened(messages: Iterable[bytes], source: SourceConfig, listen_s: float) -> Finding:
    """Say what came, and whether the service would understand it."""
    parsed = [_parse(message) for message in messages]
    if not parsed:
        text = f"no documents within {listen_s:g} s"
        remedy = "nothing is wrong if no scan is running; take one and check again"
        return Finding.note("source", text, remedy)
    ours = [m for m in parsed if not source.prefix or m.prefix == source.prefix.encode()]
    if not ours:
        others = ", ".join(sorted({m.prefix.decode("ascii", "replace") for m in parsed}))
        text = f"{len(parsed)} messages, none with prefix {source.prefix!r} but: {others or 'none'}"
        return Finding.bad("source", text, "correct [source] prefix")
    forms = Counter(m.form for m in ours)
    if forms[source.serializer] == len(ours):
        names = Counter(m.name for m in ours)
        what = ", ".join(f"{n} {name}" for name, n in names.most_common())
        return Finding.good("source", f"documents come: {what}")
    found = ", ".join(sorted(forms))
    text = f"messages are {found}, [source] serializer is {source.serializer}"
    return Finding.bad("source", text, _mend(forms))


def _mend(forms: Counter[str]) -> str:
    if forms["pickle"]:
        return (
            "give the publisher a serializer: Publisher(address, "
            "serializer=publisher_serializer('msgpack')), from xanes_live.documents.zmq"
        )
    known = [form for form in _FORMS if forms[form]]
    return f"set serializer = {known[0]!r}" if known else "is this a bluesky document stream?"


def _parse(message: bytes) -> _Message:
    """Take one message of bluesky's publisher apart; a pickle is recognised, never loaded."""
    prefix, _, rest = message.partition(b" ")
    word, _, body = rest.partition(b" ")
    name = word.decode("ascii", "replace")
    return _Message(prefix, name, _form(body) if name in _NAMES else "unknown")


def _form(body: bytes) -> str:
    if body[:1] == b"\x80" and body[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "pickle" if body.endswith(b".") else "unknown"
    for form in _FORMS:
        try:
            # those of the live path: msgpack's own may have been patched to load pickles
            if isinstance(deserializer(form)(body), dict):
                return form
        except ValueError:
            continue
    return "unknown"


def kafka_findings(source: SourceConfig, timeout_s: float) -> Iterator[Finding]:
    """Yield whether the servers answer and have the topics."""
    if not source.topics:
        yield Finding.bad("source", "no Kafka topics are named", "list them in [source] topics")
        return
    if find_spec("bluesky_kafka") is None:
        remedy = "pip install 'xanes-live[kafka]'"
        yield Finding.bad("source", "bluesky-kafka is not installed", remedy)
        return
    from confluent_kafka import Consumer, KafkaException  # noqa: PLC0415 - comes with it

    settings = {**source.options, "bootstrap.servers": source.address, "log_level": 0}
    settings |= {"group.id": source.group_id, "enable.auto.commit": False}
    try:
        consumer = Consumer(settings)
    except KafkaException as error:
        text = f"[source] options: {error.args[0].str()}"
        yield Finding.bad("source", text, "correct the name or the value of the option")
        return
    try:
        there = consumer.list_topics(timeout=timeout_s).topics
        for topic in source.topics:
            yield _topic(consumer, source, topic, there, timeout_s)
    except KafkaException as error:
        text = f"no Kafka at {source.address}: {error.args[0].str()}"
        yield Finding.bad("source", text, "correct [source] address and options (sasl.*, ssl.*)")
    finally:
        consumer.close()


def _topic(
    consumer: Any,  # noqa: ANN401 - confluent_kafka has no types
    source: SourceConfig,
    topic: str,
    there: Mapping[str, Any],
    timeout_s: float,
) -> Finding:
    """Say whether a topic exists and holds something; joins no consumer group."""
    if topic not in there:
        names = ", ".join(sorted(t for t in there if not t.startswith("_"))[:8])
        text = f"no Kafka topic {topic} at {source.address}; there are: {names or 'none'}"
        return Finding.bad("source", text, "correct [source] topics, or let the topic be made")
    from confluent_kafka import TopicPartition  # noqa: PLC0415

    partitions = [TopicPartition(topic, number) for number in there[topic].partitions]
    marks = [consumer.get_watermark_offsets(p, timeout=timeout_s) for p in partitions]
    kept = sum(high - low for low, high in marks)
    text = f"Kafka topic {topic}: {len(partitions)} partitions, {kept} messages kept"
    if not kept:
        return Finding.note("source", text, "nothing is wrong if no scan was taken lately")
    return Finding.good("source", f"{text}, group {source.group_id}")
