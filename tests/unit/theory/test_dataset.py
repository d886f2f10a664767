from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import ase.io
import h5py
import numpy as np
import pytest
import typer
from ase import Atoms
from ase.build import bulk
from rich.console import Console
from typer.testing import CliRunner

from xanes_live.ensemble.data_files import read_training_set
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.theory import dataset, store, tasks
from xanes_live.theory.cli_theory import theory_command
from xanes_live.theory.cluster import make_cluster
from xanes_live.theory.display import Display
from xanes_live.theory.structures import CUT
from xanes_live.theory.tasks import Settings, Task, run_task, scf_radius

SOON = 120.0


def carbonyl(distance: float = 1.83) -> Atoms:
    axes = np.vstack([np.eye(3), -np.eye(3)])
    positions = np.vstack([[[0, 0, 0]], axes * distance, axes * (distance + 1.14)])
    return Atoms("FeC6O6", positions, info={"absorber": 0})


def task(number: int) -> Task:
    meta = dict.fromkeys(("parent", "source", "name", "kind", "formula"), "x")
    return Task(f"t{number}", carbonyl(1.8 + number / 50), 0, None, meta)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Tasks in this process: what is tested is the book-keeping."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(dataset, "processes", lambda jobs: ThreadPoolExecutor(1))
    return Settings()


def test_what_is_there_is_not_computed_again(tmp_path: Path, quick: Settings, feff: None) -> None:
    path = tmp_path / "d.h5"
    lone = Task("lone", Atoms("FeO", [[0, 0, 0], [0, 0, 50.0]]), 0, None)
    first = dataset.build([task(0), lone], path, quick)
    assert (first.computed, first.failed, first.skipped) == (1, 1, 0)
    second = dataset.build([task(0), lone, task(1)], path, quick)
    assert (second.computed, second.failed, second.skipped) == (1, 0, 2)
    third = dataset.build([lone], path, quick, retry_failed=True)
    assert third.failed == 1
    with h5py.File(path) as file:
        assert list(file["id"].asstr()[()]) == ["t0", "t1"]
        assert "interstitial" in file["failed/reason"].asstr()[0]
        mu, fermi = file["mu"][0], file["fermi"][0]
        assert mu.shape == (551,)
        assert 7110 < fermi < 7125
        assert mu[:20].max() < 0.05
        assert 0.8 < mu[-50:].mean() < 1.2
        assert file["vint"][0] < -5
        assert file["solid"][0] == 0
        assert "xraylarch=" in file.attrs["software"]


def test_a_structure_file_that_has_changed_is_not_taken_for_the_old_one(
    tmp_path: Path, quick: Settings, feff: None
) -> None:
    runner = CliRunner()
    app = typer.Typer()
    app.command()(theory_command)
    structure, out = tmp_path / "iron.cif", tmp_path / "d.h5"
    ase.io.write(structure, bulk("Fe", "bcc", 2.866))
    command = [str(structure), "-o", str(out)]
    assert runner.invoke(app, command).exit_code == 0
    again = runner.invoke(app, command)
    assert again.exit_code == 0
    assert "0 of them computed now" in again.output
    ase.io.write(structure, bulk("Fe", "bcc", 2.90))
    changed = runner.invoke(app, command)
    assert isinstance(changed.exception, ConfigurationError)
    assert "another structure as iron:0:s0" in str(changed.exception)
    ase.io.write(structure, bulk("FeAl", "cesiumchloride", 2.866))
    assert isinstance(runner.invoke(app, command).exception, ConfigurationError)


def pretended(item: Task, settings: Settings) -> store.Record:
    """A record with the structure of a task, and a spectrum of zeros."""
    cluster = make_cluster(item.atoms, item.absorber, CUT, solid=item.solid)
    arrays = {
        "numbers": cluster.numbers.astype("u1"),
        "positions": cluster.positions.astype("f4"),
    }
    curves = dict.fromkeys(store.CURVES, np.zeros(551, "f4"))
    columns = dict.fromkeys(store.NUMBERS, 0.0) | item.meta | arrays | curves
    return {**columns, "element": "Fe", "id": item.id, "ok": True}


def test_limit_is_what_the_file_is_to_hold(
    tmp_path: Path, quick: Settings, monkeypatch: pytest.MonkeyPatch, feff: None
) -> None:
    monkeypatch.setattr(dataset, "run_task", pretended)
    tasks = [task(i) for i in range(9)]
    path = tmp_path / "d.h5"
    assert dataset.build(tasks, path, quick, limit=3).computed == 3
    assert dataset.build(tasks, path, quick, limit=5).computed == 2
    assert dataset.build(tasks, path, quick, limit=5).computed == 0


