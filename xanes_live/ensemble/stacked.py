"""All members of an ensemble as one module.

Weights carry a leading axis over members; convolutions are grouped by member (band matrices on a
GPU), dense layers are batched matrix products. One call does the work of a loop over members, with
the same numbers to float32 rounding, and since no operation mixes members, gradients and Adam steps
are those of members trained one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xanes_live.ensemble.bands import band, convolve, products, suits, tiled, tiling
from xanes_live.ensemble.network import ACTIVATIONS, Architecture, initialise, make_member

EPSILON = 1e-5
STORED = {"float16": torch.float16, "float32": torch.float32}
"""Precisions in which weights are kept on disk."""
MOMENTUM = 0.1
SLIM = 100_000
"""Multiplications in the bands of one spectrum up to which a CPU trains with them: the paper's
network has 46 080, eight channels throughout 215 040."""


class Stacked(nn.Module):
    """`n_members` networks of one architecture.

    Parameters are named ``conv0.weight`` (n_members, c_out, c_in, kernel), ``dense0.weight``
    (n_members, n_out, n_in), ``norm0.weight`` …, biases likewise. Four buffers make the scale of
    the data part of the network: ``input_mean`` (n_input,), ``input_scale`` (1,), ``output_mean``
    and ``output_scale`` (n_total,).
    """

    input_mean: Tensor
    input_scale: Tensor
    output_mean: Tensor
    output_scale: Tensor

    def __init__(self, architecture: Architecture, n_members: int) -> None:
        super().__init__()
        self.architecture, self.n_members = architecture, n_members
        a = architecture
        self.activation = ACTIVATIONS[a.activation]()
        self.conv = nn.ModuleList(_layer(n_members, o, i, a.kernel) for i, o in a.conv_sizes())
        self.dense = nn.ModuleList(_layer(n_members, o, i) for i, o in a.dense_sizes())
        self.norm = nn.ModuleList()
        if a.norm != "none":
            self.norm.extend(_Norm(a, n_members, k) for k in range(len(a.channels + a.hidden)))
        self.register_buffer("input_mean", torch.zeros(a.n_input))
        self.register_buffer("input_scale", torch.ones(1))
        self.register_buffer("output_mean", torch.zeros(a.n_total))
        self.register_buffer("output_scale", torch.ones(a.n_total))

    @classmethod
    def from_members(cls, architecture: Architecture, members: Sequence[nn.Module]) -> Stacked:
        """Stack modules made by :func:`make_member`, in their present state."""
        stacked = cls(architecture, len(members))
        own = [p for layer in stacked.layers() for p in layer.state_dict().values()]
        for ours, theirs in zip(
            own, zip(*(_tensors(m) for m in members), strict=True), strict=True
        ):
            ours.copy_(torch.stack(theirs).reshape(ours.shape))
        return stacked

    @classmethod
    def initialised(
        cls, architecture: Architecture, n_members: int, seed: int, first: int = 0
    ) -> Stacked:
        """Return members with fresh weights; member m depends on `seed` and ``first + m`` only."""
        members = []
        for m in range(first, first + n_members):
            member = make_member(architecture)
            initialise(member, torch.Generator().manual_seed(seed * 100_003 + m))
            members.append(member)
        return cls.from_members(architecture, members)

    def weights(self, kind: str) -> list[tuple[Tensor, Tensor]]:
        """Return weight and bias of each 'conv' or 'dense' layer, all members together."""
        layers = self.conv if kind == "conv" else self.dense
        return [(layer.weight.detach(), layer.bias.detach()) for layer in _weights(layers)]

    def layers(self) -> list[nn.Module]:
        """Return the layers with weights in the order of the plain member."""
        order: list[nn.Module] = []
        for k, layer in enumerate([*self.conv, *self.dense]):
            order.append(layer)
            if k < len(self.norm):
                order.append(self.norm[k])
        return order

    def forward(self, spectra: Tensor) -> Tensor:
        """Return what every member says.

        Parameters
        ----------
        spectra
            Normalised μ, shape (batch, n_input) for all members alike, or
            (n_members, batch, n_input) for each member its own.

        Returns
        -------
        Tensor
            Shape (n_members, batch, n_total): G2, then heads, then classes.
        """
        if suits(self.architecture) and (spectra.is_cuda or self._slim()):
            return self.in_bands(spectra)
        hidden = self._scaled(spectra)
        for k, layer in enumerate(_weights(self.conv)):
            groups = 1 if k == 0 and spectra.dim() == 2 else self.n_members
            weight = layer.weight.flatten(0, 1)
            hidden = functional.conv1d(
                hidden, weight, layer.bias.flatten(), self.architecture.stride, groups=groups
            )
            hidden = self.activation(self._normed(hidden, k))
        features = self.architecture.dense_sizes()[0][0]
        flat = hidden.reshape(hidden.shape[0], -1, features).transpose(0, 1)
        return self._dense(flat.expand(self.n_members, -1, -1))

    def _slim(self) -> bool:
        """Whether a CPU learns faster with bands."""
        return self.training and products(self.architecture) <= SLIM

    def in_bands(self, spectra: Tensor) -> Tensor:
        """Do the same with products of matrices alone; for networks without normalisation layers.

        For GPUs, which are slow at grouped convolutions of few channels, and for CPUs where the
        bands hold few zeros: forwards and back, 15 members on 32 spectra each take one core 13.9 ms
        instead of 16.2 with channels 2, 4, 8, but 29.6 instead of 19.6 with 8, 8, 8.
        """
        a, cut = self.architecture, tiling(self.architecture)
        tiles = tiled((spectra - self.input_mean) / self.input_scale, cut)
        pairs = zip(_weights(self.conv), cut.sizes, strict=True)
        bands = tuple(band(layer.weight, layer.bias, a.stride, t) for layer, t in pairs)
        hidden = convolve(tiles.expand(self.n_members, -1, -1), bands, self.activation)
        hidden = hidden.view(self.n_members, spectra.shape[-2], -1, a.channels[-1])
        return self._dense(hidden[:, :, : a.lengths()[-1]].transpose(2, 3).flatten(2))

    def _scaled(self, spectra: Tensor) -> Tensor:
        """Standardised input, (batch, 1 or n_members, n_input)."""
        scaled = (spectra - self.input_mean) / self.input_scale
        return scaled.unsqueeze(1) if spectra.dim() == 2 else scaled.transpose(0, 1)

    def _normed(self, hidden: Tensor, k: int) -> Tensor:
        if not len(self.norm):
            return hidden
        normed: Tensor = self.norm[k](hidden)
        return normed

    def _dense(self, hidden: Tensor) -> Tensor:
        """Dense layers on (n_members, batch, features) → (n_members, batch, n_total)."""
        layers = _weights(self.dense)
        if self.training and not len(self.norm):
            return self._dense_turned(hidden.transpose(1, 2))
        for k, layer in enumerate(layers):
            hidden = torch.baddbmm(layer.bias.unsqueeze(1), hidden, layer.weight.transpose(1, 2))
            if k < len(layers) - 1:
                hidden = self.activation(self._normed_dense(hidden, len(self.conv) + k))
        return hidden * self.output_scale + self.output_mean

    def _dense_turned(self, hidden: Tensor) -> Tensor:
        """Do the same on (n_members, features, batch): gradients come out as the weights lie."""
        layers = _weights(self.dense)
        for k, layer in enumerate(layers):
            hidden = torch.baddbmm(layer.bias.unsqueeze(2), layer.weight, hidden)
            hidden = self.activation(hidden) if k < len(layers) - 1 else hidden
        return hidden.transpose(1, 2) * self.output_scale + self.output_mean

    def _normed_dense(self, hidden: Tensor, k: int) -> Tensor:
        """Normalise (n_members, batch, width) with the layer's own view of members."""
        if not len(self.norm):
            return hidden
        members, batch, width = hidden.shape
        flat = hidden.transpose(0, 1).reshape(batch, members * width)
        normed: Tensor = self.norm[k](flat)
        return normed.reshape(batch, members, width).transpose(0, 1)


