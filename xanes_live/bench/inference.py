"""Spectra in, mean and σ out, from host to host: the engine beside a loop over members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xanes_live.bench.device import Rates, floor
from xanes_live.bench.rows import Row
from xanes_live.bench.timing import in_turns
from xanes_live.ensemble.engine import Engine
from xanes_live.ensemble.network import make_member
from xanes_live.ensemble.stacked import Stacked

Spectra = NDArray[np.float32]
TARGETS = {
    "cpu": {1: 4.0, 4096: 1.3},
    "cuda": {1: 50.0, 131_072: 15.0},
}
"""Least ratios wanted by kind of device and number of spectra; at all others, not slower."""


class Loop:
    """The plain way: one torch module a member, called one after the other."""

    def __init__(self, network: Stacked) -> None:
        self.network, self.device = network, network.input_mean.device
        self.members = [m.to(self.device).eval() for m in unstacked(network)]

    def moments(self, spectra: Spectra) -> tuple[Spectra, Spectra]:
        """Return mean and standard deviation over members, (n, n_input) → (n, n_total)."""
        net = self.network
        with torch.inference_mode():
            given = torch.from_numpy(spectra).to(self.device)
            scaled = ((given - net.input_mean) / net.input_scale).unsqueeze(1)
            said = torch.stack([member(scaled) for member in self.members])
            said = said * net.output_scale + net.output_mean
            mean, sigma = said.mean(0).cpu(), said.std(0).cpu()
        found: tuple[Spectra, Spectra] = (mean.numpy(), sigma.numpy())
        return found


def unstacked(network: Stacked) -> list[nn.Sequential]:
    """Return the members as ordinary modules with weights of their own."""
    values = [v for layer in network.layers() for v in layer.state_dict().values()]
    members = [make_member(network.architecture) for _ in range(network.n_members)]
    for k, member in enumerate(members):
        for own, stacked in zip(member.state_dict().values(), values, strict=True):
            own.copy_(stacked[k])
    return members


def made_up(n: int, n_input: int) -> Spectra:
    """Return `n` edges with noise, shape (n, n_input)."""
    rng = np.random.default_rng(0)
    edge = 1.0 / (1.0 + np.exp(-(np.arange(n_input) - 0.2 * n_input) / 5.0))
    noise = rng.standard_normal((n, n_input), dtype=np.float32)
    made: Spectra = (edge + 0.05 * noise).astype(np.float32)
    return made


def inference(
    engine: Engine, sizes: Sequence[int], peak: Rates, budget_s: float
) -> tuple[list[Row], float]:
    """Measure the engine and the loop over its members.

    Returns
    -------
    list of Row
        One for each size.
    float
        Largest difference between the two on the spectra measured with.
    """
    a, members = engine.architecture, engine.n_members
    wanted = TARGETS.get(engine.device.type, {})
    loop = Loop(engine.network)
    rows, difference = [], 0.0
    for n in sizes:
        x = made_up(n, a.n_input)
        ours, plain = engine.moments(x), loop.moments(x)
        pairs = zip(ours, plain, strict=True)
        difference = max(difference, *(float(np.abs(u - v).max()) for u, v in pairs))
        works = {"ours": lambda x=x: engine.moments(x), "plain": lambda x=x: loop.moments(x)}
        found = in_turns(works, budget_s)
        rows.append(
            Row(
                "inference",
                f"{n} {'spectrum' if n == 1 else 'spectra'}",
                n,
                found["ours"],
                found["plain"],
                floor(a, members, n, peak),
                wanted.get(n, 1.0),
                limit=None,
            )
        )
    return rows, difference
