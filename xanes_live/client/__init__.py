"""Read published results: needs Tiled's client, neither torch nor the service.

>>> from xanes_live.client import connect
>>> results = connect("http://tiled.mybeamline.org", path="sandbox/xanes_live")  # doctest: +SKIP
>>> results.latest()[0].metadata["first_shell"]  # doctest: +SKIP
"""

from xanes_live.client.results import Published, Results, connect
from xanes_live.client.watch import Watch

__all__ = ["Published", "Results", "Watch", "connect"]
