"""Inference: members' weights laid out once, the formulation chosen by device and batch size.

Four formulations give the same numbers to float32 rounding:

* ``blocks`` – on a CPU: grouped convolutions of all members by oneDNN
  (:mod:`xanes_live.ensemble.blocks`);
* ``batched`` – band matrices (:mod:`xanes_live.ensemble.bands`), all members in one product a
  layer: fewest calls, what a GPU wants at any size; on a CPU without oneDNN;
* ``dense`` – for networks without convolutions, on any device (:mod:`xanes_live.ensemble.dense`);
* ``stacked`` – the training module itself, for networks with normalisation layers.

The choice is a fixed one from measurements and not made at run time, so that a spectrum predicted
again on the same device in a batch of the same size gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xanes_live.ensemble import dense, onednn
from xanes_live.ensemble.bands import convolve, suits, tiled
from xanes_live.ensemble.blocks import Blocks
from xanes_live.ensemble.bulk import Rows, gathered, overlapped
from xanes_live.ensemble.dense import Dense
from xanes_live.ensemble.graphs import TOP, Captured, Compute, Direct, Ladder, Slot
from xanes_live.ensemble.layout import Layout, fold, lay_out
from xanes_live.ensemble.precision import LIMIT, Precision, error_in_sigmas, products_in, warn
from xanes_live.ensemble.stacked import Stacked

Activate = Callable[[Tensor], Tensor]

FEW = {"cpu": 32, "cuda": TOP}
"""Up to so many spectra count as a small batch: a recorded graph on CUDA."""
CHUNK = {"cpu": 32, "cuda": 4096}
"""Spectra computed at a time in bulk: bounds memory, and on a CPU keeps activations in the cache.

CPU, one core of an AMD EPYC 9005 (torch 2.13), ms of processor time (up to 32 spectra in bursts of
20, more in turns, while other programs ran), loop over the members' modules / `batched` / `blocks`
with mean and σ, 15 members:

========  ====================  ====================
spectra   channels 2, 4, 8      channels 8, 8, 8
========  ====================  ====================
1         1.00 / 0.20 / 0.28    1.45 / 0.29 / 0.28
8         3.7 / 0.96 / 0.51     4.1 / 1.6 / 0.85
32        5.7 / 2.8 / 1.6       6.5 / 4.8 / 2.5
256       23.8 / 28.5 / 12.4    32.0 / 42.2 / 19.0
4096      748 / – / 191         1340 / – / 314
========  ====================  ====================

