"""Worker processes for long computations: one thread each, gone when their parent is."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")
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


def each(
    work: Callable[..., Result], tasks: Mapping[Key, tuple[Any, ...]], jobs: int
) -> Iterator[tuple[Key, Result]]:
    """Yield what `work` makes of the arguments of each task, as soon as it is done.

    Parameters
    ----------
    work
        A function of a module.
    tasks
        Arguments by key.
    jobs
        Worker processes; with 1, or a single task, all is done here, in order.
    """
    if jobs == 1 or len(tasks) < 2:
        yield from ((key, work(*given)) for key, given in tasks.items())
        return
    with processes(min(jobs, len(tasks))) as pool:
        running = {pool.submit(work, *given): key for key, given in tasks.items()}
        for future in as_completed(running):
            yield running[future], future.result()


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
