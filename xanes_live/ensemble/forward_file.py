"""The forward ensemble on disk: ``forward.safetensors`` and ``[forward]`` of model.toml."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from xanes_live.domain import Array
from xanes_live.ensemble.forward import ACTIVATIONS, Forward, Scale
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.nuisance import NAMES, Nuisance
from xanes_live.ensemble.stacked import Stacked
from xanes_live.errors import ModelFormatError

FORWARD = "forward.safetensors"
CURVES = ("components", "offset", "sigma")
"""Tensors besides those of the network."""


def write_forward(folder: Path, forward: Forward, dtype: torch.dtype) -> dict[str, Any]:
    """Write the weights into a model folder; return what model.toml is to say of them.

    Parameters
    ----------
    folder
        The model folder, which exists.
    forward
        Trained.
    dtype
        Precision of the weights on disk; the scales of the data stay in float32.
    """
    network = forward.network
    learned = dict(network.named_parameters())
    tensors = {
        f"network.{name}": value.to(dtype) if name in learned else value
        for name, value in network.state_dict().items()
    }
    curves = {"components": forward.components, "offset": forward.offset}
    if forward.scale is not None:
        curves["sigma"] = forward.scale.sigma
    tensors |= {name: torch.tensor(curve, dtype=torch.float32) for name, curve in curves.items()}
    data = save({name: value.contiguous().cpu() for name, value in tensors.items()})
    (folder / FORWARD).write_bytes(data)
    return {"sha256": hashlib.sha256(data).hexdigest()} | forward.describe()


def read_forward(folder: Path, about: Mapping[str, Any], energy: Array) -> Forward:
    """Read what :func:`write_forward` wrote.

    Parameters
    ----------
    folder
        The model folder.
    about
        ``[forward]`` of its model.toml.
    energy
        The model's energies, eV, shape (n_grid,).

    Raises
    ------
    ModelFormatError
        If the file is missing, damaged or not the one described.
    KeyError, TypeError, ValueError
        If the description lacks something.
    """
    tensors = _tensors(folder / FORWARD, about["sha256"])
    architecture = Architecture.from_dict(about["architecture"])
    if architecture.activation not in ACTIVATIONS or architecture.channels:
        raise ModelFormatError(f"{folder / FORWARD}: not a forward network")
    network = Stacked(architecture, int(about["members"]))
    prefix = "network."
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelFormatError(f"{folder / FORWARD}: {error}") from None
    curves = {name: tensors[name].double().numpy() for name in CURVES if name in tensors}
    wide = np.linspace(about["wide"]["start"], about["wide"]["stop"], about["wide"]["size"])
    _fitting(folder, curves, architecture.n_output, len(wide), len(energy))
    fit = about["nuisance"]
    width = {name: float(fit["width"][name]) for name in NAMES}
    nuisance = Nuisance(energy, wide, float(fit["pivot"]), float(fit["rise"]), width)
    network.eval().requires_grad_(requires_grad=False)
    scale = _scale(curves["sigma"], about["scale"]) if "scale" in about else None
    return Forward(network, curves["components"], curves["offset"], nuisance, scale)


def _tensors(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """Read the file, all numbers in float32."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFormatError(f"{path}: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelFormatError(f"{path}: not the weights model.toml describes (sha256)")
    try:
        tensors = {name: value.float() for name, value in load(data).items()}
    except SafetensorError as error:
        raise ModelFormatError(f"{path}: {error}") from None
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise ModelFormatError(f"{path}: weights are not finite")
    return tensors


def _fitting(folder: Path, curves: Mapping[str, Array], k: int, n_wide: int, n_grid: int) -> None:
    """Refuse curves of other shapes than described."""
    wanted = {"components": (k, n_wide), "offset": (n_wide,), "sigma": (n_grid,)}
    for name, curve in curves.items():
        if curve.shape != wanted[name]:
            raise ModelFormatError(
                f"{folder / FORWARD}: {name} is {curve.shape}, not {wanted[name]}"
            )


def _scale(sigma: Array, about: Mapping[str, Any]) -> Scale:
    quantiles = {str(name): float(value) for name, value in about["quantiles"].items()}
    return Scale(sigma, float(about["usual"]), quantiles, int(about["spectra"]))
