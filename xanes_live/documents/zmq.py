"""Documents from a bluesky ZMQ proxy.

``bluesky.callbacks.zmq.RemoteDispatcher`` is not used: it unpickles unless told otherwise, one
unknown document name ends it (KeyError), and once ended it cannot be started again. Listening to a
SUB socket, which reconnects by itself, is less code than supervising it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import zmq

from xanes_live import log
from xanes_live.documents.wire import Serializer, deserializer, publisher_serializer
from xanes_live.errors import ConfigurationError

_log = log.get(__name__)

_HIGH_WATER = 500_000
"""Messages that may wait here while a burst comes in; ZMQ drops silently beyond that."""
_MAX_MESSAGE = 512 * 1024 * 1024
_HEARTBEAT_MS = 5_000
"""A proxy that has vanished without closing is noticed and reconnected to after this time."""

__all__ = ["Proxy", "ZmqCounters", "ZmqSource", "publisher_serializer", "start_proxy"]


@dataclass(frozen=True, slots=True)
class ZmqCounters:
    """What a source has received, as one snapshot."""

    messages: int = 0
    """Documents delivered."""
    bad: int = 0
    """Messages that were no documents: skipped."""


class ZmqSource:
    """Delivers the documents of a bluesky ZMQ proxy to a callback.

    Parameters
    ----------
    address
        Out side of the proxy, 'host:port'.
    serializer
        'json' or 'msgpack'; a pickle is counted as a bad message.
    prefix
        Only messages of publishers with this prefix; '' takes all.

    Raises
    ------
    ConfigurationError
        If the serializer is not one of these.
    """

    def __init__(self, address: str, serializer: Serializer = "json", prefix: str = "") -> None:
        try:
            self._decode = deserializer(serializer)
        except KeyError:
            raise ConfigurationError(
                f"serializer {serializer!r}: expected 'json' or 'msgpack' (pickle is refused)"
            ) from None
        self.address = address if "://" in address else f"tcp://{address}"
        self._prefix = prefix.encode()
        self._messages = self._bad = 0

    @property
    def counters(self) -> ZmqCounters:
        """A snapshot of what has been received."""
        return ZmqCounters(self._messages, self._bad)

    def run(self, callback: Callable[[str, dict[str, Any]], Any], stop: threading.Event) -> None:
        """Deliver documents until `stop` is set; returns within 0.2 s after that.

        Where the callback has a method ``close_stale``, it is called when nothing comes.
        """
        idle = getattr(callback, "close_stale", None)
        with zmq.Context() as context, self._connected(context) as socket:
            log.event(_log, logging.INFO, "listening", address=self.address)
            while not stop.is_set():
                if socket.poll(200):
                    self._take(socket.recv(zmq.NOBLOCK), callback)
                elif idle is not None:
                    idle()

    def _connected(self, context: zmq.Context[Any]) -> zmq.Socket[Any]:
        socket: zmq.Socket[Any] = context.socket(zmq.SUB)
        socket.linger = 0
        socket.set(zmq.RCVHWM, _HIGH_WATER)
        socket.set(zmq.MAXMSGSIZE, _MAX_MESSAGE)
        socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, 2_000)
        socket.set(zmq.SUBSCRIBE, self._prefix + b" " if self._prefix else b"")
        socket.connect(self.address)
        return socket

    def _take(self, message: bytes, callback: Callable[[str, dict[str, Any]], Any]) -> None:
        try:
            _, name, body = message.split(b" ", 2)
            document = self._decode(body)
            callback(name.decode(), document)
            self._messages += 1
        except Exception as error:  # noqa: BLE001 - one bad message must not cost the others
            self._bad += 1
            if self._bad & (self._bad - 1) == 0:  # the 1st, 2nd, 4th, …: no flood
                log.event(
                    _log,
                    logging.WARNING,
                    "message skipped",
                    error=repr(error)[:200],
                    size=len(message),
                    count=self._bad,
                )


class Proxy(NamedTuple):
    """A running proxy."""

    in_address: str
    """Publishers connect here."""
    out_address: str
    """Subscribers connect here."""
    stop: Callable[[], None]
    """Ends the proxy and frees both ports."""


def start_proxy(in_address: str = "127.0.0.1:5577", out_address: str = "127.0.0.1:5578") -> Proxy:
    """Run a ZMQ proxy on a thread of this process.

    The proxy of bluesky binds bare ports on every interface and cannot be ended short of its
    process; this one takes full addresses only.

    Parameters
    ----------
    in_address, out_address
        'host:port'; port 0 takes a free one.

    Raises
    ------
    ConfigurationError
        If an address has no host, or cannot be bound.
    """
    context = zmq.Context()
    try:
        publishers = _bound(context, zmq.XSUB, in_address)
        subscribers = _bound(context, zmq.XPUB, out_address)
        control = context.socket(zmq.PAIR)
        control.bind("inproc://stop")
    except (ConfigurationError, zmq.ZMQError):
        context.destroy(linger=0)
        raise

    def forward() -> None:
        zmq.proxy_steerable(publishers, subscribers, None, control)
        for socket in (publishers, subscribers, control):
            socket.close(0)

    thread = threading.Thread(target=forward, name="zmq-proxy", daemon=True)
    bound_in, bound_out = _address(publishers), _address(subscribers)
    thread.start()

    def stop() -> None:
        if thread.is_alive():
            with context.socket(zmq.PAIR) as handle:
                handle.connect("inproc://stop")
                handle.send(b"TERMINATE")
                thread.join(5.0)
        context.term()

    return Proxy(bound_in, bound_out, stop)


def _address(socket: zmq.Socket[Any]) -> str:
    endpoint: str = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return endpoint.partition("://")[2]


def _bound(context: zmq.Context[Any], kind: int, address: str) -> zmq.Socket[Any]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"{address!r}: expected host:port, 127.0.0.1:5577 for one")
    socket: zmq.Socket[Any] = context.socket(kind)
    socket.set(zmq.SNDHWM, _HIGH_WATER)
    socket.set(zmq.RCVHWM, _HIGH_WATER)
    try:
        socket.bind(f"tcp://{host}:{'*' if port == '0' else port}")
    except zmq.ZMQError as error:
        raise ConfigurationError(f"{address}: {error}") from None
    return socket
