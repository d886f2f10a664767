import stat

import pytest

from xanes_live.service import tiled_process
from xanes_live.service.tiled_server import TiledKeys, TiledServer, TiledServerError


def test_nobody_may_delete_and_readers_only_read():
    assert set(tiled_process.SCOPES) == {"writer", "service", "reader"}
    for scopes in tiled_process.SCOPES.values():
        assert not {s for s in scopes if s.startswith(("delete:", "admin:")) or "apikeys" in s}
    assert set(tiled_process.SCOPES["reader"]) == {"read:metadata", "read:data"}


def test_the_configuration_is_closed_to_strangers(tmp_path):
    config = tiled_process.configuration(tmp_path, [tmp_path / "arrays"], "word")
    authentication = config["authentication"]
    assert authentication["allow_anonymous_access"] is False
    assert "single_user_api_key" not in authentication
    other = tiled_process.configuration(tmp_path, [], "word")["authentication"]
    assert other["secret_keys"] != authentication["secret_keys"]
    assert config["catalog"]["readable_storage"] == [str(tmp_path / "arrays")]
    assert "application/json-seq" in config["media_types"]["BlueskyRun"]


def test_a_private_file_is_private_and_whole(tmp_path):
    path = tmp_path / "keys.json"
    for content in ({"a": 1}, {"b": 2}):
        tiled_process.write_private(path, content)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == '{"b": 2}'
    assert list(tmp_path.iterdir()) == [path]


def test_keys_do_not_show_themselves():
    assert "secret" not in repr(TiledKeys("secret1", "secret2", "secret3"))


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path):
    (tmp_path / "catalog.db").write_text("no database" * 1000)
    server = TiledServer(tmp_path)
    with pytest.raises(TiledServerError, match="not a database"):
        server.start()
    assert not server.running
    server.stop()
