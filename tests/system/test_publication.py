"""Publication into a real Tiled server: scopes, both ways of writing, a kill in the middle."""

import gc
import stat
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import httpx
import numpy as np
import pytest

from tests import factories
from xanes_live.client import connect
from xanes_live.config import Config
from xanes_live.domain import Confidence
from xanes_live.publish.document import declined_node, node
from xanes_live.publish.keys import result_key
from xanes_live.publish.outbox import Outbox
from xanes_live.publish.remote import RefusedError
from xanes_live.publish.tiled import connect as connect_root
from xanes_live.publish.tiled import listing, walk
from xanes_live.publish.writer import Condition, Publisher
from xanes_live.service.tiled_server import TiledServer

pytestmark = pytest.mark.slow
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with TiledServer(tmp_path_factory.mktemp("tiled")) as running:
        yield running


def configuration(server, arrays="http"):
    return Config.model_validate(
        {"tiled": {"uri": server.uri, "arrays": arrays, "arrays_directory": str(server.arrays)}}
    )


@pytest.fixture
def publishing(server, tmp_path):
    """Make publishers with an outbox of their own."""
    made = []

    def make(arrays="http", on_complete=None, name="outbox"):
        outbox = Outbox(tmp_path / f"{name}.sqlite")
        tiled = configuration(server, arrays).tiled
        publisher = Publisher(tiled, server.keys.service, outbox, on_complete=on_complete)
        made.append((publisher, outbox))
        return publisher.start()

    yield make
    for publisher, outbox in made:
        publisher.stop()
        outbox.close()


@pytest.fixture
def results(server):
    with connect(server.uri, server.keys.reader) as found:
        yield found


@contextmanager
def tiled_client(server, key):
    """Open Tiled's own client and close what it leaves open."""
    client = connect_root(configuration(server).tiled, key)
    try:
        yield client
    finally:
        client.context.http_client.close()


def result_of(uid, n_spectra=1, **changes):
    key = result_key(uid, None, "model", "config")
    return factories.result(n_spectra, key=key, uid=uid, **changes)


def http(server, key):
    headers = {"Authorization": f"Apikey {key}"} if key else {}
    return httpx.Client(base_url=f"{server.uri}/api/v1", headers=headers, timeout=30.0)


def container(name):
    return {"id": name, "structure_family": "container", "metadata": {}}


REFUSED = {401, 403, 404, 405}


def test_each_key_may_do_its_own_and_nobody_deletes(server, tmp_path):
    keys = server.keys
    assert len({keys.writer, keys.service, keys.reader}) == 3
    with http(server, keys.writer) as writer, http(server, keys.service) as service:
        assert writer.post("/metadata/raw", json=container("run")).is_success
        assert service.post("/metadata/sandbox", json=container("mine")).is_success
        change = {
            "content-type": "application/merge-patch+json",
            "metadata": {"a": 1},
            "specs": None,
        }
        assert service.patch("/metadata/sandbox/mine", json=change).is_success
    for key in (keys.reader, None):
        with http(server, key) as reader:
            assert reader.post("/metadata/raw", json=container("x")).status_code in REFUSED
            assert reader.post("/metadata/sandbox", json=container("x")).status_code in REFUSED
            assert reader.patch("/metadata/sandbox/mine", json=change).status_code in REFUSED
            register = reader.post("/register/sandbox", json=container("x"))
            assert register.status_code in REFUSED
    with http(server, keys.reader) as reader:
        assert reader.get("/metadata/sandbox/mine").is_success
    with http(server, None) as anonymous:
        assert anonymous.get("/metadata/sandbox").status_code in REFUSED
    for key in (keys.writer, keys.service, keys.reader):
        with http(server, key) as anyone:
            for path in ("/metadata/raw/run", "/metadata/sandbox/mine", "/metadata/raw"):
                assert anyone.delete(path).status_code in REFUSED
            assert anyone.delete("/revisions/sandbox/mine?number=1").status_code in REFUSED
            wish = {"scopes": ["read:metadata"], "expires_in": 60}
            assert anyone.post("/auth/apikey", json=wish).status_code in REFUSED


def test_keys_are_kept_to_the_owner_and_out_of_the_log(server):
    path = server.directory / "keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = (server.directory / "server.log").read_text()
    for key in (server.keys.writer, server.keys.service, server.keys.reader):
        assert key not in text
        assert key not in repr(server.keys)


def test_it_listens_on_loopback_only(server):
    assert server.uri.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("arrays", ["http", "file"])
def test_a_result_is_read_back_as_it_was_put(publishing, results, server, arrays):
    done = threading.Event()
    publisher = publishing(arrays, on_complete=lambda key: done.set())
    uid = f"{arrays}one0-1"
    made = node(result_of(uid, sample=f"one {arrays}"), configuration(server, arrays))
    publisher.put(made)
    assert done.wait(PATIENCE_S)
    (found,) = results.for_run(uid)
    assert found.metadata["g2"] == made.metadata["g2"]
    assert publisher.flush(PATIENCE_S)
    found = results.get(made.key)
    assert dict(found.metadata) == {**made.metadata, "arrays": "complete", "status": "complete"}
    assert set(found.keys()) == set(made.arrays)
    for name, values in made.arrays.items():
        child = found[name]
        assert child.structure_family == "array"  # what Tiled's own page draws
        assert child.shape == values.shape
        assert child.metadata["units"] == made.units[name]
        np.testing.assert_array_equal(child.read(), values)
    data = results.dataset(made.key)
    np.testing.assert_array_equal(data["mean"], made.arrays["mean"])
    assert data["radius"].attrs["units"] == "Å"


