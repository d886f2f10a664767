"""Where the outbox lies, and what is said when it cannot lie there."""

from __future__ import annotations

import pytest

from xanes_live.config import parse
from xanes_live.errors import ConfigurationError
from xanes_live.service.service import state_directory


def test_it_is_made_with_its_parents(tmp_path):
    config = parse({"service": {"state_directory": str(tmp_path / "a" / "b")}})
    assert state_directory(config).is_dir()


def test_a_place_where_it_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    config = parse({"service": {"state_directory": str(tmp_path / "file" / "b")}})
    with pytest.raises(ConfigurationError, match=r"state_directory .*: Not a directory"):
        state_directory(config)
