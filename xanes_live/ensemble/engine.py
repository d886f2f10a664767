"""Inference: members' weights laid out once, the formulation chosen by device and batch size.

Three formulations give the same numbers to float32 rounding:

* ``batched`` – convolutions as matrix products over windows, all members in one product: fewest
  calls, fastest for a few spectra;
* ``by_member`` – one member after the other with the library's convolution: on a CPU the fastest
  for many, because a member's activations stay in the cache;
* ``stacked`` – the training module itself, for networks with normalisation layers.

The choice is a fixed table of measurements and not made at run time, so that a spectrum predicted
again on the same device in a batch of the same size gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from xanes_live.ensemble.stacked import Stacked

FEW = {"cpu": 32, "cuda": 4096}
"""Up to so many spectra `batched` is faster than `by_member`.

CPU, one thread, median ms of loop / stacked / batched / by_member (paper's network, 15 members):
1 spectrum 2.42 / 1.49 / 0.52 / 1.48; 8: 6.0 / 2.5 / 1.4 / 4.7; 32: 7.9 / 5.3 / 4.1 / 6.3;
256: 35.9 / 29.4 / 28.2 / 31.2; 1024: 117 / 153 / 250 / 109 (on a busy machine).
"""
CHUNK = 256
"""Spectra computed at a time in bulk: bounds memory and keeps activations in the cache."""


class Engine:
    """The members of a trained network, resident and ready.

    Parameters
    ----------
    network
        Trained, in evaluation mode, on the device to compute on.
    """

    def __init__(self, network: Stacked) -> None:
        self.network = network.eval()
        self.architecture, self.n_members = network.architecture, network.n_members
        self.device = network.input_mean.device
        self.simple = self.architecture.norm == "none" and len(self.architecture.channels) > 0
        self.few = FEW.get(self.device.type, FEW["cuda"])
        if self.simple:
            with torch.inference_mode():
                self._lay_out(network)

    def __call__(self, spectra: Tensor) -> Tensor:
        """Return what every member says.

        Parameters
        ----------
        spectra
            Normalised μ, float32, shape (n, n_input), on the device.

        Returns
        -------
        Tensor
            Shape (n_members, n, n_total).
        """
        if not len(spectra):
            return spectra.new_empty((self.n_members, 0, self.architecture.n_total))
        with torch.inference_mode():
            if len(spectra) <= self.few:
                return self._few()(spectra)
            parts = torch.split(spectra, CHUNK)
            return torch.cat([self._many()(part) for part in parts], dim=1)

    def _few(self) -> Callable[[Tensor], Tensor]:
        return self.batched if self.simple else self.network

    def _many(self) -> Callable[[Tensor], Tensor]:
        if not self.simple:
            return self.network
        return self.by_member if self.device.type == "cpu" else self.batched

    def _lay_out(self, network: Stacked) -> None:
        """Fold the scales of input and output into the weights and arrange them."""
        conv, dense = network.weights("conv"), network.weights("dense")
        first = conv[0][0] / network.input_scale
        offset = functional.conv1d(
            network.input_mean.view(1, 1, -1), first.flatten(0, 1), stride=self.architecture.stride
        )  # (1, members·channels, length): what the mean spectrum would give
        self.kernels = [first, *(w for w, _ in conv[1:])]
        self.biases = [b for _, b in conv]
        self.first_offset = self.biases[0].flatten().view(-1, 1) - offset[0]
        last_weight, last_bias = dense[-1]
        scale = network.output_scale
        dense[-1] = (last_weight * scale[:, None], last_bias * scale + network.output_mean)
        self.dense = [(w.transpose(1, 2).contiguous(), b.unsqueeze(1)) for w, b in dense]
        self.windows = [
            k.transpose(2, 3).flatten(2).transpose(1, 2).contiguous() for k in self.kernels
        ]  # (members, kernel·c_in, c_out): windows of (length, channel) rows
        self.first_columns = self.kernels[0].flatten(0, 1).flatten(1).t().contiguous()
        self.first_rows = self.first_offset.t().contiguous()  # (length, members·channels)
        self.entry = self._by_length_first(dense[0][0])

    def _by_length_first(self, weight: Tensor) -> Tensor:
        """Return the first dense weights for features ordered (length, channel)."""
        channels, length = self.architecture.channels[-1], self.architecture.lengths()[-1]
        m, out, _ = weight.shape
        turned = weight.reshape(m, out, channels, length).transpose(2, 3)
        return turned.reshape(m, out, -1).transpose(1, 2).contiguous()

    def batched(self, spectra: Tensor) -> Tensor:
        """All members in one matrix product per layer."""
        a, m, n = self.architecture, self.n_members, len(spectra)
        act = self.network.activation
        rows = spectra.unfold(1, a.kernel, a.stride) @ self.first_columns + self.first_rows
        hidden = act(rows).view(n, rows.shape[1], m, -1).permute(2, 0, 1, 3).contiguous()
        for weight, bias in zip(self.windows[1:], self.biases[1:], strict=True):
            channels = hidden.shape[3]
            length = (hidden.shape[2] - a.kernel) // a.stride + 1
            view = hidden.as_strided(
                (m, n, length, a.kernel * channels),
                (hidden.stride(0), hidden.stride(1), a.stride * channels, 1),
            )  # overlapping windows, each contiguous in memory
            flat = view.reshape(m, n * length, -1)
            hidden = act(torch.baddbmm(bias.unsqueeze(1), flat, weight)).view(m, n, length, -1)
        hidden = hidden.reshape(m, n, -1)
        for k, (weight, bias) in enumerate(self.dense):
            hidden = torch.baddbmm(bias, hidden, self.entry if k == 0 else weight)
            hidden = act(hidden) if k < len(self.dense) - 1 else hidden
        said: Tensor = hidden
        return said

    def by_member(self, spectra: Tensor) -> Tensor:
        """One member after the other."""
        return torch.stack([self._member(k, spectra) for k in range(self.n_members)])

    def _member(self, k: int, spectra: Tensor) -> Tensor:
        stride, act = self.architecture.stride, self.network.activation
        channels = self.architecture.channels[0]
        offset = self.first_offset[k * channels : (k + 1) * channels]
        hidden = spectra.unsqueeze(1)
        hidden = act(functional.conv1d(hidden, self.kernels[0][k], stride=stride) + offset)
        for kernel, bias in zip(self.kernels[1:], self.biases[1:], strict=True):
            hidden = act(functional.conv1d(hidden, kernel[k], bias[k], stride))
        hidden = hidden.flatten(1)
        for i, (weight, bias) in enumerate(self.dense):
            hidden = torch.addmm(bias[k], hidden, weight[k])
            hidden = act(hidden) if i < len(self.dense) - 1 else hidden
        said: Tensor = hidden
        return said
