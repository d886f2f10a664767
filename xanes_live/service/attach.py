"""Subscribe the service in the RunEngine's own process."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xanes_live.config import load
from xanes_live.service.service import Service


@dataclass(frozen=True, slots=True)
class Attached:
    """A service in this process and its subscription."""

    service: Service
    token: int
    """What `RE.subscribe` returned; `RE.unsubscribe(token)` ends the subscription."""

    def detach(self, run_engine: Any) -> None:  # noqa: ANN401 - any RunEngine-like object
        """End the subscription and the service."""
        run_engine.unsubscribe(self.token)
        self.service.stop()


def in_process(config: str | Path | None = None) -> Service:
    """Start a service that is fed by calling ``service.callback`` in this process.

    Parameters
    ----------
    config
        Configuration file; its `[source]` is not used.

    Raises
    ------
    ConfigurationError, UnknownModelError
        If the configuration or a model it names cannot be used.
    """
    settings = load(Path(config) if config is not None else None)
    settings = settings.model_copy(
        update={"source": settings.source.model_copy(update={"kind": "none"})}
    )
    service = Service(settings).start()
    atexit.register(service.stop)
    return service


def attach(run_engine: Any, config: str | Path | None = None) -> Attached:  # noqa: ANN401
    """Predict every XAS scan of `run_engine` from now on.

    Parameters
    ----------
    run_engine
        A bluesky RunEngine.
    config
        Configuration file; its `[source]` is not used.

    Raises
    ------
    ConfigurationError, UnknownModelError
        Before anything is subscribed, so that a broken configuration is seen at start-up.
    """
    service = in_process(config)
    return Attached(service, run_engine.subscribe(service.callback))