def test_a_worker_that_dies_costs_its_task_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feff: None
) -> None:
    class Fragile:
        """An executor whose workers die of one task."""

        def submit(self, function, item, settings):
            from concurrent.futures.process import BrokenProcessPool

            future: Future = Future()
            if item.id == "t1":
                future.set_exception(BrokenProcessPool("died"))
            else:
                future.set_result({"id": item.id, "ok": False, "error": "done"})
            return future

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(dataset, "processes", lambda jobs: Fragile())
    path = tmp_path / "d.h5"
    dataset.build([task(i) for i in range(9)], path, Settings())
    with h5py.File(path) as file:
        reasons = dict(zip(file["failed/id"].asstr(), file["failed/reason"].asstr(), strict=True))
    assert len(reasons) == 9
    assert reasons["t1"] == "the worker process died twice"


class Cluster:
    """A dask client and its executor in one, of workers that one task kills."""

    threads = iter(())

    def __init__(self, address: str) -> None:
        self.address = address

    def nthreads(self) -> dict[str, int]:
        said = next(Cluster.threads)
        if said is None:
            raise OSError("timed out")
        return said

    def get_executor(self, *, pure: bool) -> Cluster:
        return self

    def submit(self, function, item, settings):
        return Future()

    def shutdown(self, *, wait: bool) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error) -> None:
        return None


def test_a_cluster_is_kept_busy_as_it_grows_and_survives_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feff: None
) -> None:
    distributed = pytest.importorskip("distributed", reason="extra `dask`")
    handed_out = []

    def finish(pending: dict[Future, Task], return_when: str) -> tuple[set[Future], set[Future]]:
        handed_out.append(len(pending))
        for future, item in pending.items():
            if item.id == "t1":
                last = SimpleNamespace(address="tcp://node7:8786")
                future.set_exception(distributed.KilledWorker("run_task-1", last, 3))
            else:
                future.set_result({"id": item.id, "ok": False, "error": "done"})
        return set(pending), set()

    monkeypatch.setattr(dataset, "wait", finish)
    monkeypatch.setattr(distributed, "Client", Cluster)
    monkeypatch.setattr(Cluster, "threads", iter([{}, {"a": 10}, None, {"a": 30, "b": 60}, {}]))
    path = tmp_path / "d.h5"
    done = dataset.build([task(i) for i in range(200)], path, Settings(), dask="tcp://nowhere")
    assert handed_out == [3, 30, 30, 137]  # three for each thread, and what is left
    assert done.failed == 200
    with h5py.File(path) as file:
        reasons = dict(zip(file["failed/id"].asstr(), file["failed/reason"].asstr(), strict=True))
    assert "on 4 different workers, but all those workers died" in reasons.pop("t1")
    assert set(reasons.values()) == {"done"}


def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(theory_command)
    return app


@pytest.mark.slow
def test_command_makes_distorted_copies_in_worker_processes(tmp_path: Path, feff: None) -> None:
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    output, npz = tmp_path / "d.h5", tmp_path / "d.npz"
    arguments = [str(tmp_path / "c.xyz"), "-o", str(output), "--copies", "3", "--jobs", "2"]
    result = CliRunner().invoke(command(), [*arguments, "--npz", str(npz)])
    assert result.exit_code == 0, result.output
    with np.load(npz) as data:
        assert Counter(data["source"]) == {"given": 1, "distorted": 3}
        assert len(set(data["parent"])) == 1
        assert np.ptp(data["strain"]) > 0
        assert data["mu"].max() < 4


def run_command(*arguments: object) -> object:
    return CliRunner().invoke(command(), [str(a) for a in arguments])


@pytest.mark.slow
def test_an_exported_set_can_be_trained_on(tmp_path: Path, feff: None) -> None:
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    output, npz = tmp_path / "d.h5", tmp_path / "d.npz"
    result = run_command(tmp_path / "c.xyz", "-o", output, "--npz", npz)
    assert f"1 spectra in {output}, 1 of them computed now; 0 failed now" in result.output
    data = read_training_set(npz)
    assert data.parent.tolist() == ["c:0"]
    assert data.shell[0] == pytest.approx(1.83, abs=1e-3)
    for held in (npz, output):
        result = run_command(tmp_path / "c.xyz", "-o", tmp_path / "more.h5", "--known", held)
        assert "0 spectra in" in result.output  # that set has it


def test_a_known_set_that_is_not_there_is_said(tmp_path: Path, feff: None) -> None:
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    result = run_command(tmp_path / "c.xyz", "-o", tmp_path / "d.h5", "--known", tmp_path / "x.npz")
    assert "no such data set" in str(result.exception)


