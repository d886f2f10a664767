"""Readers of the board end up with its state, whatever they missed; nothing is queued for them."""

import asyncio
import dataclasses

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from xanes_live.dashboard.state import ROWS_A_MESSAGE, Board
from xanes_live.dashboard.view import FIELDS, summary


def row(key, **values):
    return summary(key, {"time": 1.7e9, **values})


def pull(board, have, *, epoch=None, history=True, wait_s=0.0):
    wish = board.message(
        board.epoch if epoch is None else epoch, have, history=history, wait_s=wait_s
    )
    return orjson.loads(asyncio.run(wish))


class Reader:
    """What the page does with messages."""

    def __init__(self, board):
        self.board, self.have, self.parts, self.rows = board, {}, {}, {}

    def pull(self):
        message = pull(self.board, self.have)
        for name, value in message["parts"].items():
            self.parts[name] = value
            self.have[name] = message["versions"][name]
        history = message["history"]
        self.have["history"] = history["version"]
        for values in history["rows"]:
            found = dict(zip(FIELDS, values, strict=True))
            self.rows[found["key"]] = found
        return message


def test_a_reader_gets_only_what_is_newer():
    board = Board()
    board.put("a", 1)
    board.put("b", 2)
    reader = Reader(board)
    assert reader.pull()["parts"] == {"a": 1, "b": 2}
    board.put("b", 3)
    assert reader.pull()["parts"] == {"b": 3}
    assert reader.pull()["parts"] == {}


def test_the_same_value_is_no_news():
    board = Board()
    board.put("a", {"x": [1.0]})
    version = board.version
    board.put("a", {"x": [1.0]})
    board.add([row("k")])
    after = board.version
    board.add([row("k")])
    assert (version, board.version) == (1, after)


def test_what_came_in_between_is_not_kept():
    board = Board()
    reader = Reader(board)
    for i in range(1000):
        board.put("scan", {"points": i})
    assert reader.pull()["parts"] == {"scan": {"points": 999}}


def test_a_reader_of_an_earlier_life_begins_again():
    board = Board()
    board.put("a", 1)
    assert pull(board, {"a": 900}, epoch="another")["parts"] == {"a": 1}


def test_without_news_the_answer_comes_after_the_wait():
    board = Board()
    message = pull(board, {}, wait_s=0.01, history=False)
    assert message["parts"] == {}
    assert "history" not in message


def test_news_ends_the_wait():
    async def waiting():
        board = Board()
        reading = asyncio.create_task(board.message(board.epoch, {}, history=False, wait_s=30))
        await asyncio.sleep(0)
        board.put("a", 1)
        return orjson.loads(await asyncio.wait_for(reading, 5))

    assert asyncio.run(waiting())["parts"] == {"a": 1}


def test_a_long_history_comes_in_pieces():
    board = Board()
    board.add(row(f"k{i}") for i in range(2 * ROWS_A_MESSAGE + 10))
    reader = Reader(board)
    assert [reader.pull()["history"]["more"] for _ in range(3)] == [True, True, False]
    assert reader.rows.keys() == board.rows.keys()


def test_the_oldest_rows_are_let_go():
    board = Board(max_rows=10)
    rows = [row(f"k{i}", time=1.7e9 + (i * 37) % 600) for i in range(600)]
    board.add(rows)
    kept = sorted(rows, key=lambda r: r.time)[-10:]
    assert set(board.rows) == {r.key for r in kept}


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["pull", "add", "put"]), st.integers(0, 5), st.integers(0, 3)),
        max_size=40,
    )
)
def test_any_order_of_changes_and_pulls_ends_in_the_same_state(steps):
    board = Board()
    reader = Reader(board)
    expected, parts = {}, {}
    for what, which, value in steps:
        if what == "pull":
            reader.pull()
        elif what == "add":
            changed = row(f"k{which}", sample=str(value))
            board.add([changed])
            expected[changed.key] = dataclasses.asdict(changed)["sample"]
        else:
            board.put(f"p{which}", value)
            parts[f"p{which}"] = value
    reader.pull()
    assert {k: r["sample"] for k, r in reader.rows.items()} == expected
    assert reader.parts == parts
