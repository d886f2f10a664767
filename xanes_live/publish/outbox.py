"""A durable queue of results on their way to Tiled: one SQLite file.

A result is in the file before :meth:`Outbox.put` returns, so a kill at any moment loses nothing.
The journal is a write-ahead log without a sync for each commit (``synchronous=NORMAL``): that
survives the end of this process however it comes; only a power cut can take the last results, and
those are found again from the raw runs at the next start.

Every method is one SQL statement in a transaction of its own, on a connection of the calling
thread's own, so any thread may call any method. (One connection for all will not do: Python hands
one prepared statement to two threads that ask the same, and each then gets rows of the other.)
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import weakref
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import orjson
from safetensors import SafetensorError
from safetensors.numpy import load, save

from xanes_live import log
from xanes_live.errors import ConfigurationError
from xanes_live.publish.document import Node

_log = log.get(__name__)

UNREADABLE_S = 86_400.0
"""A result that cannot be read is looked at again after so long: no sooner than a day."""
_TABLE = """
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    raw_uid TEXT NOT NULL,
    state TEXT NOT NULL,
    whole INTEGER NOT NULL,
    document BLOB,
    arrays BLOB,
    not_before REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    replaces INTEGER NOT NULL DEFAULT 0
)
"""
_REPLACES = "ALTER TABLE outbox ADD COLUMN replaces INTEGER NOT NULL DEFAULT 0"
"""For files made before there was such a column."""
_PUT = """
INSERT OR REPLACE INTO outbox (key, raw_uid, state, whole, document, arrays, replaces)
SELECT :key, :raw_uid, 'pending', :whole, :document, :arrays, :replaces OR EXISTS (
    SELECT 1 FROM outbox WHERE key = :key AND state != 'done'
)
WHERE NOT EXISTS (
    SELECT 1 FROM outbox WHERE key = :key AND state != 'done' AND document = :document
    AND arrays = :arrays AND replaces >= :replaces
)
RETURNING key
"""


class State(StrEnum):
    """How far a result has come."""

    PENDING = "pending"
    """Tiled does not have it, or not whole."""
    ARRAYS = "arrays"
    """The document is complete in Tiled, the arrays follow."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Item:
    """One result as it lies in the outbox."""

    node: Node
    state: State
    attempts: int
    """How often this state was tried in vain."""
    number: int | None = None
    """Which of all that were put: another one after each :meth:`Outbox.put` of the key."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many results are in each state, and how many were refused by the server."""

    pending: int = 0
    arrays: int = 0
    done: int = 0
    refused: int = 0


