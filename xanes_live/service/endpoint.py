"""A small HTTP server for `/metrics` and `/healthz`, apart from everything else.

Standard library only: two addresses, read by machines, a few times a minute.
"""

from __future__ import annotations

import json
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from xanes_live import __version__, log
from xanes_live.config import MetricsConfig
from xanes_live.service.health import Health

_log = log.get(__name__)


class Endpoint:
    """Serves metrics and health until stopped; usable as a context manager.

    Parameters
    ----------
    config
        Where to listen; port 0 means nowhere.
    metrics
        What `/metrics` shows.
    health
        Returns what `/healthz` says.
    """

    def __init__(
        self, config: MetricsConfig, metrics: CollectorRegistry, health: Callable[[], Health]
    ) -> None:
        self._config, self._metrics, self._health = config, metrics, health
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int | None:
        """The port that is listened on; None when none is."""
        return None if self._server is None else int(self._server.server_address[1])

    def start(self, port: int | None = None) -> Self:
        """Listen. An address that is taken is logged and no reason not to predict.

        Parameters
        ----------
        port
            Instead of the configured one; here 0 picks a free one.
        """
        if port is None and self._config.port == 0:
            return self
        address = (self._config.host, self._config.port if port is None else port)
        try:
            self._server = _Server(address, self._handler())
        except OSError as error:
            log.event(_log, logging.ERROR, "no metrics", address=address, error=str(error))
            return self
        threading.Thread(
            target=self._server.serve_forever, name="xanes-metrics", daemon=True
        ).start()
        log.event(_log, logging.INFO, "metrics", host=address[0], port=self.port)
        return self

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        """Listen."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        metrics, health = self._metrics, self._health

        class Handler(_Handler):
            def answer(self) -> tuple[HTTPStatus, str, bytes]:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    encode, kind = choose_encoder(self.headers.get("Accept", ""))
                    return HTTPStatus.OK, kind, encode(metrics)
                if path == "/healthz":
                    return _health_answer(health())
                return HTTPStatus.NOT_FOUND, "text/plain", b"/metrics or /healthz\n"

        return Handler


def _health_answer(health: Health) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
    content = {"ok": health.ok, "reasons": list(health.reasons), "version": __version__}
    return status, "application/json", json.dumps(content).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler, ABC):
    """One request, answered within its own time-out."""

    server_version = "xanes-live"
    sys_version = ""
    timeout = 10.0

    @abstractmethod
    def answer(self) -> tuple[HTTPStatus, str, bytes]:
        """Return status, media type and content."""

    def do_GET(self) -> None:
        """Answer, whatever happens."""
        try:
            status, kind, content = self.answer()
        except Exception as error:  # noqa: BLE001 - a probe gets an answer, not a closed connection
            log.event(_log, logging.ERROR, "metrics failed", error=repr(error))
            failed = b"see the log\n"
            status, kind, content = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", failed
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Keep quiet: probes come every few seconds."""
