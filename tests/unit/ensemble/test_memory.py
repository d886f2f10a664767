"""Memory of accelerators, as far as that shows without one."""

import pytest
import torch

from xanes_live.ensemble.memory import in_use


def test_nothing_without_an_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert in_use() == {}


def test_each_device_has_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda i: 100 + i)
    assert in_use() == {"cuda:0": 100, "cuda:1": 101}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_tensor_is_counted():
    tensor = torch.zeros(1 << 20, device="cuda")
    assert in_use()["cuda:0"] >= tensor.numel() * tensor.element_size()
