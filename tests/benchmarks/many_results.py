"""Thousands of results in a real Tiled's catalogue, without as many requests."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

from tests.browser.harness import RED, Publisher
from xanes_live.domain import Confidence
from xanes_live.service.tiled_server import TiledServer

SAMPLES = ("goethite", "hematite", "siderite", "pyrite", "vivianite")
EVERY_S = 20.0
"""Time from one result to the next."""
# The text index follows every row; no search of the page uses it, and it takes most of the time.
_INDEX = "nodes_metadata_fts5_sync_ai"


def fill(server: TiledServer, count: int) -> None:
    """Put `count` results into the catalogue of a server that has none yet, and start it again.

    One result of each kind is published as always; the others are rows copied in the database with
    a key, run, sample, scan number and time of their own.
    """
    publisher = Publisher(server.uri, server.keys.service)
    keys = (publisher.publish(), publisher.publish(Confidence.RED, flags=RED, r=2.4))
    publisher.close()
    server.stop()
    with closing(sqlite3.connect(server.directory / "catalog.db")) as database, database:
        _copy(database, keys, count - len(keys))
    server.start(300.0)


def _copy(database: sqlite3.Connection, keys: tuple[str, ...], count: int) -> None:
    names = [row[1] for row in database.execute("PRAGMA table_info(nodes)")][1:]
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join(f":{name}" for name in names)
    models = [
        dict(zip(names, row, strict=True))
        for key in keys
        for row in database.execute(f'SELECT {columns} FROM nodes WHERE "key" = ?', (key,))  # noqa: S608
    ]
    documents = [json.loads(model["metadata"]) for model in models]
    (trigger,) = database.execute("SELECT sql FROM sqlite_master WHERE name = ?", (_INDEX,))
    database.execute(f"DROP TRIGGER {_INDEX}")
    now = time.time()
    rows = (
        {**models[kind], **_varied(documents[kind], i, now - EVERY_S * (count - i))}
        for i in range(count)
        for kind in [int(i % 5 == 0)]
    )
    database.executemany(f"INSERT INTO nodes ({columns}) VALUES ({marks})", rows)  # noqa: S608
    database.execute(trigger[0])


def _varied(document: dict, i: int, moment: float) -> dict[str, str]:
    changed = {
        **document,
        "raw_uid": f"run-{i}",
        "scan_id": i,
        "sample": SAMPLES[i % len(SAMPLES)],
        "time": moment,
        "stop_time": moment + 5.0,
    }
    return {"key": f"copy-{i}", "metadata": json.dumps(changed)}
