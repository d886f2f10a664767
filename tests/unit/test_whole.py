"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from xanes_live.whole import update_json, write_whole, written_whole


def test_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_whole(path, "nëw")
    assert path.read_text(encoding="utf-8") == "nëw"
    assert list(tmp_path.iterdir()) == [path]


def _breaks_off(part: Path) -> None:
    part.write_text("half")
    raise OSError("no space left")


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="no space"), written_whole(path) as part:
        _breaks_off(part)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(FileNotFoundError), written_whole(path):
        pass
    assert not path.exists()


def test_entries_not_named_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    update_json(path, {"a": 1})
    update_json(path, {"b": 2})
    assert path.read_text() == '{\n  "a": 1,\n  "b": 2\n}\n'
