"""From a recipe to a model folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xanes_live.descriptor import first_peak
from xanes_live.domain import Array
from xanes_live.ensemble.augment import Augmentation, transferred
from xanes_live.ensemble.calibration import band, coverage, shell_interval
from xanes_live.ensemble.data import (
    TrainingSet,
    file_hash,
    measured_compound,
    split_by_parent,
)
from xanes_live.ensemble.data_files import read_measured_set, read_training_set
from xanes_live.ensemble.device import choose_device
from xanes_live.ensemble.forward import Forward
from xanes_live.ensemble.forward_training import train_forward, wide_energy
from xanes_live.ensemble.heads import SHELL
from xanes_live.ensemble.recipe import (
    ForwardSection,
    MeasuredSection,
    Recipe,
    load_recipe,
    near_the_edge,
)
from xanes_live.ensemble.save import describe_data, write_model
from xanes_live.ensemble.training import Progress, Trained, Trainer, draws_hash
from xanes_live.whole import write_whole

LEAST_UNSEEN = 2
"""Members that must not have seen a spectrum for it to count as out of bag."""


def train(
    recipe_path: Path,
    output: Path | None = None,
    *,
    device: str = "auto",
    progress: Callable[[Recipe], Progress] | None = None,
    forward_progress: Callable[[ForwardSection], Progress] | None = None,
    checkpoint: Path | None = None,
    fine_tune: Path | None = None,
) -> Path:
    """Train the model a recipe describes and write it.

    Parameters
    ----------
    recipe_path
        TOML file.
    output
        Model folder; by default the folder of the recipe.
    device
        'auto', 'cpu', 'cuda', ….
    progress
        Makes the function called after each epoch.
    forward_progress
        The same for the forward ensemble, which is trained afterwards.
    checkpoint
        File to save to after each epoch, and to resume from if it exists.
    fine_tune
        Measured spectra of known structure to mix in, in place of those of the recipe.

    Returns
    -------
    Path
        The model folder.

    Raises
    ------
    ConfigurationError, ReadError
        If the recipe, the device or the data set cannot be used.
    """
    recipe = load_recipe(recipe_path)
    if fine_tune is not None:
        section = recipe.measured or MeasuredSection(path=fine_tune)
        mixed_in = section.model_copy(update={"path": fine_tune})
        recipe = near_the_edge(recipe.model_copy(update={"measured": mixed_in}))
    output = output or recipe_path.parent
    data = prepare_data(recipe)
    trainer = Trainer(data, recipe, device=str(choose_device(device)))
    trained = trainer.run(progress(recipe) if progress else None, checkpoint)
    unseen = out_of_bag(trainer, trained, data)
    calibration, scores = calibrate(unseen, data, recipe)
    forward = forward_ensemble(trainer, trained, data, forward_progress)
    about = describe_data(data, file_hash(recipe.data.path), recipe.data.path.name)
    about["draws"] = draws_hash(data, recipe)
    if recipe.measured is not None:
        about["measured"] = _describe_measured(recipe.measured, data)
    write_model(
        output, trained.network, recipe, data=about, calibration=calibration, forward=forward
    )
    found = {"out_of_bag": scores, "loss": trained.losses[-1]}  # of no earlier training
    write_whole(output / "metrics.json", json.dumps(found, indent=2, allow_nan=False) + "\n")
    return output


def prepare_data(recipe: Recipe) -> TrainingSet:
    """Read what a training learns from: nothing held out, measured spectra if it mixes them in."""
    data = computed_data(recipe)
    if recipe.data.held_out:
        data = data.take(split_by_parent(data, recipe.data.held_out, recipe.training.seed)[0])
    return _with_measured(data, recipe)


def computed_data(recipe: Recipe) -> TrainingSet:
    """Read the computed spectra of a recipe and leave out what it says is to be left out."""
    return read_training_set(recipe.data.path, recipe.descriptor.grid).without(
        recipe.data.leave_out
    )


def _with_measured(data: TrainingSet, recipe: Recipe) -> TrainingSet:
    """Return `data` with the measured spectra a recipe mixes in, on the energies of the others."""
    if recipe.measured is None:
        return data
    measured = read_measured_set(recipe.measured.path, data.grid, recipe.model.input_form)
    return data.joined(measured.on(data.energy))


def _describe_measured(section: MeasuredSection, data: TrainingSet) -> dict[str, Any]:
    """Return what a model's description says of the measured spectra it learnt from."""
    names = {measured_compound(p) or p for p in data.parent[data.measured].tolist()}
    about = {"name": section.path.name, "sha256": file_hash(section.path)}
    return about | {"compounds": sorted(names)}


