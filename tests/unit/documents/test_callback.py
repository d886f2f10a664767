"""Assembly: what goes in as documents comes out as columns, once, and nothing is ever raised."""

from __future__ import annotations

import copy
import itertools

import event_model
import numpy as np
import pytest

from tests import runs
from xanes_live.documents.callback import XanesCallback, assemble
from xanes_live.documents.run import ProblemKind, RunRecord


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def records() -> list[RunRecord]:
    return []


def deliver(callback, documents) -> None:
    for name, document in documents:
        returned = callback(name, document)
        assert returned == (name, document)


def test_is_a_document_router(records):
    assert isinstance(XanesCallback(records.append), event_model.DocumentRouter)


@pytest.mark.parametrize("pages", [0, 1, 7])
def test_columns_are_the_values_of_the_events(records, pages):
    documents = runs.xas(runs.PLAIN, runs.FE, pages=pages)
    deliver(XanesCallback(records.append), documents)
    (record,) = records
    expected = {"energy": 7112.0 + runs.GRID, **runs.readings(7112.0 + runs.GRID)}
    stream = record.streams["primary"]
    for key in ("energy", "i0", "it"):
        np.testing.assert_array_equal(stream.columns[key], expected[key])
    np.testing.assert_array_equal(stream.seq_num, np.arange(1, len(runs.GRID) + 1))
    np.testing.assert_array_equal(stream.time, 1000.0 + np.arange(len(runs.GRID)))
    assert record.start == documents[0][1]
    assert record.stop == documents[-1][1]
    assert record.problems == ()
    assert record.uid == documents[0][1]["uid"]
    assert stream.data_key("energy")["dtype"] == "number"


def test_array_events_become_two_dimensional_and_ragged_ones_are_filled_up(records):
    sweeps = [np.arange(5.0), np.arange(3.0), np.arange(4.0)]
    deliver(XanesCallback(records.append), runs.documents({"a": sweeps, "b": np.ones((3, 2, 4))}))
    columns = records[0].streams["primary"].columns
    assert columns["a"].shape == (3, 5)
    np.testing.assert_array_equal(columns["a"][1], [0, 1, 2, np.nan, np.nan])
    assert columns["b"].shape == (3, 2, 4)


def test_documents_are_not_changed_and_later_changes_do_not_matter(records):
    documents = runs.xas(runs.PLAIN, runs.FE)
    original = copy.deepcopy(documents)
    callback = XanesCallback(records.append)
    for name, document in documents[:-1]:
        callback(name, document)
        if name == "event":
            document["data"].clear()
        else:
            document.pop("uid")
    deliver(callback, documents[-1:])
    assert documents != original
    np.testing.assert_array_equal(
        records[0].streams["primary"].columns["energy"], 7112.0 + runs.GRID
    )
    assert records[0].start == original[0][1]


def test_missing_numbers_are_nan(records):
    documents = runs.documents({"a": np.arange(4.0), "b": np.arange(4.0)})
    del documents[3][1]["data"]["b"]
    documents[4][1]["data"]["a"] = None
    documents[5][1]["data"]["c"] = 7
    documents[5][1]["data"]["b"] = "four"
    deliver(XanesCallback(records.append), documents)
    columns = records[0].streams["primary"].columns
    np.testing.assert_array_equal(columns["a"], [0, 1, np.nan, 3])
    np.testing.assert_array_equal(columns["b"], [0, np.nan, 2, np.nan])
    np.testing.assert_array_equal(columns["c"], [np.nan, np.nan, np.nan, 7])


def test_numbers_of_every_kind_are_read(records):
    values = [
        1,
        2.5,
        np.float32(3.5),
        np.int64(4),
        np.array(5.0),
        [6],
        np.array([[7.0]]),
        "8.25",
        True,
    ]
    documents = runs.documents({"a": np.zeros(len(values))})
    for (_, event), value in zip(documents[2:-1], values, strict=True):
        event["data"]["a"] = value
    deliver(XanesCallback(records.append), documents)
    np.testing.assert_array_equal(
        records[0].streams["primary"].columns["a"], [1, 2.5, 3.5, 4, 5, 6, 7, 8.25, 1]
    )


def test_interleaved_runs_are_kept_apart(records):
    first = runs.xas(runs.PLAIN, runs.FE)
    second = runs.xas(runs.PLAIN, {"plan_name": "other"}, e0=8979.0)
    mixed = [d for pair in itertools.zip_longest(first, second) for d in pair if d is not None]
    deliver(XanesCallback(records.append), mixed)
    assert [r.uid for r in records] == [first[0][1]["uid"], second[0][1]["uid"]]
    for record, e0 in zip(records, (7112.0, 8979.0), strict=True):
        np.testing.assert_array_equal(record.streams["primary"].columns["energy"], e0 + runs.GRID)
        assert record.problems == ()


