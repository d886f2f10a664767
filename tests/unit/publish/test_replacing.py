"""A result that takes the place of a published one, killed at every single request."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from tests import factories
from tests.unit.publish.fake_tiled import Killed, lost, raising
from tests.unit.publish.test_delivery import BIG, Bench
from xanes_live.publish.document import node
from xanes_live.publish.outbox import State

KEY = "3d1f8a52-0a1b2c3d"
PLACE = f"sandbox/xanes_live/{KEY}"


def result(config, n_spectra=1, points=245, r=1.98, **changes):
    """Return a result of `points` energies with its first shell at `r`."""
    spectra = tuple(
        replace(
            factories.spectrum_result(i, n_points=points),
            prediction=factories.prediction(r),
        )
        for i in range(n_spectra)
    )
    return node(factories.result(spectra=spectra, key=KEY, **changes), config)


def published(tmp_path, arrays, n_spectra=1, **changes):
    """Return a bench on whose server a result of 245 points is published."""
    bench = Bench(tmp_path, arrays)
    first = result(bench.config, n_spectra, **changes)
    bench.publisher.put(first)
    bench.work()
    bench.complete.clear()
    return bench, first


def arrays_in(bench, expected):
    """Return the arrays a reader of the document gets."""
    document = bench.server.nodes[PLACE].metadata
    sources = bench.server.nodes[PLACE].body["data_sources"]
    if sources:
        with h5py.File(sources[0]["assets"][0]["data_uri"].removeprefix("file://localhost")) as f:
            return {name: values[()] for name, values in f.items()}
    names = document.get("array_names", {})
    return {n: bench.server.array(f"{PLACE}/{names.get(n, n)}") for n in expected}


def check(bench, second, arrays):
    document = bench.server.nodes[PLACE].metadata
    assert document["status"] == "complete"
    assert document["arrays"] == ("none" if arrays == "none" else "complete")
    assert document["revised"] > 1e9
    assert {k: document[k] for k in second.metadata} == dict(second.metadata)
    if arrays != "none":
        found = arrays_in(bench, second.arrays)
        assert found.keys() == second.arrays.keys()
        for name, values in second.arrays.items():
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("arrays", ["http", "file", "none"])
@pytest.mark.parametrize("n_spectra", [1, BIG])
@pytest.mark.parametrize("points", [245, 300, 120])
def test_document_and_arrays_are_those_of_the_later_result(tmp_path, arrays, n_spectra, points):
    bench, first = published(tmp_path, arrays, n_spectra)
    second = result(bench.config, n_spectra, points, r=2.5)
    bench.publisher.put(replace(second, replaces=True))
    bench.work()
    check(bench, second, arrays)
    assert bench.complete == [KEY]
    assert len(bench.server.results()) == 1
    (kept,) = bench.server.revisions[PLACE]
    assert kept["first_shell"] == first.metadata["first_shell"]


def test_without_being_asked_nothing_is_replaced(tmp_path):
    for arrays in ("http", "file"):
        (tmp_path / arrays).mkdir()
        bench, first = published(tmp_path / arrays, arrays)
        bench.publisher.put(result(bench.config, r=2.5, points=120))
        bench.work()
        assert bench.server.nodes[PLACE].metadata["first_shell"] == first.metadata["first_shell"]
        np.testing.assert_array_equal(arrays_in(bench, first.arrays)["mean"], first.arrays["mean"])


def test_the_first_result_of_the_ended_run_replaces_that_of_an_interrupted_one(tmp_path):
    bench, _ = published(tmp_path, "http", stop_time=0.0, points=120)
    whole = result(bench.config, r=2.5)
    bench.publisher.put(whole)
    bench.work()
    check(bench, whole, "http")
    bench.publisher.put(result(bench.config, points=120, stop_time=0.0))
    bench.work()
    check(bench, whole, "http")


def test_what_is_to_replace_and_finds_nothing_is_published(tmp_path):
    bench = Bench(tmp_path)
    second = result(bench.config)
    bench.publisher.put(replace(second, replaces=True))
    bench.work()
    document = bench.server.nodes[PLACE].metadata
    assert document == {**second.metadata, "status": "complete", "arrays": "complete"}


@pytest.mark.parametrize("steps", range(12))
def test_a_later_result_overtakes_one_that_is_on_its_way(tmp_path, steps):
    """Whatever of the earlier one is in Tiled already."""
    bench = Bench(tmp_path)
    bench.publisher.put(result(bench.config, points=120, stop_time=0.0))
    for _ in range(steps):
        bench.publisher.step()
    second = result(bench.config, r=2.5)
    bench.publisher.put(second)
    bench.work()
    document = bench.server.nodes[PLACE].metadata
    assert document["first_shell"] == second.metadata["first_shell"]
    assert document["arrays"] == "complete"
    for name, values in arrays_in(bench, second.arrays).items():
        np.testing.assert_array_equal(values, second.arrays[name])


@pytest.mark.parametrize(("arrays", "whole"), [("http", True), ("http", False), ("file", False)])
@pytest.mark.parametrize("processed", [False, True], ids=["not arrived", "answer lost"])
def test_killed_at_any_request_the_next_start_completes_it(tmp_path, arrays, whole, processed):
    def begun(place):
        place.mkdir()
        bench, first = published(place, arrays)
        bench.server.log.clear()
        second = result(bench.config, points=300, r=2.5)
        bench.publisher.put(replace(second, replaces=True, whole=whole))
        return bench, first, second

    bench, *_ = begun(tmp_path / "count")
    bench.work()
    total = len(bench.server.log)
    for fatal in (n for n in range(total) if n < 6 or n > total - 3):  # one array is like another
        bench, first, second = begun(tmp_path / str(fatal))
        death = lost(bench.server, Killed()) if processed else raising(Killed())
        bench.server.faults = [lambda request: None] * fatal + [death]
        with pytest.raises(Killed):
            bench.work()
        document = bench.server.nodes[PLACE].metadata
        shells = [n.metadata["first_shell"] for n in (first, second)]
        assert document["first_shell"] in shells  # never nothing
        bench.start()
        bench.work()
        check(bench, second, arrays)
        bench.outbox.close()


def test_a_result_whose_file_is_out_of_reach_stays_and_says_what_to_set(tmp_path):
    bench, first = published(tmp_path, "file")
    bench.config = bench.config.model_copy(
        update={"tiled": bench.config.tiled.model_copy(update={"arrays": "http"})}
    )
    bench.outbox.close()
    bench.start()
    bench.publisher.put(replace(result(bench.config, r=2.5), replaces=True))
    assert bench.publisher.step() == 0.0
    assert bench.outbox.counts().refused == 1  # and waits for the setting to be as it was
    assert "set [tiled] arrays = 'file'" in bench.publisher.health.message
    assert bench.server.nodes[PLACE].metadata["first_shell"] == first.metadata["first_shell"]


def test_a_result_published_over_http_is_replaced_over_http_after_the_setting_changed(tmp_path):
    bench, _ = published(tmp_path, "http")
    tiled = bench.config.tiled.model_copy(update={"arrays": "file"})
    bench.config = bench.config.model_copy(update={"tiled": tiled})
    bench.outbox.close()
    bench.start()
    second = result(bench.config, points=300, r=2.5)
    bench.publisher.put(replace(second, replaces=True))
    bench.work()
    check(bench, second, "http")


def test_a_node_that_is_removed_while_its_arrays_are_written_is_made_again(tmp_path):
    bench = Bench(tmp_path)
    first = result(bench.config)
    bench.publisher.put(first)
    bench.publisher.step()
    bench.publisher.step()
    assert bench.outbox.state(KEY) is State.ARRAYS
    for name in [name for name in bench.server.nodes if name.startswith(PLACE)]:
        del bench.server.nodes[name]
    for _ in range(60):
        bench.publisher.step()
    assert bench.outbox.state(KEY) is State.DONE
    assert arrays_in(bench, first.arrays).keys() == first.arrays.keys()
