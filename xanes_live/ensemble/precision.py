"""Products on tensor cores in less than float32, where the ensemble's own σ hides the difference.

The lower precisions are tried on made-up spectra against float64 when they are switched on, and
refused where their error is more than a tenth of the spread of the members.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from xanes_live import log
from xanes_live.ensemble.stacked import Stacked

_log = log.get(__name__)

Precision = Literal["float32", "tf32", "bfloat16"]

LIMIT = 0.1
"""Largest error of mean and σ allowed, in σ of the ensemble."""
N_PROBES = 256


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Let float32 matrix products on CUDA round their factors to TF32 meanwhile, if asked to."""
    if precision != "tf32":
        yield
        return
    settings: Any = torch.backends.cuda.matmul
    name, low = ("fp32_precision", "tf32")
    if not hasattr(settings, name):  # torch < 2.9
        name, low = ("allow_tf32", True)  # type: ignore[assignment]
    before = getattr(settings, name)
    setattr(settings, name, low)
    try:
        yield
    finally:
        setattr(settings, name, before)


def probes(network: Stacked) -> Tensor:
    """Return made-up spectra on the network's device, float32, shape (N_PROBES, n_input).

    The mean spectrum of the training (an edge where the network knows none), shifted, scaled and
    with oscillations of its standard deviation.
    """
    n = network.architecture.n_input
    generator = torch.Generator().manual_seed(0)
    shift, scale, phase, period = torch.rand(4, N_PROBES, 1, generator=generator)
    mean = network.input_mean.float().cpu()
    if not mean.any():
        mean = torch.sigmoid((torch.arange(n) - 0.2 * n) / (0.02 * n))
    at = torch.arange(n) + (shift - 0.5) * 0.05 * n
    low = at.floor().clamp(0, n - 1).long()
    shifted = torch.lerp(mean[low], mean[(low + 1).clamp(max=n - 1)], (at - low).clamp(0, 1))
    spread = network.input_scale.float().cpu().clamp(max=0.3)
    wave = torch.sin(6.3 * (phase + at / n * (1 + 7 * period)))
    made: Tensor = shifted * (0.9 + 0.2 * scale) + spread * wave
    return made.to(network.input_mean.device)


def error_in_sigmas(network: Stacked, compute: Callable[[Tensor], Tensor]) -> float:
    """Return the largest error of mean and σ against float64 in units of σ.

    Parameters
    ----------
    network
        The reference; not changed.
    compute
        What is tried: (n, n_input) to (n_members, n, n_total).

    Returns
    -------
    float
        Of each output the root mean square error over the probes by the root mean square σ; the
        largest of all. Infinite with a single member, whose spread says nothing.
    """
    if network.n_members < 2:
        return float("inf")
    with torch.inference_mode():
        spectra = probes(network)
        exact = copy.deepcopy(network).double()(spectra.double())
        variance, mean = torch.var_mean(exact, dim=0)
        found_variance, found_mean = torch.var_mean(compute(spectra).double(), dim=0)
        errors = torch.stack([found_mean - mean, found_variance.sqrt() - variance.sqrt()])
        worst = (errors.square().mean(1) / variance.mean(0)).sqrt().max()
    return float(worst)


def warn(precision: Precision, error: float) -> None:
    """Log that `precision` is not used, and why."""
    log.event(
        _log, logging.WARNING, "precision not used", precision=precision, error_in_sigmas=error
    )