@pytest.mark.parametrize("arrays", ["http", "file"])
def test_many_spectra_are_one_node(publishing, results, server, arrays):
    publisher = publishing(arrays)
    uid = f"{arrays}many-1"
    made = node(result_of(uid, 60), configuration(server, arrays))
    publisher.put(made)
    assert publisher.flush(PATIENCE_S)
    (found,) = results.for_run(uid)
    assert found.metadata["n_spectra"] == 60
    data = found.dataset()
    assert dict(data.sizes) == {"spectrum": 60, "radius": 50, "energy": 245}
    for name in ("mean", "flattened", "first_shell_r", "confidence"):
        np.testing.assert_array_equal(data[name], made.arrays[name])


def test_publishing_again_changes_nothing(publishing, results, server):
    made = node(result_of("twice000-1"), configuration(server))
    publisher = publishing("http")
    publisher.put(made)
    assert publisher.flush(PATIENCE_S)
    with http(server, server.keys.reader) as reader:
        path = f"/metadata/sandbox/xanes_live/{made.key}"
        before = reader.get(path).json()
        other = publishing("file", name="other")
        for again in (publisher, other):
            again.put(made)
            assert again.flush(PATIENCE_S)
        assert reader.get(path).json() == before
        revisions = reader.get(f"/revisions/sandbox/xanes_live/{made.key}").json()["data"]
    assert revisions == []
    assert len(results.for_run("twice000-1")) == 1


def test_results_are_found_by_what_people_look_for(publishing, results, server):
    config = configuration(server, "none")
    publisher = publishing("none")
    noisy = factories.flag("noisy")
    spread = factories.flag("ensemble_spread_large")
    start = factories.START + 1e6
    green = factories.spectrum_result(0)
    amber = factories.spectrum_result(0, Confidence.AMBER, (noisy,))
    red = factories.spectrum_result(0, Confidence.RED, (spread,))
    for number, spectrum in enumerate((green, amber, red)):
        result = replace(
            result_of(f"find000{number}-1", sample=f"S'{number}\"", time=start + number),
            spectra=(spectrum,),
            model=replace(factories.MODEL, id="fe-k-search", version=f"1.{number}"),
        )
        publisher.put(node(result, config))
    publisher.put(declined_node(factories.declined(uid="find0009-1", time=start + 9), config))
    assert publisher.flush(PATIENCE_S)

    def found(**query):
        return [p.metadata["raw_uid"][:8] for p in results.search(since=start, **query)]

    assert found() == ["find0009", "find0002", "find0001", "find0000"]
    assert found(limit=2) == ["find0009", "find0002"]
    assert found(confidence="amber") == ["find0001"]
    assert found(flag="noisy") == ["find0001"]
    assert found(flag="ensemble_spread_large") == ["find0002"]
    assert found(flag="ensemble_spread") == []
    assert found(flag="no_model") == found(element="Cu") == ["find0009"]
    assert found(sample="S'1\"") == ["find0001"]
    assert found(model="fe-k-search") == ["find0002", "find0001", "find0000"]
    assert found(model="fe-k-search@1.0", element="Fe", confidence="green") == ["find0000"]
    assert [p.metadata["raw_uid"] for p in results.search(since=start + 2)][-1] == "find0002-1"
    assert results.latest()[0].metadata["raw_uid"] == "find0009-1"
    assert len(results.latest(3)) == 3
    assert results.for_run("nobody") == []
    with pytest.raises(KeyError):
        results.get("nobody")


def test_the_listing_gives_what_was_asked_for(publishing, results, server):
    publisher = publishing("none")
    made = node(result_of("listed00-1"), configuration(server, "none"))
    publisher.put(made)
    assert publisher.flush(PATIENCE_S)
    with tiled_client(server, server.keys.reader) as root:
        assert walk(root, "sandbox/nowhere") is None
        key, fields = next(listing(walk(root, "sandbox/xanes_live")))
    assert key == made.key
    assert fields == {"raw_uid": "listed00-1", "status": "complete"}


