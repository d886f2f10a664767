"""The production set-up of `deploy/` with real PostgreSQL, Redis and Tiled."""

import json
import stat
import subprocess
import threading
import tomllib
from contextlib import closing

import httpx
import numpy as np
import pytest
import redis
from typer.testing import CliRunner
from websockets.sync.client import connect as connect_socket

from tests import factories
from tests.system import stack as stack_module
from xanes_live.cli import app
from xanes_live.client import connect
from xanes_live.config import API_KEY_VARIABLE, Config, parse
from xanes_live.domain import Confidence
from xanes_live.publish.document import node
from xanes_live.publish.outbox import Outbox
from xanes_live.publish.writer import Publisher
from xanes_live.service.check_tiled import tiled_findings
from xanes_live.service.finding import Level
from xanes_live.service.raw import RawRuns

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not stack_module.AVAILABLE, reason=stack_module.REASON),
]

RESULTS = "sandbox/xanes_live"


@pytest.fixture(scope="module")
def stack():
    running = stack_module.start()
    yield running
    running.stop()


@pytest.fixture
def config(stack, tmp_path) -> Config:
    return parse(
        {
            "source": {"kind": "none"},
            "tiled": {
                "uri": stack.uri,
                "api_key": stack.key("service"),
                "access_tags": ["results"],
                "timeout_s": 60.0,
            },
            "model": {"names": []},
            "service": {"state_directory": str(tmp_path / "state")},
        }
    )


@pytest.fixture
def publisher(config, tmp_path):
    outbox = Outbox(tmp_path / "outbox.sqlite")
    running = Publisher(config.tiled, config.tiled_key(), outbox).start()
    yield running
    running.stop()
    outbox.close()


@pytest.fixture
def results(stack):
    with connect(stack.uri, stack.key("reader"), path=RESULTS) as found:
        yield found


@pytest.fixture(scope="module")
def raw_uid(stack):
    """One iron scan, stored by the beamline's own key the way a beamline does."""
    return store_scan(stack)


def store_scan(stack) -> str:
    from bluesky_tiled_plugins import TiledWriter
    from tiled.client import from_uri

    client = from_uri(stack.uri, api_key=stack.key("writer"))
    with closing(client.context.http_client):
        return store(TiledWriter(client["raw"]))


def store(writer) -> str:
    from event_model import compose_run

    channels = factories.channels(n_points=60)
    columns = {"dcm_energy": channels.energy, "ic0": channels.i0, "ic1": channels.it}
    run = compose_run(
        metadata={"element": "Fe", "edge": "K", "sample": "FeO", "plan_name": "scan",
                  "motors": ["dcm_energy"], "tiled_access_tags": ["raw"]}
    )  # fmt: skip
    writer("start", run.start_doc)
    keys = {name: {"dtype": "number", "shape": [], "source": "sim"} for name in columns}
    keys["dcm_energy"]["units"] = "eV"
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    writer("descriptor", stream.descriptor_doc)
    for i in range(60):
        data = {name: float(column[i]) for name, column in columns.items()}
        event = stream.compose_event(data=data, timestamps=dict.fromkeys(data, 1.0))
        writer("event", event)
    writer("stop", run.compose_stop())
    return run.start_doc["uid"]


def test_keys_are_private_and_made_once(stack):
    keys = stack.directory / "keys"
    before = {path.name: path.read_text() for path in keys.glob("*.env")}
    assert set(before) == {"writer.env", "service.env", "reader.env"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys.iterdir())
    assert before["service.env"].startswith(f"{API_KEY_VARIABLE}=")
    said = stack.make_keys()
    assert said.count("kept") == 3
    assert {path.name: path.read_text() for path in keys.glob("*.env")} == before
    assert not any(text.partition("=")[2].strip() in said for text in before.values())


def test_an_administrator_may_bring_a_key(stack):
    with httpx.Client(base_url=f"{stack.uri}/api/v1", timeout=60.0) as http:
        login = {"username": "admin", "password": stack.environment["ADMIN_PASSWORD"]}
        token = http.post("/auth/provider/facility/token", data=login).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        wish = {"scopes": ["inherit"], "expires_in": 600}
        secret = http.post("/auth/apikey", json=wish, headers=bearer).json()["secret"]
    environment = {k: v for k, v in stack.environment.items() if k != "ADMIN_PASSWORD"}
    assert stack.make_keys(environment={**environment, "ADMIN_KEY": secret}).count("kept") == 3


