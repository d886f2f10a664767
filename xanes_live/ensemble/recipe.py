"""Recipe of a model: one TOML file from which it can be trained again."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from xanes_live.config import Section
from xanes_live.descriptor import G2Grid
from xanes_live.domain import Array
from xanes_live.edges import edge_energy
from xanes_live.ensemble.augment import Augmentation
from xanes_live.ensemble.heads import SHELL, WIDTH
from xanes_live.ensemble.network import NAMED, Architecture
from xanes_live.errors import ConfigurationError

FAR = 200.0
"""How far above an edge a model's energies may begin, eV."""


class ModelSection(Section):
    """What the model is called and what it is for."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Also the name of its folder."""
    version: str
    element: str
    edge: str = "K"
    input_form: Literal["normalised", "flattened"] = "flattened"
    """Which normalisation of measured spectra it is to be given."""
    energy_start: float
    """First energy of the grid, eV."""
    energy_stop: float
    energy_needed: float | None = None
    """Energy a scan has to reach not to be called too short, eV; None for `energy_stop`. Lower only
    for an ensemble that has learnt to do without the rest (`cut_share`)."""
    n_energy: int = 475
    stored: Literal["float16", "float32"] = "float16"
    """Precision of the weights on disk; they are computed with in float32."""

    @model_validator(mode="after")
    def _of_the_edge(self) -> Self:
        try:
            edge = edge_energy(self.element, self.edge)
        except KeyError:
            raise ValueError(f"no {self.edge} edge of {self.element!r} in the table") from None
        written = {"element": self.element.strip().capitalize(), "edge": self.edge.strip().upper()}
        for name, usual in written.items():  # as scans say it: a model is found by both
            if (given := getattr(self, name)) != usual:
                raise ValueError(f"{name}: {given!r} is written {usual}")
        if not self.energy_start < self.energy_stop:
            raise ValueError("energy_stop is not above energy_start")
        needed = self.energy_needed
        if needed is not None and not self.energy_start < needed <= self.energy_stop:
            raise ValueError("energy_needed is not between energy_start and energy_stop")
        if not self.energy_start - FAR < edge < self.energy_stop:
            raise ValueError(
                f"{self.energy_start:g} to {self.energy_stop:g} eV are not of the {self.edge} edge "
                f"of {self.element}, {edge:g} eV"
            )
        return self

    @property
    def energy(self) -> Array:
        """The grid, eV, shape (n_energy,)."""
        return np.linspace(self.energy_start, self.energy_stop, self.n_energy)


class DescriptorSection(Section):
    """The radial functions."""

    size: int = 50
    r_min: float = 0.0
    r_max: float = 6.0
    r_c: float = Field(6.0, gt=0)

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        _ = self.grid  # raises where there is none
        return self

    @property
    def grid(self) -> G2Grid:
        """The radial functions themselves."""
        return G2Grid(**self.model_dump())


