"""For an IPython profile: predicts every absorption scan of its RunEngine ``RE``.

Copy it into the profile's ``startup`` folder under a name that comes after the file that makes
``RE`` (``90-xanes-live.py``). ``XANES_LIVE_CONFIG`` names the configuration file.
"""

import os

from xanes_live.service.attach import attach

try:
    xanes = attach(RE, os.environ.get("XANES_LIVE_CONFIG"))  # noqa: F821 - the profile's own
except Exception as error:  # noqa: BLE001 - whatever it is, the beamline has to start
    print(f"xanes_live is not attached: {error}")  # noqa: T201 - the operator's terminal
