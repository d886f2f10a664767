import pytest
import torch

from xanes_live.ensemble.engine import CHUNK, Engine
from xanes_live.ensemble.network import Architecture, initialise, make_member
from xanes_live.ensemble.stacked import Stacked

SHAPES = [(2, 4, 8), (8, 8, 8), (3,), (2, 5)]


def network(channels=(2, 4, 8), norm="none", activation="relu", members=4, n_input=120):
    """A network with biases, scales and offsets that matter, and its plain members."""
    a = Architecture(
        n_input=n_input, channels=channels, hidden=(12, 7), n_output=9, heads=("first_shell",),
        norm=norm, activation=activation,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    plain = [make_member(a) for _ in range(members)]
    for member in plain:
        initialise(member, generator)
        for parameter in member.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    stacked = Stacked.from_members(a, plain).eval()
    stacked.input_mean.copy_(torch.linspace(0.0, 1.2, n_input))
    stacked.input_scale.fill_(0.3)
    stacked.output_mean.copy_(torch.arange(10.0))
    stacked.output_scale.copy_(torch.linspace(0.5, 2.0, 10))
    return stacked, [m.eval() for m in plain]


def reference(stacked, plain, x):
    """The plain members in double precision, one by one, scales applied by hand."""
    scaled = ((x.double() - stacked.input_mean) / stacked.input_scale).unsqueeze(1)
    out = torch.stack([m.double()(scaled) for m in plain])
    return (out * stacked.output_scale + stacked.output_mean).float()


@pytest.mark.parametrize("channels", SHAPES)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("n", [1, 5])
def test_every_formulation_is_the_loop_over_members(channels, activation, n):
    stacked, plain = network(channels, activation=activation)
    x = torch.randn(n, 120) * 0.3 + 1.0
    engine = Engine(stacked)
    for formulation in (engine.batched, engine.by_member, stacked):
        with torch.inference_mode():
            found = formulation(x)
        torch.testing.assert_close(found, reference(stacked, plain, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("n", [0, 1, 33, CHUNK + 1])
def test_whatever_the_number_of_spectra(norm, n):
    stacked, plain = network(norm=norm)
    x = torch.randn(n, 120) * 0.3 + 1.0
    found = Engine(stacked)(x)
    assert found.shape == (4, n, 10)
    if n:
        with torch.inference_mode():
            expected = reference(stacked, plain, x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_again_to_the_bit():
    stacked, _ = network()
    engine, other = Engine(stacked), Engine(stacked)
    x = torch.randn(3, 120)
    assert torch.equal(engine(x), engine(x))
    assert torch.equal(engine(x), other(x))


@pytest.mark.gpu
def test_on_an_accelerator():
    stacked, plain = network()
    x = torch.randn(6000, 120) * 0.3 + 1.0
    found = Engine(stacked.to("cuda"))(x.to("cuda")).cpu()
    with torch.inference_mode():
        expected = reference(stacked.to("cpu"), plain, x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