The same products one member after the other took as long as `blocks` for many spectra (4096: 220
and 376 ms) and longer for few.
For CUDA, not measured; larger batches take the same formulation in chunks and, where that is exact
enough, in lower precision.
"""
IN_FLIGHT = 2
"""Chunks on a GPU at a time: one is computed while the next is copied."""


class Engine:
    """The members of a trained network, resident and ready. Not for several threads at a time.

    Parameters
    ----------
    network
        Trained, in evaluation mode, on the device to compute on.
    precision
        As for :meth:`use`.
    """

    def __init__(self, network: Stacked, precision: Precision = "float32") -> None:
        self.network = network.eval()
        self.architecture, self.n_members = network.architecture, network.n_members
        self.device = network.input_mean.device
        self.few = FEW.get(self.device.type, FEW["cuda"])
        self.chunk = CHUNK.get(self.device.type, CHUNK["cuda"])
        self.relu = isinstance(network.activation, nn.ReLU)
        self.activation: Activate = torch.relu_ if self.relu else network.activation
        self.precision: Precision = "float32"
        self.error = 0.0
        """Error of the lower precision last asked for, in σ of the ensemble."""
        self._suits = suits(network.architecture)
        self._low: Layout | Dense | None = None
        self._blocks: Blocks | None = None
        self._dense = self._without_convolutions(torch.float32)
        if self._suits and self.device.type == "cpu" and onednn.available():
            with torch.inference_mode():
                other = None if self.relu else self.activation
                self._blocks = Blocks(self.architecture, fold(network), other)
        self._lane: list[Slot] = []
        self._ladder = Ladder(lambda size: self._captured(lambda x: (self._few(x),), size))
        self._moments = Ladder(lambda size: self._captured(lambda x: moments(self._few(x)), size))
        if precision != "float32":
            self.use(precision)

    def use(self, precision: Precision) -> None:
        """Compute large batches in another precision from now on, if that is exact enough.

        Parameters
        ----------
        precision
            'float32'; or, for tensor cores, 'tf32' or 'bfloat16'. These are tried first and not
            used where their error exceeds a tenth of the ensemble's own σ; a warning is logged.
        """
        self._set(precision)
        self.error = error_in_sigmas(self.network, self._many) if precision != "float32" else 0.0
        if not self.error <= LIMIT:
            warn(precision, self.error)
            self._set("float32")

    def _set(self, precision: Precision) -> None:
        self.precision, self._lane = precision, []
        self._low = None
        if precision == "bfloat16":
            with torch.inference_mode():
                own = self.layout.to(torch.bfloat16) if self._suits else None
                self._low = own or self._without_convolutions(torch.bfloat16)

    def _without_convolutions(self, dtype: torch.dtype) -> Dense | None:
        """Lay out a network of dense layers alone; None for any other."""
        if not dense.suits(self.architecture):
            return None
        with torch.inference_mode():
            return Dense(fold(self.network), self.activation, dtype)

    @cached_property
    def layout(self) -> Layout:
        """Band matrices in float32; made when they are first needed.

        Raises
        ------
        TypeError
            For a network with normalisation layers or without convolutions, which has none.
        """
        if not self._suits:
            raise TypeError("only convolutions without normalisation have band matrices")
        with torch.inference_mode():
            return lay_out(self.network)

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
        n = len(spectra)
        with torch.inference_mode():
            if not n:
                return spectra.new_empty((self.n_members, 0, self.architecture.n_total))
            if n <= self.few:
                graphs = self.device.type == "cuda"
                return self._ladder[n].on_device(spectra)[0] if graphs else self._few(spectra)
            return torch.cat([self._many(part) for part in torch.split(spectra, self.chunk)], dim=1)

    def moments(self, spectra: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and standard deviation (ddof = 1) over members, from host to host.

        Chunks are computed while the next is copied, and only mean and σ come back.

        Parameters
        ----------
        spectra
            Normalised μ, finite, shape (n, n_input): an array, or anything whose rows can be
            sliced.

        Returns
        -------
        ndarray
            Means, float32, shape (n, n_total).
        ndarray
            Standard deviations, of the same shape; zero for a single member.
        """
        shape = (spectra.shape[0], self.architecture.n_total)
        with torch.inference_mode():
            if self.device.type == "cpu" and 0 < shape[0] <= self.few:  # at once, in place
                rows = torch.from_numpy(np.array(spectra[: shape[0]], dtype=np.float32))
                few_mean, few_sigma = moments(self._few(rows))
                return few_mean.numpy(), few_sigma.numpy()
            slots, chunk = self._slots(shape[0])
            mean, sigma = gathered(overlapped(slots, spectra, chunk), (shape, shape))
        return mean, sigma

    def _slots(self, n: int) -> tuple[list[Slot], int]:
        """Return what `n` spectra go through, and how many at a time."""
        if self.device.type != "cuda":
            compute = self._few if n <= self.few else self._many
            return [Direct(lambda rows: moments(compute(rows)), self.device)], self.chunk
        if n <= self.few:
            return [self._moments[max(n, 1)]], self.few
        if not self._lane:
            lanes = range(IN_FLIGHT)
            self._lane = [
                self._captured(lambda x: moments(self._many(x)), self.chunk) for _ in lanes
            ]
        return self._lane, self.chunk

    def _captured(self, compute: Compute, size: int) -> Captured:
        return Captured(compute, size, self.architecture.n_input, self.device)

    def _few(self, spectra: Tensor) -> Tensor:
        """Compute a small batch at once, always in float32."""
        if self._dense is not None:
            return self._dense(spectra)
        if self._blocks is not None:
            return self._blocks(spectra)
        return self.batched(spectra) if self._suits else self._stacked(spectra)

    def _many(self, spectra: Tensor) -> Tensor:
        """Compute a chunk of a large batch."""
        if self.precision == "float32" or not (self._suits or self._dense):
            return self._few(spectra)
        with products_in(self.precision):
            if self._dense is not None:
                own = self._low if isinstance(self._low, Dense) else self._dense
                return own(spectra)
            return self.batched(spectra, self._low if isinstance(self._low, Layout) else None)

    def _stacked(self, spectra: Tensor) -> Tensor:
        said: Tensor = self.network(spectra)
        return said

    def batched(self, spectra: Tensor, layout: Layout | None = None) -> Tensor:
        """All members in one matrix product per layer, in the precision of `layout`."""
        layout = layout or self.layout
        tiles = tiled(spectra - layout.mean, layout.cut).to(layout.bands[0].body.dtype)
        hidden = convolve(tiles.expand(self.n_members, -1, -1), layout.bands, self.activation)
        hidden = hidden.view(self.n_members, len(spectra), -1)[..., : layout.features]
        for weight, bias in layout.dense[:-1]:
            hidden = self.activation(torch.baddbmm(bias, hidden, weight))
        weight, bias = layout.dense[-1]
        return torch.baddbmm(bias, hidden.to(weight.dtype), weight)


def moments(said: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (ddof = 1) over the first axis; σ of one member is 0."""
    if len(said) < 2:
        return said[0], torch.zeros_like(said[0])
    mean = said.mean(dim=0)
    left = said - mean  # two passes are several times faster than torch.var_mean on a CPU
    return mean, left.square_().sum(dim=0).div_(len(said) - 1).sqrt_()
