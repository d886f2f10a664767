"""Errors of files become one sentence; what is a defect keeps its traceback."""

import pytest

from xanes_live import cli


def test_a_file_that_cannot_be_written_is_named(monkeypatch, capsys):
    def refuse():
        raise PermissionError(13, "Permission denied", "/models/fe-k/model.toml")

    monkeypatch.setattr(cli, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "xanes-live: /models/fe-k/model.toml: Permission denied\n"


def test_an_error_of_no_file_is_not_hidden(monkeypatch):
    def fail():
        raise OSError("odd")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(OSError, match="odd"):
        cli.main()
