"""A replay spread over an existing dask.distributed cluster.

Workers read and predict; what they find comes back and is published by one writer here, so Tiled
sees one client. Results travel as bytes (JSON and safetensors); the calls themselves are dask's own
affair, which pickles them: use a cluster whose network is trusted, as dask's documentation says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson
from safetensors.numpy import load, save

from xanes_live.config import Config, parse
from xanes_live.documents.archive import open_archive
from xanes_live.errors import MissingDependencyError
from xanes_live.pipeline import Predictors
from xanes_live.publish.document import Node
from xanes_live.service.replay import Replayed, replay_run
from xanes_live.service.service import load_predictors

Packed = tuple[str, str, str, bytes, bytes]
"""uid, what, reason, document, arrays."""


def spread(uids: Sequence[str], where: str, config: Config, address: str) -> Iterator[Replayed]:
    """Yield what became of each run as the cluster finishes it.

    Raises
    ------
    MissingDependencyError
        If dask.distributed is not installed.
    ConnectionError
        If there is no scheduler at `address`.
    """
    try:
        from distributed import Client, as_completed  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise MissingDependencyError("dask.distributed", "dask", "--dask") from None
    settings = orjson.dumps(config.model_dump(mode="json"))
    try:
        client = Client(address, timeout=10)
    except OSError as error:
        raise ConnectionError(f"no dask scheduler at {address}: {error}") from None
    with client:
        calls = client.map(
            _remote, uids, where=where, settings=settings, api_key=config.tiled_key(), pure=False
        )
        for future in as_completed(calls):
            reason = future.exception()
            if reason is None:
                yield unpack(future.result())
            else:
                uid = uids[[call.key for call in calls].index(future.key)]
                yield Replayed(uid, "failed", None, repr(reason))


def _remote(uid: str, where: str, settings: bytes, api_key: str | None) -> Packed:
    """Predict one run; executed on a worker."""
    config, predictors, archive = _opened(where, settings, api_key)
    for run in archive.runs(uids=(uid,)):
        return pack(replay_run(run, predictors, config))
    return pack(Replayed(uid, "failed", None, "not in the archive"))


@lru_cache(maxsize=4)
def _opened(where: str, settings: bytes, api_key: str | None) -> tuple[Config, Predictors, Any]:
    """Load models and open the archive once a worker."""
    config = parse(orjson.loads(settings))
    return config, load_predictors(config), open_archive(where, config.tiled, api_key)


def pack(replayed: Replayed) -> Packed:
    """Return `replayed` as strings and bytes."""
    node = replayed.node
    if node is None:
        return replayed.uid, replayed.what, replayed.reason, b"", b""
    document = {
        "key": node.key,
        "metadata": node.metadata,
        "units": node.units,
        "whole": node.whole,
    }
    arrays = save(dict(node.arrays))
    return replayed.uid, replayed.what, replayed.reason, orjson.dumps(document), arrays


def unpack(packed: Packed) -> Replayed:
    """Undo :func:`pack`."""
    uid, what, reason, document, arrays = packed
    if not document:
        return Replayed(uid, what, None, reason)
    said = orjson.loads(document)
    node = Node(said["key"], said["metadata"], load(arrays), said["units"], said["whole"])
    return Replayed(uid, what, node, reason)
