import gc
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from tests import factories
from xanes_live.config import Config
from xanes_live.errors import ConfigurationError
from xanes_live.publish import outbox as outbox_module
from xanes_live.publish.document import declined_node, node
from xanes_live.publish.outbox import Outbox, State

CONFIG = Config()


def node_of(key="k", n_spectra=1, **changes):
    return replace(node(factories.result(n_spectra, key=key, **changes), CONFIG), key=key)


@pytest.fixture
def outbox(tmp_path):
    box = Outbox(tmp_path / "state" / "outbox.sqlite")
    yield box
    box.close()


@pytest.mark.parametrize("n_spectra", [1, 3])
def test_what_comes_out_is_what_went_in(outbox, n_spectra):
    put = node_of(n_spectra=n_spectra)
    assert outbox.put(put)
    item = outbox.next(State.PENDING)
    assert item.state is State.PENDING
    assert item.attempts == 0
    assert item.node.key == put.key
    assert item.node.metadata == put.metadata
    assert item.node.units == put.units
    assert item.node.whole == put.whole
    assert set(item.node.arrays) == set(put.arrays)
    for name, values in put.arrays.items():
        assert item.node.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(item.node.arrays[name], values)


def test_a_result_without_arrays_comes_out_too(outbox):
    outbox.put(declined_node(factories.declined(), CONFIG))
    assert outbox.next(State.PENDING).node.arrays == {}


def test_a_key_waits_once(outbox):
    assert outbox.put(node_of("a"))
    assert not outbox.put(node_of("a"))
    assert outbox.counts().pending == 1
    outbox.mark("a", State.ARRAYS)
    assert not outbox.put(node_of("a"))
    assert outbox.state("a") is State.ARRAYS


def test_what_was_published_is_taken_again_to_be_checked(outbox):
    outbox.put(node_of("a"))
    outbox.mark("a", State.DONE)
    assert outbox.put(node_of("a"))
    assert outbox.next(State.PENDING).node.arrays


def test_first_in_first_out_and_states(outbox):
    for key in "abc":
        outbox.put(node_of(key))
    assert outbox.next(State.PENDING).node.key == "a"
    outbox.mark("a", State.ARRAYS)
    assert outbox.next(State.PENDING).node.key == "b"
    assert outbox.next(State.ARRAYS).node.key == "a"
    outbox.mark("a", State.DONE)
    assert outbox.next(State.ARRAYS) is None
    counts = outbox.counts()
    assert (counts.pending, counts.arrays, counts.done) == (2, 0, 1)
    assert outbox.pending() == 2
    assert outbox.is_done("a")
    assert not outbox.is_done("b")
    assert outbox.state("nobody") is None


