"""How long after the end of a scan its result is readable."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from xanes_live.publish.document import Node
from xanes_live.service.histogram import Histogram

_MOST = 4096
"""Results remembered while they wait for Tiled."""


class Latency:
    """Notes when results are handed over and when they are complete in Tiled.

    Runs that ended before this object was made are left out: how long nobody listened says nothing
    about how fast publication is.

    Parameters
    ----------
    clock
        Returns s since the epoch, as documents do.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._since = clock, clock()
        self._ended: OrderedDict[str, float] = OrderedDict()
        self.histogram = Histogram()
        """From stop to complete in Tiled; replaced by the publishing thread only."""

    def handed_over(self, node: Node) -> None:
        """Note that `node` is on its way; in the worker's thread."""
        ended = node.metadata.get("stop_time")
        if isinstance(ended, float) and ended >= self._since:
            self._ended[node.key] = ended
            while len(self._ended) > _MOST:
                self._ended.popitem(last=False)

    def complete(self, key: str) -> None:
        """Note that the result `key` is readable; in the publisher's thread."""
        ended = self._ended.pop(key, None)
        if ended is not None:
            self.histogram = self.histogram.observe(self._clock() - ended)