def test_a_reader_s_key_parks_the_publisher(server, tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite")
    publisher = Publisher(configuration(server).tiled, server.keys.reader, outbox)
    publisher.put(node(result_of("parked00-1"), configuration(server)))
    publisher.step()
    assert publisher.health.condition is Condition.PARKED
    assert outbox.pending() == 1
    publisher.stop()
    outbox.close()


# Tiled's client leaves its connection open when it is refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wrong_key_is_refused_at_once(server):
    with pytest.raises(RefusedError):
        connect_root(configuration(server).tiled, "0" * 72)
    gc.collect()


def run_documents(uid):
    """Return the documents of a short step scan."""
    from event_model import compose_run

    bundle = compose_run(uid=uid, metadata={"plan_name": "scan", "sample": "Fe foil"})
    keys = {
        name: {"dtype": "number", "shape": [], "source": "sim", "dtype_numpy": "<f8"}
        for name in ("energy", "i0", "it")
    }
    stream = bundle.compose_descriptor(name="primary", data_keys=keys)
    documents = [("start", bundle.start_doc), ("descriptor", stream.descriptor_doc)]
    for number in range(5):
        values = {"energy": 7100.0 + number, "i0": 1e5, "it": 5e4 - number}
        event = stream.compose_event(data=values, timestamps=dict.fromkeys(values, 1.0))
        documents.append(("event", event))
    return [*documents, ("stop", bundle.compose_stop())]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside bluesky's writer and pandas
def test_raw_runs_replay_after_results_exist(publishing, server):
    from bluesky.callbacks.tiled_writer import TiledWriter

    uid = "0f0f0f0f-6c1e-4f2b-9a37-0b1c2d3e4f50"
    with tiled_client(server, server.keys.writer) as root:
        writer = TiledWriter(root["raw"])
        for name, document in run_documents(uid):
            writer(name, document)
    publisher = publishing("http")
    made = node(result_of(uid), configuration(server))
    publisher.put(made)
    assert publisher.flush(PATIENCE_S)
    with tiled_client(server, server.keys.reader) as root:
        replayed = list(walk(root, made.metadata["raw_path"]).documents())
    assert [name for name, _ in replayed][:2] == ["start", "descriptor"]
    assert replayed[0][1]["uid"] == uid
    energies = []
    for name, document in replayed:
        if name == "event":
            energies.append(document["data"]["energy"])
        elif name == "event_page":
            energies.extend(document["data"]["energy"])
    assert energies == [7100.0, 7101.0, 7102.0, 7103.0, 7104.0]
    with http(server, server.keys.reader) as reader:
        assert reader.get(made.metadata["raw_uri"]).is_success


@pytest.mark.parametrize("arrays", ["http", "file"])
def test_tiled_killed_in_the_middle_ends_with_each_result_once(tmp_path, arrays):
    server = TiledServer(tmp_path / "tiled")
    server.start()
    heard, some = [], threading.Semaphore(0)

    def hear(result):
        heard.append(result.key)
        some.release()

    results = connect(server.uri, server.keys.reader)
    watch = results.watch(hear, retry_s=0.5)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    config = configuration(server, arrays)
    publisher = Publisher(config.tiled, server.keys.service, outbox).start()
    made = [node(result_of(f"{n:08d}-1", 60 if n == 1 else 1), config) for n in range(5)]
    try:
        for number, one in enumerate(made):
            publisher.put(one)
            if number == 2:
                assert some.acquire(timeout=PATIENCE_S)  # in full swing
                port = server.port
                server.kill()
        assert outbox.pending() > 0
        server.start()
        assert server.port == port
        assert publisher.flush(PATIENCE_S)
        found = {p.key: p for p in results.latest(100)}
        assert set(found) == {one.key for one in made}
        for one in made:
            metadata = found[one.key].metadata
            assert (metadata["status"], metadata["arrays"]) == ("complete", "complete")
            np.testing.assert_array_equal(found[one.key]["mean"].read(), one.arrays["mean"])
        end = time.monotonic() + PATIENCE_S
        while len(heard) < len(made) and time.monotonic() < end:
            some.acquire(timeout=1.0)
        assert sorted(heard) == sorted(found)
    finally:
        watch.close()
        results.close()
        publisher.stop()
        outbox.close()
        end_with_its_starter(server)


def end_with_its_starter(server):
    """Check that the server ends when the process that started it does, however that ended."""
    process = server._process
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 0
    server.stop()
    assert not server.running


@pytest.mark.parametrize("arrays", ["http", "file"])
@pytest.mark.parametrize("points", [245, 300, 120])
def test_a_result_is_replaced_in_place(publishing, results, server, arrays, points):
    config, publisher = configuration(server, arrays), publishing(arrays)
    uid = f"{arrays}{points}-1"
    first = node(result_of(uid, sample="old", scan_id=1), config)
    publisher.put(first)
    assert publisher.flush(PATIENCE_S)
    spectrum = factories.spectrum_result(n_points=points)
    second = node(result_of(uid, sample="new", spectra=(spectrum,)), config)
    publisher.put(replace(second, replaces=True))
    assert publisher.flush(PATIENCE_S)
    (found,) = results.for_run(uid)
    assert found.key == first.key
    assert found.metadata["sample"] == "new"
    assert set(found.keys()) == set(second.arrays)
    data = found.dataset()
    for name, values in second.arrays.items():
        np.testing.assert_array_equal(found[name].read(), values)
        np.testing.assert_array_equal(data[name], values)
    with http(server, server.keys.reader) as reader:
        kept = reader.get(f"/revisions/sandbox/xanes_live/{first.key}").json()["data"]
    assert [k["attributes"]["metadata"]["sample"] for k in kept] == ["old"]
