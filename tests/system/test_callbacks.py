"""Each file of callbacks/ is executed, and a scan comes out in Tiled."""

from __future__ import annotations

import inspect
import json
import runpy
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests import runs
from xanes_live.client import connect

pytest.importorskip("ophyd")
pytest.importorskip("tiled.server")

import bluesky.plans as bp
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynSignal

from xanes_live.documents.wire import publisher_serializer
from xanes_live.documents.zmq import start_proxy
from xanes_live.service.tiled_server import TiledServer

CALLBACKS = Path(__file__).parents[2] / "callbacks"
FILES = ("ipython_profile", "queueserver_startup", "blueapi", "zmq_proxy", "kafka_consumer")
E = 7112.0 + np.concatenate([np.arange(-100, -20, 10.0), np.arange(-20, 50, 1.0),
                             np.arange(50, 200, 6.0)])  # fmt: skip
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with TiledServer(tmp_path_factory.mktemp("tiled")) as running:
        yield running


@pytest.fixture
def configured(server, tmp_path, monkeypatch):
    """Name a configuration in the environment, as an operator does."""
    path = tmp_path / "beamline.toml"
    path.write_text(
        f'[tiled]\nuri = "{server.uri}"\narrays = "none"\n'
        f'[service]\nstate_directory = "{tmp_path / "state"}"\ncatch_up_s = 0\n'
        "[metrics]\nport = 0\n"
    )
    monkeypatch.setenv("XANES_LIVE_CONFIG", str(path))
    monkeypatch.setenv("XANES_LIVE_TILED_API_KEY", server.keys.service)
    at_exit = SimpleNamespace(register=lambda function: function)
    monkeypatch.setattr("xanes_live.service.attach.atexit", at_exit)
    return path


@pytest.fixture
def beamline():
    """A monochromator and two chambers."""
    mono = SynAxis(name="mono_energy")

    def seen(role):
        return float(runs.readings(np.array([mono.readback.get()]))[role][0])

    chambers = [SynSignal(func=lambda r=role: seen(r), name=role) for role in ("i0", "it")]
    return mono, chambers


def a_scan(beamline):
    mono, chambers = beamline
    return bp.list_scan(chambers, mono, list(E), md={**runs.FE, "sample": "test"})


def published(server, uid: str, timeout_s: float = 60.0):
    """Wait for the one result of a run."""
    with connect(server.uri, server.keys.reader) as results:
        end = time.monotonic() + timeout_s
        while not (found := results.for_run(uid)):
            assert time.monotonic() < end, "nothing was published"
            time.sleep(0.1)
    return found


def test_every_file_is_executed_here():
    assert {path.stem for path in CALLBACKS.glob("*.py")} == set(FILES)


@pytest.mark.parametrize("name", ["ipython_profile", "queueserver_startup"])
def test_in_the_run_engines_process(server, configured, beamline, name):
    engine = RunEngine({}, context_managers=[])
    namespace = runpy.run_path(str(CALLBACKS / f"{name}.py"), {"RE": engine})
    assert namespace["RE"] is engine
    try:
        (uid,) = engine(a_scan(beamline))
        assert published(server, uid)
    finally:
        namespace["xanes"].detach(engine)


def test_the_queueserver_file_makes_a_run_engine_where_there_is_none(configured):
    namespace = runpy.run_path(str(CALLBACKS / "queueserver_startup.py"))
    assert isinstance(namespace["RE"], RunEngine)
    namespace["xanes"].detach(namespace["RE"])


@pytest.mark.parametrize("name", ["ipython_profile", "queueserver_startup"])
def test_a_broken_configuration_does_not_keep_the_beamline_from_starting(configured, capsys, name):
    configured.write_text("[nonsense]\nx = 1\n")
    engine = RunEngine({}, context_managers=[])
    namespace = runpy.run_path(str(CALLBACKS / f"{name}.py"), {"RE": engine})
    assert "xanes" not in namespace
    assert "nonsense" in capsys.readouterr().out


def test_blueapi_plans(server, configured, beamline):
    module = runpy.run_path(str(CALLBACKS / "blueapi.py"))
    plan = module["xas_scan"]
    signature = inspect.signature(plan)
    assert list(signature.parameters)[:3] == ["detectors", "mono", "energies"]
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    engine = RunEngine({}, context_managers=[])
    mono, chambers = beamline
    try:
        (uid,) = engine(plan(chambers, mono, list(E), "Fe", sample="test"))
        assert published(server, uid)
        other = engine(a_scan(beamline))[0]  # not wrapped: not seen
        with connect(server.uri, server.keys.reader) as results:
            assert not results.for_run(other)
    finally:
        module["_service"]().stop()


def serving(name: str, arguments: list[str], monkeypatch, server, publish) -> None:
    """Run a script's main on a thread, publish a run to it and wait for the result."""
    ended = threading.Event()
    main = runpy.run_path(str(CALLBACKS / f"{name}.py"))["main"]
    thread = threading.Thread(target=main, args=(arguments, ended))
    thread.start()
    try:
        documents = runs.xas(runs.PLAIN, {**runs.FE, "sample": name}, energy=E)
        publish(documents)
        assert published(server, documents[0][1]["uid"])
    finally:
        ended.set()
        thread.join(30)
        assert not thread.is_alive()


def test_zmq_proxy(server, configured, monkeypatch):
    from bluesky.callbacks.zmq import Publisher

    proxy = start_proxy("127.0.0.1:0", "127.0.0.1:0")
    publisher = Publisher(proxy.in_address, serializer=publisher_serializer("json"))

    def publish(documents):
        time.sleep(5.0)  # until the model is loaded and the subscription has gone round
        for name, document in documents:
            publisher(name, document)

    try:
        serving("zmq_proxy", [proxy.out_address], monkeypatch, server, publish)
    finally:
        publisher.close()
        proxy.stop()


def test_kafka_consumer(server, configured, monkeypatch):
    pytest.importorskip("bluesky_kafka")
    from bluesky_kafka import Publisher
    from confluent_kafka import Producer

    cluster = Producer({"bootstrap.servers": "x", "test.mock.num.brokers": 1})
    node = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    broker = f"{node.host}:{node.port}"
    Producer({"bootstrap.servers": broker}).list_topics("beamline.documents", timeout=10)

    def publish(documents):
        publisher = Publisher("beamline.documents", broker, key="beamline")
        for name, document in documents:
            publisher(name, json.loads(publisher_serializer("json")(document)))
        publisher.flush()

    serving("kafka_consumer", [broker, "beamline.documents"], monkeypatch, server, publish)
    del cluster
