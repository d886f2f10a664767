"""Worker processes for long computations: one thread each, gone when their parent is.

When the parent is interrupted (Ctrl-C, or an exception like it), workers break off what they do in
good order: programs they run end, temporary files go, and nothing is printed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, ParamSpec, TypeVar, cast

from xanes_live.leftovers import owner, sweep

Key = TypeVar("Key")
Result = TypeVar("Result")
Given = ParamSpec("Given")
PATIENCE_S = 5.0
"""How long workers have to clear up when they are told to break off."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class _Pool(ProcessPoolExecutor):
    """Its workers can be told to break off."""

    def submit(
        self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        return super().submit(partial(_work, fn), *args, **kwargs)


@dataclass(slots=True)
class _State:
    """Of this process, if it is a worker."""

    busy: bool = False
    stopped: bool = False


_STATE = _State()


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Give `jobs` worker processes; work not begun at the end is dropped.

    They begin with nothing of this process, and their libraries compute with one thread. Their
    temporary files are in one folder that goes at the end: an interrupt may reach a worker while it
    is clearing up.
    """
    sweep(Path(gettempdir()))  # of runs that were killed
    name = f"xanes-live-{owner()}-"
    with TemporaryDirectory(prefix=name, ignore_cleanup_errors=True) as scratch:
        given = dict.fromkeys(_THREADS, "1") | {"TMPDIR": scratch}  # read when a worker begins
        with _environment(given), _pool(jobs) as executor:
            yield executor


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    others = set(multiprocessing.active_children())
    executor = _Pool(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield executor
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        workers = set(multiprocessing.active_children()) - others
        executor.shutdown(wait=False, cancel_futures=True)  # those that wait for work end
        _break_off(workers)
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


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


def _break_off(workers: Iterable[multiprocessing.process.BaseProcess]) -> None:
    """Interrupt what workers do; the parent has no use for it any more.

    One that is deep in a linear solver does not hear it for minutes: it is killed.
    """
    left = {worker.sentinel: worker for worker in workers}
    _send(left.values(), signal.SIGINT)
    until = time.monotonic() + PATIENCE_S
    while left and (patience := until - time.monotonic()) > 0:
        for gone in connection.wait(list(left), patience):
            left.pop(cast("int", gone), None)
    _send(left.values(), signal.SIGKILL)


def _send(workers: Iterable[multiprocessing.process.BaseProcess], number: signal.Signals) -> None:
    for worker in workers:
        with suppress(ProcessLookupError):
            if worker.pid is not None:
                os.kill(worker.pid, number)


def _stop(*_: object) -> None:
    """Interrupt the task of this worker, once: what it cleans up then is not to be disturbed."""
    again, _STATE.stopped = _STATE.stopped, True
    if _STATE.busy and not again:
        raise KeyboardInterrupt


def _work(function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
    """Do one task in a worker, unless it was told to break off."""
    if _STATE.stopped:
        raise KeyboardInterrupt
    _STATE.busy = True
    try:
        return function(*args, **kwargs)
    finally:
        _STATE.busy = False


def _end_with_parent() -> None:
    """Make a worker end when the process that gives it work is killed.

    It would wait for ever otherwise: its siblings keep the queue open.
    """
    parent = multiprocessing.parent_process()

    signal.signal(signal.SIGINT, _stop)  # a terminal's Ctrl-C goes to workers, too

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
