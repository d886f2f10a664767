"""Operators of PyTorch that nobody promises, and the number of threads of the process."""

import threading

import pytest
import torch

from xanes_live.ensemble import onednn
from xanes_live.ensemble.engine import Engine
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.stacked import Stacked


def raises(*_, **__):
    raise RuntimeError("could not create a primitive")


def takes_other_arguments():
    pass


class AnswersWrongly:
    def __init__(self, *_, **__):
        pass

    def __call__(self, rows):
        return torch.zeros(len(rows), 4, 6)


@pytest.fixture
def asked_anew():
    onednn.available.cache_clear()
    yield
    onednn.available.cache_clear()


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize("convolution", [raises, takes_other_arguments, AnswersWrongly])
def test_operators_that_do_something_else_are_not_used(monkeypatch, convolution):
    monkeypatch.setattr(onednn, "Convolution", convolution)
    assert not onednn.available()
    network = Stacked(Architecture(n_input=40, channels=(2,), hidden=(), n_output=5), 2)
    assert Engine(network)(torch.zeros(3, 40)).shape == (2, 3, 5)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("most", [None, 2])
def test_a_thread_that_begins_meanwhile_keeps_all_its_threads(most):
    seen, begun = [], threading.Event()

    def begin():
        with onednn.threads(most):
            seen.append(torch.get_num_threads())
        begun.set()

    other = threading.Thread(target=begin)
    with onednn.threads(1):
        assert torch.get_num_threads() == 1
        other.start()
        begun.wait(0.3)
    other.join()
    assert seen == [2]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_threads_comes_back_after_an_error():
    with pytest.raises(ZeroDivisionError), onednn.threads(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
    with onednn.threads(1):  # nobody waits for it any more
        assert torch.get_num_threads() == 1
