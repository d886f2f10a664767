"""The requests to Tiled, and what becomes of every way they can fail."""

import asyncio
import json

import httpx
import numpy as np
import pytest

from xanes_live.dashboard.tiled import (
    NotThereError,
    RefusedError,
    TiledError,
    TiledReader,
    loads,
)


def ask(handler, method, *arguments, **options):
    """Call a method of a reader whose server is `handler`."""

    async def asking():
        transport = httpx.MockTransport(handler)
        reader = TiledReader("http://tiled.example:8000", "secret", transport=transport)
        try:
            return await getattr(reader, method)(*arguments, **options)
        finally:
            await reader.close()

    return asyncio.run(asking())


def answer(value, status=200):
    return lambda request: httpx.Response(status, json=value)


def test_the_key_goes_in_the_header_and_never_in_the_address():
    seen = []

    def handler(request):
        seen.append(request)
        return httpx.Response(200, json={"data": [], "links": {}})

    ask(handler, "newest", "sandbox/xanes_live", "{a: a}")
    assert seen[0].headers["authorization"] == "Apikey secret"
    assert "secret" not in str(seen[0].url)
    assert seen[0].url.path == "/api/v1/search/sandbox/xanes_live"
    assert seen[0].url.params["sort"] == "-"


def test_a_page_with_its_cursor():
    item = {"id": "k", "attributes": {"metadata": {"selected": {"status": "complete"}}}}
    link = "http://tiled.example:8000/api/v1/search/x?page%5Bcursor%5D=42&page%5Blimit%5D=1"
    page = ask(answer({"data": [item], "links": {"next": link}}), "newest", "x", "s")
    assert page.items == (("k", {"status": "complete"}),)
    assert page.cursor == "42"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, RefusedError),
        (403, RefusedError),
        (404, NotThereError),
        (500, TiledError),
        (502, TiledError),
    ],
)
def test_refusals_have_kinds(status, kind):
    with pytest.raises(kind):
        ask(answer({"detail": "no"}, status), "metadata", "a")


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")]
)
def test_outages_are_sentences(error):
    def handler(request):
        raise error

    with pytest.raises(TiledError, match=r"^Tiled (cannot be reached|does not answer in time)$"):
        ask(handler, "metadata", "a")


def test_an_answer_that_is_no_json_is_an_outage():
    with pytest.raises(TiledError):
        ask(lambda request: httpx.Response(200, text="<html>"), "metadata", "a")


@pytest.mark.parametrize("path", ["raw/../../auth/apikey", "..", "a/./b"])
def test_no_path_leads_out_of_the_tree(path):
    def handler(request):
        raise AssertionError("no request is made")

    with pytest.raises(NotThereError):
        ask(handler, "metadata", path)


def test_a_name_with_signs_is_one_segment():
    seen = []

    def handler(request):
        seen.append(request.url.raw_path)
        return httpx.Response(200, json={"data": {"attributes": {"metadata": {}}}})

    ask(handler, "metadata", "raw/a?b#c d")
    assert seen[0].startswith(b"/api/v1/metadata/raw/a%3Fb%23c%20d")


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2", "|u1", "|b1"])
def test_arrays_of_every_kind(dtype):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    order = {"<": "little", ">": "big", "|": "not_applicable"}[np.dtype(dtype).str[0]]
    kind = {"endianness": order, "kind": values.dtype.kind, "itemsize": values.itemsize}
    structure = {"shape": [2, 3], "data_type": kind}
    found = ask(lambda r: httpx.Response(200, content=values.tobytes()), "array", "a", structure)
    np.testing.assert_array_equal(found, values.astype(float))


def test_an_array_that_is_not_numbers_or_too_long_or_too_short_is_refused():
    number = {"endianness": "little", "kind": "f", "itemsize": 8}
    for structure in (
        {"shape": [3], "data_type": {**number, "kind": "U"}},
        {"shape": [10**9], "data_type": number},
        {"shape": [3], "data_type": number},
        {},
    ):
        with pytest.raises(TiledError):
            ask(lambda r: httpx.Response(200, content=b"12345678"), "array", "a", structure)


def test_scopes_of_the_key():
    assert ask(answer({"scopes": ["read:data"]}), "scopes") == ("read:data",)
    assert ask(answer({}, 404), "scopes") is None


def test_nan_in_a_message_is_read():
    assert str(loads('{"a": NaN}')["a"]) == "nan"
    assert loads(json.dumps({"b": 1}).encode()) == {"b": 1}
