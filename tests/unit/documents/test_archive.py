"""Archives: a Tiled server, databroker in both its versions, and made-up old ones."""

from __future__ import annotations

import gc
import json

import event_model
import numpy as np
import pytest

from tests import runs
from tests.unit.documents.test_complete import without_documents
from xanes_live.config import BeamlineConfig, TiledConfig
from xanes_live.documents.archive import Archive, documents_of, open_archive
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.domain import Scan
from xanes_live.errors import ConfigurationError, ReadError

pytestmark = pytest.mark.slow
KINDS = ["step", "pages", "short arrays", "sweeps", "files"]


@pytest.fixture
def archive(raw, archived) -> Archive:
    return open_archive(raw)


def uid(archived, kind: str) -> str:
    return archived[kind][0][1]["uid"]


def uids(found) -> set[str]:
    return {run.uid for run in found}


def channels(record) -> list:
    scan = identify(record, BeamlineConfig())
    assert isinstance(scan, Scan), scan
    assert scan.flags == ()
    roles = ("energy", "i0", "it", "fluorescence")
    return [getattr(sweep, role) for sweep in scan.sweeps for role in roles]


def equal(one, other) -> None:
    for a, b in zip(channels(one), channels(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_runs_once(archive, archived):
    assert {uid(archived, kind) for kind in archived} <= uids(archive.runs())
    found = [run.uid for run in archive.runs()]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("length", [8, 36])
def test_by_uid(archive, archived, length):
    wanted = [uid(archived, "step"), uid(archived, "sweeps")]
    assert uids(archive.runs(uids=[u[:length] for u in wanted])) == set(wanted)
    assert uids(archive.runs(uids=["ffffffff-no-such"])) == set()


def test_by_time(archive, archived):
    expected = {uid(archived, "pages"), uid(archived, "short arrays")}
    assert uids(archive.runs(since=2000.0, until=4000.0)) == expected
    assert uids(archive.runs(until=1000.5)) == {uid(archived, "step")}


def test_by_metadata(archive, archived):
    assert uids(archive.runs(search={"sample": "FeO"})) == {uid(archived, "step")}
    assert uids(archive.runs(search={"scan_id": "14"})) == {uid(archived, "sweeps")}
    assert uids(archive.runs(search={"scan_id": 14})) == {uid(archived, "sweeps")}
    # the word may be meant as a text or as a number
    both = {uid(archived, "pages"), uid(archived, "short arrays")}
    assert uids(archive.runs(search={"batch": "5"})) == both
    both = archive.runs(search={"batch": "5", "scan_id": "13"})
    assert uids(both) == {uid(archived, "short arrays")}
    assert uids(archive.runs(search={"nothing": "x"})) == set()


@pytest.mark.parametrize("exporter", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_replayed_runs_are_the_live_ones(archive, archived, kind, exporter):
    (run,) = archive.runs(uids=[uid(archived, kind)])
    if not exporter:
        without_documents(run.source)
    assert run.start["plan_name"] == "xas_scan"
    equal(run.record(), assemble(archived[kind]))


def test_files_out_of_reach_are_filled_in(archive, archived):
    (run,) = archive.runs(uids=[uid(archived, "files")])
    real = run.source.documents

    def moved(fill=False):
        for name, doc in real():
            yield name, {**doc, "uri": "file:///nowhere.h5"} if name == "stream_resource" else doc

    run.source.documents = moved
    names = [name for name, _ in run.documents()]
    assert names == ["start", "descriptor", "event_page", "stop"]
    equal(run.record(), assemble(archived["files"]))


def test_databroker_catalogues(raw, archived):
    from bluesky_tiled_plugins import CatalogOfBlueskyRuns

    catalog = CatalogOfBlueskyRuns(
        raw.context, item=raw.item, structure_clients=raw.structure_clients
    )
    archive = open_archive(catalog)
    assert uids(archive.runs(search={"scan_id": "14"})) == {uid(archived, "sweeps")}
    assert uids(archive.runs(uids=[uid(archived, "step")[:8]])) == {uid(archived, "step")}
    (run,) = archive.runs(search={"sample": "FeO"}, since=999.0, until=1001.0)
    equal(run.record(), assemble(archived["step"]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_databroker_v1_broker(raw, archived):
    v1 = pytest.importorskip("databroker.v1")
    from bluesky_tiled_plugins import CatalogOfBlueskyRuns

    catalog = CatalogOfBlueskyRuns(
        raw.context, item=raw.item, structure_clients=raw.structure_clients
    )
    archive = open_archive(v1.Broker(catalog))
    (run,) = archive.runs(search={"scan_id": "11"})
    assert run.uid == uid(archived, "step")
    equal(run.record(), assemble(archived["step"]))
    assert uids(archive.runs(uids=[uid(archived, "sweeps")[:8]])) == {uid(archived, "sweeps")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_databroker_by_name(monkeypatch):
    databroker = pytest.importorskip("databroker")
    broker = object()
    named = {"mine": broker}
    monkeypatch.setattr(databroker.Broker, "named", staticmethod(named.__getitem__))
    assert open_archive("databroker:mine").catalog is broker
    with pytest.raises(ConfigurationError, match="other"):
        open_archive("databroker:other")


def test_addresses(tiled, archived):
    opened = open_archive(tiled.uri, TiledConfig(uri=tiled.uri), tiled.keys.reader)
    assert uid(archived, "step") in uids(opened.runs())
    direct = open_archive(f"{tiled.uri}/api/v1/metadata/raw", None, tiled.keys.reader)
    assert uid(archived, "step") in uids(direct.runs(uids=[uid(archived, "step")]))
    for archive in (opened, direct):
        archive.catalog.context.close()


def test_the_key_is_for_the_configured_server_only(monkeypatch):
    given: list = []

    def refuse(uri, api_key=None):
        given.append(api_key)
        raise ValueError("no")

    monkeypatch.setattr("tiled.client.from_uri", refuse)
    ours = TiledConfig(uri="http://tiled.facility:8000")
    for where in ("http://tiled.facility:8000/api/v1/metadata/old", "http://elsewhere:8000"):
        with pytest.raises(ConfigurationError):
            open_archive(where, ours, "secret")
    assert given == ["secret", None]


def test_profiles(tiled, archived, tmp_path, monkeypatch):
    monkeypatch.setattr("tiled.profiles.paths", [tmp_path])
    monkeypatch.setenv("TILED_API_KEY", tiled.keys.reader)
    (tmp_path / "beamline.yml").write_text(json.dumps({"beamline": {"uri": tiled.uri}}))
    archive = open_archive("beamline", TiledConfig())
    assert uid(archived, "step") in uids(archive.runs())
    archive.catalog.context.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_not_there(tiled, monkeypatch):
    monkeypatch.setattr("tiled.client.utils.TILED_RETRY_ATTEMPTS", 1)
    with pytest.raises(ConfigurationError, match="no_such_profile"):
        open_archive("no_such_profile")
    with pytest.raises(ConnectionError):
        open_archive("http://127.0.0.1:9/")
    with pytest.raises(ConfigurationError):
        open_archive(tiled.uri, TiledConfig(raw_path="nowhere"), tiled.keys.reader)
    gc.collect()  # tiled leaves the socket of the refused connection to the collector


# -- old archives, made up -----------------------------------------------------------------------


class Header:
    """As databroker 1.2 gives them: `fill` must be said."""

    def __init__(self, documents, filled=None, fails=None):
        self.start = documents[0][1]
        self._documents, self._filled, self._fails = documents, filled, fails

    def documents(self, *, fill):
        if self._fails:
            raise self._fails
        return iter(self._filled if fill and self._filled else self._documents)


class OldBroker:
    def __init__(self, *headers):
        self.headers = headers
        self.queries: list = []

    def __call__(self, **query):
        self.queries.append(query)
        return iter(self.headers)


def test_databroker_1_with_pages():
    documents = runs.xas(runs.PLAIN, runs.FE, pages=4)
    broker = OldBroker(Header(documents))
    (run,) = open_archive(broker).runs(since=1.0, search={"sample": "x"})
    assert broker.queries == [{"since": 1.0, "sample": "x"}]
    equal(run.record(), assemble(documents))


def test_databroker_1_fills_in_what_cannot_be_read_here():
    def documents(value):
        run = event_model.compose_run(uid="u" * 36, metadata=runs.FE)
        keys = {k: {"source": "", "dtype": "number", "shape": []} for k in ("energy", "i0")}
        keys["iff"] = {"source": "", "dtype": "number", "shape": [], "external": "FILESTORE:"}
        stream = run.compose_descriptor(name="primary", data_keys=keys)
        energy = 7112.0 + runs.GRID
        found = [("start", run.start_doc), ("descriptor", stream.descriptor_doc)]
        found.append(("resource", {"uid": "r", "spec": "X", "root": "/", "resource_path": "f"}))
        for i, e in enumerate(energy):
            data = {"energy": e, "i0": 1.0, "iff": value(i)}
            times = dict.fromkeys(data, 0.0)
            event = stream.compose_event(data=data, timestamps=times, validate=False)
            found += [("datum", {"datum_id": f"r/{i}", "resource": "r", "datum_kwargs": {}})]
            found += [("event", event)]
        return [*found, ("stop", run.compose_stop())]

    mu = runs.absorption(7112.0 + runs.GRID)
    header = Header(documents(lambda i: f"r/{i}"), documents(lambda i: mu[i]))
    (run,) = open_archive(OldBroker(header)).runs()
    scan = identify(run.record(), BeamlineConfig())
    np.testing.assert_array_equal(scan.sweeps[0].fluorescence[0], mu)


def test_one_damaged_run_does_not_end_the_walk():
    documents = runs.xas(runs.PLAIN, runs.FE)
    broken = Header(runs.xas(runs.PLAIN, runs.FE), fails=ValueError("damaged"))
    odd = type("Odd", (), {"start": None})()
    found = list(open_archive(OldBroker(broken, odd, Header(documents))).runs())
    assert len(found) == 2
    with pytest.raises(ReadError, match="damaged"):
        found[0].record()
    with pytest.raises(ReadError, match="damaged"):
        list(found[0].documents())
    assert found[1].record().uid == documents[0][1]["uid"]


def test_documents_that_were_made_up_assemble_to_the_same():
    for documents in (
        runs.xas(runs.PLAIN, runs.FE, before=[("dark", {"i0": [1.0], "it": [2.0]})]),
        runs.documents({"energy": [np.arange(5.0), np.arange(3.0)]}, runs.FE),
        runs.xas(runs.PLAIN, runs.FE)[:-1],
        [*runs.xas(runs.PLAIN, runs.FE)[:20], ("stop", {"run_start": "x"})][:20],
    ):
        record = assemble(documents)
        again = assemble(documents_of(record))
        assert again.problems == record.problems
        for name, stream in record.streams.items():
            for key, column in stream.columns.items():
                np.testing.assert_array_equal(again.streams[name].columns[key], column)


def test_an_archive_that_is_away_is_told_without_the_password_in_its_address():
    where = "http://me:SECRET@127.0.0.1:1/api/v1?api_key=SECRET"
    with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:1/api/v1: ") as refused:
        open_archive(where)
    assert "SECRET" not in str(refused.value)
