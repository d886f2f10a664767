"""From a run's `stop` document to its result: in memory, and complete in Tiled.

    python tests/benchmarks/bench_live_path.py [scans]

The whole service runs in this process; documents are handed to its callback. After each scan one
bare `create_container` is timed on the same server, so that whatever else the machine does hits
both. Ends with 1 if the median to complete in Tiled is more than four times the bare request.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.runs import FE, PLAIN, xas
from xanes_live.config import API_KEY_VARIABLE, parse
from xanes_live.publish.tiled import connect, walk
from xanes_live.service.service import Service
from xanes_live.service.tiled_server import TiledServer

LIMIT = 4.0


def configuration(server, home, arrays):
    return parse(
        {
            "source": {"kind": "none"},
            "tiled": {
                "uri": server.uri,
                "arrays": arrays,
                "arrays_directory": str(server.arrays),
            },
            "service": {"state_directory": str(home / arrays), "catch_up_s": 0},
        }
    )


def scan(service, number):
    """Return ms from stop to result in the outbox, and to complete in Tiled."""
    *before, (name, stop) = xas(PLAIN, {**FE, "scan_id": number, "sample": f"bench {number}"})
    for document in before:
        service.callback(*document)
    before_success = service.publisher.health.last_success
    begun = time.perf_counter()
    service.callback(name, stop)
    while service.outbox.pending() == 0 and service.publisher.health.last_success == before_success:
        time.sleep(2e-4)
    assessed = time.perf_counter() - begun
    while service.publisher.health.last_success == before_success:
        time.sleep(5e-4)
    complete = time.perf_counter() - begun
    service.publisher.flush(60.0)
    return assessed * 1e3, complete * 1e3


def main(scans):
    worst = 0.0
    with tempfile.TemporaryDirectory() as home, TiledServer(Path(home) / "tiled") as server:
        os.environ[API_KEY_VARIABLE] = server.keys.service
        print(f"Tiled started in {server.start_seconds:.1f} s; {scans} scans each")  # noqa: T201
        for arrays in ("file", "http"):
            config = configuration(server, Path(home), arrays)
            with Service(config) as service:
                scan(service, 0)
                root = walk(connect(config.tiled, server.keys.service), "sandbox")
                rows = []
                for number in range(1, scans + 1):
                    times = scan(service, number)
                    begun = time.perf_counter()
                    root.create_container(f"bare-{arrays}-{number}")
                    rows.append((*times, (time.perf_counter() - begun) * 1e3))
            assessed, complete, bare = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            worst = max(worst, complete / bare)
            print(  # noqa: T201
                f"{arrays}: stop → assessed {assessed:.1f} ms, → complete in Tiled "
                f"{complete:.0f} ms, bare create_container {bare:.0f} ms, "
                f"ratio {complete / bare:.2f}"
            )
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