class _Weights(nn.Module):
    """Weight and bias of one layer of all members."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)


def _weights(layers: nn.ModuleList) -> list[_Weights]:
    return [layer for layer in layers if isinstance(layer, _Weights)]


def _layer(n_members: int, n_out: int, n_in: int, *kernel: int) -> _Weights:
    return _Weights(torch.zeros(n_members, n_out, n_in, *kernel), torch.zeros(n_members, n_out))


class _Norm(nn.Module):
    """Batch or layer normalisation of (batch, n_members·channels, …), each member by itself."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, architecture: Architecture, n_members: int, layer: int) -> None:
        super().__init__()
        shape = _normed_shape(architecture, layer)
        self.weight = nn.Parameter(torch.ones(n_members, *shape))
        self.bias = nn.Parameter(torch.zeros(n_members, *shape))
        self.batch = architecture.norm == "batch"
        if self.batch:
            self.register_buffer("running_mean", torch.zeros(n_members, *shape))
            self.register_buffer("running_var", torch.ones(n_members, *shape))
            self.register_buffer("num_batches_tracked", torch.zeros(n_members, dtype=torch.int64))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return `hidden` normalised, of the same shape."""
        if self.batch:
            return functional.batch_norm(
                hidden,
                self.running_mean.view(-1),
                self.running_var.view(-1),
                self.weight.flatten(),
                self.bias.flatten(),
                self.training,
                MOMENTUM,
                EPSILON,
            )
        own = hidden.reshape(hidden.shape[0], *self.weight.shape)
        normed = functional.layer_norm(own, self.weight.shape[1:], eps=EPSILON)
        return (normed * self.weight + self.bias).reshape(hidden.shape)


def _normed_shape(architecture: Architecture, layer: int) -> tuple[int, ...]:
    """Shape of a member's normalisation weights after `layer`."""
    n_conv = len(architecture.channels)
    if layer >= n_conv:
        return (architecture.hidden[layer - n_conv],)
    channels = architecture.channels[layer]
    return (
        (channels,)
        if architecture.norm == "batch"
        else (
            channels,
            architecture.lengths()[layer + 1],
        )
    )


def _tensors(member: nn.Module) -> list[Tensor]:
    """Return a plain member's tensors in the order of :meth:`Stacked.layers`."""
    return list(member.state_dict().values())
