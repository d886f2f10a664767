"""What killed processes leave behind goes, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xanes_live import leftovers
from xanes_live.leftovers import owner, sweep

LEAVES = """
import os, sys, tempfile
from pathlib import Path
from xanes_live.leftovers import owner
from xanes_live.whole import written_whole
where = Path(sys.argv[1])
for kind in ("live", "theory"):
    Path(tempfile.mkdtemp(prefix=f"xanes-{kind}-{owner()}-", dir=where), "feff.inp").write_text("x")
with written_whole(where / "data.h5") as part:
    part.write_text("half")
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(9)
"""


def leaving(folder: Path) -> subprocess.Popen[str]:
    """A process in the middle of its work; it is killed when its input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = subprocess.Popen([sys.executable, "-c", LEAVES, str(folder)], **pipes)
    assert running.stdout is not None
    assert int(running.stdout.readline()) == running.pid
    return running


def swept(folder: Path) -> set[str]:
    sweep.cache_clear()
    sweep(folder)
    return {path.name for path in folder.iterdir()}


def test_what_a_living_process_writes_stays_until_it_is_gone(tmp_path: Path) -> None:
    running = leaving(tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert len(made) == 3
    assert swept(tmp_path) == made
    running.communicate()
    assert not swept(tmp_path)


def test_nothing_is_removed_of_which_it_is_not_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = owner().partition("-")[2]
    target = tmp_path / "data"
    target.mkdir()
    names = [
        f"d.h5.{owner()}.part",  # of this process
        f"d.h5.{gone.pid}-00000000.part",  # of another machine, or boot, or container
        f"d.h5.{gone.pid}.part",  # of a version that did not say where
        "xanes-live-abcdefgh", "xanes-live-1-2-3.txt", f"report-{gone.pid}-{here}.part.txt",
        f"{'9' * 30}-{here}.part", "data",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).exists() or (tmp_path / name).write_text("x")
    link = tmp_path / f"xanes-live-{gone.pid}-{here}-linked"
    link.symlink_to(target)
    assert swept(tmp_path) == {*names, link.name}
    (tmp_path / f"d.h5.{gone.pid}-{here}.part").write_text("x")
    monkeypatch.setattr(os, "getuid", lambda: -1)  # another's
    assert len(swept(tmp_path)) == len(names) + 2
    monkeypatch.undo()
    assert swept(tmp_path) == {*names, link.name}


def test_a_folder_that_cannot_be_read_is_no_error(tmp_path: Path) -> None:
    sweep.cache_clear()
    leftovers.sweep(tmp_path / "none")