def test_put_off_lets_others_pass_until_the_next_start(tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite")
    outbox.put(node_of("a"))
    outbox.put(node_of("b"))
    outbox.put_off("a", 1000.0, "bad")
    assert outbox.next(State.PENDING).node.key == "b"
    assert outbox.counts().refused == 1
    assert outbox.next_time() == 0
    outbox.mark("b", State.DONE)
    assert outbox.next_time() == pytest.approx(time.time() + 1000, abs=5)
    outbox.close()
    again = Outbox(tmp_path / "o.sqlite")
    assert again.next(State.PENDING).node.key == "a"
    assert again.next(State.PENDING).attempts == 1
    again.close()


def test_keys_of_published_results_are_kept_up_to_a_bound(tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite", keep_done=5)
    outbox.put(node_of("waits", uid="waits"))
    for number in range(12):
        outbox.put(node_of(f"k{number}", uid=f"uid{number}"))
        outbox.mark(f"k{number}", State.DONE)
    assert outbox.counts().done == 5
    assert outbox.is_done("k11")
    assert outbox.is_done("k7")
    assert outbox.state("k6") is None
    assert outbox.known_uids() == {"waits", *(f"uid{n}" for n in range(7, 12))}
    outbox.close()


def test_payloads_of_published_results_are_dropped(outbox):
    outbox.put(node_of("a"))
    outbox.mark("a", State.DONE)
    rows = outbox._db.execute("SELECT document, arrays FROM outbox").fetchall()
    assert rows == [(None, None)]


def test_threads_that_ask_the_same_get_whole_answers(outbox):
    for n in range(30):
        outbox.put(node_of(f"k{n}"))
        if n % 2:
            outbox.mark(f"k{n}", State.DONE)
    ended, faults = threading.Event(), []

    def ask():
        while not ended.is_set():
            try:
                counts = outbox.counts()
                assert counts.pending + counts.done + counts.arrays == 30
                assert outbox.next(State.PENDING) is not None
            except Exception as error:  # noqa: BLE001 - told at the end
                faults.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(300):
        outbox.mark(f"k{2 * (n % 14)}", State.ARRAYS if n % 2 else State.PENDING)
    ended.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_connections_of_ended_threads_are_let_go(outbox):
    for _ in range(5):
        thread = threading.Thread(target=outbox.counts)
        thread.start()
        thread.join()
    gc.collect()
    assert len(outbox._connections) == 1


def test_many_threads_put_at_once(outbox):
    nodes = [node_of(f"k{n}") for n in range(40)]
    new = []

    def put(part):
        new.extend(outbox.put(n) for n in part)

    threads = [threading.Thread(target=put, args=(nodes,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 40
    assert outbox.counts().pending == 40


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {root!r})
from tests import factories
from xanes_live.config import Config
from xanes_live.publish.document import node
from xanes_live.publish.outbox import Outbox
outbox = Outbox(Path({path!r}))
like = node(factories.result(), Config())
number = 0
while True:
    outbox.put(replace(like, key=f"k{{number}}"))
    print(number, flush=True)
    number += 1
"""


def test_nothing_that_was_taken_is_lost_when_the_process_is_killed(tmp_path, request):
    path = tmp_path / "outbox.sqlite"
    code = WRITER.format(root=str(request.config.rootpath), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    taken = -1
    while taken < 50:
        taken = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    taken = max([taken, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    outbox = Outbox(path)
    pending = outbox.counts().pending
    assert pending in {taken + 1, taken + 2}  # one may have been taken but not yet reported
    for _ in range(pending):
        item = outbox.next(State.PENDING)
        assert item.node.arrays["mean"].shape == (50,)
        outbox.mark(item.node.key, State.DONE)
    assert outbox.pending() == 0
    outbox.close()


def test_two_processes_may_share_a_file(tmp_path):
    first, second = (Outbox(tmp_path / "o.sqlite") for _ in range(2))
    first.put(node_of("a"))
    assert second.next(State.PENDING).node.key == "a"
    second.mark("a", State.DONE)
    assert first.is_done("a")
    first.close()
    second.close()


def test_a_file_that_is_no_outbox_is_set_aside(tmp_path):
    path = tmp_path / "o.sqlite"
    path.write_bytes(b"this is no database, just some text" * 100)
    outbox = Outbox(path)
    assert outbox.put(node_of("a"))
    outbox.close()
    (aside,) = tmp_path.glob("o.sqlite.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")
    assert sqlite3.connect(path).execute("SELECT key FROM outbox").fetchall() == [("a",)]


def test_a_result_that_cannot_be_read_does_not_keep_the_others_back(tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite")
    for key in ("a", "b"):
        outbox.put(node_of(key))
    with sqlite3.connect(tmp_path / "o.sqlite") as database:
        database.execute("UPDATE outbox SET document = x'00' WHERE key = 'a'")
    assert outbox.next(State.PENDING).node.key == "b"
    outbox.mark("b", State.DONE)
    assert outbox.next(State.PENDING) is None
    assert outbox.state("a") is State.PENDING


@pytest.mark.parametrize("spoil", ["directory", "locked"])
def test_an_outbox_that_cannot_be_opened_is_one_sentence(tmp_path, monkeypatch, spoil):
    path = tmp_path / "o.sqlite"
    if spoil == "directory":
        path.mkdir()
    else:
        Outbox(path).close()
        monkeypatch.setattr(outbox_module, "_prepare", _locked)
    with pytest.raises(ConfigurationError, match=r"outbox .*o\.sqlite: "):
        Outbox(path)


def _locked(_):
    raise sqlite3.OperationalError("database is locked")


def test_of_two_results_of_a_key_that_wait_the_later_is_kept(outbox):
    outbox.put(node_of("a"))
    early = outbox.next(State.PENDING)
    assert outbox.put(node_of("a", n_spectra=3))
    late = outbox.next(State.PENDING)
    assert late.node.metadata["n_spectra"] == 3
    assert late.node.replaces
    assert (outbox.holds(early), outbox.holds(late)) == (False, True)
    outbox.mark("a", State.DONE, early.number)  # as told by who was busy with it
    assert outbox.state("a") is State.PENDING
    outbox.mark("a", State.DONE, late.number)
    assert outbox.is_done("a")


def test_that_a_result_is_to_replace_is_kept(outbox):
    assert outbox.put(node_of("a"))
    assert outbox.put(replace(node_of("a"), replaces=True))
    assert not outbox.put(node_of("a"))
    assert outbox.next(State.PENDING).node.replaces
    outbox.mark("a", State.DONE)
    outbox.put(node_of("a"))
    assert not outbox.next(State.PENDING).node.replaces


def test_a_file_of_an_earlier_version_is_taken_over(tmp_path):
    path = tmp_path / "o.sqlite"
    old = Outbox(path)
    old.put(node_of("a"))
    old._db.execute("ALTER TABLE outbox DROP COLUMN replaces")
    old.close()
    outbox = Outbox(path)
    assert not outbox.next(State.PENDING).node.replaces
    assert outbox.put(replace(node_of("a"), replaces=True))
    outbox.close()
