"""Building a data set: many spectra, many cores, any number of interruptions."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xanes_live.errors import ConfigurationError, MissingDependencyError, TheoryError
from xanes_live.processes import processes
from xanes_live.theory import store
from xanes_live.theory.cluster import make_cluster
from xanes_live.theory.export import export_npz
from xanes_live.theory.feff_run import feff_directory
from xanes_live.theory.store import Record
from xanes_live.theory.structures import CUT
from xanes_live.theory.tasks import Settings, Task, run_task

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Progress", "build", "consolidate", "export_npz"]

consolidate = store.consolidate
SAME = 1e-3
"""Positions nearer than this are the same, Å: they are kept in single precision."""
SLOTS_PER_JOB = 3
"""Tasks handed out ahead, so that no worker waits."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Who computes."""

    executor: Executor
    size: Callable[[], int]
    """How many tasks it computes at a time, now: a cluster may grow."""
    deadly: tuple[type[Exception], ...] = ()
    """What comes of a task that kills its workers, where they are replaced without our doing."""


Crews = Callable[[], AbstractContextManager[Crew]]


@dataclass(slots=True)
class Progress:
    """How far a build is; given to the `report` function after every result."""

    computed: int = 0
    failed: int = 0
    skipped: int = 0
    """Computed or failed before this run."""
    failed_before: int = 0
    """Failed before this run and not tried again."""
    held: int = 0
    """Spectra the file held before this run."""
    started: float = 0.0

    @property
    def rate(self) -> float:
        """Spectra per second since the start of this run."""
        return self.computed / max(1e-9, time.monotonic() - self.started)


def build(
    tasks: Iterable[Task],
    path: Path,
    settings: Settings,
    *,
    element: str | None = None,
    jobs: int = 1,
    dask: str | None = None,
    limit: int | None = None,
    retry_failed: bool = False,
    elsewhere: Collection[str] = (),
    compare: bool = False,
    report: Callable[[Progress, Record], None] | None = None,
) -> Progress:
    """Compute every task that `path` does not hold yet.

    Parameters
    ----------
    tasks
        What to compute, in order; ids must be unique.
    path
        HDF5 file, made if it does not exist. Results go to its journal one by one and into the
        file at the end.
    settings
        Must be those an existing file was made with.
    element
        Absorber of all tasks; an existing file of another one is refused. None: not checked.
    jobs
        Worker processes of one thread each.
    dask
        Address of a dask.distributed scheduler to compute on instead.
    limit
        Stop when the file holds so many spectra.
    retry_failed
        Try tasks again that failed in an earlier run.
    elsewhere
        Ids of tasks that need not be computed: other data sets hold them.
    compare
        Make sure that what `path` holds under the name of a task is its structure: files change.
        A list is compared before anything is computed, an iterator on the way.
    report
        Called with the progress and each record.

    Returns
    -------
    Progress
        Counts of this run.

    Raises
    ------
    ConfigurationError
        If `path` was made with other settings or for another element, or holds another structure
        under the name of a task, or no dask scheduler answers.
    MissingDependencyError
        Without FEFF8L, or without dask.distributed if an address is given.
    """
    feff_directory()
    store.trim_journal(path)
    store.create(path, settings.energy(), _attributes(settings, element))
    store.consolidate(path)  # what a run that was broken off has left
    done, failed = store.known_ids(path)
    progress = Progress(
        skipped=len(done) + len(failed), held=len(done), started=time.monotonic(),
        failed_before=0 if retry_failed else len(failed),
    )  # fmt: skip
    known = (done if retry_failed else done | failed).union(elsewhere)
    if compare and done:
        checked = _checked(tasks, path)
        tasks = list(checked) if isinstance(tasks, list) else checked
    todo: Iterator[Task] = (task for task in tasks if task.id not in known)
    if limit is not None and len(done) >= limit:
        todo = iter(())
    crews = partial(_local, jobs) if dask is None else _cluster(dask)
    with closing(_results(todo, settings, crews)) as results:  # its workers end with it
        for record in results:
            store.append(path, record)
            progress.computed += bool(record["ok"])
            progress.failed += not record["ok"]
            if report:
                report(progress, record)
            if limit is not None and len(done) + progress.computed >= limit:
                break
    store.consolidate(path)
    return progress


