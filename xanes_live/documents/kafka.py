"""Documents from Kafka, through bluesky-kafka (extra ``kafka``)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from xanes_live import log
from xanes_live.config import SourceConfig
from xanes_live.documents.wire import from_json, from_msgpack
from xanes_live.errors import ConfigurationError, MissingDependencyError

_log = log.get(__name__)

_POLL_S = 0.2
_DEFAULTS = {
    # documents published while the group forms are not lost, and after a stop of the service it
    # goes on where it was; runs that are published already are recognised as such
    "auto.offset.reset": "earliest",
    "enable.auto.commit": "true",
}


class KafkaSource:
    """Delivers the documents of Kafka topics to a callback.

    bluesky-kafka publishes all documents of a beamline with one key, hence into one partition, so
    they arrive in order; several services with one `group_id` share the partitions.

    Parameters
    ----------
    config
        With `kind = "kafka"`: bootstrap servers in `address`, `topics`, `group_id`, and `options`
        that are passed on to the consumer (and win over the defaults here). Documents may be
        msgpack, which bluesky-kafka makes of them, or JSON, whatever `serializer` says: the first
        byte tells.

    Raises
    ------
    ConfigurationError
        If no topic is given.
    MissingDependencyError
        If bluesky-kafka is not installed.
    """

    def __init__(self, config: SourceConfig) -> None:
        if not config.topics:
            raise ConfigurationError("source.topics: name at least one Kafka topic")
        self._config, self._options = config, {**_DEFAULTS, **config.options}
        self._consumer_class()
        self.bad = 0
        """Messages that were no documents: skipped."""

    @staticmethod
    def _consumer_class() -> Any:  # noqa: ANN401 - bluesky-kafka has no type information
        try:
            from bluesky_kafka.consume import BasicConsumer  # noqa: PLC0415 - an optional extra
        except ImportError:
            raise MissingDependencyError("bluesky-kafka", "kafka", "reading from Kafka") from None
        return BasicConsumer

    def run(self, callback: Callable[[str, dict[str, Any]], Any], stop: threading.Event) -> None:
        """Deliver documents until `stop` is set; returns within 0.5 s after that.

        Where the callback has a method ``close_stale``, it is called when nothing comes. An
        unreachable broker is waited for: the consumer reconnects by itself.
        """
        idle = getattr(callback, "close_stale", None)

        def take(_consumer: object, _topic: str, message: object) -> bool:
            self._take(message, callback)
            return not stop.is_set()

        consumer = self._consumer_class()(
            topics=list(self._config.topics),
            bootstrap_servers=self._config.address.split(","),
            group_id=self._config.group_id,
            consumer_config=self._options,
            polling_duration=_POLL_S,
            deserializer=self._safely,
            process_message=take,
        )
        log.event(_log, logging.INFO, "listening", topics=list(self._config.topics))
        consumer.start_polling(
            continue_polling=lambda: not stop.is_set(),
            work_during_wait=idle,
        )

    def _safely(self, message: bytes) -> object:
        """Return the content, None if it is no document: bluesky-kafka would log all of it."""
        try:
            # a pair begins with '[' in JSON; in msgpack that byte is the number 91
            return (from_json if message[:1] == b"[" else from_msgpack)(message)
        except ValueError as error:
            self._skip(error)
            return None

    def _take(self, message: Any, callback: Callable[[str, dict[str, Any]], Any]) -> None:  # noqa: ANN401
        if message is None:
            return
        try:
            name, document = message
            callback(name, document)
        except Exception as error:  # noqa: BLE001 - one bad message must not cost the others
            self._skip(error)

    def _skip(self, error: Exception) -> None:
        self.bad += 1
        if self.bad & (self.bad - 1) == 0:  # the 1st, 2nd, 4th, …: no flood
            log.event(
                _log, logging.WARNING, "message skipped", error=repr(error)[:200], count=self.bad
            )
