import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pyarrow as pa
import pytest
from tiled.client import from_uri

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


ROWS = 5
APPENDS = 12


@pytest.mark.slow
def test_a_table_can_be_read_while_it_grows(tmp_path):
    """Tiled itself lets threads share a connection, which soon ends its process."""
    schema = pa.schema([("seq_num", pa.int64())])
    done = threading.Event()

    def read(address, key):
        codes = []
        with httpx.Client(headers={"Authorization": f"Apikey {key}"}, timeout=60) as http:
            while not done.is_set():
                codes.append(http.get(address).status_code)
        return set(codes)

    with TiledServer(tmp_path) as server, ThreadPoolExecutor(2) as threads:
        client = from_uri(server.uri, api_key=server.keys.writer, timeout=httpx.Timeout(60))
        table = client["raw"].create_appendable_table(schema=schema, key="t")
        address = f"{server.uri}/api/v1/table/full/raw/t?format=json"
        readers = [threads.submit(read, address, server.keys.reader) for _ in range(2)]
        try:
            for first in range(0, ROWS * APPENDS, ROWS):
                rows = {"seq_num": list(range(first, first + ROWS))}
                table.append_partition(0, pa.table(rows, schema=schema))
        finally:
            done.set()
        assert [reader.result(60) for reader in readers] == [{200}] * 2
        assert sorted(table.read()["seq_num"]) == list(range(ROWS * APPENDS))
        client.context.close()