class Outbox:
    """Results that wait for Tiled, and the keys of those that are there.

    Parameters
    ----------
    path
        The SQLite file; made if absent, together with its folder.
    keep_done
        How many published keys are remembered, the latest ones.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened for writing, or another process keeps it locked.
    """

    def __init__(self, path: Path, keep_done: int = 20_000) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._keep_done = path, keep_done
        self._own = threading.local()
        self._closed = False
        # Weak: the connection of a thread that has ended goes with it.
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()
        try:
            _prepare(self._db)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # not the fault of what it holds
                raise ConfigurationError(f"outbox {path}: {error}") from None
            self._drop()
            aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
            path.replace(aside)
            log.event(_log, logging.ERROR, "damaged outbox set aside", file=aside, error=error)
            _prepare(self._db)

    @property
    def _db(self) -> _Connection:
        """The calling thread's connection."""
        db: _Connection | None = getattr(self._own, "db", None)
        if db is None:
            if self._closed:
                raise sqlite3.ProgrammingError("the outbox is closed")
            db = _connect(self._path)
            self._own.db = db
            self._connections.add(db)
        return db

    def _drop(self) -> None:
        for db in list(self._connections):
            db.close()
        self._own = threading.local()

    def put(self, node: Node) -> bool:
        """Keep `node` until it is published; False if the very same is waiting already.

        One that was published before is taken once more: Tiled then says that it has it, or takes
        it if it was lost there. Of two results of one key that both wait the later is kept, and
        replaces what Tiled may have of the earlier.
        """
        values = {
            "key": node.key,
            "raw_uid": str(node.metadata.get("raw_uid", "")),
            "whole": int(node.whole),
            "document": orjson.dumps({"metadata": node.metadata, "units": node.units}),
            "arrays": save({k: np.ascontiguousarray(array) for k, array in node.arrays.items()}),
            "replaces": int(node.replaces),
        }
        return bool(self._db.execute(_PUT, values).fetchall())

    def holds(self, item: Item) -> bool:
        """Whether `item` is still what lies here, and no later result of its key."""
        sql = "SELECT 1 FROM outbox WHERE key = ? AND number = ? AND state = ?"
        values = (item.node.key, item.number, item.state)
        return bool(self._db.execute(sql, values).fetchall())

    def next(self, state: State) -> Item | None:
        """Return the oldest result in `state` that may be tried now; None if there is none."""
        while row := self._db.execute(
            "SELECT key, state, whole, document, arrays, attempts, number, replaces FROM outbox "
            "WHERE state = ? AND not_before <= ? ORDER BY number LIMIT 1",
            (state, time.time()),
        ).fetchall():
            try:
                return _item(*row[0])
            except (ValueError, TypeError, KeyError, SafetensorError) as error:
                # one that cannot be read must not keep the others back
                self.put_off(row[0][0], UNREADABLE_S, repr(error))
                name = "a result in the outbox cannot be read and is put aside: replay its run"
                log.event(_log, logging.ERROR, name, result_key=row[0][0], error=repr(error))
        return None

    def mark(self, key: str, state: State, number: int | None = None) -> None:
        """Note how far `key` has come; of a result that is done only the key is kept.

        With a `number` only if no other result of that key was put since.
        """
        if state is not State.DONE:
            self._db.execute(
                "UPDATE outbox SET state = ?, attempts = 0, error = '', not_before = 0 "
                "WHERE key = ? AND number = coalesce(?, number)",
                (state, key, number),
            )
            return
        self._db.execute(
            "UPDATE outbox SET state = 'done', document = NULL, arrays = NULL, attempts = 0, "
            "error = '', not_before = 0, replaces = 0 "
            "WHERE key = ? AND number = coalesce(?, number)",
            (key, number),
        )
        self._db.execute(
            "DELETE FROM outbox WHERE state = 'done' AND number <= "
            "(SELECT number FROM outbox WHERE state = 'done' ORDER BY number DESC "
            "LIMIT 1 OFFSET ?)",
            (self._keep_done,),
        )

    def put_off(self, key: str, seconds: float, error: str) -> None:
        """Leave `key` alone for a while: the server refuses it, others may pass."""
        self._db.execute(
            "UPDATE outbox SET not_before = ?, attempts = attempts + 1, error = ? WHERE key = ?",
            (time.time() + seconds, error[:500], key),
        )

    def state(self, key: str) -> State | None:
        """Return how far `key` has come; None if it was never put, or is forgotten."""
        rows = self._db.execute("SELECT state FROM outbox WHERE key = ?", (key,)).fetchall()
        return State(rows[0][0]) if rows else None

    def is_done(self, key: str) -> bool:
        """Whether `key` was published completely."""
        return self.state(key) is State.DONE

    def counts(self) -> Counts:
        """Return the number of results by state."""
        rows = self._db.execute(
            "SELECT state, COUNT(*), SUM(attempts > 0) FROM outbox GROUP BY state"
        ).fetchall()
        numbers = {state: count for state, count, _ in rows}
        refused = sum(tried for state, _, tried in rows if state != State.DONE)
        return Counts(**numbers, refused=refused)

    def pending(self) -> int:
        """Return how many results are not completely published."""
        counts = self.counts()
        return counts.pending + counts.arrays

    def known_uids(self) -> set[str]:
        """Return the raw uids of everything that is or was here (as far as it is remembered)."""
        return {uid for (uid,) in self._db.execute("SELECT raw_uid FROM outbox").fetchall()}

    def next_time(self) -> float | None:
        """Return when the next result may be tried (s since the epoch); None if none waits."""
        rows = self._db.execute(
            "SELECT MIN(not_before) FROM outbox WHERE state != 'done'"
        ).fetchall()
        moment: float | None = rows[0][0]
        return moment

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._drop()


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly."""


def _connect(path: Path) -> _Connection:
    # Autocommit; closed by whichever thread closes the outbox.
    db = sqlite3.connect(
        path, timeout=30.0, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    db.execute("PRAGMA synchronous=NORMAL")
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(_TABLE)
    if "replaces" not in {row[1] for row in db.execute("PRAGMA table_info(outbox)")}:
        db.execute(_REPLACES)
    db.execute("CREATE INDEX IF NOT EXISTS by_state ON outbox (state, not_before)")
    # What had to wait when the last process ended is tried at once by this one.
    db.execute("UPDATE outbox SET not_before = 0 WHERE state != 'done'")


def _item(
    key: str,
    state: str,
    whole: int,
    document: bytes,
    arrays: bytes,
    attempts: int,
    number: int,
    replaces: int,
) -> Item:
    content = orjson.loads(document)
    metadata, units = content["metadata"], content["units"]
    node = Node(key, metadata, load(arrays), units, bool(whole), bool(replaces))
    return Item(node, State(state), attempts, number)
