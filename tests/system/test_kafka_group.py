"""Several services share the runs of one topic, published the way docs/how-to/kafka.md says."""

import re
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("bluesky_kafka")
from confluent_kafka import Producer
from event_model import compose_run

from xanes_live.config import SourceConfig
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.kafka import KafkaSource

HOW_TO = Path(__file__).parents[2] / "docs/how-to/kafka.md"
TOPIC = "beamline.documents"

pytestmark = pytest.mark.slow


class Subscribed:
    """Stands for the RunEngine in the page's code."""

    def subscribe(self, callback):
        self.callback = callback


@pytest.fixture
def servers():
    """A broker inside librdkafka, with a topic of four partitions, which it makes by itself."""
    producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
    broker = next(iter(producer.list_topics(timeout=20).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    assert len(producer.list_topics(TOPIC, timeout=20).topics[TOPIC].partitions) == 4
    yield address
    producer.flush(1)


def published_as_described(servers: str):
    """Run the page's own code and return what it subscribes to the RunEngine."""
    (code,) = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    run_engine = Subscribed()
    code = re.sub(r"(?m)^TOPIC, SERVERS = .*$", f"TOPIC, SERVERS = {TOPIC!r}, {servers!r}", code)
    exec(code, {"RE": run_engine})  # noqa: S102 - the page's own code
    return run_engine.callback


def take_run(publish) -> str:
    run = compose_run(metadata={"element": "Fe"})
    publish("start", run.start_doc)
    keys = {"energy": {"dtype": "number", "shape": [], "source": "sim"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    publish("descriptor", stream.descriptor_doc)
    for i in range(5):
        event = stream.compose_event(data={"energy": 7100.0 + i}, timestamps={"energy": 1.0})
        publish("event", event)
    publish("stop", run.compose_stop())
    return run.start_doc["uid"]


def test_two_services_share_whole_runs(servers):
    config = SourceConfig(kind="kafka", address=servers, topics=(TOPIC,), group_id="share")
    stop = threading.Event()
    records: list[list] = [[], []]
    threads = [
        threading.Thread(target=KafkaSource(config).run, args=(XanesCallback(taken.append), stop))
        for taken in records
    ]
    publish = published_as_described(servers)
    try:
        for thread in threads:
            thread.start()
        sent = [take_run(publish) for _ in range(16)]
        end = time.monotonic() + 60
        while sum(map(len, records)) < len(sent) and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    seen = [record.uid for taken in records for record in taken]
    assert sorted(seen) == sorted(sent)  # each run once, at one of the two
    whole = [record for taken in records for record in taken if record.n_events == 5]
    assert len(whole) == len(sent)
    assert not any(record.problems for taken in records for record in taken)
    assert all(records), "one service got everything"
