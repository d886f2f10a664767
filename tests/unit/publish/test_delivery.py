"""Publication step by step against a server in memory, killed at every single request."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from tests import factories
from tests.unit.publish.fake_tiled import FakeTiled, Killed, lost, raising
from xanes_live.config import Config
from xanes_live.domain import Confidence
from xanes_live.errors import ConfigurationError
from xanes_live.publish.document import declined_node, node
from xanes_live.publish.outbox import Outbox, State
from xanes_live.publish.remote import SPEC, Remote
from xanes_live.publish.writer import Publisher

BIG = 60
"""So many spectra do not fit into a document."""


def configuration(tmp_path, arrays, **changes):
    return Config.model_validate(
        {"tiled": {"arrays": arrays, "arrays_directory": str(tmp_path / "arrays"), **changes}}
    )


class Bench:
    """A publisher that is driven by hand, and can be started again on the same outbox."""

    def __init__(self, tmp_path, arrays="http", **changes):
        self.server = FakeTiled()
        self.config = configuration(tmp_path, arrays, **changes)
        self.path = tmp_path / "outbox.sqlite"
        self.complete = []
        self.start()

    def start(self):
        self.outbox = Outbox(self.path)
        remote = Remote(self.config.tiled, "key", self.server.transport())
        self.publisher = Publisher(
            self.config.tiled, "key", self.outbox, on_complete=self.complete.append, remote=remote
        )

    def work(self):
        for _ in range(200):
            if not self.outbox.pending():
                return
            assert self.publisher.step() == 0.0
        raise AssertionError("publication does not end")

    def put(self, n_spectra=1, key="3d1f8a52-0a1b2c3d"):
        published = node(factories.result(n_spectra, key=key), self.config)
        self.publisher.put(published)
        return published


def requests_after_setup(bench):
    """Return the requests about results; the container was made before."""
    return [line for line in bench.server.log if "xanes_live" in line]


@pytest.mark.parametrize("arrays", ["http", "file", "none"])
@pytest.mark.parametrize("n_spectra", [1, 3, BIG])
def test_published_whole(tmp_path, arrays, n_spectra):
    bench = Bench(tmp_path, arrays)
    published = bench.put(n_spectra)
    bench.work()
    (found,) = bench.server.results().values()
    expected = "none" if arrays == "none" else "complete"
    assert found.metadata == {**published.metadata, "status": "complete", "arrays": expected}
    assert found.body["specs"] == [SPEC]
    assert bench.complete == [published.key]
    if arrays == "http":
        for name, values in published.arrays.items():
            stored = bench.server.array(f"sandbox/xanes_live/{published.key}/{name}")
            np.testing.assert_array_equal(stored, values)
    if arrays == "file":
        uri = found.body["data_sources"][0]["assets"][0]["data_uri"]
        with h5py.File(uri.removeprefix("file://localhost")) as file:
            assert set(file) == set(published.arrays)


@pytest.mark.parametrize(("arrays", "n_spectra"), [("http", 1), ("http", 3), ("file", BIG)])
def test_a_result_is_complete_after_one_request(tmp_path, arrays, n_spectra):
    bench = Bench(tmp_path, arrays)
    bench.put(n_spectra, key="first-1")
    bench.work()
    bench.server.log.clear()
    bench.put(n_spectra, key="second-2")
    bench.publisher.step()
    assert len(bench.server.log) == 1
    assert bench.server.results()["second-2"].metadata["status"] == "complete"
    assert bench.complete == ["first-1", "second-2"]


def test_with_a_file_everything_is_there_before_the_node(tmp_path):
    bench = Bench(tmp_path, "file")

    def look():
        for found in bench.server.results().values():
            (source,) = found.body["data_sources"]
            (asset,) = source["assets"]
            assert source["mimetype"] == "application/x-hdf5"
            with h5py.File(asset["data_uri"].removeprefix("file://localhost")) as file:
                assert "mean" in file

    bench.server.readers.append(look)
    bench.put()
    bench.work()
    assert len(bench.server.results()) == 1


def test_a_declined_scan_takes_one_request_in_every_mode(tmp_path):
    for arrays in ("http", "file", "none"):
        (tmp_path / arrays).mkdir()
        bench = Bench(tmp_path / arrays, arrays)
        bench.publisher.put(declined_node(factories.declined(), bench.config))
        bench.work()
        (found,) = bench.server.results().values()
        assert found.metadata["kind"] == "declined"
        assert found.body["data_sources"] == []
        assert [line for line in requests_after_setup(bench) if "POST" in line][1:] == []


def test_documents_go_before_arrays(tmp_path):
    bench = Bench(tmp_path)
    bench.put(key="a-1")
    bench.publisher.step()
    bench.publisher.step()
    bench.put(key="b-2")
    bench.publisher.step()
    assert bench.server.results()["b-2"].metadata["status"] == "complete"
    assert bench.server.results()["a-1"].metadata["arrays"] == "writing"
    bench.work()
    assert {n.metadata["arrays"] for n in bench.server.results().values()} == {"complete"}


def test_arrays_get_their_turn_while_documents_keep_coming(tmp_path, monkeypatch):
    monkeypatch.setattr("xanes_live.publish.writer.CHARTS_BEHIND", 3)
    bench = Bench(tmp_path)
    for number in range(200):
        bench.put(key=f"k-{number}")
        bench.publisher.step()
    assert bench.outbox.counts().done > 0


def test_publishing_twice_changes_nothing(tmp_path):
    bench = Bench(tmp_path)
    bench.put()
    bench.work()
    before = {name: (repr(n.body), n.data) for name, n in bench.server.nodes.items()}
    bench.server.log.clear()
    bench.put()
    bench.work()
    assert {name: (repr(n.body), n.data) for name, n in bench.server.nodes.items()} == before
    assert len(bench.server.log) == 2  # refused as existing; found to be complete


def test_the_same_result_from_another_machine_changes_nothing(tmp_path):
    bench = Bench(tmp_path, "http")
    bench.put()
    bench.work()
    before = {name: (repr(n.body), n.data) for name, n in bench.server.nodes.items()}
    bench.outbox.close()
    bench.path = tmp_path / "other.sqlite"
    bench.start()
    bench.put()
    bench.work()
    assert {name: (repr(n.body), n.data) for name, n in bench.server.nodes.items()} == before


@pytest.mark.parametrize("n_spectra", [1, BIG])
def test_a_half_written_result_is_completed(tmp_path, n_spectra):
    """As left by a publisher whose outbox is gone."""
    bench = Bench(tmp_path)
    published = bench.put(n_spectra)
    for _ in range(3):
        bench.publisher.step()
    bench.outbox.close()
    bench.path = tmp_path / "other.sqlite"
    bench.start()
    bench.put(n_spectra)
    bench.work()
    (found,) = bench.server.results().values()
    assert found.metadata == {**published.metadata, "status": "complete", "arrays": "complete"}
    for name in published.arrays:
        assert bench.server.nodes[f"sandbox/xanes_live/{published.key}/{name}"].data is not None


def count_requests(tmp_path, arrays, n_spectra):
    bench = Bench(tmp_path, arrays)
    bench.put(n_spectra)
    bench.work()
    return len(bench.server.log)


def check_what_readers_see(bench, published):
    """At every moment: what says it is complete is."""
    for key, found in bench.server.results().items():
        document = found.metadata
        assert key == published.key
        if published.whole or bench.config.tiled.arrays == "file":
            assert document["status"] == "complete"
            assert document["g2"] == published.metadata["g2"]
        if "complete" not in {document["arrays"], "" if published.whole else document["status"]}:
            continue
        if bench.config.tiled.arrays == "http":
            for name, values in published.arrays.items():
                stored = bench.server.array(f"sandbox/xanes_live/{key}/{name}")
                np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("arrays", ["http", "file", "none"])
@pytest.mark.parametrize("n_spectra", [1, BIG])
@pytest.mark.parametrize("processed", [False, True], ids=["not arrived", "answer lost"])
def test_killed_at_any_request_the_next_start_completes_it(tmp_path, arrays, n_spectra, processed):
    (tmp_path / "count").mkdir()
    total = count_requests(tmp_path / "count", arrays, n_spectra)
    for fatal in range(total):
        place = tmp_path / str(fatal)
        place.mkdir()
        bench = Bench(place, arrays)
        published = bench.put(n_spectra)
        bench.server.readers.append(
            lambda bench=bench, published=published: check_what_readers_see(bench, published)
        )
        death = lost(bench.server, Killed()) if processed else raising(Killed())
        bench.server.faults = [lambda request: None] * fatal + [death]
        with pytest.raises(Killed):
            bench.work()
        bench.start()  # the old connection to the outbox is left as a kill leaves it
        bench.work()
        (found,) = bench.server.results().values()
        assert found.metadata["status"] == "complete"
        assert found.metadata["arrays"] == ("none" if arrays == "none" else "complete")
        assert bench.outbox.state(published.key) is State.DONE
        assert published.key in bench.complete
        posts = [
            line
            for line in bench.server.log
            if line.startswith("POST") and line.endswith("/sandbox/xanes_live")
        ]
        assert len(posts) <= 2
        bench.outbox.close()


def test_large_arrays_go_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("xanes_live.publish.remote.BLOCK_BYTES", 5000)
    bench = Bench(tmp_path)
    published = bench.put(BIG)
    bench.work()
    key = published.key
    assert any("/array/block/" in line for line in bench.server.log)
    for name, values in published.arrays.items():
        stored = bench.server.array(f"sandbox/xanes_live/{key}/{name}")
        np.testing.assert_array_equal(stored, values)
        source = bench.server.nodes[f"sandbox/xanes_live/{key}/{name}"].body["data_sources"][0]
        chunks = source["structure"]["chunks"]
        assert [sum(chunk) for chunk in chunks] == list(values.shape)


def test_access_tags_go_with_every_node(tmp_path):
    bench = Bench(tmp_path, access_tags=["xanes"])
    bench.put()
    bench.work()
    assert {tuple(n.body["access_tags"]) for n in bench.server.nodes.values()} == {("xanes",)}


def test_a_container_that_was_removed_is_made_again(tmp_path):
    bench = Bench(tmp_path)
    bench.put(key="a-1")
    bench.work()
    bench.server.nodes.clear()
    bench.put(key="b-2")
    assert bench.publisher.step() > 0  # found out
    bench.outbox.mark("b-2", State.PENDING)  # as if its short pause were over
    bench.work()
    assert set(bench.server.results()) == {"b-2"}


def test_a_missing_sweep_is_no_obstacle(tmp_path):
    bench = Bench(tmp_path)
    spectra = (factories.spectrum_result(0, Confidence.GREEN), factories.unusable_result(1))
    bench.publisher.put(node(factories.result(spectra=spectra), bench.config))
    bench.publisher.put(
        node(factories.result(spectra=(factories.unusable_result(),), key="x-1"), bench.config)
    )
    bench.work()
    assert {n.metadata["status"] for n in bench.server.results().values()} == {"complete"}


@pytest.mark.parametrize(
    "changes",
    [
        {"results_path": "raw/results"},
        {"results_path": "raw"},
        {"raw_path": "smi/raw", "results_path": "/smi/raw/sandbox"},
        {"results_path": ""},
        {"arrays": "file"},
    ],
)
def test_a_configuration_that_would_break_raw_runs_is_refused(tmp_path, changes):
    config = Config.model_validate({"tiled": changes})
    outbox = Outbox(tmp_path / "o.sqlite")
    with pytest.raises(ConfigurationError):
        Publisher(config.tiled, "key", outbox)
    outbox.close()


def test_a_directory_tiled_cannot_read_is_reported_once(tmp_path, caplog):
    bench = Bench(tmp_path, "file")

    def refuse(request):
        import httpx

        return (
            httpx.Response(500)
            if request.method == "GET" and "/array/" in str(request.url)
            else None
        )

    bench.server.always = refuse
    bench.put(key="a-1")
    bench.put(key="b-2")
    bench.work()
    assert len(bench.complete) == 2
    messages = [r for r in caplog.records if "readable_storage" in r.getMessage()]
    assert len(messages) == 1


def test_a_thinned_spectrum_is_not_complete_before_its_arrays(tmp_path):
    bench = Bench(tmp_path)
    long = factories.spectrum_result(n_points=5000)
    published = node(factories.result(spectra=(long,)), bench.config)
    bench.publisher.put(replace(published))
    bench.publisher.step()
    (found,) = bench.server.results().values()
    assert found.metadata["status"] == "writing"
    bench.work()
    assert found.metadata["status"] == "complete"
