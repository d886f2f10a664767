"""The feed shows what is in Tiled, complete results only, whatever happens to the connection."""

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from tests import factories
from tests.faketiled import FakeTiled, until
from xanes_live.config import Config
from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.state import Board
from xanes_live.dashboard.tiled import NotThereError
from xanes_live.publish.document import node

PATH = "sandbox/xanes_live"


def document(uid="u", start=1_760_000_000.0, **changes):
    made = node(factories.result(uid=uid, time=start), Config())
    return {**made.metadata, **changes}


@asynccontextmanager
async def running(tiled, **options):
    board = Board()
    feed = Feed(tiled, board, PATH, "raw", **{"poll_s": 0.02, "reconcile_s": 0.05} | options)
    task = asyncio.create_task(feed.run())
    try:
        yield feed, board
    finally:
        task.cancel()
        await asyncio.wait([task])


def shown(board):
    """Key of the latest result on the board."""
    part = board._parts.get("result")
    return orjson.loads(part.body)["key"] if part else None


def filled(n=3):
    tiled = FakeTiled()
    tiled.containers = {PATH: {}, "raw": {}}
    for i in range(n):
        tiled.put(PATH, f"k{i}", document(f"u{i}", 1_760_000_000.0 + i))
    return tiled


def run(scenario):
    asyncio.run(scenario())


def test_everything_there_is_read_newest_first():
    async def scenario():
        async with running(filled(700)) as (feed, board):
            await until(lambda: not feed.loading)
            assert len(board.rows) == 700
            assert shown(board) == "k699"

    run(scenario)


def test_a_new_result_comes_through_the_subscription_without_a_request():
    async def scenario():
        tiled = filled()
        async with running(tiled, reconcile_s=60) as (feed, board):
            await until(lambda: feed.link.state()["state"] == "live" and not feed.loading)
            await asyncio.sleep(0.05)
            before = len(tiled.requests)
            tiled.put(PATH, "new", document("u9", 1_760_000_100.0))
            await until(lambda: shown(board) == "new")
            assert len(tiled.requests) == before
            assert "new" in board.rows

    run(scenario)


def test_a_half_written_result_is_not_shown_until_it_is_complete():
    async def scenario():
        tiled = filled()
        async with running(tiled) as (feed, board):
            await until(lambda: not feed.loading)
            tiled.put(PATH, "half", document("u9", 1_760_000_100.0, status="writing"))
            await asyncio.sleep(0.1)
            assert "half" not in board.rows
            assert shown(board) == "k2"
            with pytest.raises(NotThereError):
                await feed.detail("half")
            # The update is not announced: it is found by looking again.
            tiled.put(PATH, "half", document("u9", 1_760_000_100.0), announced=False)
            await until(lambda: shown(board) == "half")

    run(scenario)


def test_what_was_published_during_an_outage_is_found_afterwards():
    async def scenario():
        tiled = filled()
        async with running(tiled) as (feed, board):
            await until(lambda: not feed.loading)
            tiled.down = True
            tiled.drop()
            for i in range(50):
                tiled.put(PATH, f"missed{i}", document(f"m{i}", 1_760_000_100.0 + i))
            await asyncio.sleep(0.1)
            assert len(board.rows) == 3
            tiled.down = False
            await until(lambda: len(board.rows) == 53)
            assert shown(board) == "missed49"

    run(scenario)


def test_a_server_without_subscriptions_is_searched():
    async def scenario():
        tiled = filled()
        tiled.streaming = False
        async with running(tiled) as (feed, board):
            await until(lambda: feed.link.state()["state"] == "polling")
            tiled.put(PATH, "new", document("u9", 1_760_000_100.0))
            await until(lambda: shown(board) == "new")

    run(scenario)


def test_an_old_run_processed_now_does_not_take_the_place_of_the_latest():
    async def scenario():
        tiled = filled()
        async with running(tiled) as (feed, board):
            await until(lambda: not feed.loading)
            tiled.put(PATH, "replayed", document("u9", 1_750_000_000.0))
            await until(lambda: "replayed" in board.rows)
            assert shown(board) == "k2"

    run(scenario)


def test_the_same_run_processed_again_does():
    async def scenario():
        tiled = filled()
        async with running(tiled) as (feed, board):
            await until(lambda: not feed.loading)
            tiled.put(PATH, "again", document("u2", 1_760_000_002.0))
            await until(lambda: shown(board) == "again")

    run(scenario)


def test_nothing_published_yet_is_no_outage():
    async def scenario():
        tiled = FakeTiled()
        tiled.containers = {"raw": {}}
        async with running(tiled) as (feed, board):
            await until(lambda: feed.link.state()["state"] == "polling")
            assert not feed.loading
            tiled.put(PATH, "first", document("u0"))
            await until(lambda: shown(board) == "first")

    run(scenario)


def test_hostile_nodes_do_not_stop_the_feed():
    async def scenario():
        tiled = filled()
        tiled.put(PATH, "list", [1, 2, 3])
        tiled.put(PATH, "nothing", None)
        tiled.put(PATH, "odd", {"status": "complete", "time": "x", "flags": 7, "g2": "no"})
        async with running(tiled) as (feed, board):
            await until(lambda: not feed.loading)
            assert set(board.rows) == {"k0", "k1", "k2", "odd"}
            tiled.put(PATH, "odd2", {"status": "complete", "sample": ["x"], "scan_id": {}})
            await until(lambda: "odd2" in board.rows)

    run(scenario)


def test_few_documents_are_kept():
    async def scenario():
        tiled = filled(0)
        async with running(tiled) as (feed, board):
            await until(lambda: feed.link.state()["state"] == "live")
            for i in range(300):
                tiled.put(PATH, f"k{i}", document(f"u{i}", 1_760_000_000.0 + i))
            await until(lambda: len(board.rows) == 300)
            assert len(feed._details) <= 64

    run(scenario)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("key", ["k0", "k2"])
def test_a_result_that_was_replaced_is_shown(heard, key):
    async def scenario():
        tiled = filled()
        async with running(tiled, reconcile_s=0.05) as (feed, board):
            await until(lambda: not feed.loading)
            await feed.detail(key)
            start = 1_760_000_000.0 + int(key[1])
            again = document(f"u{key[1]}", start, sample="again", revised=1_760_000_500.0)
            tiled.put(PATH, key, again, announced=heard)
            await until(lambda: board.rows[key][1].sample == "again")
            assert (await feed.detail(key))["sample"] == "again"
            assert len(board.rows) == 3
            if key == "k2":
                await until(lambda: b"again" in board._parts["result"].body)
            assert shown(board) == "k2"

    run(scenario)