def test_several_streams(records):
    baseline = ("baseline", {"temperature": [300.0, 301.0]})
    deliver(XanesCallback(records.append), runs.xas(runs.PLAIN, runs.FE, before=[baseline]))
    assert set(records[0].streams) == {"baseline", "primary"}
    np.testing.assert_array_equal(
        records[0].streams["baseline"].columns["temperature"], [300.0, 301.0]
    )


def test_a_second_descriptor_continues_its_stream(records):
    run = event_model.compose_run()
    keys = {"a": {"source": "", "dtype": "number", "shape": []}}
    more = {**keys, "b": {"source": "", "dtype": "number", "shape": []}}
    one = run.compose_descriptor(name="primary", data_keys=keys)
    callback = XanesCallback(records.append)
    deliver(callback, [("start", run.start_doc), ("descriptor", one.descriptor_doc)])
    for i in (1, 2):
        deliver(callback, [("event", one.compose_event(data={"a": i}, timestamps={"a": 0}))])
    two = dict(one.descriptor_doc, uid="other", data_keys=more)
    deliver(callback, [("descriptor", two)])
    for i in (3, 4):
        event = {"descriptor": "other", "seq_num": i, "time": i, "data": {"a": i, "b": -i}}
        deliver(callback, [("event", event)])
    deliver(callback, [("stop", dict(run.compose_stop(), num_events={"primary": 4}))])
    stream = records[0].streams["primary"]
    np.testing.assert_array_equal(stream.columns["a"], [1, 2, 3, 4])
    np.testing.assert_array_equal(stream.columns["b"], [np.nan, np.nan, -3, -4])
    assert len(stream.descriptors) == 2
    assert records[0].problems == ()


def test_duplicates_are_kept_once_and_order_restored(records):
    documents = runs.xas(runs.PLAIN, runs.FE)
    events = documents[2:-1]
    jumbled = [*documents[:2], *events[::-1], *events[5:9], *documents[1:2], *documents[:1]]
    deliver(XanesCallback(records.append), [*jumbled, documents[-1], documents[-1]])
    (record,) = records
    np.testing.assert_array_equal(record.streams["primary"].columns["energy"], 7112.0 + runs.GRID)
    assert record.problems == ()


def test_a_point_taken_again_after_a_pause_replaces_the_first(records):
    documents = runs.documents({"a": np.arange(4.0)})
    again = copy.deepcopy(documents[4])
    again[1].update(uid="again", time=2000.0, data={"a": 20.0})
    deliver(XanesCallback(records.append), [*documents[:5], again, *documents[5:]])
    np.testing.assert_array_equal(records[0].streams["primary"].columns["a"], [0, 1, 20, 3])


@pytest.mark.parametrize("lost", [[0], [1, 2], [-1], [3, 50, 90]])
def test_lost_events_are_counted(records, lost):
    documents = runs.xas(runs.PLAIN, runs.FE)
    events = documents[2:-1]
    gone = {range(len(events))[i] for i in lost}
    kept = [e for i, e in enumerate(events) if i not in gone]
    deliver(XanesCallback(records.append), [*documents[:2], *kept, documents[-1]])
    (problem,) = records[0].problems
    assert problem.kind is ProblemKind.EVENTS_MISSING
    assert (problem.missing, problem.expected) == (len(gone), len(events))


def test_a_stream_lost_altogether_is_missed(records):
    documents = runs.xas(runs.PLAIN, runs.FE)
    deliver(XanesCallback(records.append), [documents[0], documents[-1]])
    assert records[0].problems[0].missing == len(runs.GRID)


def test_late_subscription_still_hands_over_the_uid(records):
    documents = runs.xas(runs.PLAIN, runs.FE)
    deliver(XanesCallback(records.append), documents[50:])
    (record,) = records
    assert record.uid == documents[0][1]["uid"]
    assert record.start is None
    assert record.has(ProblemKind.NO_START)
    assert record.has(ProblemKind.EVENTS_MISSING)


def test_events_before_their_descriptor_and_start_are_kept(records):
    documents = runs.xas(runs.PLAIN, runs.FE)
    deliver(XanesCallback(records.append), [*documents[2:-1], *documents[1::-1], documents[-1]])
    assert records[0].problems == ()
    assert records[0].start == documents[0][1]


