"""For documents from a ZMQ proxy: ``python zmq_proxy.py [HOST:PORT]`` predicts until Ctrl-C.

HOST:PORT is the proxy's out side, that of the configuration file (``XANES_LIVE_CONFIG``) if not
given. Where there is no proxy yet, ``bluesky-0MQ-proxy 127.0.0.1:5577 127.0.0.1:5578`` is one. The
RunEngine publishes to the in side, never as pickle::

    from bluesky.callbacks.zmq import Publisher
    from xanes_live.documents.zmq import publisher_serializer

    RE.subscribe(Publisher("127.0.0.1:5577", serializer=publisher_serializer("json")))
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
    address = arguments[0] if arguments else config.source.address
    source = config.source.model_copy(update={"kind": "zmq", "address": address})
    serve(config.model_copy(update={"source": source}), ended)


if __name__ == "__main__":
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    main(sys.argv[1:], stop)
