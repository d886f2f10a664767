"""The page tells what the prediction service says of its own health."""

import asyncio

import httpx
import pytest

from tests.faketiled import FakeTiled
from xanes_live.config import MetricsConfig
from xanes_live.dashboard.feed import Feed
from xanes_live.dashboard.monitor import Monitor
from xanes_live.dashboard.service import ServiceHealth
from xanes_live.dashboard.state import Board


def asked(answer, health=None):
    """Ask once and return what is known then."""
    health = health or ServiceHealth(MetricsConfig(), clock=lambda: 5.0)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            await health.ask(http)

    asyncio.run(ask())
    return health


def saying(content, status=503):
    return lambda request: httpx.Response(status, json=content)


def away(request):
    raise httpx.ConnectError("refused")


def notices(health):
    feed = Feed(FakeTiled(), Board(), "results", "raw")
    for name in ("results", "raw"):
        feed.link.up(name)
        feed.link.answered(name)
    return Monitor(feed, {}, service=health).notices(feed.link.state())


def test_what_is_wrong_with_the_service_is_on_the_page_until_it_is_mended():
    health = asked(saying({"ok": False, "reasons": ["the key is refused"]}))
    expected = {"code": "service_unwell", "since": 5.0, "reason": "the key is refused"}
    assert notices(health) == [expected]
    asked(saying({"ok": True, "reasons": []}, 200), health)
    assert notices(health) == []


@pytest.mark.parametrize(
    "answer",
    [
        away,
        lambda request: httpx.Response(200, text="<html>a proxy's page</html>"),
        saying(["not", "ours"]),
        saying({"reasons": "many"}),
        saying({"reasons": [None, {}]}),
    ],
)
def test_a_service_that_cannot_be_asked_is_not_in_trouble(answer):
    assert notices(asked(answer)) == []


def test_nobody_is_asked_where_there_is_no_address():
    asyncio.run(ServiceHealth(MetricsConfig(port=0)).run())