def test_a_silent_run_is_given_up_and_handed_over_whole_when_it_ends_after_all(records):
    clock = Clock()
    callback = XanesCallback(records.append, stale_s=60.0, clock=clock)
    documents = runs.xas(runs.PLAIN, runs.FE)
    deliver(callback, documents[:100])
    clock.now = 59.0
    callback.close_stale()
    assert not records
    clock.now = 61.0
    callback.close_stale()
    assert records[0].has(ProblemKind.NO_STOP)
    assert len(records[0].streams["primary"].seq_num) == 98
    assert callback.counters.open_runs == 0
    clock.now = 200.0
    callback.close_stale()
    assert len(records) == 1
    deliver(callback, documents[100:])
    early, late = records
    assert len(early.streams["primary"].seq_num) == 98
    assert late.problems == ()
    assert late.stop == documents[-1][1]
    assert len(late.streams["primary"].seq_num) == len(runs.GRID)
    deliver(callback, documents[100:])
    assert len(records) == 2
    assert callback.counters.open_runs == 0


def test_runs_that_were_given_up_make_room_and_are_not_told_twice(records):
    clock = Clock()
    callback = XanesCallback(records.append, stale_s=60.0, max_runs=3, clock=clock)
    for _ in range(3):
        deliver(callback, runs.xas(runs.PLAIN, runs.FE)[:10])
    clock.now = 100.0
    callback.close_stale()
    assert len(records) == 3
    for _ in range(5):
        deliver(callback, runs.xas(runs.PLAIN, runs.FE))
    assert len(records) == 8
    callback.close()
    assert len(records) == 8
    assert callback.counters.open_runs == 0


def test_another_runs_documents_make_a_stale_run_close(records):
    clock = Clock()
    callback = XanesCallback(records.append, stale_s=60.0, clock=clock)
    deliver(callback, runs.xas(runs.PLAIN, runs.FE)[:10])
    clock.now = 100.0
    deliver(callback, runs.xas(runs.PLAIN, runs.FE)[:1])
    assert len(records) == 1


def test_the_longest_silent_run_is_given_up_for_a_new_one(records):
    clock = Clock()
    callback = XanesCallback(records.append, max_runs=3, clock=clock)
    started = [runs.xas(runs.PLAIN, runs.FE)[:5] for _ in range(4)]
    for documents in started:
        clock.now += 0.1
        deliver(callback, documents)
    assert [r.uid for r in records] == [started[0][0][1]["uid"]]
    assert callback.counters.open_runs == 3


def test_close_hands_over_what_is_open(records):
    callback = XanesCallback(records.append)
    deliver(callback, runs.xas(runs.PLAIN, runs.FE)[:-1])
    callback.close()
    assert records[0].has(ProblemKind.NO_STOP)
    assert callback.counters.open_runs == 0


def test_memory_is_bounded_and_images_go_first(records):
    columns = {"energy": np.arange(60.0), "camera": np.zeros((60, 20, 20))}
    callback = XanesCallback(records.append, max_points=10_000)
    deliver(callback, runs.documents(columns))
    (record,) = records
    assert "camera" not in record.streams["primary"].columns
    np.testing.assert_array_equal(record.streams["primary"].columns["energy"], np.arange(60.0))
    (problem,) = [p for p in record.problems if p.kind is ProblemKind.TRUNCATED]
    assert problem.key == "camera"


@pytest.mark.parametrize("pages", [0, 3])
def test_too_many_events_are_cut(records, pages):
    callback = XanesCallback(records.append, max_points=1000)
    deliver(callback, runs.documents({"a": np.zeros(5000)}, pages=pages))
    (record,) = records
    assert record.has(ProblemKind.TRUNCATED)
    assert record.has(ProblemKind.EVENTS_MISSING)
    assert len(record.streams.get("primary", record.streams["primary"]).seq_num) <= 1000


def test_events_of_unknown_descriptors_do_not_pile_up(records):
    callback = XanesCallback(records.append, max_points=10_000)
    for i in range(20_000):
        event = {"descriptor": f"d{i % 200}", "seq_num": 1, "time": 0, "data": {"a": 1.0, "b": 2.0}}
        callback("event", event)
    kept = sum(len(b.columns.seq) for b in callback._blocks.values())
    assert len(callback._blocks) <= 64
    assert kept * 4 <= 10_000
    assert callback.counters.errors == 0


def test_a_receiver_that_fails_does_not_reach_the_run_engine():
    def fail(record):
        raise RuntimeError("no")

    callback = XanesCallback(fail)
    deliver(callback, runs.xas(runs.PLAIN, runs.FE))
    assert callback.counters.errors == 1


