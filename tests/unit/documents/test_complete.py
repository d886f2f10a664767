"""Completing runs from Tiled: a real server, and faults of made-up ones."""

from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import XanesCallback, assemble
from xanes_live.documents.complete import fetch, find_run, needs_rereading, reread
from xanes_live.documents.identify import identify
from xanes_live.documents.run import Problem, ProblemKind
from xanes_live.domain import Scan

pytestmark = pytest.mark.slow
KINDS = ["step", "pages", "short arrays", "sweeps", "files"]


def assemble_some(documents, lost=()) -> object:
    records: list = []
    callback = XanesCallback(records.append)
    for i, (name, document) in enumerate(documents):
        if i not in lost:
            callback(name, document)
    callback.close()
    return records[0]


def same(one, other) -> None:
    """Both records hold the same numbers to the bit."""
    assert one.streams.keys() == other.streams.keys()
    for name, stream in one.streams.items():
        theirs = other.streams[name]
        np.testing.assert_array_equal(stream.seq_num, theirs.seq_num)
        assert stream.columns.keys() == theirs.columns.keys()
        for key, column in stream.columns.items():
            np.testing.assert_array_equal(column, theirs.columns[key], err_msg=key)


def scan_of(record) -> Scan:
    scan = identify(record, BeamlineConfig())
    assert isinstance(scan, Scan), scan
    return scan


def without_documents(run, code=406):
    """Make a run's server one that has no exporter (406), or fails on this run (500)."""

    def refuse(fill=False):
        raise httpx.HTTPStatusError(
            str(code), request=httpx.Request("GET", "http://x"), response=httpx.Response(code)
        )

    run.documents = refuse
    return run


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("refusal", [None, 406, 500])
def test_a_run_comes_back_as_it_was(raw, archived, kind, refusal):
    live = assemble(archived[kind])
    run = find_run(raw, live.uid)
    found = fetch(run if refusal is None else without_documents(run, refusal))
    assert found.problems == ()
    assert found.external == ()
    there, here = scan_of(found), scan_of(live)
    assert len(there.sweeps) == len(here.sweeps)
    for a, b in zip(there.sweeps, here.sweeps, strict=True):
        for role in ("energy", "i0", "it", "fluorescence"):
            np.testing.assert_array_equal(getattr(a, role), getattr(b, role), err_msg=role)
    assert there.sample == here.sample
    if kind != "files":
        same(found, live)


@pytest.mark.parametrize("refusal", [None, 406])
def test_rows_that_were_appended_twice_are_read_once(raw, write, refusal):
    documents = runs.xas(runs.PLAIN, runs.FE)
    live = assemble(documents)
    write([*documents[:12], *documents[7:12], *documents[12:]])
    run = find_run(raw, live.uid)
    assert len(run["primary"].base["internal"].read()) == runs.GRID.size + 5
    found = fetch(run if refusal is None else without_documents(run, refusal))
    assert found.problems == ()
    same(found, live)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost", ["start", "events", "descriptor", "everything", "stop"])
def test_what_was_lost_is_re_read(raw, archived, kind, lost):
    documents = archived[kind]
    n = len(documents)
    gone = {
        "start": {0},
        "descriptor": {1},
        "events": {n - 3, n - 2},
        "everything": set(range(n - 1)),
        "stop": {n - 1},
    }[lost]
    record = assemble_some(documents, gone)
    assert needs_rereading(record)
    found = reread(record, raw)
    assert needs_rereading(found) is None, found.problems
    assert found.source == "live"
    whole, again = scan_of(assemble(documents)), scan_of(found)
    for a, b in zip(whole.sweeps, again.sweeps, strict=True):
        np.testing.assert_array_equal(a.energy, b.energy)
        np.testing.assert_array_equal(a.i0, b.i0)
    assert again.exit_status == "success"
    expected = ["data_recovered"] if found.recovered else []
    assert [f.code for f in again.flags] == expected
    if lost in ("events", "everything") and kind != "files":
        assert found.recovered == assemble(documents).n_events - record.n_events


def test_files_out_of_reach_are_read_through_the_server(raw, archived):
    documents = [
        (name, {**doc, "uri": "file://localhost/elsewhere/fly.h5"})
        if name == "stream_resource"
        else (name, doc)
        for name, doc in archived["files"]
    ]
    record = assemble(documents)
    assert "files out of reach" in needs_rereading(record)
    found = reread(record, raw)
    assert needs_rereading(found) is None
    np.testing.assert_array_equal(
        scan_of(found).sweeps[0].fluorescence,
        scan_of(assemble(archived["files"])).sweeps[0].fluorescence,
    )


def test_a_file_the_server_alone_can_read(raw, archived):
    """The server knows where the file is; from here the path of the document leads nowhere."""
    run = find_run(raw, archived["files"][0][1]["uid"])
    real = run.documents

    def moved(fill=False):
        for name, doc in real():
            yield name, {**doc, "uri": "file:///nowhere.h5"} if name == "stream_resource" else doc

    run.documents = moved
    found = fetch(run)
    assert found.external == ()
    assert found.problems == ()
    assert scan_of(found).sweeps[0].fluorescence.shape[0] == 4


