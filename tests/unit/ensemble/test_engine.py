import numpy as np
import pytest
import torch

from xanes_live.ensemble import onednn, windows
from xanes_live.ensemble.bands import tiling
from xanes_live.ensemble.blocks import cut
from xanes_live.ensemble.engine import CHUNK, FEW, Engine, moments
from xanes_live.ensemble.layout import lay_out
from xanes_live.ensemble.network import PAPER, Architecture, initialise, make_member
from xanes_live.ensemble.stacked import Stacked

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
SHAPES = [(2, 4, 8), (8, 8, 8), (3,), (2, 5)]


def network(channels=(2, 4, 8), norm="none", activation="relu", members=4, n_input=120, **shape):
    """A network with biases, scales and offsets that matter, and its plain members."""
    a = Architecture(
        n_input=n_input, channels=channels, n_output=9, heads=("first_shell",), norm=norm,
        activation=activation, **{"hidden": (12, 7)} | shape,
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
    for formulation in (engine.batched, engine, stacked):
        with torch.inference_mode():
            found = formulation(x)
        torch.testing.assert_close(found, reference(stacked, plain, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("hidden", [(12, 7), (5,), ()])
@pytest.mark.parametrize("n", [0, 1, 5, CHUNK["cpu"] + 1])
def test_dense_layers_alone_are_the_loop_over_members(activation, hidden, n):
    stacked, plain = network((), activation=activation, hidden=hidden)
    x = torch.randn(n, 120) * 0.3 + 1.0
    engine = Engine(stacked)
    with torch.inference_mode():
        expected = reference(stacked, plain, x) if n else torch.empty(4, 0, 10)
    kept = x.clone()
    for formulation in (engine, *([stacked] if n else [])):
        with torch.inference_mode():
            found = formulation(x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(x, kept)
    mean, sigma = engine.moments(x.numpy())
    assert mean.shape == sigma.shape == (n, 10)
    np.testing.assert_allclose(mean, expected.mean(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("n", [0, 1, 33, CHUNK["cpu"] + 1])
def test_whatever_the_number_of_spectra(norm, n):
    stacked, plain = network(norm=norm)
    x = torch.randn(n, 120) * 0.3 + 1.0
    found = Engine(stacked)(x)
    assert found.shape == (4, n, 10)
    if n:
        with torch.inference_mode():
            expected = reference(stacked, plain, x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("longest", [0, windows.LONGEST])  # oneDNN or not for a single spectrum
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_one_spectrum_with_short_and_long_windows(monkeypatch, longest, activation):
    monkeypatch.setattr(windows, "LONGEST", longest)
    stacked, plain = network(activation=activation)
    x = torch.randn(1, 120) * 0.3 + 1.0
    with torch.inference_mode():
        found = Engine(stacked)(x)
    torch.testing.assert_close(found, reference(stacked, plain, x), rtol=1e-4, atol=1e-4)


def test_again_to_the_bit():
    stacked, _ = network()
    engine, other = Engine(stacked), Engine(stacked)
    x = torch.randn(3, 120)
    assert torch.equal(engine(x), engine(x))
    assert torch.equal(engine(x), other(x))


@pytest.mark.parametrize(
    "shape",
    [
        {"kernel": 3, "stride": 3},  # windows that meet: no halo
        {"kernel": 2, "stride": 3},  # windows with gaps
        {"kernel": 5, "stride": 1, "channels": (2, 3)},  # tiles that do not shrink
        {"kernel": 11, "stride": 2, "channels": (2, 3)},  # a halo wider than the usual tile
        {"kernel": 8, "stride": 2, "channels": (2,), "n_input": 8},  # one output, one tile
        {"kernel": 4, "stride": 2, "n_input": 128},
    ],
)
def test_any_kernel_and_stride(shape):
    stacked, plain = network(**shape)
    engine = Engine(stacked)
    x = torch.randn(7, stacked.architecture.n_input) * 0.3 + 1.0
    expected = reference(stacked, plain, x)
    for formulation in (engine.batched, engine):
        with torch.inference_mode():
            torch.testing.assert_close(formulation(x), expected, rtol=1e-4, atol=1e-4)


def test_no_hidden_layer_at_all():
    a = Architecture(n_input=40, channels=(2,), hidden=(), n_output=5)
    members = [make_member(a).eval() for _ in range(2)]
    engine = Engine(Stacked.from_members(a, members).eval())
    x = torch.randn(3, 40)
    with torch.inference_mode():
        expected = torch.stack([m(x.unsqueeze(1)) for m in members])
        for formulation in (engine.batched, engine):
            torch.testing.assert_close(formulation(x), expected, rtol=1e-4, atol=1e-5)


def test_the_papers_network_is_cut_into_tiles_of_32_numbers():
    layout = lay_out(Stacked(PAPER, 2))
    assert tiling(PAPER) == layout.cut
    assert (layout.cut.sizes, layout.cut.tiles, layout.cut.padding) == ((16, 8, 4), 15, 5)
    assert [tuple(b.body.shape[1:]) for b in layout.bands] == [(32, 32)] * 3


def test_the_blocks_of_both_networks_in_use():
    found = cut(PAPER)  # 2, 4, 8 channels: always 16 numbers
    assert (found.sizes, found.kernels, found.strides) == ((1, 8, 4, 2), (22, 2, 3), (16, 1, 1))
    found = cut(Architecture(channels=(8, 8, 8)))
    assert (found.sizes, found.kernels, found.strides) == ((1, 2, 2, 2), (10, 5, 5), (4, 2, 2))
    assert found.blocks == (474, 117, 57, 27)


def test_blocks_are_a_whole_number_of_strides():
    found = cut(Architecture(channels=(3, 5), kernel=5, stride=3))
    assert found.sizes == (1, 3, 3)  # five points of three channels would not be 3 · 3 points
    assert found.strides == (9, 3)


def test_a_neighbour_does_not_matter():
    # the last tile of a spectrum reads the first points of the next one
    stacked, _ = network()
    engine = Engine(stacked)
    x = torch.randn(4, 120)
    other = x.clone()
    other[1:] = 1e3
    for formulation in (engine.batched, engine):
        with torch.inference_mode():
            torch.testing.assert_close(formulation(x)[:, 0], formulation(other)[:, 0])


def test_without_onednn(monkeypatch):
    monkeypatch.setattr(onednn, "available", lambda: False)
    stacked, plain = network()
    x = torch.randn(40, 120)
    with torch.inference_mode():
        found = Engine(stacked)(x)
    torch.testing.assert_close(found, reference(stacked, plain, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [0, 1, FEW["cpu"] + 1, 3 * CHUNK["cpu"] + 5])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_moments_are_those_of_the_members(n, norm):
    stacked, plain = network(norm=norm)
    x = torch.randn(n, 120) * 0.3 + 1.0
    mean, sigma = Engine(stacked).moments(x.numpy())
    assert mean.shape == sigma.shape == (n, 10)
    assert mean.dtype == np.float32
    if n:
        with torch.inference_mode():
            expected = reference(stacked, plain, x)
        np.testing.assert_allclose(mean, expected.mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(sigma, expected.std(0), rtol=1e-3, atol=1e-4)


def test_a_single_member_has_no_spread():
    mean, sigma = moments(torch.ones(1, 3, 2))
    assert torch.equal(mean, torch.ones(3, 2))
    assert torch.equal(sigma, torch.zeros(3, 2))


@pytest.fixture(params=["float32", "tf32", "bfloat16"])
def on_cuda(request):
    """The paper's network on CUDA with the loop over its members in float64, and a precision."""
    stacked, plain = network(n_input=475, members=15)
    x = torch.randn(6000, 475) * 0.1 + torch.linspace(0.0, 1.2, 475)
    with torch.inference_mode():
        expected = reference(stacked, plain, x)
    return Engine(stacked.to("cuda"), request.param), x, expected


@pytest.mark.gpu
@CUDA
def test_on_cuda(on_cuda):
    engine, x, expected = on_cuda
    sigma = expected.std(0).square().mean().sqrt()
    bound = 2e-3 if engine.precision == "float32" else 0.5 * float(sigma)
    for n in (1, 3, 32, 1000, 1024, 1025, 6000):
        found = engine(x[:n].cuda()).cpu()
        near = 2e-3 if n <= 1024 else bound
        torch.testing.assert_close(found, expected[:, :n], rtol=1e-3, atol=near)
        mean, spread = engine.moments(x[:n].numpy())
        np.testing.assert_allclose(mean, expected[:, :n].mean(0), rtol=1e-3, atol=near)
        np.testing.assert_allclose(spread, expected[:, :n].std(0), rtol=1e-2, atol=near)


@pytest.mark.gpu
@CUDA
def test_what_a_rung_held_before_does_not_matter(on_cuda):
    engine, x, _ = on_cuda
    first = engine(x[:5].cuda())
    engine(x[100:108].cuda() * 50.0)
    engine.moments(x[100:108].numpy() * 50.0)
    assert torch.equal(engine(x[:5].cuda()), first)


@pytest.mark.gpu
@CUDA
def test_norms_on_cuda():
    stacked, plain = network(norm="layer")
    x = torch.randn(2000, 120)
    with torch.inference_mode():
        expected = reference(stacked, plain, x)
    engine = Engine(stacked.to("cuda"))
    torch.testing.assert_close(engine(x.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(engine.moments(x.numpy())[0], expected.mean(0), rtol=1e-3, atol=1e-3)
