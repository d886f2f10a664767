"""Structured logging: one event name and named values a line.

Library code calls :func:`get` and logs with :func:`event`; only the command line calls
:func:`configure`. Values whose name says they are secret never reach a handler.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from xanes_live.errors import ConfigurationError

_SECRET = ("key", "token", "password", "secret", "authorization")
_HARMLESS = ("result_key", "data_key", "keys_seen")


def get(name: str) -> logging.Logger:
    """Return the logger of module `name`."""
    return logging.getLogger(name)


def event(logger: logging.Logger, level: int, name: str, **values: object) -> None:
    """Log the event `name` with `values`; secrets are replaced by '***'."""
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={"values": {k: _safe(k, v) for k, v in values.items()}})


def _safe(name: str, value: object) -> object:
    secret = name not in _HARMLESS and any(word in name.lower() for word in _SECRET)
    return "***" if secret else value


class LineFormatter(logging.Formatter):
    """`2026-11-20T07:13:02 INFO module event name=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, with the traceback below it if there is one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
        values: dict[str, object] = getattr(record, "values", {})
        pairs = " ".join(f"{k}={v}" for k, v in values.items())
        line = f"{stamp} {record.levelname} {record.name} {record.getMessage()} {pairs}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        entry: dict[str, object] = {
            "time": record.created,
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "values", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure(level: str = "INFO", *, as_json: bool = False) -> None:
    """Send this package's log to standard error; for command lines only.

    Raises
    ------
    ConfigurationError
        If there is no such level.
    """
    if level.upper() not in logging.getLevelNamesMapping():
        raise ConfigurationError(f"log level {level!r}: expected DEBUG, INFO, WARNING or ERROR")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    root = logging.getLogger("xanes_live")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