def test_a_run_that_is_not_in_tiled(raw):
    record = assemble_some(runs.xas(runs.PLAIN, runs.FE), {5, 6})
    found = reread(record, raw)
    assert found.has(ProblemKind.NOT_REREAD)
    assert found.has(ProblemKind.EVENTS_MISSING)
    assert [f.code for f in scan_of(found).flags] == ["data_missing"]
    again = reread(found, raw)
    assert len([p for p in again.problems if p.kind is ProblemKind.NOT_REREAD]) == 1


def test_uids_are_searched_and_never_tested_for(raw):
    assert find_run(raw, "no-such-uid") is None


# -- made-up servers -----------------------------------------------------------------------------


class FakeRun:
    def __init__(self, documents, stop=True):
        self._documents = list(documents)
        self.metadata = {
            "start": documents[0][1],
            "stop": documents[-1][1] if stop else None,
        }

    def documents(self, fill=False):
        return iter(self._documents)

    def __iter__(self):
        return iter(())


class FakeRaw:
    """Gives one answer after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def search(self, query):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return type("Found", (), {"values": lambda self: answer})()


def status(code):
    return httpx.HTTPStatusError(
        str(code), request=httpx.Request("GET", "http://x"), response=httpx.Response(code)
    )


@pytest.fixture
def lossy():
    documents = runs.xas(runs.PLAIN, runs.FE)
    return documents, assemble_some(documents, {7, 8, 9})


def test_a_late_stop_is_waited_for_with_growing_patience(lossy):
    documents, record = lossy
    early = FakeRun([*documents[:20], ("stop", {})], stop=False)
    slept: list = []
    raw = FakeRaw([], [early], [early], [FakeRun(documents)])
    found = reread(record, raw, attempts=5, delay_s=0.5, sleep=slept.append)
    assert slept == [0.5, 1.0, 2.0]
    assert needs_rereading(found) is None
    assert found.recovered == 3


def test_patience_ends(lossy):
    documents, record = lossy
    raw = FakeRaw([FakeRun([*documents[:4], ("stop", {})], stop=False)])
    found = reread(record, raw, attempts=3, sleep=lambda s: None)
    assert raw.asked == 3
    # what came on the wire is more than Tiled has
    assert found.n_events == record.n_events
    assert found.stop == record.stop
    assert needs_rereading(found)


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), status(500), status(503), OSError()],
)
def test_an_unreachable_server_is_told_apart(lossy, error):
    _documents, record = lossy
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        error = ConnectionResetError("gone")
    with pytest.raises(ConnectionError):
        reread(record, FakeRaw(error))


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_says_nothing_of_the_run(lossy, code):
    _documents, record = lossy
    with pytest.raises(httpx.HTTPStatusError):  # the service waits, and tells
        reread(record, FakeRaw(status(code)))


@pytest.mark.parametrize("error", [status(400), status(404), ValueError("odd")])
def test_other_answers_become_a_problem(lossy, error):
    _documents, record = lossy
    found = reread(record, FakeRaw(error))
    assert found.has(ProblemKind.NOT_REREAD)
    assert found.n_events == record.n_events


def test_documents_that_break_off_fall_back_to_columns(lossy):
    documents, record = lossy
    run = FakeRun(documents)

    def broken(fill=False):
        yield from documents[:5]
        raise ValueError("broken pipe")

    run.documents = broken
    found = reread(record, FakeRaw([run]))
    # the fake has no columns: the record of the wire stays
    assert found.n_events == record.n_events


@pytest.mark.parametrize("lost", [set(), {3}, {0}, {0, 1}])
def test_needs_rereading(lost):
    record = assemble_some(runs.xas(runs.PLAIN, runs.FE), lost)
    assert bool(needs_rereading(record)) == bool(lost)


@pytest.mark.parametrize("stream", ["baseline", "primary"])
def test_what_no_spectrum_is_made_of_is_not_reread(stream):
    image = {"camera": {"shape": [512, 512]}}
    columns = {"energy": runs.GRID, "camera": runs.GRID}
    record = assemble_some(runs.documents(columns, runs.FE, keys=image), set())
    key = "camera" if stream == "primary" else ""
    lost = Problem(ProblemKind.TRUNCATED, "not kept", stream=stream, key=key)
    assert needs_rereading(replace(record, problems=(lost,))) is None
    lost = replace(lost, stream="primary", key="energy")
    assert needs_rereading(replace(record, problems=(lost,)))


def test_an_incomplete_start_is_taken_from_tiled_and_the_data_from_the_wire(lossy):
    documents, _ = lossy
    record = assemble_some(documents, {0})
    found = reread(record, FakeRaw([FakeRun([*documents[:3], documents[-1]])]))
    assert found.start == documents[0][1]
    assert found.n_events == record.n_events
    assert needs_rereading(found) is None
