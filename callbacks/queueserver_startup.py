"""For bluesky-queueserver: predicts every absorption scan its worker runs.

Copy it into the start-up folder under a name that comes last and start the manager with
``start-re-manager --keep-re --startup-dir …``: without ``--keep-re`` the manager would replace the
RunEngine made here. ``XANES_LIVE_CONFIG`` names the configuration file.
"""

import os

from bluesky import RunEngine

from xanes_live.service.attach import attach

RE = globals().get("RE") or RunEngine({})
try:
    xanes = attach(RE, os.environ.get("XANES_LIVE_CONFIG"))
except Exception as error:  # noqa: BLE001 - whatever it is, the queue has to start
    print(f"xanes_live is not attached: {error}")  # noqa: T201 - goes to the manager's log