class DataSection(Section):
    """What it learns from."""

    path: Path
    """Data set, relative to the recipe."""
    leave_out: tuple[str, ...] = ()
    """Parents whose name contains one of these words are not used."""
    held_out: float = Field(0.0, ge=0, lt=1)
    """Share of the spectra kept for testing, whole parents at a time."""
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Weight of a source (collection) when resampling; 1 if not named."""
    ligands: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """The same by the commonest element of the first shell, a metal's too, as a symbol; both
    weights multiply."""

    @field_validator("ligands")
    @classmethod
    def _are_elements(cls, ligands: dict[str, float]) -> dict[str, float]:
        from ase.data import chemical_symbols  # noqa: PLC0415 - training only, and slow to import

        unknown = sorted(set(ligands) - set(chemical_symbols))
        if unknown:
            raise ValueError(f"no element {', '.join(unknown)}")
        return ligands


class NetworkSection(Section):
    """Which member of the family; fields of `Architecture` that differ from the named one."""

    base: str = "paper"
    channels: tuple[int, ...] | None = None
    kernel: int | None = None
    stride: int | None = None
    hidden: tuple[int, ...] | None = None
    heads: tuple[str, ...] | None = None
    classes: tuple[float, ...] | None = None
    activation: Literal["relu", "gelu", "silu"] | None = None
    norm: Literal["none", "batch", "layer"] | None = None
    standardise: bool = True
    """Whether input and output are scaled to zero mean and unit variance inside the network."""


class TrainingSection(Section):
    """How it learns."""

    members: int = Field(15, ge=2)
    """At least two: what is believed is what they agree on."""
    epochs: int = Field(50, ge=1)
    batch: int = Field(32, ge=1)
    rate: float = Field(2e-3, gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    average: float = Field(0.0, ge=0, lt=1)
    """Decay of an exponential average of the weights, per step; 0 for none."""
    head_weight: float = Field(1.0, ge=0)
    """Weight of the heads' loss against that of G2 (mean squared error)."""
    classes_weight: float = Field(0.5, ge=0)
    """Weight of the loss of classes of distance (cross-entropy), in units of `head_weight`."""
    head_loss: Literal["mse", "l1"] = "mse"
    """Of the first-shell distance: 'mse' leads to the mean of the distances a spectrum may mean,
    'l1' (absolute error, rounded off near zero) to their median. Other heads learn by 'mse'."""
    resample: Literal["sample", "parent", "none"] = "sample"
    """What is drawn with replacement: spectra, whole parents, or nothing."""
    seed: int = 0


class MeasuredSection(Section):
    """Measured spectra to be mixed with the computed ones (fine-tuning)."""

    path: Path
    """Measured set, relative to the recipe; see :mod:`xanes_live.ensemble.measured`."""
    weight: float = Field(40.0, gt=0)
    """How often a measured spectrum is shown in each epoch."""
    augmentation: Augmentation = Augmentation(
        stretch_sd=0.01, shift_sd=0.7, fwhm_max=1.5, step_sd=0.02, slope_sd=0.01, noise_max=0.01
    )
    """What is varied of measured spectra: what differs between laboratories."""

    @field_validator("augmentation")
    @classmethod
    def _not_by_fermi(cls, value: Augmentation) -> Augmentation:
        """Refuse changes that go by a computed Fermi energy: measured spectra have none."""
        if value.fermi_pull or value.far_fwhm_min or value.far_fwhm_max:
            raise ValueError("fermi_pull and far_fwhm are of computed spectra alone")
        return value


class ShellSection(Section):
    """The interval of the first-shell distance, found on measured spectra left out of training.

    See :func:`xanes_live.ensemble.calibration.shell_interval`.
    """

    offset: float = 0.0
    """Added to the distance, Å."""
    scale: float = Field(1.0, ge=0)
    """Factor on σ."""
    floor: float = Field(0.0, ge=0)
    """Half-width when all members agree, Å."""


class DiscrepancySection(Section):
    """What theory gets wrong of known structures, added at random to the computed spectra.

    See :mod:`xanes_live.ensemble.discrepancy`.
    """

    path: Path
    """Residuals, relative to the recipe; ``xanes-live transfer`` makes them."""
    modes: int = Field(8, ge=0)
    """How many shapes at most."""
    scale: float = Field(1.0, ge=0)
    """Factor on the size they were found with."""
    largest: float = Field(0.3, gt=0)
    """Root-mean-square residual above which a spectrum is left out."""
    leave_out: tuple[str, ...] = ()
    """Compounds, or measured spectra by their id, nothing is to be learnt from."""


class ForwardSection(Section):
    """The way back: an ensemble from G2 to the spectrum, for the cyclic residual.

    It learns from the same resamples as the reverse members.
    """

    members: int = Field(8, ge=1)
    """At most as many as the reverse ensemble has."""
    inputs: Literal["true", "predicted", "both"] = "predicted"
    """G2 of the structures, G2 predicted by members that have not seen the spectrum, or half of
    each."""
    hidden: tuple[int, ...] = (128, 128)
    components: int = Field(30, ge=1)
    """Principal components of the spectra it answers in."""
    epochs: int = Field(30, ge=1)
    batch: int = Field(64, ge=1)
    rate: float = Field(3e-3, gt=0)
    showings: int = Field(4, ge=1)
    """Different random changes of each spectrum whose predictions it learns from."""


