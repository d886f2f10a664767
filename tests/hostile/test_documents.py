"""A corpus of hostile documents: none may raise, block, fill the memory, or hide a good run."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.identify import identify
from xanes_live.domain import Scan

UID = "0" * 36


class Explosive:
    """Raises whatever one does with it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __float__(self):
        raise OSError("float")

    def __iter__(self):
        raise ZeroDivisionError("iter")

    def __bool__(self):
        raise RuntimeError("bool")

    def __array__(self, *args, **kwargs):
        raise MemoryError("array")

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = None


def _nested(depth: int) -> dict:
    document: dict = {}
    for _ in range(depth):
        document = {"a": document, "uid": document}
    return document


def _loop() -> dict:
    document: dict = {"uid": UID}
    document["self"] = document
    return document


START = {"uid": UID, "time": 0.0}
DESCRIPTOR = {
    "uid": "d",
    "run_start": UID,
    "name": "primary",
    "time": 0.0,
    "data_keys": {"a": {"source": "", "dtype": "number", "shape": []}},
}
STOP = {"uid": "s", "run_start": UID, "time": 1.0, "exit_status": "success"}


def event(**changes) -> dict:
    return {"descriptor": "d", "seq_num": 1, "time": 0.0, "data": {"a": 1.0}, **changes}


