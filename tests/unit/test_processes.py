"""Worker processes end with their parent's interest in them."""

from __future__ import annotations

import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from xanes_live import processes


def deaf(begun: Path) -> None:
    """Hear no interrupt for an hour, as a linear solver does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    begun.touch()
    time.sleep(3600)


def tidy(begun: Path, cleared: Path) -> None:
    """Clear up when interrupted."""
    try:
        begun.touch()
        time.sleep(3600)
    finally:
        cleared.touch()


def interrupted(pool: ProcessPoolExecutor, begun: Path, *work: object) -> None:
    pool.submit(*work)
    until = time.monotonic() + 60.0
    while not begun.exists() and time.monotonic() < until:
        time.sleep(0.05)
    raise KeyboardInterrupt


@pytest.mark.timeout(120)
def test_a_worker_that_hears_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 1.0)
    begun = tmp_path / "begun"
    with pytest.raises(KeyboardInterrupt), processes.processes(2) as pool:
        interrupted(pool, begun, deaf, begun)
    until = time.monotonic() + 60.0
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


@pytest.mark.timeout(120)
def test_a_worker_that_hears_it_clears_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 60.0)
    begun, cleared = tmp_path / "begun", tmp_path / "cleared"
    with pytest.raises(KeyboardInterrupt), processes.processes(2) as pool:
        interrupted(pool, begun, tidy, begun, cleared)
    assert cleared.exists()
