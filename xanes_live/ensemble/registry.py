"""Models on disk: where they are found, how they are written and read.

A model is a folder: ``weights.safetensors``, ``model.toml`` (everything needed to use and to
reproduce it), perhaps ``forward.safetensors`` (the way back from G2 to the spectrum) and
``library.safetensors`` (its training spectra made small, and experience), ``metrics.json``,
``card.md``. Models live in ``models/`` of a source tree and are packed into the wheel as
``xanes_live/_models``.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from xanes_live.descriptor import G2Grid
from xanes_live.domain import Array, ModelInfo
from xanes_live.ensemble.forward import Forward
from xanes_live.ensemble.forward_file import read_forward
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.stacked import Stacked
from xanes_live.errors import ModelFormatError, UnknownModelError

if TYPE_CHECKING:
    from xanes_live.ensemble.recipe import Recipe

FORMAT = 1
"""Version of the model folder this code writes and reads."""
WEIGHTS, DESCRIPTION = "weights.safetensors", "model.toml"


@dataclass(frozen=True)
class ModelFolder:
    """A model as it is on disk."""

    path: Path
    info: ModelInfo
    architecture: Architecture
    grid: G2Grid
    energy: Array
    """The model's energies, eV, shape (n_grid,)."""
    input_form: str
    n_members: int
    calibration: Mapping[str, Any]
    description: Mapping[str, Any]
    """All of model.toml."""
    network: Stacked
    forward: Forward | None = None
    """The way back from G2 to the spectrum; None if the model was trained without."""


def model_roots() -> tuple[Path, ...]:
    """Return the folders searched for models: the installed package's, then the source tree's."""
    package = Path(__file__).resolve().parent.parent
    roots = (package / "_models", package.parent / "models")
    return tuple(root for root in roots if root.is_dir())


def known_models() -> dict[str, Path]:
    """Return the installed models by name."""
    found: dict[str, Path] = {}
    for root in model_roots():
        for description in sorted(root.glob(f"*/{DESCRIPTION}")):
            found.setdefault(description.parent.name, description.parent)
    return found


def available() -> tuple[str, ...]:
    """Return the names of the installed models."""
    return tuple(known_models())


def find_model(name: str | Path) -> Path:
    """Return the folder of a model given by name or by path.

    Raises
    ------
    UnknownModelError
        If there is neither an installed model nor a model folder of that name.
    """
    known = known_models()
    if str(name) in known:
        return known[str(name)]
    path = Path(name)
    if (path / DESCRIPTION).is_file():
        return path
    raise UnknownModelError(str(name), tuple(known))


def read_description(path: Path) -> dict[str, Any]:
    """Read model.toml of a model folder.

    Raises
    ------
    ModelFormatError
        If it cannot be read or is of another format version.
    """
    try:
        data = tomllib.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ModelFormatError(f"{path / DESCRIPTION}: {error}") from None
    if data.get("format") != FORMAT:
        raise ModelFormatError(f"{path}: format {data.get('format')!r}, this code reads {FORMAT}")
    return data


def read_model(name: str | Path) -> ModelFolder:
    """Read a model by name or path, its weights included.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    ModelFormatError
        If the folder is damaged, of another format version, or the weights are not those that
        model.toml describes.
    """
    path = find_model(name)
    data = read_description(path)
    try:
        return _read_folder(path, data)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{path / DESCRIPTION}: {error!r}") from error


def _read_folder(path: Path, data: dict[str, Any]) -> ModelFolder:
    model, energy, weights = data["model"], data["energy"], data["weights"]
    architecture = Architecture.from_dict(data["architecture"])
    digest = weights_hash(path / WEIGHTS)
    if digest != weights["sha256"]:
        raise ModelFormatError(f"{path}: weights are not those model.toml describes (sha256)")
    n_members = int(weights["members"])
    grid = np.linspace(energy["start"], energy["stop"], energy["size"])
    return ModelFolder(
        path=path,
        info=ModelInfo(
            model["id"], model["version"], identity(data), model["element"], model["edge"]
        ),
        architecture=architecture,
        grid=G2Grid(**data["descriptor"]),
        energy=grid,
        input_form=model["input_form"],
        n_members=n_members,
        calibration=data.get("calibration", {}),
        description=data,
        network=_load_network(path / WEIGHTS, architecture, n_members),
        forward=read_forward(path, data["forward"], grid) if "forward" in data else None,
    )


def identity(description: Mapping[str, Any]) -> str:
    """Return twelve hex digits that differ wherever results may: weights, calibration, library."""
    parts = [description.get(name, {}) for name in ("weights", "forward", "library")]
    said = [part.get("sha256") for part in parts] + [description.get("calibration", {})]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def weights_hash(path: Path) -> str:
    """Return the sha256 of a weights file in hex digits; ModelFormatError if it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelFormatError(f"{path}: {error.strerror}") from None


def _load_network(path: Path, architecture: Architecture, n_members: int) -> Stacked:
    """Read weights into a network, in float32 whatever they are stored in."""
    network = Stacked(architecture, n_members)
    try:
        state = load_file(path)
        wide = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
        network.load_state_dict(wide)
    except (SafetensorError, RuntimeError) as error:
        raise ModelFormatError(f"{path}: {error}") from None
    if not all(torch.isfinite(v).all() for v in network.state_dict().values()):
        raise ModelFormatError(f"{path}: weights are not finite")
    return network.eval().requires_grad_(requires_grad=False)


def unsaved(network: Stacked, recipe: Recipe) -> ModelFolder:
    """Return a network just trained as a model that is not on disk, without calibration."""
    model = recipe.model
    return ModelFolder(
        path=Path(),
        info=ModelInfo(model.id, model.version, "", model.element, model.edge),
        architecture=network.architecture,
        grid=recipe.descriptor.grid,
        energy=model.energy,
        input_form=model.input_form,
        n_members=network.n_members,
        calibration={},
        description={},
        network=network.eval(),
    )