def test_what_another_set_knows_is_the_structure_itself(
    tmp_path: Path, quick: Settings, feff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "run_task", pretended)
    structure, known = tmp_path / "c.xyz", tmp_path / "known.h5"
    given = [structure, "--copies", "2"]
    ase.io.write(structure, carbonyl())
    assert run_command(*given, "-o", known).exit_code == 0
    again = ["-o", tmp_path / "more.h5", "--known", known]
    assert "0 spectra in" in run_command(*given, *again).output
    other = run_command(*given, *again, "--seed", "2").exception
    assert isinstance(other, ReadError)
    assert "different structures called c:0~" in str(other)
    ase.io.write(structure, carbonyl(1.9))
    assert isinstance(run_command(structure, *again).exception, ReadError)
    ase.io.write(tmp_path / "d.xyz", carbonyl(1.9))
    assert "1 spectra in" in run_command(tmp_path / "d.xyz", *again).output


def a_recipe(folder: Path, strain: float = 1.0) -> list[object]:
    text = (
        'element = "Fe"\n[[source]]\nname = "a"\nfiles = ["c.xyz"]\n[[source]]\nname = "b"\n'
        f'kind = "distorted"\nfiles = ["c.xyz"]\ncopies = 2\nstrain = [{strain}, {strain}]\n'
    )
    (folder / "r.toml").write_text(text)
    return ["--recipe", folder / "r.toml", "--structures", folder]


def test_what_a_recipe_need_not_compute_is_the_structure_itself(
    tmp_path: Path, quick: Settings, feff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "run_task", pretended)
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    known = tmp_path / "known.h5"
    assert "3 spectra in" in run_command(*a_recipe(tmp_path), "-o", known).output
    more = ["-o", tmp_path / "more.h5", "--known", known]
    assert "0 spectra in" in run_command(*a_recipe(tmp_path), *more).output
    assert "0 of them computed" in run_command(*a_recipe(tmp_path), "-o", known).output
    strained = a_recipe(tmp_path, 1.05)
    other = run_command(*strained, *more).exception
    assert isinstance(other, ReadError)
    assert "different structures called c:0~0:s0" in str(other)
    other = run_command(*strained, "-o", known).exception
    assert isinstance(other, ConfigurationError)
    assert "another structure as c:0~0:s0" in str(other)


def test_a_set_whose_names_depended_on_other_files_is_refused(
    tmp_path: Path, quick: Settings, feff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "run_task", pretended)
    (tmp_path / "one").mkdir()
    ase.io.write(tmp_path / "one" / "POSCAR", bulk("FeO", "rocksalt", a=4.3))
    given, held = tmp_path / "one" / "POSCAR", tmp_path / "d.h5"
    assert run_command(given, "-o", held).exit_code == 0
    assert "0 of them computed" in run_command(given, "-o", held).output
    with h5py.File(held, "r+") as file:
        file["id"][0] = "POSCAR:0:s0"
    for arguments in (("-o", held), ("-o", tmp_path / "more.h5", "--known", held)):
        refused = run_command(given, *arguments).exception
        assert isinstance(refused, ConfigurationError)
        assert "POSCAR: they are one/POSCAR now" in str(refused)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--element", "Ni"), "no Ni in any structure"),
        (("--edge", "L3"), "edge"),
        (("--copies", "1", "--strain", "1.1", "0.9"), "strain"),
        (("--source", "minerals"), "minerals"),
        (("--mesh", "coarse"), "coarse"),
        (("--jobs", "0"), "jobs"),
        (("--dask", "nowhere"), "nowhere"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, feff: None, options: tuple[str, ...], word: str
) -> None:
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    result = run_command(tmp_path / "c.xyz", "-o", tmp_path / "d.h5", *options)
    assert result.exit_code
    if isinstance(result.exception, SystemExit):
        assert word in result.output
    else:
        assert isinstance(result.exception, ConfigurationError)
        assert word in str(result.exception)


def test_a_set_that_is_not_there_is_not_exported(tmp_path: Path) -> None:
    result = run_command("--npz", tmp_path / "d.npz", "-o", tmp_path / "none.h5")
    assert isinstance(result.exception, ConfigurationError)


def test_progress_knows_what_is_left() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    state = dataset.Progress(computed=2, failed=1, skipped=3, held=2, started=time.monotonic() - 60)
    shown = Display(None, 10, console)
    assert "2 min left" in shown._line(state, "")  # 10 less 2 failed, 4 there: 4 at 2 a minute
    assert "1 min left" in Display(6, 10, console)._line(state, "")
    assert "left" not in Display(None, None, console)._line(state, "")