def _checked(tasks: Iterable[Task], path: Path) -> Iterator[Task]:
    """Yield tasks on; ConfigurationError where a file holds another structure by the id of one."""
    held = store.geometries(path)
    for task in tasks:
        if task.id in held and _another(task, *held[task.id]):
            raise ConfigurationError(
                f"{path} holds the spectrum of another structure as {task.id}: the structure file, "
                "or how copies of it are distorted, has changed since. Give another output file"
            )
        yield task


def _another(task: Task, numbers: np.ndarray, positions: np.ndarray) -> bool:
    """Tell whether a task is of another structure; what cannot be computed is not mixed up."""
    try:
        cluster = make_cluster(task.atoms, task.absorber, CUT, solid=task.solid)
    except TheoryError:
        return False
    return not np.array_equal(cluster.numbers, numbers) or not np.allclose(
        cluster.positions, positions, atol=SAME
    )


def _attributes(settings: Settings, element: str | None) -> dict[str, Any]:
    software = {
        name: importlib.metadata.version(name)
        for name in ("xanes-live", "xraylarch", "torch", "numpy", "scipy", "ase")
    }
    given = {} if element is None else {"element": element}
    return given | {
        "title": "computed K-edge XANES: FEFF8L potentials, full multiple scattering of xanes_live",
        "settings": settings.as_dict(),
        "software": " ".join(f"{k}={v}" for k, v in software.items()),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _results(
    tasks: Iterator[Task], settings: Settings, crews: Crews
) -> Generator[Record, None, None]:
    """Yield records as they finish; a worker that dies is replaced and its tasks tried once more.

    A task in flight when a second worker dies is given up: it is what kills them.
    """
    suspects: dict[str, int] = {}
    again: list[Task] = []
    while True:
        pending: dict[Future[Record], Task] = {}
        with crews() as crew:
            try:
                yield from _drain(crew, pending, again, tasks, settings)
            except BrokenProcessPool:
                lost = list(pending.values())
            else:
                return
            finally:
                for future in pending:
                    future.cancel()
        again = []
        for task in lost:
            suspects[task.id] = suspects.get(task.id, 0) + 1
            if suspects[task.id] > 1:
                yield {"id": task.id, "ok": False, "error": "the worker process died twice"}
            else:
                again.append(task)


def _drain(
    crew: Crew,
    pending: dict[Future[Record], Task],
    again: list[Task],
    tasks: Iterator[Task],
    settings: Settings,
) -> Iterator[Record]:
    while True:
        ahead = SLOTS_PER_JOB * crew.size()
        while len(pending) < ahead:
            task = again.pop() if again else next(tasks, None)
            if task is None:
                break
            pending[crew.executor.submit(run_task, task, settings)] = task
        if not pending:
            return
        finished, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in finished:
            try:
                record = future.result()
            except crew.deadly as error:
                record = {"id": pending[future].id, "ok": False, "error": str(error)}
            del pending[future]
            yield record


@contextmanager
def _local(jobs: int) -> Iterator[Crew]:
    with processes(jobs) as executor:
        yield Crew(executor, lambda: jobs)


def _cluster(address: str) -> Crews:
    try:
        from distributed import Client, KilledWorker  # noqa: PLC0415 (extra `dask`)
    except ImportError:
        raise MissingDependencyError("distributed", "dask", "computing on a dask cluster") from None

    @contextmanager
    def crew() -> Iterator[Crew]:
        try:
            client = Client(address)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"no dask scheduler at {address}: {error}") from None
        with client:
            executor = client.get_executor(pure=False)
            try:
                yield Crew(executor, _threads_of(client), (KilledWorker,))
            finally:
                executor.shutdown(wait=False)

    return crew


def _threads_of(client: Client) -> Callable[[], int]:
    """Return what counts the threads of all workers, as one where they have yet to come.

    A scheduler too busy to answer leaves it at what it said before.
    """
    last = 1

    def count() -> int:
        nonlocal last
        with suppress(OSError):
            last = max(1, sum(client.nthreads().values()))
        return last

    return count
