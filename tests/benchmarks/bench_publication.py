"""How long a result takes from `put` to complete in Tiled, against one bare request.

    python tests/benchmarks/bench_publication.py [rounds]

Each round times, one after the other on the same server, `create_container` of Tiled's own client
and one publication in each mode, so that whatever else the machine does hits all of them. Ends
with 1 if a median is more than four times that of the bare request.
"""

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import factories
from xanes_live.config import Config
from xanes_live.publish.document import node
from xanes_live.publish.keys import result_key
from xanes_live.publish.outbox import Outbox
from xanes_live.publish.tiled import connect, walk
from xanes_live.publish.writer import Publisher
from xanes_live.service.tiled_server import TiledServer

LIMIT = 4.0
CASES = (("http", 1), ("http", 3), ("http", 60), ("file", 1), ("file", 60))
JUDGED = {("http", 1), ("http", 3), ("file", 1), ("file", 60)}
"""Over HTTP a run of many spectra takes two requests an array; use a file where that matters."""


class Case:
    """One way to publish."""

    def __init__(self, server, home, arrays, n_spectra):
        self.arrays, self.n_spectra = arrays, n_spectra
        place = {"uri": server.uri, "arrays": arrays, "arrays_directory": str(server.arrays)}
        self.config = Config.model_validate({"tiled": place})
        self.outbox = Outbox(home / f"{arrays}{n_spectra}.sqlite")
        self.complete = threading.Event()
        self.publisher = Publisher(
            self.config.tiled,
            server.keys.service,
            self.outbox,
            on_complete=lambda key: self.complete.set(),
        ).start()

    def publish(self, number):
        """Return the milliseconds from the finished result to complete in Tiled."""
        uid = f"{self.arrays[0]}{self.n_spectra:02d}{number:05d}-bench"
        key = result_key(uid, None, "model", "config")
        result = factories.result(self.n_spectra, key=key, uid=uid)
        self.complete.clear()
        begun = time.perf_counter()
        self.publisher.put(node(result, self.config))
        self.complete.wait()
        milliseconds = (time.perf_counter() - begun) * 1e3
        self.publisher.flush(120.0)  # the charts of this one are not to slow down the next
        return milliseconds

    def close(self):
        self.publisher.stop()
        self.outbox.close()


def main(rounds):
    with tempfile.TemporaryDirectory() as home, TiledServer(Path(home) / "tiled") as server:
        print(f"Tiled started in {server.start_seconds:.1f} s")  # noqa: T201
        root = connect(
            Config.model_validate({"tiled": {"uri": server.uri}}).tiled, server.keys.service
        )
        sandbox = walk(root, "sandbox")
        cases = [Case(server, Path(home), *case) for case in CASES]
        bare, times = [], {case: [] for case in cases}
        for number in range(rounds + 2):
            begun = time.perf_counter()
            sandbox.create_container(f"bare{number}")
            bare.append((time.perf_counter() - begun) * 1e3)
            for case in cases:
                times[case].append(case.publish(number))
        for case in cases:
            case.close()
        root.context.http_client.close()
    return report(bare[2:], {case: t[2:] for case, t in times.items()})


def report(bare, times):
    unit = statistics.median(bare)
    print(f"bare create_container: {unit:.1f} ms (median of {len(bare)})")  # noqa: T201
    good = True
    for case, milliseconds in times.items():
        middle = statistics.median(milliseconds)
        name = (case.arrays, case.n_spectra)
        verdict = "" if name in JUDGED else " (not judged)"
        good = good and (name not in JUDGED or middle <= LIMIT * unit)
        print(  # noqa: T201
            f"{case.arrays:5} {case.n_spectra:3} spectra: complete after {middle:.1f} ms, "
            f"{middle / unit:.2f} × the bare request{verdict}"
        )
    return good


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 20) else 1)
