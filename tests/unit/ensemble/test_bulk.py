import numpy as np
import torch

from xanes_live.ensemble.bulk import gathered, overlapped
from xanes_live.ensemble.graphs import Direct, Ladder


class Late:
    """A slot as on a GPU: its buffers are used again, and what it says is there when asked for."""

    def __init__(self, name, log):
        self.name, self.log, self.buffer = name, log, torch.zeros(4, 3)

    def start(self, rows):
        self.log.append(f"start {self.name}")
        self.n = len(rows)
        self.buffer[: self.n] = rows

    def result(self):
        self.log.append(f"result {self.name}")
        return (self.buffer[: self.n] * 2, self.buffer[: self.n].sum(1, keepdim=True))


def test_chunks_come_back_in_order_and_whole():
    log = []
    rows = np.arange(33.0).reshape(11, 3)
    slots = [Late("a", log), Late("b", log)]
    double, total = gathered(overlapped(slots, rows, 4), ((11, 3), (11, 1)))
    np.testing.assert_array_equal(double, rows * 2)
    np.testing.assert_array_equal(total[:, 0], rows.sum(1))
    # the second begins before the first is waited for
    assert log == ["start a", "start b", "result a", "start a", "result b", "result a"]


def test_only_what_is_in_flight_is_read():
    class Long:
        shape = (10_000, 3)
        read = 0

        def __getitem__(self, rows):
            Long.read += 1
            return np.ones((min(rows.stop, 10_000) - rows.start, 3))

    parts = overlapped([Late("a", []), Late("b", [])], Long(), 4)
    next(parts)
    assert Long.read == 2


def test_no_rows_at_all():
    assert gathered(overlapped([Late("a", [])], np.empty((0, 3)), 4), ((0, 3),))[0].shape == (0, 3)


def test_a_read_only_array_in_another_precision():
    rows = np.ones((3, 2))
    rows.flags.writeable = False
    direct = Direct(lambda x: (x + 1,), torch.device("cpu"))
    (found,) = gathered(overlapped([direct], rows, 2), ((3, 2),))
    np.testing.assert_array_equal(found, 2.0)


def test_rungs_double_and_are_made_once():
    made = []
    ladder = Ladder(lambda size: made.append(size) or size, top=64)
    assert [ladder[n] for n in (1, 2, 3, 4, 5, 33, 64, 3)] == [1, 2, 4, 4, 8, 64, 64, 4]
    assert made == [1, 2, 4, 8, 64]
