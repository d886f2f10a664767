"""Inference: members' weights laid out once, the formulation chosen by device and batch size.

Three formulations give the same numbers to float32 rounding:

* ``batched`` – band matrices (:mod:`xanes_live.ensemble.bands`), all members in one product a
  layer: fewest calls, fastest for a few spectra, and what a GPU wants at any size;
* ``by_member`` – the same products one member after the other: on a CPU the fastest for many,
  because a member's activations stay in the cache;
* ``stacked`` – the training module itself, for networks with normalisation layers.

The choice is a fixed table of measurements and not made at run time, so that a spectrum predicted
again on the same device in a batch of the same size gives the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xanes_live.ensemble.bands import convolve, suits, tiled
from xanes_live.ensemble.bulk import Rows, gathered, overlapped
from xanes_live.ensemble.graphs import TOP, Captured, Compute, Direct, Ladder, Slot
from xanes_live.ensemble.layout import Layout, lay_out
from xanes_live.ensemble.linear import dense
from xanes_live.ensemble.precision import LIMIT, Precision, error_in_sigmas, products_in, warn
from xanes_live.ensemble.stacked import Stacked

FEW = {"cpu": 32, "cuda": TOP}
"""Up to so many spectra count as a small batch: `batched` on a CPU, a recorded graph on CUDA.

CPU, one core of an AMD EPYC 9005 (torch 2.13), ms of processor time (up to 32 spectra in bursts
of 20, more in turns, while other programs ran), loop over the members' modules
/ `batched` / `by_member`, 15 members:

========  ====================  ====================
spectra   channels 2, 4, 8      channels 8, 8, 8
========  ====================  ====================
1         1.72 / 0.27 / 2.27    1.78 / 0.46 / 2.22
8         4.3 / 1.2 / 3.0       4.8 / 1.8 / 3.4
32        6.1 / 2.9 / 3.7       8.0 / 5.7 / 5.6
64        8.1 / 5.1 / 4.9       10.2 / 9.9 / 7.1
256       23.9 / 26.0 / 12.5    32.2 / 41.9 / 21.6
4096      778 / – / 201         991 / – / 343
========  ====================  ====================

For CUDA, not measured; larger batches take the same formulation in chunks and, where that is exact
enough, in lower precision.
"""
CHUNK = {"cpu": 256, "cuda": 4096}
"""Spectra computed at a time in bulk: bounds memory, and on a CPU keeps activations in the cache
(4096 spectra as above in chunks of 64 / 128 / 256 / 512: 321 / 242 / 201 / 191 ms). For CUDA, not
measured."""
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
        self.activation = nn.ReLU(inplace=True) if self.relu else network.activation
        self.layout: Layout | None = None
        self.precision: Precision = "float32"
        self.error = 0.0
        """Error of the lower precision last asked for, in σ of the ensemble."""
        if suits(network.architecture):
            with torch.inference_mode():
                self.layout = self._low = lay_out(network)
                here = range(self.n_members) if self.device.type == "cpu" else ()
                self._members = [_of_member(self.layout, k) for k in here]
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
        if self.layout is not None:
            low = torch.bfloat16 if precision == "bfloat16" else torch.float32
            with torch.inference_mode():
                self._low = self.layout.to(low)

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
        return self._stacked(spectra) if self.layout is None else self.batched(spectra)

    def _many(self, spectra: Tensor) -> Tensor:
        """Compute a chunk of a large batch."""
        if self.layout is None:
            return self._stacked(spectra)
        if self.device.type == "cpu" and self.precision == "float32":
            return self.by_member(spectra)
        with products_in(self.precision):
            return self.batched(spectra, self._low)

    def _stacked(self, spectra: Tensor) -> Tensor:
        said: Tensor = self.network(spectra)
        return said

    def batched(self, spectra: Tensor, layout: Layout | None = None) -> Tensor:
        """All members in one matrix product per layer, in the precision of `layout`."""
        layout = layout or self.whole()
        tiles = tiled(spectra - layout.mean, layout.cut).to(layout.bands[0].body.dtype)
        hidden = convolve(tiles.expand(self.n_members, -1, -1), layout.bands, self.activation)
        hidden = hidden.view(self.n_members, len(spectra), -1)[..., : layout.features]
        for weight, bias in layout.dense[:-1]:
            hidden = self.activation(torch.baddbmm(bias, hidden, weight))
        weight, bias = layout.dense[-1]
        return torch.baddbmm(bias, hidden.to(weight.dtype), weight)

    def by_member(self, spectra: Tensor) -> Tensor:
        """One member after the other, on a CPU in float32."""
        layout = self.whole()
        entry = tiled(spectra - layout.mean, layout.cut)
        return torch.stack([self._member(own, entry, len(spectra)) for own in self._members])

    def whole(self) -> Layout:
        """Return the layout in float32; for networks that have one."""
        if self.layout is None:
            raise TypeError("a network with normalisation layers has no band matrices")
        return self.layout

    def _member(self, own: _Member, hidden: Tensor, n: int) -> Tensor:
        for weight, bias, halo in own.bands:
            out = dense(hidden, weight, bias)
            read, changed = halo.shape
            if changed:
                out[:-1, -changed:].addmm_(hidden[1:, :read], halo)
            hidden = self.activation(out)
        hidden = hidden.view(n, -1)[:, : self.whole().features]
        for weight, bias in own.dense[:-1]:
            hidden = dense(hidden, weight, bias, relu=self.relu)
            hidden = hidden if self.relu else self.activation(hidden)
        return dense(hidden, *own.dense[-1])


class _Member(NamedTuple):
    """Weights of one member as :func:`xanes_live.ensemble.linear.dense` takes them."""

    bands: list[tuple[Tensor, Tensor, Tensor]]
    """Weight, bias, halo."""
    dense: list[tuple[Tensor, Tensor]]


def _of_member(layout: Layout, k: int) -> _Member:
    return _Member(
        [(b.body[k].t().contiguous(), b.bias[k, 0], b.halo[k]) for b in layout.bands],
        [(w[k].t().contiguous(), b[k, 0]) for w, b in layout.dense],
    )


def moments(said: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (ddof = 1) over the first axis; σ of one member is 0."""
    if len(said) < 2:
        return said[0], torch.zeros_like(said[0])
    variance, mean = torch.var_mean(said, dim=0)
    return mean, variance.sqrt_()