CORPUS = {
    "nothing": [("start", None), ("event", None), ("stop", None), (None, None), (3, 4)],
    "wrong containers": [("start", []), ("descriptor", "x"), ("event", 3.0), ("stop", {1, 2})],
    "unknown names": [
        ("", {}),
        ("Start", START),
        ("bulk", {}),
        ("__call__", {}),
        ("a" * 10**6, {}),
    ],
    "unhashable name": [([], {}), ({}, {}), (Explosive(), {})],
    "uids of every type": [
        ("start", {"uid": u}) for u in (None, 1, b"x", [], {}, "", float("nan"))
    ],
    "uids too long": [("start", {"uid": "u" * 10**6}), ("stop", {"run_start": "u" * 10**6})],
    "twice the same start": [("start", START)] * 3 + [("start", {**START, "time": 7})],
    "metadata of a megabyte": [("start", {**START, "sample": "s" * 10**6, "k" * 10**6: 1})],
    "metadata of many keys": [("start", {**START, **{f"k{i}": i for i in range(50_000)}})],
    "metadata nested deeply": [("start", {**START, "element": _nested(500)})],
    "metadata in a loop": [("start", _loop()), ("stop", STOP)],
    "metadata with explosives": [
        ("start", {**START, "element": Explosive(), "hints": Explosive()})
    ],
    "script as sample": [("start", {**START, "sample": "<script>alert(1)</script>\x00\x1b[31m"})],
    "odd hints": [
        ("start", {**START, "hints": {"dimensions": [[None], 3, [[1]], []]}, "motors": 5})
    ],
    "odd shape": [("start", {**START, "shape": [10**9, 10**9]}), ("descriptor", DESCRIPTOR)],
    "descriptor without keys": [
        ("start", START),
        ("descriptor", {**DESCRIPTOR, "data_keys": None}),
    ],
    "descriptor with odd keys": [
        (
            "descriptor",
            {**DESCRIPTOR, "data_keys": {"a": None, 3: [], "b": {"shape": [None, -1, "x"]}}},
        ),
        ("event", event()),
    ],
    "descriptor with odd fields": [
        (
            "descriptor",
            {**DESCRIPTOR, "name": 3, "object_keys": [1], "configuration": [3], "hints": 4},
        ),
        ("event", event(data={"a": 1, "b": [1, 2, 3]})),
    ],
    "seq_num of every type": [
        ("descriptor", DESCRIPTOR),
        *(("event", event(seq_num=s)) for s in (None, "1", 1.5, -5, 0, 10**30, 2**63, [], True)),
    ],
    "a huge seq_num": [("descriptor", DESCRIPTOR), ("event", event(seq_num=2**62)), ("stop", STOP)],
    "values of every type": [
        ("descriptor", DESCRIPTOR),
        *(
            ("event", event(seq_num=i + 1, data={"a": v}))
            for i, v in enumerate(
                [
                    None,
                    "x",
                    b"x",
                    {},
                    [],
                    [[]],
                    [[1], [2, 3]],
                    1j,
                    10**400,
                    Explosive(),
                    object(),
                    np.array(["x"]),
                    np.array(None),
                    np.array([1, "a"], object),
                    np.zeros((0, 3)),
                    np.zeros((2, 0)),
                    np.datetime64("NaT"),
                    np.array([1j]),
                    range(3),
                    lambda: 1,
                ]
            )
        ),
    ],
    "data of every type": [
        ("descriptor", DESCRIPTOR),
        *(("event", event(data=d)) for d in (None, [], "x", 3, {1: 2}, {None: None}, {"": 1})),
    ],
    "times of every type": [
        ("descriptor", DESCRIPTOR),
        *(("event", event(seq_num=i, time=t)) for i, t in enumerate([None, "x", [], 1e400, {}])),
    ],
    "pages that do not fit": [
        ("descriptor", DESCRIPTOR),
        (
            "event_page",
            {"descriptor": "d", "seq_num": [1, 2], "time": [0], "data": {"a": [1, 2, 3]}},
        ),
        (
            "event_page",
            {"descriptor": "d", "seq_num": [3, 4], "time": None, "data": {"a": 5, "b": "x"}},
        ),
        ("event_page", {"descriptor": "d", "seq_num": 3, "time": [], "data": {}}),
        ("event_page", {"descriptor": "d", "seq_num": ["x"], "time": [0], "data": {}}),
        ("event_page", {"descriptor": "d", "seq_num": [], "time": [], "data": {"a": []}}),
    ],
    "an endless list of new keys": [
        ("descriptor", DESCRIPTOR),
        *(
            ("event", event(seq_num=i, data={f"k{i}-{j}": j for j in range(50)}))
            for i in range(300)
        ),
    ],
    "stop of every type": [
        ("start", START),
        ("stop", {**STOP, "num_events": {"primary": float("nan"), 3: 4, "x": -1, "y": 10**300}}),
        ("stop", {**STOP, "num_events": 3}),
        ("stop", {**STOP, "exit_status": ["abort"], "reason": {"a": 1}}),
    ],
    "stop that lies": [("start", START), ("stop", {**STOP, "num_events": {"primary": 10**11}})],
    "files that are none": [
        (
            "descriptor",
            {**DESCRIPTOR, "data_keys": {"energy": {"shape": [10**9], "external": "STREAM:"}}},
        ),
        (
            "stream_resource",
            {
                "uid": "r",
                "run_start": UID,
                "data_key": "energy",
                "uri": "file:///dev/zero",
                "mimetype": "application/x-hdf5",
                "parameters": {"dataset": "x"},
            },
        ),
        (
            "stream_datum",
            {
                "uid": "r/0",
                "stream_resource": "r",
                "descriptor": "d",
                "indices": {"start": 0, "stop": 10**12},
                "seq_nums": {"start": 1, "stop": 3},
            },
        ),
        (
            "stream_datum",
            {
                "uid": "r/1",
                "stream_resource": "r",
                "descriptor": "d",
                "indices": {"start": 0, "stop": 10},
                "seq_nums": {"start": 1, "stop": 11},
            },
        ),
        ("stream_resource", {"uid": None, "run_start": UID, "uri": 3}),
        ("stream_datum", {"descriptor": "d", "stream_resource": [], "indices": None}),
        ("stop", STOP),
    ],
    "resources that are none": [
        (
            "descriptor",
            {**DESCRIPTOR, "data_keys": {"i0": {"shape": [], "external": "FILESTORE:"}}},
        ),
        ("resource", {"uid": 5}),
        ("resource", {"uid": "r", "run_start": None, "spec": []}),
        ("datum", {"datum_id": {}, "datum_kwargs": 4}),
        ("datum_page", {"datum_id": ["x", "y"], "resource": "r", "datum_kwargs": {"i": [1]}}),
        ("datum_page", {"datum_id": 4, "resource": "r", "datum_kwargs": []}),
        ("event", event(data={"i0": "x"})),
        ("event", event(seq_num=2, data={"i0": "nowhere/3"})),
        ("stop", STOP),
    ],
    "bulk documents": [
        ("descriptor", DESCRIPTOR),
        ("bulk_events", {"primary": [event(), None]}),
        ("bulk_events", []),
        ("bulk_datum", {"datum_ids": ["a"], "resource": "r", "datum_kwarg_list": [{}]}),
        ("bulk_datum", 3),
    ],
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_good_run_survives_hostile_company(name):
    """Every hostile document is thrown in between the documents of a good run."""
    good = runs.xas(runs.PLAIN, runs.FE, energy=7112 + np.arange(-60, 100, 2.0))
    records = []
    callback = XanesCallback(records.append)
    bad = iter(CORPUS[name])
    for name_, document in good:
        for hostile in [next(bad, None), next(bad, None)]:
            if hostile is not None:
                assert callback(*hostile) is not None
        callback(name_, document)
    for hostile in bad:
        callback(*hostile)
    callback.close()
    found = {r.uid: identify(r, BeamlineConfig()) for r in records}
    scan = found[good[0][1]["uid"]]
    assert isinstance(scan, Scan)
    assert scan.flags == ()
    np.testing.assert_array_equal(scan.sweeps[0].energy, 7112 + np.arange(-60, 100, 2.0))


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_documents_alone(name):
    records = []
    callback = XanesCallback(records.append)
    for hostile in CORPUS[name]:
        callback(*hostile)
    callback.close()
    for record in records:
        identify(record, BeamlineConfig())
    assert len({r.uid for r in records}) == len(records)


def test_metadata_are_published_clean_and_bounded():
    start = {
        **runs.FE,
        "sample": "s" * 10**6,
        "nan": float("nan"),
        "array": np.zeros(10**5),
        "set": {1, 2},
        "bytes": b"x",
        "nested": _nested(50),
        "huge": 10**400,
        5: 6,
    }
    documents = runs.xas(runs.PLAIN)
    documents[0] = ("start", {**documents[0][1], **start})
    records = []
    callback = XanesCallback(records.append)
    for name, document in documents:
        callback(name, document)
    scan = identify(records[0], BeamlineConfig())
    assert isinstance(scan, Scan)
    import json

    text = json.dumps(scan.metadata, allow_nan=False)
    assert len(text) < 200_000
    assert len(scan.sample) <= 200


def test_a_flood_of_documents_does_not_fill_the_memory():
    callback = XanesCallback(lambda record: None, max_runs=8, max_points=20_000)
    tracemalloc.start()
    try:
        for i in range(400):
            uid = f"{i:036d}"
            callback("start", {"uid": uid})
            callback("descriptor", {**DESCRIPTOR, "uid": f"d{uid}", "run_start": uid})
            for j in range(50):
                values = {"a": np.zeros(2000), "b": float(j)}
                callback("event", event(descriptor=f"d{uid}", seq_num=j, data=values))
                callback("datum", {"datum_id": f"{uid}/{j}", "resource": uid, "datum_kwargs": {}})
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # eight runs of 20 000 values are 1.3 MB, the references another 20
    assert size < 40e6
    assert callback.counters.errors == 0
    assert sys.getsizeof(callback._datums) < 20e6
