"""Runs that ended while nobody listened are found, also when they reach Tiled late."""

import time

import pytest

from tests.runs import FE, PLAIN, xas
from tests.unit.service.test_worker import PREDICTORS
from xanes_live.config import parse
from xanes_live.documents.callback import assemble
from xanes_live.service import service as module
from xanes_live.service.service import Service


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CATCH_UP_WAITS_S", (0.01,))
    config = parse(
        {
            "source": {"kind": "none"},
            "tiled": {"uri": "http://127.0.0.1:9"},
            "service": {"state_directory": str(tmp_path)},
        }
    )
    made = Service(config, PREDICTORS)
    yield made
    made.stop()


def until(condition, patience_s=20.0):
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_late_runs_are_found_and_each_is_taken_once(service, monkeypatch):
    first, late = (assemble(xas(PLAIN, FE)) for _ in range(2))
    looks = []

    def unpredicted(since, known):
        looks.append(since)
        if len(looks) == 1:
            raise ConnectionError("Tiled is away")
        there = [first] if len(looks) < 4 else [first, late]
        return iter([run for run in there if run.uid not in known])

    monkeypatch.setattr(service.past, "unpredicted", unpredicted)
    service.start()
    until(lambda: len(looks) > 8)
    assert service.worker.drain(20.0)
    assert service.worker.state.runs == 2
    assert service.outbox.known_uids() == {first.uid, late.uid}
    assert looks[-1] > looks[0]


def test_what_came_live_is_not_looked_for(service, monkeypatch):
    run = assemble(xas(PLAIN, FE))
    asked = []

    def unpredicted(since, known):
        asked.append(set(known))
        return iter(())

    monkeypatch.setattr(service.past, "unpredicted", unpredicted)
    service.submit(run)
    service.start()
    until(lambda: len(asked) > 1)
    assert all(run.uid in known for known in asked)
