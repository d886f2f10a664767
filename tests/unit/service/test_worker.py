"""The worker: nothing is lost, nothing blocks, nothing raises."""

import itertools
from dataclasses import dataclass, field, replace

import httpx
import numpy as np
import pytest

from tests import factories
from tests.runs import FE, PLAIN, documents, xas
from xanes_live.config import Config, parse
from xanes_live.documents.callback import assemble
from xanes_live.documents.run import Problem, ProblemKind
from xanes_live.service.raw import RawRuns
from xanes_live.service.worker import REREAD_DELAYS_S, Worker


class Broken(factories.Predictor):
    def predict(self, mu):
        raise ZeroDivisionError("a defect")


PREDICTORS = {("Fe", "K"): factories.Predictor()}


@dataclass
class Bench:
    config: Config = field(default_factory=Config)
    predictors: dict = field(default_factory=lambda: PREDICTORS)
    reread: object = None
    now: float = 0.0
    nodes: list = field(default_factory=list)

    def __post_init__(self):
        self.worker = Worker(
            self.config, self.predictors, self.nodes.append, self.reread, clock=lambda: self.now
        )

    def work(self):
        return sum(itertools.takewhile(bool, (self.worker.step() for _ in range(1000))))

    def work_on(self, times):
        """Work while time passes in which Tiled may come to hold a run."""
        for _ in range(times):
            self.work()
            self.now += max(REREAD_DELAYS_S)


def record(uid=None, start=None, **options):
    said = {**FE, "scan_id": 7, "sample": "x", **(start or {})}
    found = assemble(xas(PLAIN, said, **options), source="live")
    return found if uid is None else replace(found, uid=uid)


def incomplete(found):
    """The record as a callback that saw nothing but the stop would hand it over."""
    docs = [("stop", dict(found.stop))]
    return assemble(docs, source="live")


def test_a_scan_becomes_one_node():
    bench = Bench()
    found = record()
    bench.worker.submit(found)
    assert bench.work() == 1
    (node,) = bench.nodes
    assert node.metadata["raw_uid"] == found.uid
    assert node.metadata["kind"] == "prediction"
    assert bench.worker.state.runs == 1
    assert sum(bench.worker.state.colours.values()) == 1


def test_what_is_no_scan_is_ignored_and_counted():
    bench = Bench()
    steps = np.linspace(0, 1, 20)
    docs = documents({"motor": steps, "det": steps}, {"plan_name": "scan", "motors": ["motor"]})
    bench.worker.submit(assemble(docs))
    bench.work()
    assert bench.nodes == []
    assert bench.worker.state.ignored == 1


def test_an_edge_without_model_is_declined():
    bench = Bench(predictors={})
    bench.worker.submit(record())
    bench.work()
    assert bench.nodes[0].metadata["flag_codes"] == ["no_model"]
    assert bench.worker.state.declined == 1


def test_a_wrong_label_is_told_where_the_data_show_another_edge():
    bench = Bench(predictors={("Fe", "K"): factories.Predictor()})
    bench.worker.submit(record(start={"element": "Mn"}))
    bench.work()
    (told,) = bench.nodes[0].metadata["flags"]
    assert told["code"] == "wrong_edge"
    assert "announced as Mn K (6539 eV) but the data rise at 71" in told["message"]
    assert "(Fe K)" in told["message"]
    assert bench.worker.state.declined == 1


def test_a_defect_is_published_and_the_next_run_is_processed():
    bench = Bench(predictors={("Fe", "K"): Broken()})
    bench.worker.submit(record())
    bench.worker.submit(record())
    bench.work()
    assert [n.metadata["flag_codes"] for n in bench.nodes] == [["internal_error"]] * 2
    assert "a defect" in bench.nodes[0].metadata["flags"][0]["message"]


def test_incomplete_runs_wait_and_are_completed_from_tiled():
    whole = record()
    bench = Bench(reread=lambda _: replace(whole, recovered=3))
    bench.worker.submit(incomplete(whole))
    bench.work()
    assert bench.nodes == []
    assert bench.worker.state.waiting == 1
    bench.now += REREAD_DELAYS_S[0]
    bench.work()
    assert bench.nodes[0].metadata["raw_uid"] == whole.uid
    assert "data_recovered" in bench.nodes[0].metadata["flag_codes"]
    assert (bench.worker.state.waiting, bench.worker.state.reread) == (0, 1)


def test_a_run_waits_without_end_while_tiled_is_away():
    whole = record()
    answers = [None] * 40 + [whole]
    bench = Bench(reread=lambda _: answers.pop(0))
    bench.worker.submit(incomplete(whole))
    bench.work_on(60)
    assert len(bench.nodes) == 1
    assert answers == []


def test_a_run_tiled_does_not_have_is_published_with_what_is_missing():
    found = record()
    cut = replace(found, problems=(*incomplete(found).problems,))
    cut = replace(cut, start=found.start)
    bench = Bench(reread=lambda given: given)
    bench.worker.submit(cut)
    bench.work_on(len(REREAD_DELAYS_S))
    bench.work()
    assert len(bench.nodes) == 1
    assert bench.worker.state.waiting == 0


def test_a_defect_while_rereading_does_not_cost_the_run():
    def fails(_):
        raise RuntimeError("boom")

    found = record()
    bench = Bench(reread=fails)
    bench.worker.submit(replace(found, problems=incomplete(found).problems))
    bench.work_on(len(REREAD_DELAYS_S))
    bench.work()
    assert len(bench.nodes) == 1


