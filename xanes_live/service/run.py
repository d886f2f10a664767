"""The service in a process of its own: started, watched, stopped."""

from __future__ import annotations

import sys
import threading

from xanes_live.config import Config
from xanes_live.service import systemd
from xanes_live.service.endpoint import Endpoint
from xanes_live.service.health import Health, judge
from xanes_live.service.metrics import registry
from xanes_live.service.readings import take
from xanes_live.service.service import Service

LOOK_S = 10.0
"""Between two looks at the service's health where systemd does not want more."""


def serve(config: Config, ended: threading.Event) -> None:
    """Run the service until `ended`, with its metrics endpoint, telling systemd how it is.

    The watchdog is fed only while every thread is at work. Tiled being away, or a key being
    refused, is told in the status line but is nothing a restart would mend.
    """
    with Service(config) as service:

        def health() -> Health:
            return judge(take(service))

        with Endpoint(config.metrics, registry(lambda: take(service)), health):
            systemd.notify("READY=1")
            sys.stdout.write("xanes-live: ready\n")
            sys.stdout.flush()
            while not ended.wait(_pause()):
                _tell(health())
            systemd.notify("STOPPING=1")


def _pause() -> float:
    watchdog = systemd.watchdog_s()
    return LOOK_S if watchdog is None else min(LOOK_S, watchdog / 3)


def _tell(health: Health) -> None:
    status = "STATUS=" + ("; ".join(health.reasons) or "all well").replace("\n", " ")[:900]
    systemd.notify(status, *(("WATCHDOG=1",) if health.alive else ()))
