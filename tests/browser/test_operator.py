"""An evening at the beamline: a real Tiled, a page server of its own, scans, outages."""

import httpx
import pytest

from tests import runs as made
from tests.browser.harness import (
    PATIENCE_S,
    PageServer,
    Publisher,
    RawRun,
    expect,
    raw_client,
    shows,
)
from xanes_live.service.tiled_server import TiledServer

pytestmark = pytest.mark.slow

GRID = made.GRID + 7112.0
START = {
    "plan_name": "xanes",
    "scan_id": 5,
    "sample": "goethite",
    "element": "Fe",
    "edge": "K",
    "num_points": GRID.size,
}


@pytest.fixture(scope="module")
def the_tiled(tmp_path_factory):
    with TiledServer(tmp_path_factory.mktemp("tiled")) as running:
        yield running


@pytest.fixture(scope="module")
def the_server(the_tiled, tmp_path_factory):
    log = tmp_path_factory.mktemp("page") / "log"
    with PageServer(the_tiled.uri, the_tiled.keys.reader, the_tiled.keys.service, log=log) as page:
        yield page


@pytest.fixture
def tiled(the_tiled):
    """The Tiled server, up whatever the test before left."""
    the_tiled.start()
    return the_tiled


@pytest.fixture
def server(tiled, the_server):
    """The page's server, up whatever the test before left."""
    if not the_server.pid:
        the_server.start()
    return the_server


@pytest.fixture
def publisher(tiled):
    made_here = Publisher(tiled.uri, tiled.keys.service)
    yield made_here
    made_here.close()


@pytest.fixture
def raw_run(tiled, publisher):
    """Begin a raw run, written by bluesky's own TiledWriter; each one ends and gets a result."""
    client = raw_client(tiled.uri, tiled.keys.writer)
    readings = made.readings(GRID)
    columns = {"mono_energy": GRID, **{k: readings[k] for k in ("i0", "it", "ir")}}
    begun = []

    def begin(**start):
        begun.append(RawRun(client, columns, {**START, **start}))
        return begun[-1]

    yield begin
    for run in begun:
        run.finish()
        publisher.publish(uid=run.uid)
    client.context.close()


def points(page):
    return int(page.get_by_test_id("live").get_attribute("data-points") or 0)


def test_a_scan_appears_grows_ends_and_is_followed_by_its_result(server, raw_run, publisher, look):
    page = look(server.url)
    run = raw_run(sample="live goethite")
    run.advance(60)
    shows(page, "scan-state", "scan in progress")
    shows(page, "scan-progress", "live goethite")
    page.wait_for_function("() => document.querySelector('[data-testid=live]').dataset.points > 20")
    before = points(page)
    run.advance(60)
    page.wait_for_function(
        "n => document.querySelector('[data-testid=live]').dataset.points > n", arg=before
    )
    run.finish()
    shows(page, "scan-state", "being computed")
    # The last rows may be read after the end of the run is known.
    expect(page.get_by_test_id("live")).to_have_attribute("data-points", str(GRID.size))
    publisher.publish(uid=run.uid, r=2.07, sample="live goethite")
    shows(page, "distance", "2.07")
    shows(page, "scan-state", "result shown")
    page.get_by_test_id("tab-raw").click()
    page.wait_for_selector("[data-testid=raw-it] canvas")
    page.wait_for_selector("[data-testid=raw-i0] canvas")


def test_a_result_that_is_faster_than_its_raw_run_ends_the_scan_at_once(
    server, raw_run, publisher, look
):
    page = look(server.url)
    run = raw_run(sample="slowly written")
    run.advance(60)
    shows(page, "scan-state", "scan in progress")
    publisher.publish(uid=run.uid, r=2.09, sample="slowly written")
    shows(page, "distance", "2.09")
    shows(page, "scan-state", "result shown")
    expect(page.get_by_test_id("scan-progress")).not_to_contain_text("ended")  # not known when
    run.finish()
    expect(page.get_by_test_id("live")).to_have_attribute("data-points", str(GRID.size))
    shows(page, "scan-progress", "ended")


def test_a_service_that_says_nothing_is_told_in_large_letters(server, raw_run, publisher, look):
    page = look(server.url)
    run = raw_run(scan_id=77)
    run.finish()
    shows(page, "banner", "scan 77")
    expect(page.get_by_test_id("banner")).to_be_visible()
    publisher.publish(uid=run.uid)
    page.wait_for_selector("[data-testid=banner]", state="hidden")


def test_a_result_is_reprocessed_and_the_old_one_stays(server, tiled, raw_run, publisher, look):
    pytest.importorskip("torch")
    run = raw_run(sample="to be reprocessed", scan_id=88)
    run.finish()
    first = publisher.publish(uid=run.uid, sample="to be reprocessed", scan_id=88)
    page = look(f"{server.url}#/result/{first}")
    page.get_by_test_id("re-norm2").fill("180")
    page.wait_for_selector("[data-testid=preview-item]")
    page.wait_for_selector("[data-testid=preview] canvas")
    results = f"{tiled.uri}/api/v1/search/sandbox/xanes_live?page[limit]=300&fields=metadata"
    headers = {"Authorization": f"Apikey {tiled.keys.reader}"}

    def of_the_run():
        found = httpx.get(results, headers=headers, timeout=PATIENCE_S).json()["data"]
        documents = {item["id"]: item["attributes"]["metadata"] for item in found}
        return {k: d for k, d in documents.items() if d["raw_uid"] == run.uid}

    assert set(of_the_run()) == {first}  # a preview publishes nothing
    page.get_by_test_id("publish").click()
    page.get_by_test_id("new-result").click()
    page.wait_for_function("first => !location.hash.includes(first)", arg=first)
    page.wait_for_selector("[data-testid=numbers]:has-text('180')")
    found = of_the_run()
    assert first in found
    assert len(found) == 2
    (new,) = (d for k, d in found.items() if k != first)
    assert new["status"] == "complete"
    assert new["reprocessed"] == {"of": first, "changes": {"norm2": 180.0}}
    assert new["ranges"]["norm2"] == 180.0
    assert new["config_hash"] != found[first]["config_hash"]


def test_a_readers_key_does_not_reprocess(tiled, publisher, look):
    key = publisher.publish()
    with PageServer(tiled.uri, tiled.keys.reader, tiled.keys.reader) as other:
        page = look(f"{other.url}#/result/{key}")
        page.wait_for_selector("[data-testid=reprocess]:has-text('may not write')")
        answer = httpx.post(
            f"{other.url}api/reprocess",
            json={"keys": [key], "changes": {"e0": 7112}, "publish": True},
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 403


def test_tiled_is_killed_and_comes_back(server, tiled, publisher, look):
    publisher.publish(r=2.11)
    page = look(server.url)
    shows(page, "distance", "2.11")
    tiled.kill()
    shows(page, "banner", "Not current")
    expect(page.locator("html")).to_have_attribute("data-stale", "")
    shows(page, "connection", "■ not current")
    tiled.start()
    page.wait_for_selector("[data-testid=banner]", state="hidden")
    publisher.publish(r=2.22)
    shows(page, "distance", "2.22")
    shows(page, "connection", "● live")


def test_the_page_server_is_killed_and_comes_back(server, publisher, look):
    publisher.publish(r=2.31)
    page = look(server.url)
    shows(page, "distance", "2.31")
    server.kill()
    shows(page, "banner", "lost its server")
    publisher.publish(r=2.32)
    server.start()
    shows(page, "distance", "2.32")  # without being loaded again
    page.wait_for_selector("[data-testid=banner]", state="hidden")
