"""For blueapi: plans whose absorption scans are predicted while they run.

blueapi keeps its RunEngine to itself, so a plan brings the subscription along. Copy this module
under a name of your own (``xanes_plans``, not ``blueapi``), wrap your plans with `predicted`, and
name the module in blueapi's configuration::

    env:
      sources:
        - kind: planFunctions
          module: xanes_plans

``XANES_LIVE_CONFIG`` names the configuration file of xanes_live.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import bluesky.plans as bp
from bluesky.preprocessors import subs_decorator
from bluesky.protocols import Movable, Readable
from bluesky.utils import MsgGenerator

from xanes_live.service.attach import in_process
from xanes_live.service.service import Service


@functools.cache
def _service() -> Service:
    """Start the service when the first plan runs, not when blueapi looks for plans."""
    return in_process(os.environ.get("XANES_LIVE_CONFIG"))


def predicted(plan: Callable[..., MsgGenerator[Any]]) -> Callable[..., MsgGenerator[Any]]:
    """Return the plan with the subscription; its signature stays what blueapi sees."""

    @functools.wraps(plan)
    def wrapped(*args: object, **kwargs: object) -> MsgGenerator[Any]:
        return (yield from subs_decorator(_service().callback)(plan)(*args, **kwargs))

    return wrapped


@predicted
def xas_scan(
    detectors: Sequence[Readable[Any]],
    mono: Movable[Any],
    energies: list[float],
    element: str,
    edge: str = "K",
    sample: str = "",
) -> MsgGenerator[Any]:
    """Count at each energy; the metadata say what is measured."""
    metadata = {"element": element, "edge": edge, "sample": sample, "plan_name": "xas_scan"}
    yield from bp.list_scan(list(detectors), mono, energies, md=metadata)
