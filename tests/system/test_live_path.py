"""Documents in, results in a real Tiled: live, mutilated, replayed, through an outage."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import preprocessors as bpp
from bluesky_tiled_plugins import TiledWriter
from ophyd.sim import SynAxis, SynSignal

from tests.runs import FE, PLAIN, absorption, xas
from xanes_live.client import connect
from xanes_live.config import API_KEY_VARIABLE, Config, parse
from xanes_live.publish.tiled import connect as connect_root
from xanes_live.service.replay import replay_command
from xanes_live.service.selection import Selection
from xanes_live.service.service import Service, load_predictors
from xanes_live.service.tiled_server import TiledServer

pytestmark = pytest.mark.slow
PATIENCE_S = 90.0


@dataclass
class Place:
    server: TiledServer
    home: Path
    predictors: dict

    def config(self, state="state", arrays="file", **sections) -> Config:
        tiled = {
            "uri": self.server.uri,
            "arrays": arrays,
            "arrays_directory": str(self.server.arrays),
        }
        state = {"state_directory": str(self.home / state), "catch_up_s": 0}
        service = {**state, **sections.pop("service", {})}
        return parse({"source": {"kind": "none"}, "tiled": tiled, "service": service} | sections)

    def store(self, documents):
        """Write a raw run as the beamline would."""
        root = connect_root(self.config().tiled, self.server.keys.writer)
        writer = TiledWriter(root["raw"], max_array_size=0)
        for name, doc in documents:
            writer(name, doc)
        root.context.http_client.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("live")
    with TiledServer(home / "tiled") as server:
        yield Place(server, home, load_predictors(Config()))


@pytest.fixture
def service(place, monkeypatch):
    monkeypatch.setenv(API_KEY_VARIABLE, place.server.keys.service)
    with Service(place.config(), place.predictors) as running:
        yield running


@pytest.fixture
def results(place):
    with connect(place.server.uri, place.server.keys.reader) as found:
        yield found


def settled(service):
    """Wait until everything handed over is in Tiled."""
    assert service.worker.drain(PATIENCE_S)
    assert service.publisher.flush(PATIENCE_S)


def uid_of(documents):
    return documents[0][1]["uid"]


def numbers(published):
    """What must be the same however the documents came."""
    said = published.metadata
    return {k: said[k] for k in ("e0", "edge_step", "first_shell", "g2", "spectrum", "confidence")}


def feed(service, documents):
    for name, doc in documents:
        service.callback(name, doc)


def test_a_run_engine_with_other_names_and_kev(service, results):
    energy = SynAxis(name="dcm_en", labels={"motors"})
    energy.readback.name = "dcm_en"
    signals = {
        "ic0": lambda e: 1e5,
        "ic1": lambda e: 1e5 * float(np.exp(-absorption(np.array([e * 1e3]))[0])),
    }
    counters = [
        SynSignal(func=lambda f=f: f(energy.position), name=name) for name, f in signals.items()
    ]
    grid = np.concatenate([np.arange(7.0, 7.09, 0.005), np.arange(7.09, 7.30, 0.001)])

    @bpp.run_decorator(md={"element": "Fe", "edge": "K", "sample": "keV"})
    def plan():
        for value in grid:
            yield from bps.mv(energy, value)
            yield from bps.trigger_and_read([energy, *counters])

    engine = RunEngine({})
    engine.subscribe(service.callback)
    (uid,) = engine(plan())
    settled(service)
    (found,) = results.for_run(uid)
    assert found.metadata["sample"] == "keV"
    assert abs(found.metadata["e0"] - 7112.0) < 1.5  # the steps are 1 eV
    assert found.metadata["first_shell"]["r"] is not None
    np.testing.assert_allclose(
        found["mean"].read(), found.metadata["g2"]["mean"], rtol=1e-5, atol=1e-6
    )


def mutilations():
    rng = random.Random(7)

    def shuffled(docs):
        events = [d for d in docs if d[0] == "event"]
        rng.shuffle(events)
        rest = [d for d in docs if d[0] != "event"]
        return [*rest[:-1], *events, rest[-1]]

    return {
        "dropped": lambda docs: [d for i, d in enumerate(docs) if d[0] != "event" or i % 7],
        "doubled": lambda docs: [x for d in docs for x in (d, d)],
        "reordered": shuffled,
        "late": lambda docs: docs[60:],
        "only the stop": lambda docs: docs[-1:],
    }


@pytest.mark.parametrize("kind", list(mutilations()))
def test_mutilated_documents_give_the_numbers_of_whole_ones(place, service, results, kind):
    whole = xas(PLAIN, {**FE, "sample": kind})
    place.store(whole)
    feed(service, mutilations()[kind](whole))
    settled(service)
    (found,) = results.for_run(uid_of(whole))
    replayed = Service(
        place.config("other", reduction={"nvict": 0, "energy_shift": 1e-9}), place.predictors
    )
    with replayed:
        feed(replayed, whole)
        settled(replayed)
    both = results.for_run(uid_of(whole))
    assert len(both) == 2
    assert numbers(both[0]) == numbers(both[1]) == numbers(found)


def test_a_truncated_run_that_tiled_has_not_is_told_so(service, results, monkeypatch):
    monkeypatch.setattr("xanes_live.service.worker.REREAD_DELAYS_S", (0.1, 0.2, 0.4))
    whole = xas(PLAIN, {**FE, "sample": "gone"})
    feed(service, [d for i, d in enumerate(whole) if d[0] != "event" or i % 5])
    settled(service)
    (found,) = results.for_run(uid_of(whole))
    assert "data_missing" in found.metadata["flag_codes"]
    assert found.metadata["confidence"] == "red"


@pytest.mark.parametrize("arrays", ["file", "http"])
def test_a_run_given_up_as_stale_is_published_whole_when_it_ends(
    place, results, monkeypatch, arrays
):
    monkeypatch.setenv(API_KEY_VARIABLE, place.server.keys.service)
    monkeypatch.setattr("xanes_live.service.worker.REREAD_DELAYS_S", (0.05,))
    whole = xas(PLAIN, {**FE, "sample": "interrupted"})
    config = place.config("stale", arrays, service={"stale_s": 0.01})
    with Service(config, place.predictors) as service:
        for name, document in whole[:150]:
            service.callback(name, document)
        time.sleep(0.1)
        service.callback.close_stale()
        settled(service)
        (early,) = results.for_run(uid_of(whole))
        assert early.metadata["confidence"] == "red"
        for name, document in whole[150:]:
            service.callback(name, document)
        settled(service)
    (late,) = results.for_run(uid_of(whole))
    assert late.key == early.key
    assert late.metadata["exit_status"] == "success"
    assert late.metadata["stop_time"] > 0
    energy = np.asarray(late["energy"].read())
    assert energy.size > np.asarray(early.metadata["spectrum"]["energy"]).size
    np.testing.assert_array_equal(late.dataset()["energy"], energy)


@pytest.fixture
def archive(place):
    runs = [xas(PLAIN, {**FE, "sample": f"archived {i}", "group": "a"}) for i in range(3)]
    for run in runs:
        place.store(run)
    return [uid_of(run) for run in runs]


def test_replay_publishes_once_and_gives_the_same_bits(
    place, service, results, archive, monkeypatch
):
    config = place.config("replay")
    where = f"{place.server.uri}/api/v1/metadata/raw"
    select = Selection(uids=tuple(archive))
    assert replay_command(config, where, select, dry_run=True) == 0
    assert all(results.for_run(uid) == [] for uid in archive)
    assert replay_command(config, where, select) == 0
    first = {uid: results.for_run(uid) for uid in archive}
    assert all(len(found) == 1 for found in first.values())
    assert replay_command(config, where, select) == 0
    monkeypatch.setattr("xanes_live.pipeline.SOFTWARE", "xanes-live 9.9")  # a later version
    assert replay_command(config, where, select, force=True) == 0
    for uid in archive:
        (again,) = results.for_run(uid)
        assert again.key == first[uid][0].key
        assert again.metadata["software"] == "xanes-live 9.9"
        assert again.metadata["revised"] > 0
        assert numbers(again) == numbers(first[uid][0])
    other = place.config("live", reduction={"energy_shift": 1e-9})
    with Service(other, place.predictors) as live:
        root = connect_root(config.tiled, place.server.keys.reader)
        feed(live, root["raw"][archive[0]].documents())
        settled(live)
        root.context.http_client.close()
    both = results.for_run(archive[0])
    assert len(both) == 2
    assert numbers(both[0]) == numbers(both[1])
    assert both[0].metadata["raw_uri"] == both[1].metadata["raw_uri"]


def test_replay_spreads_over_a_dask_cluster(place, service, results, archive):
    distributed = pytest.importorskip("distributed")
    config = place.config("dask", reduction={"energy_shift": 2e-9})
    where = f"{place.server.uri}/api/v1/metadata/raw"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        failed = replay_command(
            config, where, Selection(uids=tuple(archive)), dask_address=cluster.scheduler_address
        )
    assert failed == 0
    for uid in archive:
        found = [r for r in results.for_run(uid) if r.metadata["config_hash"] == config.hash()]
        assert len(found) == 1
        assert found[0].metadata["status"] == "complete"


def test_an_outage_of_tiled_in_mid_programme_loses_and_doubles_nothing(place, service, results):
    runs = [xas(PLAIN, {**FE, "sample": f"outage {i}"}) for i in range(6)]
    for run in runs[:2]:
        feed(service, run)
    place.server.kill()
    for run in runs[2:]:
        feed(service, run)
    assert service.worker.drain(PATIENCE_S)
    assert service.outbox.pending() >= 4
    place.server.start()
    for run in runs:  # the beamline's own documents may come again, too
        feed(service, run)
    settled(service)
    for run in runs:
        (found,) = results.for_run(uid_of(run))
        assert found.metadata["status"] == "complete"
        assert found["sigma"].read().shape == (50,)


def test_raw_runs_still_replay_after_predictions_exist(place, service, archive):
    root = connect_root(place.config().tiled, place.server.keys.reader)
    names = [name for name, _ in root["raw"][archive[0]].documents()]
    root.context.http_client.close()
    assert names[0] == "start"
    assert names[-1] == "stop"
