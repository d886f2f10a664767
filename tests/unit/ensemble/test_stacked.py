import pytest
import torch

from xanes_live.ensemble.bands import products
from xanes_live.ensemble.network import NAMED, PAPER, Architecture, initialise, make_member
from xanes_live.ensemble.stacked import Stacked

SMALL = Architecture(n_input=60, channels=(2, 3), hidden=(12,), n_output=9)


def members_of(architecture, count=4):
    members = [make_member(architecture) for _ in range(count)]
    for k, member in enumerate(members):
        initialise(member, torch.Generator().manual_seed(k))
        for parameter in member.parameters():  # no bias at zero, no norm at one
            parameter.data += 0.1 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(99 + k)
            )
    return members


def test_the_papers_network():
    assert PAPER.lengths() == (475, 234, 114, 54)
    count = sum(p.numel() for p in make_member(PAPER).parameters())
    assert count == pytest.approx(150_000, rel=0.01)
    narrow = sum(p.numel() for p in make_member(NAMED["paper-narrow"]).parameters())
    assert narrow == pytest.approx(67_000, rel=0.02)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
@pytest.mark.parametrize("channels", [(), (2,), (2, 4, 8)])
def test_stacked_is_the_loop_over_members(norm, activation, channels):
    a = Architecture(
        n_input=90, channels=channels, hidden=(12, 7), n_output=9, heads=("first_shell",),
        norm=norm, activation=activation,
    )  # fmt: skip
    members = members_of(a)
    if norm == "batch":
        for member in members:  # running statistics that differ from member to member
            member(torch.randn(16, 1, 90) if channels else torch.randn(16, 90))
    stacked = Stacked.from_members(a, members).eval()
    x = torch.randn(5, 90)
    reference = torch.stack([m.eval()(x.unsqueeze(1)) for m in members])
    assert reference.shape == (4, 5, 10)
    torch.testing.assert_close(stacked(x), reference, rtol=1e-5, atol=1e-5)
    own = torch.randn(4, 5, 90)
    each = torch.stack([m(y.unsqueeze(1)) for m, y in zip(members, own, strict=True)])
    torch.testing.assert_close(stacked(own), each, rtol=1e-5, atol=1e-5)
    if norm == "none" and channels:
        torch.testing.assert_close(stacked.in_bands(x), reference, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(stacked.in_bands(own), each, rtol=1e-5, atol=1e-5)


def test_paper_network_stacked_15_members():
    members = members_of(PAPER, 15)
    stacked = Stacked.from_members(PAPER, members)
    x = 1.0 + 0.3 * torch.randn(3, 475)
    with torch.inference_mode():
        reference = torch.stack([m(x.unsqueeze(1)) for m in members])
        torch.testing.assert_close(stacked(x), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "bands"])
def test_gradients_are_those_of_each_member(norm):
    bands, norm = norm == "bands", norm.replace("bands", "none")
    a = Architecture(n_input=60, channels=(2, 3), hidden=(12,), n_output=9, norm=norm)
    members = members_of(a)
    stacked = Stacked.from_members(a, members).train()
    x, target = torch.randn(4, 8, 60), torch.randn(4, 8, 9)
    said = stacked.in_bands(x) if bands else stacked(x)
    (said - target).square().mean(dim=(1, 2)).sum().backward()
    for k, member in enumerate(members):
        (member.train()(x[k].unsqueeze(1)) - target[k]).square().mean().backward()
    ours = [p.grad for layer in stacked.layers() for p in layer.parameters()]
    for grad, theirs in zip(
        ours, zip(*(m.parameters() for m in members), strict=True), strict=True
    ):
        expected = torch.stack([p.grad for p in theirs])
        torch.testing.assert_close(grad.reshape(expected.shape), expected, rtol=1e-4, atol=1e-6)


def test_a_member_starts_the_same_whichever_others_there_are():
    three, last = Stacked.initialised(SMALL, 3, seed=7), Stacked.initialised(SMALL, 1, 7, first=2)
    for name in ("conv.0.weight", "dense.1.weight"):
        together, alone = three.state_dict()[name], last.state_dict()[name]
        torch.testing.assert_close(together[2:], alone, rtol=0, atol=0)
        assert not torch.equal(together[0], together[1])


def test_products_of_the_bands():
    assert products(PAPER) == 15 * 3 * 32 * 32
    assert products(Architecture(channels=(8, 8, 8))) == 15 * (32 * 128 + 128 * 64 + 64 * 32)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="too few"):
        Architecture(n_input=20, channels=(2, 4, 8))


def test_architecture_through_toml_types():
    assert Architecture.from_dict(PAPER.as_dict()) == PAPER
    with pytest.raises(TypeError):
        Architecture.from_dict({"colour": 1})
