"""Publishing documents on ZMQ as JSON or msgpack, never as pickle."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgpack
import msgpack_numpy
import orjson
import zmq
from bluesky.callbacks.zmq import Publisher

SUBSCRIPTION_S: Final = 0.1
"""Time the proxy gets to say what it subscribes to, after the handshake."""
Serializer = Literal["json", "msgpack"]
LINGER_MS: Final = 1000
"""How long closing waits for a proxy that does not take what is left."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return JSON: numpy scalars and arrays as numbers and lists, NaN and infinities as null."""
    return orjson.dumps(document, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: object) -> object:
    """Turn what orjson leaves, arrays with negative strides say, into lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent")


def to_msgpack(document: Mapping[str, Any]) -> bytes:
    """Return msgpack with arrays as msgpack-numpy packs them."""
    packed: bytes = msgpack.packb(document, default=msgpack_numpy.encode)
    return packed


SERIALIZERS: Final[dict[str, Callable[[Mapping[str, Any]], bytes]]] = {
    "json": to_json,
    "msgpack": to_msgpack,
}


class DocumentPublisher(Publisher):  # type: ignore[misc]  # bluesky has no type information
    """Bluesky's publisher, with a safe serializer, a wait for the proxy and a bounded close.

    Parameters
    ----------
    address
        In side of the proxy, 'host:port'.
    serializer
        'json' or 'msgpack'.
    """

    def __init__(self, address: str, serializer: Serializer = "json") -> None:
        super().__init__(address, serializer=SERIALIZERS[serializer])

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
