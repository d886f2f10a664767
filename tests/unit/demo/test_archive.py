"""Raw runs reach Tiled once each, whatever Tiled does meanwhile."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from contextlib import ExitStack

import httpx
import numpy as np
import pytest

pytest.importorskip("tiled.server")

from xanes_live.demo import archive
from xanes_live.demo.archive import Archive
from xanes_live.demo.programme import PROGRAMME, SHORT
from xanes_live.service.tiled_server import TiledServer

BY_NAME = {entry.name: entry for entry in PROGRAMME}


class Lost(httpx.BaseTransport):
    """Carries out every request, but loses the answer of the `k`-th that changes something."""

    def __init__(self, transport: httpx.BaseTransport, k: int) -> None:
        self.transport, self.k, self.seen = transport, k, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.transport.handle_request(request)
        if request.method != "GET":
            self.seen += 1
            if self.seen == self.k:
                response.read()
                response.close()
                raise httpx.ReadError("connection lost", request=request)
        return response

    def close(self) -> None:
        self.transport.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tiled")
    with TiledServer(directory, readable=[directory.parent]) as server:
        yield server


@pytest.fixture
def raw(server):
    from tiled.client import from_uri

    with ExitStack() as stack:

        def connect():
            client = from_uri(server.uri, api_key=server.keys.writer)
            stack.callback(client.context.close)
            return client["raw"]

        yield connect


def check(container, documents) -> None:
    """What Tiled gives back is what was measured: nothing lost, nothing twice."""
    start, stop = documents[0][1], documents[-1][1]
    run = container[start["uid"]]
    assert run.metadata["stop"]["uid"] == stop["uid"]
    for stream, count in stop["num_events"].items():
        assert len(run[stream].read()["time"]) == count
    back = list(run.documents())
    events = [d for n, d in back if n == "event"]
    sent = [d for n, d in documents if n == "event"]
    assert Counter(d["seq_num"] for d in events) == Counter(d["seq_num"] for d in sent)
    for ours, theirs in zip(sent, sorted_like(events, sent), strict=True):
        for key, value in ours["data"].items():
            np.testing.assert_array_equal(value, theirs["data"][key])


def sorted_like(events, sent):
    by_time = {round(d["time"], 6): d for d in events}
    return [by_time[round(d["time"], 6)] for d in sent]


def feed(target, documents) -> None:
    for name, document in documents:
        target(name, document)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [archive.WHOLE, 7])
@pytest.mark.parametrize("name", ["feo-too-short", "fes2-qexafs"])
def test_a_run_is_stored_exactly(raw, measure, name: str, batch: int) -> None:
    documents = measure(BY_NAME[name], seed=batch)
    target = Archive(raw, batch)
    feed(target, documents)
    assert target.drain(30)
    target.close()
    assert (target.stored, target.waiting) == (1, ())
    check(raw(), documents)


@pytest.mark.slow
def test_external_data_can_be_read_through_tiled(raw, measure) -> None:
    documents = measure(BY_NAME["fe2o3-hdf5"])
    target = Archive(raw)
    feed(target, documents)
    assert target.drain(30)
    target.close()
    read = raw()[documents[0][1]["uid"]]["primary"].read()
    assert read["panda_energy"].shape == (600,)
    assert read["panda_fluo"].shape == (600, 4)
    assert np.isfinite(read["panda_i0"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("k", [9, 12])
def test_an_interrupted_array_is_whole_in_the_end(raw, measure, monkeypatch, k) -> None:
    monkeypatch.setattr(archive, "WAITS_S", (0.05,))
    entry = dataclasses.replace(BY_NAME["goethite"], regions=SHORT)
    documents = measure(entry, seed=k)
    transports = []

    def connect():
        node = raw()
        http = node.context.http_client
        http._transport = Lost(http._transport, 0 if transports else k)
        transports.append(http._transport)
        return node

    target = Archive(connect, 30)
    feed(target, documents)
    assert target.drain(60)
    target.close()
    assert transports[0].seen >= k
    check(raw(), documents)


@pytest.mark.slow
def test_points_reach_tiled_while_the_run_goes_on(raw, measure) -> None:
    documents = measure(BY_NAME["goethite"], seed=5)
    events = [d for n, d in documents if n == "event"]
    target = Archive(raw, 7)
    feed(target, documents[: documents.index(("event", events[40]))])
    assert settled(lambda: target.waiting and points(raw(), documents) >= 35)
    feed(target, documents[documents.index(("event", events[40])) :])
    assert target.drain(60)
    target.close()
    check(raw(), documents)


def settled(condition) -> bool:
    """Wait until `condition()` holds."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


def points(container, documents) -> int:
    try:
        return len(container[documents[0][1]["uid"]]["primary"].base["internal"].read())
    except KeyError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("batch", [archive.WHOLE, 7])
def test_whichever_answer_is_lost_the_run_is_whole_in_the_end(
    raw, measure, monkeypatch, batch
) -> None:
    monkeypatch.setattr(archive, "WAITS_S", (0.05,))
    entry = BY_NAME["sample-alignment"]
    for k in range(1, 40):
        documents = measure(entry, seed=k + batch)
        transports = []

        def connect(k=k, transports=transports):
            node = raw()
            http = node.context.http_client
            # Only the first connection fails: the archive connects again after a failure.
            http._transport = Lost(http._transport, 0 if transports else k)
            transports.append(http._transport)
            return node

        target = Archive(connect, batch)
        feed(target, documents)
        assert target.drain(60)
        target.close()
        check(raw(), documents)
        if transports[0].seen < k:
            break
    assert 6 < k < 39


@pytest.mark.slow
def test_runs_taken_while_tiled_is_away_arrive_when_it_is_back(raw, measure, monkeypatch) -> None:
    monkeypatch.setattr(archive, "WAITS_S", (0.05, 0.1))
    back, attempts = threading.Event(), []

    def connect():
        attempts.append(time.monotonic())
        if not back.is_set():
            raise httpx.ConnectError("connection refused")
        return raw()

    runs = [measure(BY_NAME["feo-too-short"], seed=s) for s in (101, 102)]
    target = Archive(connect)
    began = time.monotonic()
    for documents in runs:
        feed(target, documents)
    assert time.monotonic() - began < 1.0
    assert not target.drain(0.5)
    assert set(target.waiting) == {d[0][1]["uid"] for d in runs}
    assert len(attempts) > 2
    back.set()
    assert target.drain(30)
    target.close()
    assert target.stored == 2
    for documents in runs:
        check(raw(), documents)


def test_the_callback_neither_waits_nor_shares(measure) -> None:
    blocked = threading.Event()

    def connect():
        blocked.wait(10)
        raise httpx.ConnectError("refused")

    target = Archive(connect)
    document = {"uid": "a", "nested": {"value": 1}}
    target("start", document)
    document["nested"]["value"] = 2
    assert not target.drain(0.01)
    blocked.set()
    target.close()
    assert target.stored == 0
