"""Worker processes for long computations: one thread each, gone when their parent is."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Give `jobs` worker processes; work not begun at the end is dropped.

    They begin with nothing of this process, and their libraries compute with one thread.
    """
    before = {name: os.environ.get(name) for name in _THREADS}  # read when a worker loads them
    os.environ.update(dict.fromkeys(before, "1"))
    executor = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _end_with_parent() -> None:
    """Make a worker end when the process that gives it work is killed.

    It would wait for ever otherwise: its siblings keep the queue open.
    """
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