def test_a_name_off_the_wire_does_not_choose_a_method(records):
    callback = XanesCallback(records.append)
    deliver(callback, runs.xas(runs.PLAIN, runs.FE)[:-1])
    for name in ("close", "close_stale", "_finish", "__init__", "emit", "counters"):
        callback(name, {})
    assert not records
    assert callback.counters.dropped == 6


def test_counters(records):
    callback = XanesCallback(records.append)
    documents = runs.xas(runs.PLAIN, runs.FE)
    deliver(callback, documents)
    assert callback.counters.documents == len(documents)
    assert callback.counters.runs == 1
    assert callback.counters.errors == callback.counters.dropped == 0


def test_external_references_are_collected(records):
    run = event_model.compose_run()
    keys = {"img": {"source": "", "dtype": "array", "shape": [2], "external": "FILESTORE:"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    resource = run.compose_resource(
        spec="X", root="/", resource_path="f", resource_kwargs={}, path_semantics="posix"
    )
    documents = [("resource", resource.resource_doc)]
    for i in range(3):
        datum = resource.compose_datum(datum_kwargs={"i": i})
        event = stream.compose_event(
            data={"img": datum["datum_id"]}, timestamps={"img": 0}, filled={"img": False}
        )
        documents += [("datum", datum), ("event", event)]
    head = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    deliver(XanesCallback(records.append), [*head, *documents, ("stop", run.compose_stop())])
    (external,) = records[0].external
    assert (external.kind, external.key, external.resource["spec"]) == ("resource", "img", "X")
    assert [d["datum_kwargs"]["i"] for d in external.datums] == [0, 1, 2]
    assert [d["seq_num"] for d in external.datums] == [1, 2, 3]


def test_datum_pages_are_the_same_as_datums(records):
    run = event_model.compose_run()
    keys = {"img": {"source": "", "dtype": "array", "shape": [2], "external": "FILESTORE:"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    resource = run.compose_resource(
        spec="X", root="/", resource_path="f", resource_kwargs={}, path_semantics="posix"
    )
    page = resource.compose_datum_page(datum_kwargs={"i": [5, 6]})
    events = event_model.pack_event_page(
        *[
            stream.compose_event(data={"img": d}, timestamps={"img": 0}, filled={"img": False})
            for d in page["datum_id"]
        ]
    )
    deliver(
        XanesCallback(records.append),
        [
            ("start", run.start_doc),
            ("descriptor", stream.descriptor_doc),
            ("event_page", events),
            ("resource", resource.resource_doc),
            ("datum_page", page),
            ("stop", run.compose_stop()),
        ],
    )
    assert [d["datum_kwargs"]["i"] for d in records[0].external[0].datums] == [5, 6]


def test_a_stream_in_files_counts_as_arrived(records):
    run = event_model.compose_run()
    keys = {"a": {"source": "", "dtype": "number", "shape": [1], "external": "STREAM:"}}
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    bundle = run.compose_stream_resource(
        data_key="a",
        mimetype="application/x-hdf5",
        uri="file://localhost/f.h5",
        parameters={"dataset": "/a"},
    )
    datums = []
    for a, b in ((0, 60), (60, 100)):
        datum = bundle.compose_stream_datum(
            indices={"start": a, "stop": b}, seq_nums={"start": a + 1, "stop": b + 1}
        )
        datums.append(("stream_datum", {**datum, "descriptor": stream.descriptor_doc["uid"]}))
    stop = dict(run.compose_stop(), num_events={"primary": 100})
    head = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
    body = [*datums, ("stream_resource", bundle.stream_resource_doc)]
    deliver(XanesCallback(records.append), [*head, *body, *datums[:1], ("stop", stop)])
    assert records[0].problems == ()
    (external,) = records[0].external
    assert (external.key, len(external.datums)) == ("a", 2)
    records.clear()
    deliver(XanesCallback(records.append), [*head, *body[1:], ("stop", stop)])
    assert records[0].problems[0].missing == 60


def test_assemble_returns_the_first_run():
    documents = runs.xas(runs.PLAIN, runs.FE)
    record = assemble(documents)
    assert record is not None
    assert record.source == "replay"
    assert assemble([]) is None


def test_without_data_asks_to_be_read_again():
    record = assemble(runs.xas(runs.PLAIN, runs.FE))
    assert record is not None
    bare = record.without_data()
    assert not bare.streams
    assert bare.start == record.start
    assert bare.has(ProblemKind.TRUNCATED)
