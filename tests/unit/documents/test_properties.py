"""Whatever happens to the documents on the way: one record a completed run, and no exception."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import runs
from xanes_live.config import BeamlineConfig
from xanes_live.documents.callback import XanesCallback
from xanes_live.documents.identify import identify
from xanes_live.documents.run import ProblemKind
from xanes_live.domain import Declined, Scan

GRID = 7112.0 + np.arange(-60, 120, 3.0)
N = len(GRID)


def a_run(pages: int = 0) -> runs.Documents:
    return runs.xas(runs.PLAIN, runs.FE, energy=GRID, pages=pages)


def deliver(documents) -> list:
    records: list = []
    callback = XanesCallback(records.append)
    for name, document in documents:
        callback(name, document)
    assert callback.counters.errors == 0
    return records


def energies(record) -> np.ndarray:
    stream = record.streams.get("primary")
    return np.zeros(0) if stream is None else stream.columns.get("energy", np.zeros(0))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), pages=st.sampled_from([0, 5]), repeats=st.integers(0, 20))
def test_order_and_repetition_do_not_matter_before_stop(seed, pages, repeats):
    documents = a_run(pages)
    body, stop = documents[:-1], documents[-1]
    rng = random.Random(seed)
    body += [rng.choice(body) for _ in range(repeats)]
    rng.shuffle(body)
    (record,) = deliver([*body, stop])
    assert record.problems == ()
    np.testing.assert_array_equal(energies(record), GRID)
    assert isinstance(identify(record, BeamlineConfig()), Scan)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_wholly_shuffled_run_is_one_record_that_says_what_is_missing(seed):
    documents = a_run()
    random.Random(seed).shuffle(documents)
    (record,) = deliver(documents)
    here = energies(record)
    assert np.isin(here, GRID).all()
    missing = sum(p.missing for p in record.problems)
    assert len(here) + missing == N
    assert record.has(ProblemKind.NO_START) == (record.start is None)
    assert record.stop is not None


@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.integers(0, N + 1)))
def test_lost_documents_are_counted(lost):
    documents = a_run()
    (record,) = deliver([d for i, d in enumerate(documents) if i not in lost])
    if 1 in lost:  # without a descriptor its events belong to nobody
        kept = np.zeros(0)
    else:
        kept = np.array([e for i, e in enumerate(GRID) if i + 2 not in lost])
    np.testing.assert_array_equal(energies(record), kept)
    assert sum(p.missing for p in record.problems) == N - len(kept)
    identify(record, BeamlineConfig())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n_runs=st.integers(1, 5),
    lost=st.floats(0, 0.3),
    twice=st.floats(0, 0.3),
)
def test_every_completed_run_is_handed_over_exactly_once(seed, n_runs, lost, twice):
    rng = random.Random(seed)
    queues = [a_run() for _ in range(n_runs)]
    uids = {q[0][1]["uid"] for q in queues}
    stops = [q[-1] for q in queues]
    mixed: runs.Documents = []
    while any(queues):
        queue = rng.choice([q for q in queues if q])
        document = queue.pop(0)
        if document in stops or rng.random() > lost:
            mixed += [document] * (1 + (rng.random() < twice))
    records = deliver(mixed)
    assert len(records) == n_runs
    assert {r.uid for r in records} == uids
    for record in records:
        found = identify(record, BeamlineConfig())
        assert isinstance(found, Scan | Declined) or record.start is None


def _paths(value, prefix=()):
    yield prefix
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*prefix, key))


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.binary(max_size=5),
    st.lists(st.none() | st.floats() | st.text(max_size=3), max_size=4),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=3),
    st.just(complex(1, 2)),
    st.just(np.datetime64("2026-11-20")),
    st.just(np.array(["a", "b"])),
    st.just(np.array([1 + 2j])),
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_field_of_any_document_may_hold_anything(data):
    documents = copy.deepcopy(runs.xas(runs.PLAIN, runs.FE, energy=GRID[::6]))
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(documents) - 1))
        document = documents[i][1]
        path = data.draw(st.sampled_from(list(_paths(document))))
        if not path:
            continue
        for key in path[:-1]:
            document = document[key]
        if isinstance(document, dict):
            document[path[-1]] = data.draw(ODD)
    records: list = []
    callback = XanesCallback(records.append)
    for name, document in documents:
        callback(name, document)
    callback.close()
    for record in records:
        identify(record, BeamlineConfig())


def test_samples_beyond_all_measure_are_a_reading_like_any_other_odd_one():
    documents = copy.deepcopy(runs.xas(runs.PLAIN, runs.FE, energy=GRID))
    documents[5][1]["data"]["i0"] = [9e307, 9e307]
    (record,) = deliver(documents)
    found = identify(record, BeamlineConfig())
    assert isinstance(found, Scan)
    assert len(found.sweeps[0].energy) == N


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=12) | st.sampled_from(["start", "event", "stop"]), document=ODD)
def test_any_name_with_any_document(name, document):
    records: list = []
    callback = XanesCallback(records.append)
    callback(name, document)
    callback.close()
    assert not records


@pytest.mark.parametrize("pages", [0, 4])
def test_live_and_replayed_records_are_equal_to_the_bit(pages):
    documents = runs.xas(runs.PLAIN, runs.FE)
    other = runs.xas(runs.PLAIN, runs.FE, pages=pages)
    (live,), (replayed,) = deliver(documents), deliver(other)
    for key, column in live.streams["primary"].columns.items():
        assert column.tobytes() == replayed.streams["primary"].columns[key].tobytes()
