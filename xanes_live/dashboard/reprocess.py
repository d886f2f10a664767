"""The same run with other settings of the reduction, previewed or published as a new result.

Goes through :func:`xanes_live.pipeline.process` like every other result; the changed settings
change the configuration's hash and so the key, and the old result stays as it is.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from xanes_live.config import Config, ReductionConfig
from xanes_live.dashboard.rawrun import RawRuns
from xanes_live.dashboard.tiled import NotThereError, TiledError, TiledReader
from xanes_live.dashboard.view import detail
from xanes_live.documents.run import RunRecord
from xanes_live.errors import XanesLiveError
from xanes_live.pipeline import Predictors
from xanes_live.publish.document import Node

_KEPT = 8
_NEEDED = {"create:node", "write:metadata", "write:data"}

Energy = Annotated[float, Field(gt=-5000, lt=150_000)]


class NotAllowedError(XanesLiveError, PermissionError):
    """The page has no key that may write."""


class Changes(BaseModel):
    """Settings of the reduction that an operator may change; None leaves one as configured."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    e0: Energy | None = None
    pre1: Energy | None = None
    pre2: Energy | None = None
    norm1: Energy | None = None
    norm2: Energy | None = None
    nnorm: Annotated[int, Field(ge=0, le=5)] | None = None
    align: Literal["off", "foil", "fixed"] | None = None
    energy_shift: Annotated[float, Field(ge=-100, le=100)] | None = None

    def given(self) -> dict[str, Any]:
        """Return the settings that are changed."""
        return self.model_dump(exclude_none=True)


class Request(BaseModel):
    """What a page asks for."""

    model_config = ConfigDict(extra="forbid")

    keys: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=20)]
    """Results whose runs are taken again."""
    changes: Changes = Changes()
    publish: bool = False


class Reprocessor:
    """Takes runs again, one after the other, on a thread of its own.

    Parameters
    ----------
    raw
        Where the runs are read.
    config
        The service's configuration; the changes apply to its reduction.
    uri
        Of the Tiled server.
    writer_key
        A key that may create results; None where nobody may.
    """

    def __init__(self, raw: RawRuns, config: Config, uri: str, writer_key: str | None) -> None:
        self._raw, self._config, self._uri, self._key = raw, config, uri, writer_key
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="xanes-reprocess")
        self._predictors: Predictors | None = None
        self._records: OrderedDict[str, RunRecord] = OrderedDict()
        self.reason = "" if writer_key else "this page was started without a key that may write"
        """Why nothing can be reprocessed; '' when it can."""

    async def look_at_key(self) -> None:
        """Find out what the key may do, where the server says it."""
        if not self._key:
            return
        reader = TiledReader(self._uri, self._key)
        try:
            scopes = await reader.scopes()
        except TiledError:
            return  # it is found out when something is published
        finally:
            await reader.close()
        if scopes is not None and not set(scopes) >= _NEEDED and "inherit" not in scopes:
            lacking = ", ".join(sorted(_NEEDED - set(scopes)))
            self.reason = f"the key of this page may not write (it lacks {lacking})"

    def about(self) -> dict[str, Any]:
        """Return what the page says of it."""
        reduction = self._config.reduction.model_dump(mode="json")
        defaults = {name: reduction[name] for name in Changes.model_fields}
        return {"possible": not self.reason, "reason": self.reason, "defaults": defaults}

    def check(self) -> None:
        """Raise `NotAllowedError` if nothing can be reprocessed."""
        if self.reason:
            raise NotAllowedError(f"Reprocessing is not possible: {self.reason}.")

    async def run(self, rows: Sequence[Mapping[str, Any]], wish: Request) -> list[dict[str, Any]]:
        """Take the runs of `rows` (results as the page shows them) again.

        Raises
        ------
        NotAllowedError
            Without a key, or if Tiled refuses it.
        TiledError
            If a run cannot be read or a result not be written.
        """
        self.check()
        reduction = ReductionConfig.model_validate(
            {**self._config.reduction.model_dump(), **wish.changes.given()}
        )
        config = self._config.model_copy(update={"reduction": reduction})
        loop = asyncio.get_running_loop()
        found = []
        for row in rows:
            record = await self._record(row["raw_uid"])
            job = partial(self._again, record, row, config, wish)
            found.append(await loop.run_in_executor(self._thread, job))
        return found

    async def _record(self, uid: str) -> RunRecord:
        """Return a run; only one that has ended, and so will not grow, is kept."""
        if uid in self._records:
            return self._records[uid]
        run = await self._raw.find(uid)
        record = await self._raw.record(run)
        if run.stop is not None:
            self._records[uid] = record
            while len(self._records) > _KEPT:
                self._records.popitem(last=False)
        return record

    def _again(
        self, record: RunRecord, row: Mapping[str, Any], config: Config, wish: Request
    ) -> dict[str, Any]:
        from xanes_live.service.handle import handle  # noqa: PLC0415 - slow to import

        outcome = handle(record, self._loaded(config), config)
        if outcome.node is None:
            raise NotThereError("the raw run is no absorption scan")
        origin = {"of": row["key"], "changes": wish.changes.given()}
        node = replace(outcome.node, metadata={**outcome.node.metadata, "reprocessed": origin})
        if wish.publish:
            publish(node, config, self._key)
        return {"of": row["key"], "same": node.key == row["key"], **detail(node.key, node.metadata)}

    def _loaded(self, config: Config) -> Predictors:
        if self._predictors is None:
            from xanes_live.service.service import load_predictors  # noqa: PLC0415 - torch

            self._predictors = load_predictors(config)
        return self._predictors

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def publish(node: Node, config: Config, key: str | None) -> None:
    """Write a node to Tiled and return when it is complete.

    Raises
    ------
    NotAllowedError
        If Tiled refuses the key.
    TiledError
        If it cannot be reached or does not take the result.
    """
    from xanes_live.publish.delivery import Delivery  # noqa: PLC0415 - only where one may write
    from xanes_live.publish.outbox import Item, Outbox, State  # noqa: PLC0415
    from xanes_live.publish.remote import RefusedError, Remote  # noqa: PLC0415

    # The page may run far from the directory that the service and the server share.
    tiled = config.tiled.model_copy(update={"arrays": "http"})
    remote = Remote(tiled, key)
    with tempfile.TemporaryDirectory() as home:
        outbox = Outbox(Path(home) / "outbox.sqlite")
        try:
            outbox.put(node)
            delivery = Delivery(tiled, remote, outbox, lambda _: None)
            state = State.PENDING
            while state is not State.DONE:
                state = delivery.advance(Item(node, state, 0))
        except RefusedError:
            raise NotAllowedError("Tiled does not let the key of this page write.") from None
        except XanesLiveError as error:
            raise TiledError(f"the result could not be written: {error}") from None
        finally:
            outbox.close()
            remote.close()
