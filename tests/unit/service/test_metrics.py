"""What the service says of itself: numbers, health, systemd."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests import factories
from xanes_live.config import Config, MetricsConfig, parse
from xanes_live.documents.callback import Counters
from xanes_live.publish.document import node
from xanes_live.publish.outbox import Counts
from xanes_live.publish.writer import Condition, PublisherHealth
from xanes_live.service import run, systemd
from xanes_live.service.endpoint import Endpoint
from xanes_live.service.health import Health, judge
from xanes_live.service.histogram import BOUNDS_S, Histogram
from xanes_live.service.latency import Latency
from xanes_live.service.metrics import registry
from xanes_live.service.raw import Trouble
from xanes_live.service.readings import Readings, take
from xanes_live.service.service import Service
from xanes_live.service.state import ServiceState

NOW = 1_760_000_100.0


def readings(**changes) -> Readings:
    fields = {
        "now": NOW,
        "state": ServiceState(
            started=NOW - 100,
            runs=7,
            ignored=2,
            declined=1,
            results=4,
            colours={"green": 3, "red": 1},
            reread=1,
            durations=Histogram().observe(0.03),
        ),
        "counters": Counters(documents=1234, dropped=5, errors=6, open_runs=2),
        "publisher": PublisherHealth(Condition.OK, "", Counts(pending=2, arrays=1), NOW - 1, 9),
        "publication": Histogram().observe(0.4).observe(4.0),
        "queued": 3,
        "queue_limit": 256,
        "last_document": NOW - 5,
        "threads": {"worker": True, "publisher": True, "xanes-source": True},
        "models": (factories.MODEL,),
        "disk_free": 10 << 30,
        "device_memory": {"cuda:0": 1_000_000},
    }
    return Readings(**(fields | changes))


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what Prometheus' own parser reads."""
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def get(port: int, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def serving():
    """An endpoint on a free port for readings that may be changed."""
    state = {"readings": readings()}
    endpoint = Endpoint(
        MetricsConfig(),
        registry(lambda: state["readings"]),
        lambda: judge(state["readings"]),
    ).start(port=0)
    yield endpoint.port, state
    endpoint.stop()


def test_prometheus_reads_the_numbers(serving):
    port, _ = serving
    status, kind, text = get(port, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    found = samples(text)
    expected = {
        ("xanes_live_documents_total", ()): 1234,
        ("xanes_live_documents_dropped_total", ()): 5,
        ("xanes_live_document_errors_total", ()): 6,
        ("xanes_live_runs_total", (("outcome", "result"),)): 4,
        ("xanes_live_runs_total", (("outcome", "declined"),)): 1,
        ("xanes_live_runs_total", (("outcome", "ignored"),)): 2,
        ("xanes_live_predictions_total", (("colour", "green"),)): 3,
        ("xanes_live_predictions_total", (("colour", "amber"),)): 0,
        ("xanes_live_predictions_total", (("colour", "red"),)): 1,
        ("xanes_live_queue_depth", ()): 3,
        ("xanes_live_outbox_pending", (("part", "document"),)): 2,
        ("xanes_live_outbox_pending", (("part", "arrays"),)): 1,
        ("xanes_live_tiled_errors_total", ()): 9,
        ("xanes_live_last_document_time_seconds", ()): NOW - 5,
        ("xanes_live_publication_seconds_bucket", (("le", "0.5"),)): 1,
        ("xanes_live_publication_seconds_bucket", (("le", "5.0"),)): 2,
        ("xanes_live_publication_seconds_count", ()): 2,
        ("xanes_live_publication_seconds_sum", ()): pytest.approx(4.4),
        ("xanes_live_processing_seconds_count", ()): 1,
        ("xanes_live_device_memory_bytes", (("device", "cuda:0"),)): 1_000_000,
        ("xanes_live_thread_working", (("thread", "worker"),)): 1,
        ("xanes_live_healthy", ()): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


def test_a_scrape_shows_the_present(serving):
    port, state = serving
    get(port, "/metrics")
    state["readings"] = readings(queued=42)
    assert samples(get(port, "/metrics")[2])["xanes_live_queue_depth", ()] == 42


def test_probe_says_why(serving):
    port, state = serving
    status, _, text = get(port, "/healthz")
    assert (status, json.loads(text)["ok"]) == (200, True)
    state["readings"] = readings(threads={"worker": False})
    status, _, text = get(port, "/healthz")
    assert status == 503
    assert json.loads(text)["reasons"] == ["thread worker is not at work"]


def test_other_addresses_are_not_found(serving):
    assert get(serving[0], "/")[0] == 404


def test_failing_readings_are_an_answer():
    def fail() -> Readings:
        raise OSError("disk gone")

    with Endpoint(MetricsConfig(), registry(readings), lambda: judge(fail())).start(port=0) as on:
        assert get(on.port, "/healthz")[0] == 500


def test_a_taken_port_is_no_reason_not_to_predict(caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = MetricsConfig(port=taken.getsockname()[1])
        endpoint = Endpoint(config, registry(readings), Health).start()
        assert endpoint.port is None
        assert "no metrics" in caplog.text


def test_port_0_listens_nowhere():
    assert Endpoint(MetricsConfig(port=0), registry(readings), Health).start().port is None


def test_loopback_is_the_default_and_the_hash_does_not_change():
    assert Config().metrics.host == "127.0.0.1"
    assert parse({"metrics": {"host": "0.0.0.0", "port": 1}}).hash() == Config().hash()  # noqa: S104


@given(st.lists(st.floats(0, 1e5)))
def test_histogram_counts_like_numpy(durations):
    seen = Histogram()
    for duration in durations:
        seen = seen.observe(duration)
    pairs = seen.cumulative()
    assert [float(bound) for bound, _ in pairs] == [*BOUNDS_S, float("inf")]
    values = np.array(durations)
    assert [n for _, n in pairs] == [float((values <= float(b)).sum()) for b, _ in pairs]
    assert seen.total == pytest.approx(sum(durations))


@pytest.mark.parametrize(
    ("changes", "words", "alive"),
    [
        ({"threads": {"publisher": False}}, "publisher", False),
        ({"source_error": "OSError('x')"}, "document source", True),
        ({"queued": 256}, "queue is full", True),
        ({"disk_free": 1 << 20}, "1 MB left", True),
        (
            {"publisher": PublisherHealth(Condition.PARKED, "403", Counts(), NOW)},
            "refuses the service's key",
            True,
        ),
        (
            {"raw": Trouble(NOW - 1, "Tiled refuses the key", refused=True)},
            "refuses the key; 0 runs wait to be read again",
            True,
        ),
        (
            {"publisher": PublisherHealth(Condition.RETRYING, "gone", Counts(5), NOW - 500)},
            "unreachable for 100 s, 5 results wait",
            True,
        ),
        (
            {"publisher": PublisherHealth(Condition.OK, "422", Counts(refused=2), NOW)},
            "2 results",
            True,
        ),
    ],
)
def test_what_is_wrong_is_said(changes, words, alive):
    health = judge(readings(**changes))
    if "unreachable" in words:  # counted from the start when nothing was ever published
        assert health.ok
        state = replace(readings().state, started=NOW - 1000)
        health = judge(readings(state=state, **changes))
        words = words.replace("100 s", "500 s")
    assert len(health.reasons) == 1
    assert words in health.reasons[0]
    assert health.alive is alive


def test_latency_is_from_stop_to_complete():
    times = iter([100.0, 107.5])
    latency = Latency(clock=lambda: next(times))
    late = node(factories.result(key="a-1", stop_time=107.0), Config())
    early = node(factories.result(key="b-2", stop_time=99.0), Config())
    latency.handed_over(late)
    latency.handed_over(early)  # ended before anybody listened: says nothing about speed
    latency.complete("b-2")
    assert sum(latency.histogram.counts) == 0
    latency.complete("a-1")
    latency.complete("a-1")
    assert latency.histogram == Histogram().observe(0.5)


@pytest.fixture
def listener(tmp_path, monkeypatch):
    """A socket such as systemd gives, without waiting for ever."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as on:
        on.bind(str(path))
        on.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield on


def test_systemd_is_told(listener):
    assert systemd.notify("READY=1", "STATUS=well")
    assert listener.recv(100) == b"READY=1\nSTATUS=well"


def test_nobody_to_tell(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [("30000000", "", 30.0), ("30000000", "1", None), ("", "", None), ("x", "", None)],
)
def test_watchdog_is_for_this_process(monkeypatch, usec, pid, expected):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert systemd.watchdog_s() == expected


class Model:
    """Stands for an ensemble: always the same answer."""

    info = factories.MODEL
    energy = factories.model_input().energy
    radius = factories.prediction().radius
    input_form = "normalised"
    calibration = MappingProxyType({})

    def predict(self, mu):
        return [factories.prediction(seed=i) for i in range(len(mu))]


def settings(tmp_path, **metrics) -> Config:
    return parse(
        {
            "source": {"kind": "none"},
            "tiled": {"uri": "http://127.0.0.1:9"},
            "service": {"state_directory": str(tmp_path / "state"), "catch_up_s": 0},
            "metrics": {"port": 0, **metrics},
        }
    )


def test_readings_of_a_real_service(tmp_path):
    with Service(settings(tmp_path), {("Fe", "K"): Model()}) as service:
        service.callback("start", {"uid": factories.UID, "time": NOW})
        found = take(service)
        service.worker.stop()
        assert judge(take(service)).reasons == ("thread worker is not at work",)
    assert found.counters.documents == 1
    assert found.now - 60 < found.last_document <= found.now
    assert found.threads == {"worker": True, "publisher": True}
    assert found.models == (factories.MODEL,)
    assert found.disk_free > 0
    assert judge(found).alive


class Broken:
    """A source of documents that fails at once, again and again."""

    def run(self, callback, stop):
        raise OSError("no such broker")


def test_a_failing_source_is_told_and_tried_again(tmp_path):
    with Service(settings(tmp_path), {("Fe", "K"): Model()}, Broken()) as service:
        end = time.monotonic() + 20
        while not service.source_error and time.monotonic() < end:
            time.sleep(0.01)
        found = take(service)
    health = judge(found)
    assert "no such broker" in health.reasons[0]
    assert health.alive  # starting again would not help
    assert found.threads["xanes-source"]


def test_the_watchdog_is_fed_while_threads_work(tmp_path, monkeypatch, listener):
    monkeypatch.setenv("WATCHDOG_USEC", "150000")
    monkeypatch.setattr("xanes_live.service.run.Service", _with_model)
    ended = threading.Event()
    thread = threading.Thread(target=run.serve, args=(settings(tmp_path), ended))
    thread.start()
    try:
        heard = [listener.recv(1000) for _ in range(4)]
    finally:
        ended.set()
        thread.join(20)
    assert heard[0] == b"READY=1"
    assert all(b"STATUS=all well\nWATCHDOG=1" in message for message in heard[1:])
    while (last := listener.recv(1000)) != b"STOPPING=1":
        assert b"WATCHDOG" in last


def _with_model(config):
    return Service(config, {("Fe", "K"): Model()})


def test_a_stuck_thread_starves_the_watchdog(listener):
    run._tell(Health(("thread worker is not at work",), alive=False))
    assert listener.recv(1000) == b"STATUS=thread worker is not at work"


@pytest.mark.parametrize(
    ("away_s", "waiting", "ok"), [(60, 1, True), (600, 0, True), (600, 1, False)]
)
def test_runs_that_cannot_be_read_again_are_told_when_some_wait_and_after_a_while(
    away_s, waiting, ok
):
    state = replace(readings().state, waiting=waiting)
    trouble = Trouble(NOW - away_s, "refused connection", refused=False)
    assert judge(readings(state=state, raw=trouble)).ok is ok
