"""Which run is being measured, which waits for its result, and what the operator is told."""

import asyncio

import pytest

from tests.faketiled import FakeTiled
from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.live import LiveScan
from xanes_live.dashboard.monitor import Monitor
from xanes_live.dashboard.runs import ABANDONED_S, Runs, sample_of
from xanes_live.dashboard.state import Board

T0 = 1_760_000_000.0


class Clock:
    def __init__(self):
        self.now = T0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def start(time, **more):
    return {"start": {"time": time, "scan_id": 7, "sample": "goethite", **more}}


def test_the_run_that_began_last_and_has_not_ended_is_the_current_one(clock):
    runs = Runs(clock)
    runs.seen("a", start(T0 - 100), live=True)
    runs.seen("b", start(T0 - 10), live=True)
    assert runs.current().uid == "b"
    runs.seen("b", {**start(T0 - 10), "stop": {"time": T0}}, live=True)
    assert runs.current() is None  # 'a' never ended, but was followed by another


def test_a_result_before_the_stop_document_ends_the_run(clock):
    runs = Runs(clock)
    runs.seen("a", start(T0), live=True)
    runs.answered("a")
    assert runs.current() is None


def test_a_run_without_stop_is_given_up_one_day(clock):
    runs = Runs(clock)
    runs.seen("a", start(T0), live=True)
    clock.now += ABANDONED_S + 1
    assert runs.current() is None


def test_few_runs_are_kept(clock):
    runs = Runs(clock)
    for i in range(500):
        runs.seen(f"u{i}", start(T0 + i), live=True)
        runs.answered(f"u{i}")
    assert len(runs._runs) == 50
    assert runs.latest().uid == "u499"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"sample": "a"}, "a"),
        ({"sample": {"name": "b"}}, "b"),
        ({"sample_name": "c"}, "c"),
        ({"sample": None, "name": "d"}, "d"),
        ({"sample": 7}, "7"),
        ({}, ""),
    ],
)
def test_names_of_samples(document, expected):
    assert sample_of(document) == expected


@pytest.fixture
def feed(clock):
    feed = Feed(FakeTiled(), Board(), "results", "raw", clock=clock)
    for name in ("results", "raw"):
        feed.link.up(name)
        feed.link.answered(name)
    return feed


def codes(monitor, feed):
    return [notice["code"] for notice in monitor.notices(feed.link.state())]


def test_all_is_well(feed, clock):
    assert codes(Monitor(feed, {}, clock=clock), feed) == []


def test_an_outage_is_told_after_a_moment_and_taken_back(feed, clock):
    monitor = Monitor(feed, {}, clock=clock)
    feed.link.lost("results", "Tiled cannot be reached")
    assert codes(monitor, feed) == []
    clock.now += 1.5
    (notice,) = monitor.notices(feed.link.state())
    assert (notice["code"], notice["since"]) == ("tiled_down", T0)
    feed.link.answered("results")
    assert codes(monitor, feed) == []


def test_a_silent_service_is_told(feed, clock):
    monitor = Monitor(feed, {}, clock=clock)
    feed.runs.seen("a", start(T0), live=True)
    feed.runs.seen("a", {**start(T0), "stop": {"time": T0}}, live=True)
    feed.runs.judged("a", expected=True)
    clock.now += 5
    assert codes(monitor, feed) == []
    clock.now += 6
    assert codes(monitor, feed) == ["service_silent"]
    feed.runs.answered("a")
    assert codes(monitor, feed) == []


def test_a_service_that_has_been_heard_since_is_not_silent(feed, clock):
    monitor = Monitor(feed, {}, clock=clock)
    for uid, began in (("first", T0), ("lost", T0 + 1), ("later", T0 + 2)):
        feed.runs.seen(uid, {**start(began), "stop": {"time": began}}, live=True)
        feed.runs.judged(uid, expected=True)
    clock.now += 60
    feed.runs.answered("first")
    assert codes(monitor, feed) == ["service_silent"]
    feed.runs.answered("later")
    assert codes(monitor, feed) == []


def test_nothing_is_expected_of_a_run_that_is_no_absorption_scan(feed, clock):
    monitor = Monitor(feed, {}, clock=clock)
    feed.runs.seen("a", {**start(T0), "stop": {"time": T0}}, live=True)
    feed.runs.judged("a", expected=False)
    clock.now += 60
    assert codes(monitor, feed) == []


def test_a_run_without_points_is_told_until_one_comes(feed, clock):
    monitor = Monitor(feed, {}, clock=clock)
    feed.runs.seen("a", start(T0), live=True)
    feed.points = 3
    assert codes(monitor, feed) == []
    clock.now += 21
    assert codes(monitor, feed) == ["no_data"]
    feed.points = 4
    assert codes(monitor, feed) == []


def test_the_state_of_the_scan(feed, clock):
    live = LiveScan(feed, config=None, clock=clock)
    feed.runs.seen("a", start(T0), live=True)
    run = feed.runs.latest
    assert live._state(run()) == "running"
    feed.runs.seen("a", {**start(T0), "stop": {"time": T0}}, live=True)
    assert live._state(run()) == "processing"
    feed.runs.judged("a", expected=False)
    assert live._state(run()) == "ignored"
    feed.runs.answered("a")
    assert live._state(run()) == "done"


def test_a_run_that_cannot_be_read_is_not_tried_for_ever(feed, clock):
    feed.reader.containers["raw"] = {}

    class Unreadable:
        async def record(self, run):
            raise ValueError("nonsense")

    live = LiveScan(feed, config=None, clock=clock)
    live._raw = Unreadable()
    feed.runs.seen("a", {**start(T0), "stop": {"time": T0}}, live=True)
    for _ in range(3):
        assert feed.runs.unread() is not None
        with pytest.raises(ValueError, match="nonsense"):
            asyncio.run(live.step())
        live._failed(ValueError("nonsense"))
    assert feed.runs.unread() is None
