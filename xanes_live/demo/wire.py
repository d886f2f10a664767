"""Publishing documents to a ZMQ proxy that may not be there yet, or no longer."""

from __future__ import annotations

import time
from typing import Final

import zmq
from bluesky.callbacks.zmq import Publisher

from xanes_live.documents.wire import Serializer, publisher_serializer

SUBSCRIPTION_S: Final = 0.1
"""Time the proxy gets to say what it subscribes to, after the handshake."""
LINGER_MS: Final = 1000
"""How long closing waits for a proxy that does not take what is left."""


class DocumentPublisher(Publisher):  # type: ignore[misc]  # bluesky has no type information
    """Bluesky's publisher without pickle, with a wait for the proxy and a bounded close.

    Parameters
    ----------
    address
        In side of the proxy, 'host:port'.
    serializer
        'json' or 'msgpack'.
    """

    def __init__(self, address: str, serializer: Serializer = "json") -> None:
        super().__init__(address, serializer=publisher_serializer(serializer))

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the proxy answers, False if it does not; what is sent before that is lost."""
        # Connect again under the monitor's eyes: the first connection may be there already.
        self._socket.disconnect(self.address)
        monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.connect(self.address)
        try:
            answered = bool(monitor.poll(int(timeout_s * 1000)))
        finally:
            self._socket.disable_monitor()
            monitor.close(linger=0)
        if answered:
            time.sleep(SUBSCRIPTION_S)
        return answered

    def close(self) -> None:
        """Close, giving up after a second on what a proxy that is down has not taken."""
        self._context.destroy(linger=LINGER_MS)