def test_a_full_queue_keeps_the_uid_and_rereads_the_run():
    runs = [record() for _ in range(4)]
    by_uid = {run.uid: run for run in runs}
    bench = Bench(config=parse({"service": {"queue": 2}}), reread=lambda given: by_uid[given.uid])
    for run in runs:
        bench.worker.submit(run)
    assert bench.worker.queued == 4
    bench.work()
    bench.now += REREAD_DELAYS_S[0]
    bench.work()
    assert {n.metadata["raw_uid"] for n in bench.nodes} == set(by_uid)
    assert bench.worker.state.overflowed == 2


def test_an_aborted_scan_is_predicted_and_red():
    bench = Bench()
    bench.worker.submit(record(exit_status="abort"))
    bench.work()
    metadata = bench.nodes[0].metadata
    assert metadata["confidence"] == "red"
    assert metadata["flags"][0]["code"] == "scan_aborted"
    assert metadata["first_shell"] is not None


@pytest.mark.parametrize("kind", [ProblemKind.NO_START, ProblemKind.EVENTS_MISSING])
def test_without_a_way_to_reread_runs_go_on_at_once(kind):
    found = record()
    bench = Bench(reread=None)
    problem = replace(incomplete(found).problems[0], kind=kind)
    bench.worker.submit(replace(found, problems=(problem,)))
    bench.work()
    assert len(bench.nodes) == 1


def test_thread_starts_drains_and_stops():
    bench = Bench()
    worker = Worker(Config(), PREDICTORS, bench.nodes.append)
    worker.start()
    for _ in range(5):
        worker.submit(record())
    assert worker.drain(20.0)
    worker.stop()
    assert len(bench.nodes) == 5


def test_repeats_of_a_sample_are_told_and_a_replay_tells_the_same():
    runs = [record(start={"sample": "powder", "scan_id": k, "time": 1e9 + k}) for k in (1, 2, 3)]
    other = record(start={"sample": "foil", "scan_id": 4, "time": 1e9 + 4})
    benches = Bench(), Bench()
    for bench in benches:
        for one in (*runs, other):
            bench.worker.submit(one)
        bench.work()
    live, again = ([node.metadata["repeats"] for node in bench.nodes] for bench in benches)
    assert [said and said["scan_ids"] for said in live] == [None, [1, 2], [1, 2, 3], None]
    assert live == again


def test_an_orderly_stop_finishes_what_is_queued():
    bench = Bench()
    worker = Worker(Config(), PREDICTORS, bench.nodes.append)
    for _ in range(3):
        worker.submit(record())
    worker.start()
    worker.stop(timeout_s=60.0)
    assert len(bench.nodes) == 3


def test_a_stop_that_comes_too_early_for_some_runs_names_them(caplog):
    bench = Bench()
    bench.worker.submit(left := record())
    with caplog.at_level("WARNING"):
        bench.worker.stop(timeout_s=0.0)
    (told,) = caplog.records
    assert told.values["uids"] == left.uid


def test_a_run_is_published_with_what_is_missing_where_tiled_has_no_raw_runs(caplog):
    config = parse({"tiled": {"raw_path": "nosuch/raw"}})
    raw = RawRuns(config.tiled, None)
    raw._root = {}  # Tiled answers, and holds nothing
    bench = Bench(config, reread=raw.reread)
    found = record()
    lost = Problem(ProblemKind.EVENTS_MISSING, "1 of 9 events did not arrive", stream="primary")
    bench.worker.submit(replace(found, problems=(lost,)))
    bench.work_on(20)
    (node,) = bench.nodes
    assert "data_missing" in node.metadata["flag_codes"]
    assert bench.worker.state.waiting == 0
    assert "correct [tiled] raw_path" in caplog.text


def test_a_run_that_ended_after_all_makes_what_waits_of_it_superfluous():
    whole = record()
    unended = replace(whole, stop=None, problems=(Problem(ProblemKind.NO_STOP, "silent"),))
    bench = Bench(reread=lambda given: given)
    bench.worker.submit(unended)
    bench.work()
    assert bench.worker.state.waiting == 1
    bench.worker.submit(whole)
    bench.work_on(20)
    (node,) = bench.nodes
    assert node.metadata["stop_time"] > 0
    assert bench.worker.state.waiting == 0


class Refusing:
    """Tiled's client of a server that has the container and lets nobody read in it."""

    def __init__(self, code):
        self.code = code

    def __getitem__(self, name):
        return self

    def search(self, query):
        request = httpx.Request("GET", "http://tiled/api/v1/search/raw")
        answer = httpx.Response(self.code, request=request)
        raise httpx.HTTPStatusError(f"{self.code}", request=request, response=answer)


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_refused_for_raw_runs_is_told_while_they_wait(caplog, code):
    config = parse({"tiled": {"raw_path": "bl/raw"}})
    raw = RawRuns(config.tiled, "the-secret-key")
    raw._connected = lambda: Refusing(code)
    bench = Bench(config, reread=raw.reread)
    found = record()
    lost = Problem(ProblemKind.EVENTS_MISSING, "1 of 9 events did not arrive", stream="primary")
    bench.worker.submit(replace(found, problems=(lost,)))
    bench.work_on(20)
    assert bench.nodes == []
    assert bench.worker.state.waiting == 1
    assert raw.trouble.refused
    for words in ("/bl/raw", str(code), "XANES_LIVE_TILED_API_KEY", "read:data"):
        assert words in raw.trouble.message
    told = [r for r in caplog.records if "refuses the service's key" in r.getMessage()]
    assert len(told) == 1
    assert "the-secret-key" not in caplog.text + raw.trouble.message
    raw._connected = dict  # Tiled answers again, and holds nothing
    bench.work_on(20)
    assert len(bench.nodes) == 1
    assert raw.trouble is None
