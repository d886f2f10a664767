"""State of an unfinished training on disk, as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from xanes_live.errors import ConfigurationError
from xanes_live.whole import written_whole

if TYPE_CHECKING:
    from xanes_live.ensemble.training import Trainer


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Save weights, averages, optimiser and position; the file is replaced as a whole."""
    tensors = {f"network.{k}": v for k, v in trainer.network.state_dict().items()}
    for i, parameter in enumerate(trainer.network.parameters()):
        tensors[f"average.{i}"] = trainer.average[i]
        for name, value in trainer.optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{i}.{name}"] = torch.as_tensor(value)
    tensors["losses"] = torch.tensor(trainer.losses, dtype=torch.float64)
    position = {"epoch": str(trainer.epoch), "step": str(trainer.step), "of": trainer.fingerprint}
    data = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, position)
    with written_whole(path) as part:
        part.write_bytes(data)


def read_checkpoint(trainer: Trainer, path: Path) -> None:
    """Continue where a saved training stopped.

    Raises
    ------
    ConfigurationError
        If the file belongs to another recipe, other data or other members, or is something else.
    """
    try:
        with safe_open(path, framework="pt", device=str(trainer.device)) as file:
            position = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ConfigurationError(f"{path}: not the state of a training ({error})") from None
    if position.get("of") != trainer.fingerprint:
        raise ConfigurationError(f"{path} belongs to another training: remove it to start anew")
    network = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network")}
    trainer.network.load_state_dict(network)
    for i, parameter in enumerate(trainer.network.parameters()):
        trainer.average[i] = tensors[f"average.{i}"]
        trainer.optimiser.state[parameter] = _state(tensors, f"optimiser.{i}.")
    trainer.epoch, trainer.step = int(position["epoch"]), int(position["step"])
    trainer.losses = tensors["losses"].tolist()


def _state(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
