import logging

import pytest
import torch

from tests.unit.ensemble.test_engine import network
from xanes_live.ensemble.engine import Engine
from xanes_live.ensemble.network import PAPER
from xanes_live.ensemble.precision import LIMIT, error_in_sigmas, probes, products_in
from xanes_live.ensemble.stacked import Stacked


def test_probes_look_like_spectra():
    found = probes(Stacked(PAPER, 1))
    assert torch.isfinite(found).all()
    assert found[:, :20].mean() < 0.2
    assert found[:, -20:].mean() > 0.8


def test_float32_is_far_within_a_tenth_of_sigma():
    stacked, _ = network()
    assert error_in_sigmas(stacked, Engine(stacked).batched) < 1e-3
    assert stacked.input_mean.dtype == torch.float32  # the reference was a copy


def test_the_error_is_that_of_mean_and_sigma_in_sigmas():
    stacked, _ = network()

    def shifted(x):
        said = stacked(x)
        return said + 0.25 * said.std(0).square().mean(0).sqrt()

    def wider(x):
        said = stacked(x)
        return said.mean(0) + 1.5 * (said - said.mean(0))

    assert error_in_sigmas(stacked, shifted) == pytest.approx(0.25, rel=1e-3)
    assert error_in_sigmas(stacked, wider) == pytest.approx(0.5, rel=1e-3)
    assert error_in_sigmas(stacked, lambda x: stacked(x) * torch.nan) != pytest.approx(0.0)


@pytest.mark.parametrize("channels", [(8, 8, 8), ()])
def test_bfloat16_where_the_members_differ_enough(channels):
    stacked, _ = network(channels=channels, members=6)
    engine = Engine(stacked, "bfloat16")
    assert engine.precision == "bfloat16"
    assert 0 < engine.error < LIMIT
    x = torch.randn(400, 120) * 0.3 + 1.0
    exact, low = Engine(stacked)(x), engine(x)
    assert not torch.equal(exact, low)
    sigma = exact.std(0).square().mean().sqrt()
    assert (low - exact).square().mean().sqrt() < 0.3 * sigma
    few = x[:3]  # small batches gain nothing and stay exact
    assert torch.equal(engine(few), Engine(stacked)(few))


def test_bfloat16_is_refused_where_they_agree(caplog):
    stacked, plain = network(members=1)
    alike = Stacked.from_members(stacked.architecture, plain * 4).eval()
    alike.conv[0].weight.data[1] *= 1.001
    with caplog.at_level(logging.WARNING):
        engine = Engine(alike, "bfloat16")
    assert engine.precision == "float32"
    assert engine.error > LIMIT
    assert "precision not used" in caplog.text
    engine.use("float32")
    assert engine.error == 0.0


def test_one_member_has_no_sigma_to_hide_behind():
    stacked, _ = network(members=1)
    assert Engine(stacked, "bfloat16").precision == "float32"


def test_the_setting_is_put_back():
    settings = torch.backends.cuda.matmul
    name = "fp32_precision" if hasattr(settings, "fp32_precision") else "allow_tf32"
    before = getattr(settings, name)
    with products_in("tf32"):
        assert getattr(settings, name) in {"tf32", True}
    assert getattr(settings, name) == before
    with products_in("float32"):
        assert getattr(settings, name) == before