def shown(data: TrainingSet, recipe: Recipe, energy: Array) -> NDArray[np.float32]:
    """Return spectra as the network sees them on average, shape (n, len(energy)).

    Computed ones with mean stretch, shift and broadening of the recipe and no errors.
    """
    as_is = Augmentation() if recipe.measured is None else recipe.measured.augmentation
    result = np.empty((len(data), len(energy)), dtype=np.float32)
    for chosen, settings in ((~data.measured, recipe.augmentation), (data.measured, as_is)):
        result[chosen] = transferred(
            data.energy, data.mu[chosen], data.fermi[chosen], settings, energy
        )
    return result


def forward_ensemble(
    trainer: Trainer,
    trained: Trained,
    data: TrainingSet,
    progress: Callable[[ForwardSection], Progress] | None = None,
) -> Forward | None:
    """Train the way back from G2 to the spectrum, if the recipe asks for it."""
    section = trainer.recipe.forward
    if section is None:
        return None
    spectra = shown(data, trainer.recipe, wide_energy(trainer.recipe))
    report = progress(section) if progress else None
    return train_forward(trainer, trained, data.g2, spectra, section, report)


def out_of_bag(trainer: Trainer, trained: Trained, data: TrainingSet) -> dict[str, NDArray[Any]]:
    """Return what the members that have not seen a spectrum say of it.

    Returns
    -------
    dict
        ``index`` (k,) of the spectra at least two members have not seen, ``mean`` and ``sigma``
        (k, n_total) over those members.
    """
    spectra = torch.from_numpy(shown(data, trainer.recipe, trainer.energy)).to(trainer.device)
    with torch.inference_mode():
        output = torch.cat([trained.network(part) for part in torch.split(spectra, 2048)], dim=1)
    unseen = trained.out_of_bag(len(data))
    index = np.flatnonzero(unseen.sum(axis=0) >= LEAST_UNSEEN)
    values = np.where(unseen[:, index, None], output.cpu().numpy()[:, index], np.nan)
    mean, sigma = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    return {"index": index, "mean": mean, "sigma": sigma}


def calibrate(
    unseen: dict[str, NDArray[Any]], data: TrainingSet, recipe: Recipe
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """Return calibration and scores from out-of-bag spectra (empty if there are none)."""
    index, size = unseen["index"], data.grid.size
    if not len(index):
        return {}, {}
    error = np.abs(unseen["mean"][:, :size] - data.g2[index])
    sigma = unseen["sigma"][:, :size]
    calibration: dict[str, Any] = band(error, sigma)
    if recipe.model.energy_needed is not None:
        calibration["energy_needed"] = recipe.model.energy_needed
    column = recipe.architecture().column(SHELL)
    if recipe.first_shell is not None:
        calibration["first_shell"] = recipe.first_shell.model_dump()
    elif column is not None:
        calibration["first_shell"] = shell_interval(
            unseen["mean"][:, column] - data.shell[index], unseen["sigma"][:, column]
        )
    return calibration, _scores(unseen, data, error, calibration, column)


def _scores(
    unseen: dict[str, NDArray[Any]],
    data: TrainingSet,
    error: Array,
    calibration: dict[str, Any],
    shell_column: int | None,
) -> dict[str, float | None]:
    size, index = data.grid.size, unseen["index"]
    mean, sigma = unseen["mean"], unseen["sigma"][:, :size]
    mse, spread = (error**2).mean(axis=1), (sigma**2).mean(axis=1)
    radius = data.grid.radius
    peak = np.abs(
        first_peak(radius, mean[:, :size]) - first_peak(radius, data.g2[index].astype(np.float64))
    )
    scores = {
        "spectra": float(len(index)),
        "mse_median": np.median(mse),
        "mse_mean": mse.mean(),
        "first_peak_error_median": np.nanmedian(peak),
        "first_peak_error_mean": np.nanmean(peak),
        "sigma_rmse_correlation": np.corrcoef(np.sqrt(spread), np.sqrt(mse))[0, 1],
        "coverage_2_sigma": np.mean(error <= 2 * sigma),
        "coverage_calibrated": coverage(error, sigma, calibration),
    }
    if shell_column is not None:
        shell = np.abs(mean[:, shell_column] - data.shell[index])
        scores |= {"shell_error_median": np.nanmedian(shell), "shell_error_mean": np.nanmean(shell)}
    return {name: round(float(v), 4) if np.isfinite(v) else None for name, v in scores.items()}
