"""Settings that are changed change the key; keys that may not write are found out."""

import asyncio

import httpx
import pytest

from xanes_live.config import Config, ReductionConfig
from xanes_live.dashboard import reprocess as module
from xanes_live.dashboard.reprocess import Changes, NotAllowedError, Reprocessor
from xanes_live.dashboard.runs import Run
from xanes_live.dashboard.tiled import TiledReader
from xanes_live.documents.run import RunRecord


def test_changes_are_settings_of_the_reduction():
    assert set(Changes.model_fields) <= set(ReductionConfig.model_fields)


def test_what_is_not_given_stays():
    assert Changes(e0=7112.5).given() == {"e0": 7112.5}
    assert Changes().given() == {}


@pytest.mark.parametrize("values", [{"e0": float("nan")}, {"energy_shift": 1e9}, {"pre1": "x"}])
def test_numbers_that_make_no_sense(values):
    with pytest.raises(ValueError, match="validation error"):
        Changes(**values)


def test_without_a_key_nothing_is_possible():
    reprocessor = Reprocessor(None, Config(), "http://127.0.0.1:9", None)
    assert reprocessor.about()["possible"] is False
    with pytest.raises(NotAllowedError):
        reprocessor.check()
    reprocessor.close()


@pytest.mark.parametrize(
    ("scopes", "possible"),
    [
        (["read:metadata", "read:data"], False),
        (["read:metadata", "create:node", "write:metadata", "write:data"], True),
        (["inherit"], True),
        (None, True),  # a server that does not say: found out when something is published
    ],
)
def test_a_readers_key_is_found_out(monkeypatch, scopes, possible):
    def handler(request):
        return httpx.Response(200, json={"scopes": scopes}) if scopes else httpx.Response(404)

    monkeypatch.setattr(
        module,
        "TiledReader",
        lambda uri, key: TiledReader(uri, key, transport=httpx.MockTransport(handler)),
    )
    reprocessor = Reprocessor(None, Config(), "http://tiled.example", "key")
    asyncio.run(reprocessor.look_at_key())
    assert reprocessor.about()["possible"] is possible
    reprocessor.close()


@pytest.mark.parametrize(("stop", "reads"), [(None, 2), ({"exit_status": "success"}, 1)])
def test_only_runs_that_have_ended_are_kept(stop, reads):
    class Raw:
        read = 0

        async def find(self, uid):
            return Run(uid, {}, stop)

        async def record(self, run):
            self.read += 1
            return RunRecord(run.uid, {}, run.stop)

    async def twice():
        raw = Raw()
        reprocessor = Reprocessor(raw, Config(), "http://127.0.0.1:9", "key")
        for _ in range(2):
            assert (await reprocessor._record("u")).uid == "u"
        reprocessor.close()
        return raw.read

    assert asyncio.run(twice()) == reads
