"""For documents from Kafka: ``python kafka_consumer.py SERVERS TOPIC…`` predicts until Ctrl-C.

SERVERS are the bootstrap servers, separated by commas; without arguments both come from the
configuration file (``XANES_LIVE_CONFIG``). Several of these with one ``source.group_id`` share the
load. Needs the extra ``kafka``. The RunEngine publishes as usual with bluesky-kafka::

    from bluesky_kafka import Publisher

    RE.subscribe(Publisher("iss.bluesky.documents", "kafka1:9092", key="iss"))
"""

import os
import signal
import sys
import threading
from pathlib import Path

from xanes_live.config import load
from xanes_live.service.run import serve


def main(arguments: list[str], ended: threading.Event) -> None:
    """Serve until `ended`."""
    path = os.environ.get("XANES_LIVE_CONFIG")
    config = load(Path(path) if path else None)
    changes: dict[str, object] = {"kind": "kafka"}
    if arguments:
        changes |= {"address": arguments[0], "topics": tuple(arguments[1:])}
    source = config.source.model_copy(update=changes)
    serve(config.model_copy(update={"source": source}), ended)


if __name__ == "__main__":
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    main(sys.argv[1:], stop)