def processes() -> dict[int, int]:
    """Parent of every process."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in map(bytes.split, table.splitlines())}


def children(parent: int) -> set[int]:
    return {pid for pid, above in processes().items() if above == parent}


@pytest.mark.slow
def test_a_kill_loses_nothing(tmp_path: Path, feff: None) -> None:
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    output = tmp_path / "d.h5"
    program = [sys.executable, "-m", "xanes_live.theory"]
    arguments = [*program, str(tmp_path / "c.xyz"), "-o", str(output), "--copies", "7"]
    journal = store.journal_path(output)
    running = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    until = time.monotonic() + SOON
    while time.monotonic() < until and len(list(store.read_journal(output))) < 2:
        time.sleep(0.05)
    workers = children(running.pid)
    running.kill()
    running.wait()
    before = [r["id"] for r in store.read_journal(output)]
    assert 2 <= len(before) < 8, "killed in the middle"
    times = {r["id"]: r["seconds"] for r in store.read_journal(output)}
    assert journal.exists()
    assert workers
    while time.monotonic() < until and workers & processes().keys():
        time.sleep(0.1)
    assert not workers & processes().keys(), "workers outlive the process that gave them work"
    subprocess.run(arguments, check=True, stderr=subprocess.DEVNULL)
    with h5py.File(output) as file:
        ids = list(file["id"].asstr())
        assert len(ids) == len(set(ids)) == 8
        seconds = dict(zip(ids, file["seconds"][()], strict=True))
    assert {i: seconds[i] for i in before} == times


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_says_what_is_kept(
    tmp_path: Path, feff: None, number: signal.Signals, status: int
) -> None:
    ase.io.write(tmp_path / "c.xyz", carbonyl())
    output = tmp_path / "d.h5"
    program = [
        sys.executable,
        "-m",
        "xanes_live.theory",
        str(tmp_path / "c.xyz"),
        "-o",
        str(output),
    ]
    running = subprocess.Popen(
        [*program, "--copies", "40", "--jobs", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    until = time.monotonic() + SOON
    while time.monotonic() < until and not list(store.read_journal(output)):
        time.sleep(0.05)
    # a terminal sends Ctrl-C to the workers, too
    (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
    _, said = running.communicate(timeout=SOON)
    assert running.returncode == status
    kept = len(store.known_ids(output)[0])
    assert f"{kept} spectra are kept in {output}" in said
    assert "leaked" not in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("xanes-*")), "FEFF was stopped and cleaned up after"


@pytest.mark.slow
def test_dask_cluster_of_two_workers(tmp_path: Path, feff: None) -> None:
    distributed = pytest.importorskip("distributed", reason="extra `dask`")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
    )
    with cluster:
        path = tmp_path / "d.h5"
        done = dataset.build(
            [task(i) for i in range(4)], path, Settings(), dask=cluster.scheduler_address
        )
    assert done.computed == 4
    assert store.known_ids(path)[0] == {"t0", "t1", "t2", "t3"}


def test_failures_are_records_with_a_reason(feff: None) -> None:
    record = run_task(Task("x", Atoms("FeO", [[0, 0, 0], [0, 0, 0.1]]), 0, None), Settings())
    assert record == {"id": "x", "ok": False, "error": "geometry: two sites 0.10 Å apart"}


def test_self_consistent_radius_reaches_every_element() -> None:
    assert scf_radius(carbonyl(), 0, None) == 5.0
    assert scf_radius(bulk("FeO", "rocksalt", a=4.3), 0, None) == 3.6
    wide = bulk("FeO", "rocksalt", a=7.8)
    assert scf_radius(wide, 0, None) == 5.5  # the second iron is at 5.52 Å
    lone = Atoms("Fe", [[0, 0, 0]], cell=[20] * 3, pbc=True)
    assert scf_radius(lone, 0, None) == 3.6


@pytest.mark.parametrize("error", [TypeError("x"), RuntimeError("memory"), KeyError("Fe")])
def test_one_task_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(tasks, "prepare", broken)
    record = run_task(task(0), Settings())
    assert not record["ok"]
    assert type(error).__name__ in record["error"]


def test_files_beside_a_recipe_are_refused(tmp_path: Path) -> None:
    refused = run_command(tmp_path / "c.xyz", "--recipe", tmp_path / "r.toml")
    assert refused.exit_code == 2
    assert "or --recipe, which names its own" in refused.output.replace("\n", " ")


def test_what_failed_before_is_not_passed_over_in_silence(tmp_path: Path, feff: None) -> None:
    ase.io.write(tmp_path / "c.xyz", Atoms("FeO", [[0, 0, 0], [0, 0, 0.3]]))
    arguments = (tmp_path / "c.xyz", "-o", tmp_path / "d.h5")
    assert "1 failed now" in run_command(*arguments).output
    again = run_command(*arguments).output
    assert "0 failed now. 1 failed before: --retry-failed tries them again" in again
