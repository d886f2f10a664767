"""Writing a trained ensemble as a model folder."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from safetensors.torch import save

from xanes_live import __version__
from xanes_live.ensemble.data import TrainingSet, file_hash
from xanes_live.ensemble.forward import Forward
from xanes_live.ensemble.forward_file import FORWARD, write_forward
from xanes_live.ensemble.library import LIBRARY
from xanes_live.ensemble.recipe import Recipe
from xanes_live.ensemble.registry import DESCRIPTION, FORMAT, WEIGHTS, weights_hash
from xanes_live.ensemble.stacked import STORED, Stacked
from xanes_live.whole import write_whole


def write_model(
    folder: Path,
    network: Stacked,
    recipe: Recipe,
    *,
    data: Mapping[str, Any],
    calibration: Mapping[str, Any],
    forward: Forward | None = None,
) -> None:
    """Write ``weights.safetensors`` and ``model.toml`` into `folder`, creating it if absent.

    Parameters
    ----------
    folder
        The model folder; its other files are left alone.
    network
        All members, trained.
    recipe
        What it was trained by: stored with the model, so that it can be trained again.
    data
        What it was trained on: see :func:`describe_data`.
    calibration
        What becomes :attr:`xanes_live.ensemble.Ensemble.calibration`.
    forward
        The way back, if there is one: ``forward.safetensors``, or none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dtype = STORED[recipe.model.stored]
    learned = dict(network.named_parameters())  # the scales of the data stay in float32
    state = {
        name: (value.to(dtype) if name in learned else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    weights = folder / WEIGHTS
    weights.write_bytes(save(state))
    description = {
        "format": FORMAT,
        "model": _model(recipe),
        "energy": {
            "start": recipe.model.energy_start,
            "stop": recipe.model.energy_stop,
            "size": recipe.model.n_energy,
        },
        "descriptor": recipe.descriptor.model_dump(),
        "architecture": network.architecture.as_dict(),
        "weights": {
            "sha256": weights_hash(weights),
            "members": network.n_members,
            "dtype": recipe.model.stored,
        },
        "data": dict(data),
        "calibration": dict(calibration),
        "recipe": recipe_as_stored(recipe),
        "versions": versions(),
    }
    if forward is not None:
        description["forward"] = write_forward(folder, forward, dtype)
    else:
        (folder / FORWARD).unlink(missing_ok=True)  # an earlier training's: of another model
    (folder / LIBRARY).unlink(missing_ok=True)  # calibrate writes this one's
    if recipe.discrepancy is not None:  # what calibrate and evaluate train again with
        _keep(recipe.discrepancy.path, folder)
        description["discrepancy"] = {"sha256": file_hash(recipe.discrepancy.path)}
    write_whole(folder / DESCRIPTION, tomli_w.dumps(description))


def _keep(path: Path, folder: Path) -> None:
    """Copy a file into the folder, unless it is there."""
    if not (folder / path.name).exists() or not path.samefile(folder / path.name):
        shutil.copyfile(path, folder / path.name)


def recipe_as_stored(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as TOML types, of the paths of its data the names alone."""
    stored = recipe.model_dump(mode="json", exclude_none=True)
    for section in ("data", "measured", "discrepancy"):
        if section in stored:
            stored[section]["path"] = Path(stored[section]["path"]).name
    return stored


def _model(recipe: Recipe) -> dict[str, Any]:
    named = ("id", "version", "element", "edge", "input_form")
    return {name: getattr(recipe.model, name) for name in named} | {
        "created": datetime.now(UTC).replace(microsecond=0)
    }


def describe_data(data: TrainingSet, sha256: str, name: str) -> dict[str, Any]:
    """Return what a model's description says of its training data."""
    sources, counts = np.unique(data.source, return_counts=True)
    return {
        "name": name,
        "sha256": sha256,
        "spectra": len(data),
        "parents": len(np.unique(data.parent)),
        "sources": {str(s): int(c) for s, c in zip(sources, counts, strict=True)},
    }


def versions() -> dict[str, str]:
    """Return the versions of the software a model was trained with."""
    return {
        "xanes_live": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