def post(http: httpx.Client, parent: str, name: str, tag: str | None) -> int:
    body = {"id": name, "structure_family": "container", "metadata": {}}
    return http.post(f"/metadata/{parent}", json=body | {"access_tags": tag and [tag]}).status_code


@pytest.mark.parametrize(
    ("role", "parent", "tag", "allowed"),
    [
        ("writer", "raw", "raw", True),
        ("writer", RESULTS, "results", False),
        ("writer", "raw", "results", False),
        ("writer", "", "raw", False),
        ("service", RESULTS, "results", True),
        ("service", RESULTS, None, False),
        ("service", RESULTS, "raw", False),
        ("service", "raw", "results", False),
        ("service", "raw", "raw", False),
        ("service", "sandbox", "results", False),
        ("reader", RESULTS, "results", False),
        ("reader", "raw", "raw", False),
        (None, RESULTS, "results", False),
    ],
)
def test_who_may_write_where(stack, role, parent, tag, allowed):
    with stack.http(role) as http:
        code = post(http, parent, f"by-{role}-{tag}", tag)
    assert (code == 200) is allowed, code
    if not allowed:
        assert code in {401, 403, 404}


def test_nobody_may_delete_or_change_what_is_not_theirs(stack, raw_uid):
    patch = {"content-type": "application/json-patch+json", "specs": None}
    patch["metadata"] = [{"op": "add", "path": "/x", "value": 1}]
    for role in ("writer", "service", "reader"):
        with stack.http(role) as http:
            assert http.delete(f"/metadata/raw/{raw_uid}").status_code in {401, 403}
            if role != "writer":
                assert http.patch(f"/metadata/raw/{raw_uid}", json=patch).status_code in {401, 403}
            assert http.post("/auth/apikey", json={"scopes": ["read:data"]}).status_code == 401
    with stack.http(None) as http:
        assert http.get("/metadata/raw").status_code == 401
    with stack.http("writer") as http:  # results are no business of the beamline's writer
        assert http.get(f"/metadata/{RESULTS}").status_code == 404


def test_a_result_goes_in_and_comes_out(stack, config, publisher, results):
    made = node(factories.result(key="whole-1"), config)
    publisher.put(made)
    assert publisher.flush(180), publisher.health
    found = results.get("whole-1")
    assert (found.metadata["status"], found.metadata["arrays"]) == ("complete", "complete")
    assert found.metadata["first_shell"] == made.metadata["first_shell"]
    np.testing.assert_array_equal(found["mean"].read(), made.arrays["mean"])
    with stack.http("service") as http:  # finishing it must not have cost it its tag
        tags = http.get(f"/metadata/{RESULTS}/whole-1").json()["data"]["attributes"]["access_tags"]
    assert tags == ["results"]


def test_many_spectra_in_one_node(config, publisher, results):
    made = node(factories.result(12, key="many-12", uid="uid-many"), config)
    publisher.put(made)
    assert publisher.flush(180), publisher.health
    found = results.get("many-12")
    assert found.metadata["status"] == "complete"
    np.testing.assert_array_equal(found["mean"].read(), made.arrays["mean"])


def test_searches_work_on_postgresql(config, publisher, results):
    flagged = factories.unusable_result(code="no_edge")
    for made in (
        factories.result(key="s-green", uid="uid-green", sample="tell'me"),
        factories.result(confidence=Confidence.AMBER, key="s-amber", uid="uid-amber"),
        factories.result(key="s-flag", uid="uid-flag", spectra=(flagged,)),
    ):
        publisher.put(node(made, config))
    assert publisher.flush(180), publisher.health
    assert [r.key for r in results.for_run("uid-green")] == ["s-green"]
    assert [r.key for r in results.search(sample="tell'me")] == ["s-green"]
    assert [r.key for r in results.search(confidence="amber")] == ["s-amber"]
    assert [r.key for r in results.search(flag="no_edge")] == ["s-flag"]
    assert len(results.search(model="fe-k@1.0.0", since=factories.START - 1, limit=2)) == 2
    assert results.search(since=factories.START + 1e6) == []


def test_raw_runs_are_read_again_and_caught_up(config, raw_uid):
    with closing(RawRuns(config.tiled, config.tiled_key())) as raw:
        records = {record.uid: record for record in raw.unpredicted(0.0, set())}
        assert raw_uid in records
        whole = raw.reread(records[raw_uid])
    assert whole is not None
    np.testing.assert_allclose(
        whole.streams["primary"].columns["dcm_energy"], factories.energies(60)
    )


