"""The bookkeeping around CUDA graphs, with a stand-in for the recording itself."""

from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch

from xanes_live.ensemble import graphs, step
from xanes_live.ensemble.bulk import gathered, overlapped


class Tape:
    """Stands in for a CUDA graph: computes again into the same memory when it is replayed."""

    recording = None

    def __init__(self):
        self.again, self.replays = None, 0

    def replay(self):
        self.replays += 1
        self.again()


class Quiet:
    """Stands in for streams and events, which order nothing where all is done at once."""

    device = None

    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def tapes(monkeypatch):
    """Replace what of torch.cuda is used; the work recorded must go through `recordable`."""
    made = []

    @contextmanager
    def graph(tape, **_):
        made.append(tape)
        Tape.recording = tape
        yield
        Tape.recording = None

    empty, zeros = torch.empty, torch.zeros
    for name, stand_in in {
        "CUDAGraph": Tape,
        "graph": graph,
        "Stream": lambda *_: Quiet(),
        "Event": Quiet,
        "stream": lambda _: nullcontext(),
        "current_stream": lambda *_: Quiet(),
        "synchronize": lambda *_: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(torch, "empty", lambda *a, pin_memory=False, **k: empty(*a, **k))  # noqa: PLW0108
    monkeypatch.setattr(torch, "zeros", lambda *a, pin_memory=False, **k: zeros(*a, **k))  # noqa: PLW0108
    return made


def recordable(work):
    """Let a tape repeat `work` on the same inputs into the same outputs."""

    def recorded(*inputs):
        said = work(*inputs)
        if Tape.recording is not None:
            outputs = said if isinstance(said, tuple) else (said,)

            def again():
                new = work(*inputs)
                for old, value in zip(
                    outputs, new if isinstance(new, tuple) else (new,), strict=True
                ):
                    old.copy_(value)

            Tape.recording.again = again
        return said

    return recorded


def test_slots_of_a_fixed_size_take_what_there_is(tapes):
    work = recordable(lambda x: (x.sum(1, keepdim=True), torch.stack([x, 2 * x])))
    slots = [graphs.Captured(work, 4, 3, torch.device("cpu")) for _ in range(2)]
    rows = np.random.default_rng(0).random((11, 3)).astype(np.float32)
    totals, starts = [], []
    for start, (total, both) in overlapped(slots, rows, 4):
        assert both.shape[0] == 2
        np.testing.assert_array_equal(both[1].numpy(), 2 * rows[start : start + 4])
        totals.append(total.clone())
        starts.append(start)
    assert starts == [0, 4, 8]
    np.testing.assert_allclose(torch.cat(totals)[:, 0], rows.sum(1), rtol=1e-6)
    assert [t.replays for t in tapes] == [2, 1]


def test_spectra_that_are_on_the_device_already(tapes):
    slot = graphs.Captured(recordable(lambda x: (x + 1,)), 4, 3, torch.device("cpu"))
    (first,) = slot.on_device(torch.ones(2, 3))
    (second,) = slot.on_device(torch.zeros(4, 3))
    assert torch.equal(first, torch.full((2, 3), 2.0))  # its own, not the slot's buffer
    assert torch.equal(second, torch.ones(4, 3))


def test_through_the_ladder_and_gathered(tapes):
    work = recordable(lambda x: (x * 3,))
    ladder = graphs.Ladder(lambda size: graphs.Captured(work, size, 2, torch.device("cpu")))
    rows = np.arange(10.0).reshape(5, 2)
    slot = ladder[5]
    assert slot.size == 8
    (found,) = gathered(overlapped([slot], rows, graphs.TOP), ((5, 2),))
    np.testing.assert_array_equal(found, rows * 3)


def test_every_call_of_recorded_work_counts_once(tapes):
    total, seen = torch.zeros(()), []

    def add(x):
        seen.append(float(x.sum()))
        total.add_(x.sum())
        return total + 0.0

    work = step.Recorded(recordable(add))
    said = [float(work(torch.full((2,), float(k)))) for k in range(step.WARM_UP)]
    assert said == [0.0, 2.0, 6.0]  # outright, each with its own inputs
    assert not tapes
    before = float(total)
    work(torch.full((2,), 10.0))
    recorded = len(seen)
    assert len(tapes) == 1
    assert tapes[0].replays == 1
    found = float(work(torch.full((2,), 100.0)))
    assert tapes[0].replays == 2
    assert seen[recorded:] == [200.0]  # the inputs of this call, in the memory recorded with
    assert found == float(total) >= before + 220.0