class Recipe(Section):
    """The whole recipe."""

    model: ModelSection
    data: DataSection
    descriptor: DescriptorSection = DescriptorSection()
    network: NetworkSection = NetworkSection()
    training: TrainingSection = TrainingSection()
    first_shell: ShellSection | None = None
    """None takes it from out-of-bag theory, which knows nothing of measured spectra."""
    augmentation: Augmentation = Augmentation()
    measured: MeasuredSection | None = None
    discrepancy: DiscrepancySection | None = None
    forward: ForwardSection | None = None
    """None trains no forward ensemble."""

    def architecture(self) -> Architecture:
        """Return the network asked for.

        Raises
        ------
        ConfigurationError
            If the base has no such name or the network cannot be built, or is to say how wrong a
            distance is that it does not say.
        """
        if self.network.base not in NAMED:
            raise ConfigurationError(
                f"no network {self.network.base!r}; there are {', '.join(NAMED)}"
            )
        fields = NAMED[self.network.base].as_dict()
        given = self.network.model_dump(exclude={"base", "standardise"}, exclude_none=True)
        fields |= {"n_input": self.model.n_energy, "n_output": self.descriptor.size} | given
        try:
            found = Architecture.from_dict(fields)
        except ValueError as error:
            raise ConfigurationError(f"[network]: {error}") from None
        if WIDTH in found.heads and SHELL not in found.heads:
            raise ConfigurationError(f"[network]: the head {WIDTH} needs the head {SHELL}")
        return found


def parse_recipe(data: dict[str, Any], origin: str = "recipe") -> Recipe:
    """Check `data`; ConfigurationError with one line for each thing that is wrong."""
    try:
        return near_the_edge(Recipe.model_validate(data))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError(f"{origin}:\n" + "\n".join(lines)) from None


def near_the_edge(recipe: Recipe) -> Recipe:
    """Put pivots and Fermi energies that lie off the model's energies, as iron's, where usual.

    A stretch about a far pivot is a shift by hundreds of eV, and so is the pull to a far Fermi
    energy.
    """
    update: dict[str, Any] = {"augmentation": _placed_on(recipe.model, recipe.augmentation)}
    if recipe.measured is not None:
        vary = _placed_on(recipe.model, recipe.measured.augmentation)
        update["measured"] = recipe.measured.model_copy(update={"augmentation": vary})
    return recipe.model_copy(update=update)


def _placed_on(model: ModelSection, settings: Augmentation) -> Augmentation:
    start, stop = model.energy_start, model.energy_stop
    usual = {"pivot": start + 0.16 * (stop - start), "fermi": start + 0.075 * (stop - start)}
    off = {name: at for name, at in usual.items() if not start <= getattr(settings, name) <= stop}
    return settings.model_copy(update=off)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; the path of its data set is taken relative to it.

    Raises
    ------
    ConfigurationError
        If the file is missing, not TOML, or holds a wrong or unknown setting.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    recipe = parse_recipe(data, str(path))
    return _placed(recipe, path.parent)


def _placed(recipe: Recipe, folder: Path) -> Recipe:
    """Return `recipe` with the paths of its data taken relative to `folder`."""
    data = recipe.data.model_copy(update={"path": folder / recipe.data.path})
    update: dict[str, Any] = {"data": data}
    for name in ("measured", "discrepancy"):
        section = getattr(recipe, name)
        if section is not None:
            update[name] = section.model_copy(update={"path": folder / section.path})
    return recipe.model_copy(update=update)


def stored_recipe(description: Mapping[str, Any], folder: Path) -> Recipe:
    """Return the recipe a model's description holds, its files taken from the model's folder.

    Raises
    ------
    ConfigurationError
        If it holds none or a wrong one.
    """
    if "recipe" not in description:
        raise ConfigurationError(f"{folder}: model.toml holds no recipe to train again by")
    return _placed(parse_recipe(description["recipe"], str(folder)), folder)