def test_check_finds_nothing_wrong(config, raw_uid):
    found = list(tiled_findings(config))
    assert [f.line() for f in found if f.level is Level.BAD] == []
    assert any("read back" in f.text for f in found)


def test_the_command_says_what_a_wrong_key_lacks(stack, config, tmp_path, monkeypatch):
    path = tmp_path / "beamline.toml"
    path.write_text(
        f'[source]\nkind = "none"\n[tiled]\nuri = "{stack.uri}"\naccess_tags = ["results"]\n'
        f'[model]\nnames = []\n[service]\nstate_directory = "{tmp_path / "state"}"\n'
    )
    monkeypatch.setenv(API_KEY_VARIABLE, stack.key("reader"))
    done = CliRunner().invoke(app, ["check", "--config", str(path)])
    assert done.exit_code == 1
    assert "lacks create:node" in done.output
    assert stack.key("reader") not in done.output
    monkeypatch.setenv(API_KEY_VARIABLE, stack.key("service"))
    done = CliRunner().invoke(app, ["check", "--config", str(path)])
    assert done.exit_code == 0, done.output


def test_init_proposes_what_the_runs_say(stack, raw_uid, tmp_path, monkeypatch):
    monkeypatch.setenv(API_KEY_VARIABLE, stack.key("reader"))
    path = tmp_path / "beamline.toml"
    done = CliRunner().invoke(app, ["init", str(path), "--yes", "--tiled", stack.uri])
    assert done.exit_code == 0, done.output
    written = tomllib.loads(path.read_text())
    assert written["tiled"]["raw_path"] == "raw"
    assert written["tiled"]["access_tags"] == ["results"]
    assert written["beamline"] == {"energy": "dcm_energy", "i0": "ic0", "it": "ic1"}


def heard_from_the_first_on(stack) -> list[str]:
    """Return the keys a reader hears of who asks for everything Redis still has."""
    address = f"ws://127.0.0.1:{stack.port}/api/v1/stream/single/{RESULTS}?envelope_format=json"
    headers = {"Authorization": f"Apikey {stack.key('reader')}"}
    keys = []
    with connect_socket(f"{address}&start=0", additional_headers=headers, max_size=None) as heard:
        while True:
            try:
                keys.append(json.loads(heard.recv(timeout=3.0)).get("key"))
            except TimeoutError:
                return keys


def test_subscriptions_survive_a_restart_of_tiled(stack, config, publisher, results):
    arrived, both = [], threading.Event()

    def note(result):
        arrived.append(result.key)
        if {"before", "after"} <= set(arrived):
            both.set()

    with results.watch(note, reconcile_s=600.0):
        publisher.put(node(factories.result(key="before", uid="u-1"), config))
        assert publisher.flush(180)
        stack.kill_tiled()
        publisher.put(node(factories.result(key="after", uid="u-2"), config))  # while it is away
        stack.start_tiled()
        assert publisher.flush(180), publisher.health
        assert both.wait(120), arrived
    assert arrived.count("before") == arrived.count("after") == 1
    # Redis, not Tiled, kept what was said before the crash, and goes on counting
    heard = heard_from_the_first_on(stack)
    assert {"before", "after"} <= set(heard)
    with redis.Redis.from_url(stack.environment["REDIS_URI"]) as cache:
        assert cache.dbsize() > 0


def test_a_rotated_key_is_worthless(stack):
    old = stack.key("reader")
    assert "reader: replaced" in stack.make_keys("--rotate", "reader")
    get = {"url": f"{stack.uri}/api/v1/metadata/{RESULTS}", "timeout": 60.0}
    assert httpx.get(**get, headers={"Authorization": f"Apikey {old}"}).status_code == 401
    assert httpx.get(**get, headers={"Authorization": f"Apikey {stack.key('reader')}"}).is_success


@pytest.mark.parametrize("missing", ["SIGNING_KEY", "ADMIN_PASSWORD", "CATALOG_URI"])
def test_tiled_does_not_start_with_a_setting_missing(stack, missing):
    environment = {k: v for k, v in stack.environment.items() if k != missing}
    script = str(stack_module.DEPLOY / "tiled" / "serve.sh")
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert missing in done.stderr
