"""The page in front of everything: a real service that predicts, is killed, and comes back."""

from contextlib import ExitStack

import pytest

from tests.browser.evening import Evening
from tests.browser.harness import expect, shows

pytest.importorskip("torch", reason="the service predicts")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def evening(tmp_path_factory):
    with ExitStack() as stack:
        yield Evening(tmp_path_factory.mktemp("evening"), stack)


@pytest.fixture
def running(evening):
    """Everything, with a service that is up whatever the test before left."""
    if evening.service.returncode is not None:
        evening.start_service()
    return evening


def test_a_scan_is_predicted_and_drawn(running, look):
    page = look(running.page.url)
    running.end(running.scan(scan_id=41, sample="goethite of tonight"))
    shows(page, "sample", "goethite of tonight")
    shows(page, "scan-line", "scan 41")
    page.wait_for_selector("[data-testid=g2] canvas")
    shows(page, "interval", "95 % between")
    expect(page.get_by_test_id("banner")).to_be_hidden()


def test_a_service_that_was_killed_is_missed_and_makes_up_for_it(running, look):
    page = look(running.page.url)
    running.kill_service()
    running.end(running.scan(scan_id=42, sample="taken while nobody listened"))
    shows(page, "banner", "No result: scan 42 (taken while nobody listened)")
    running.start_service()
    shows(page, "sample", "taken while nobody listened")
    expect(page.get_by_test_id("banner")).to_be_hidden()
