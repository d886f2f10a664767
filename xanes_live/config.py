"""Configuration: one TOML or YAML file, checked, with every unknown key refused.

Secrets may also come from the environment (``XANES_LIVE_TILED_API_KEY``), which wins over the file.
Sections that change numbers (`beamline`, `reduction`, `confidence`) make up :meth:`Config.hash`,
which is part of every published key, as is the hash of the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from xanes_live.domain import Mode
from xanes_live.edges import EDGES, ELEMENTS
from xanes_live.errors import ConfigurationError

API_KEY_VARIABLE = "XANES_LIVE_TILED_API_KEY"
READER_KEY_VARIABLE = "XANES_LIVE_READER_KEY"
ROLES = ("i0", "it", "ir", "fluorescence")
"""Channels of a scan."""


class Section(BaseModel):
    """Base of all sections: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SourceConfig(Section):
    """Where documents come from."""

    kind: Literal["zmq", "kafka", "none"] = "zmq"
    """'zmq': a bluesky proxy; 'kafka': a topic; 'none': only replay or in-process use."""
    address: str = "127.0.0.1:5578"
    """Out side of the ZMQ proxy (host:port), or comma-separated Kafka bootstrap servers."""
    serializer: Literal["json", "msgpack"] = "json"
    """Form of the documents on the wire. Pickle is refused."""
    prefix: str = ""
    """Prefix of the publisher, if it uses one."""
    topics: tuple[str, ...] = ()
    """Kafka topics."""
    group_id: str = "xanes-live"
    """Kafka consumer group; several services with one group share the load."""
    options: dict[str, str] = Field(default_factory=dict)
    """Further Kafka consumer settings, passed on as they are."""


class TiledConfig(Section):
    """The Tiled server: raw runs are read there, results written there."""

    uri: str = "http://127.0.0.1:8000"
    """Server address."""
    api_key: SecretStr | None = None
    """Key of the service; better given in the environment as XANES_LIVE_TILED_API_KEY."""
    raw_path: str = "raw"
    """Container that holds the raw runs; '' for the root."""
    results_path: str = "sandbox/xanes_live"
    """Container that receives results; created if absent. Never inside `raw_path`."""
    access_tags: tuple[str, ...] = ()
    """Tags every node is written with (a key restricted to tags needs them)."""
    arrays: Literal["http", "file", "none"] = "http"
    """How the 1-D arrays reach Tiled: one request each after the result is complete ('http'), one
    HDF5 file registered together with it ('file': needs `arrays_directory` to be readable by the
    server and a key with scope `register`), or not at all."""
    arrays_directory: Path | None = None
    """Where the HDF5 files go, with `arrays = "file"`; a path both sides see."""
    timeout_s: float = Field(10.0, gt=0)
    """Time after which one request counts as failed."""


class BeamlineConfig(Section):
    """How to read this beamline's documents; whatever is not set is recognised by itself."""

    name: str = ""
    """Shown with results."""
    stream: str | None = None
    """Stream with the spectra, 'primary' by default."""
    energy: str | None = None
    """Data key of the energy (or of the angle, with `d_spacing`)."""
    energy_units: Literal["eV", "keV", "deg", "rad", "mdeg"] | None = None
    """Units of `energy`; None reads them from the descriptor or the size of the numbers."""
    d_spacing: float | None = Field(None, gt=0)
    """Lattice spacing of the monochromator crystal, Å, when the energy is given as an angle."""
    i0: str | None = None
    """Data key of the incident intensity."""
    it: str | None = None
    """Data key of the transmitted intensity."""
    ir: str | None = None
    """Data key of the intensity behind the reference foil."""
    fluorescence: tuple[str, ...] = ()
    """Data keys of the fluorescence elements (one array-valued key also does)."""
    exclude_elements: tuple[NonNegativeInt, ...] = ()
    """Fluorescence elements never used (counted from 0)."""
    mode: Mode | None = None
    """Which μ(E) is predicted from; None takes what the run announces, else the better signal."""
    element: str | None = None
    """Absorbing element, when the documents do not say."""
    edge: str | None = None
    """Edge, when the documents do not say."""
    dark: dict[str, float] = Field(default_factory=dict)
    """Dark counts per point by role (i0, it, ir, fluorescence)."""
    saturation: dict[str, float] = Field(default_factory=dict)
    """Reading at which a channel saturates, by role."""
    sample_keys: tuple[str, ...] = ("sample", "sample_name", "sample_id", "name")
    """Keys of the start document tried in turn for the sample's name ('a.b' looks inside)."""
    path_map: dict[str, str] = Field(default_factory=dict)
    """Prefixes of detector file paths as the documents name them, and where they are found here."""
    plans: tuple[str, ...] = ()
    """Plan names that are XAS scans; empty lets the data decide."""

    @field_validator("element")
    @classmethod
    def _known_element(cls, element: str | None) -> str | None:
        if element is not None and element.strip().capitalize() not in ELEMENTS:
            raise ValueError(f"{element}: no element with an edge in the table (Fe, Cu, …)")
        return element

    @field_validator("edge")
    @classmethod
    def _known_edge(cls, edge: str | None) -> str | None:
        if edge is not None and edge.strip().upper() not in EDGES:
            raise ValueError(f"{edge}: no edge of the table ({', '.join(EDGES)})")
        return edge

    @field_validator("dark", "saturation")
    @classmethod
    def _known_roles(cls, given: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(given) - set(ROLES))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no channel; there are {', '.join(ROLES)}")
        return given


class ReductionConfig(Section):
    """Normalisation, in larch's parameters (None: larch's defaults) and energy alignment."""

    e0: float | None = None
    """Edge energy, eV; None finds it."""
    pre1: float | None = None
    """Begin of the pre-edge range, eV relative to e0; where a scan holds too little of a
    configured range, larch's default is taken for that scan, with the flag `range_replaced`."""
    pre2: float | None = None
    """End of the pre-edge range, eV relative to e0."""
    norm1: float | None = None
    """Begin of the post-edge range, eV relative to e0."""
    norm2: float | None = None
    """End of the post-edge range, eV relative to e0."""
    nnorm: int | None = Field(None, ge=0, le=5)
    nvict: int = 0
    deglitch: bool = True
    """Remove single-point glitches (always reported)."""
    align: Literal["off", "foil", "fixed"] = "off"
    """Energy alignment: to the foil in the reference channel, by `energy_shift`, or none."""
    energy_shift: float = 0.0
    """Shift added to the energies with align = 'fixed', eV."""
    foil_e0: float | None = None
    """What e0 of the foil is to be with align = 'foil', eV; None takes the tabulated edge."""


class ModelConfig(Section):
    """Which ensembles are loaded."""

    names: tuple[str, ...] = ("fe-k",)
    """Installed models by name, or paths of model folders; each serves its own edge."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', 'cuda:1', …"""


class ConfidenceConfig(Section):
    """Thresholds of the colours."""

    amber_half_width: float = Field(0.25, gt=0)
    """Half-width of the first-shell 95 % interval (Å) from which a result is at best amber, for
    models without a calibrated verdict."""
    red_half_width: float = Field(0.60, gt=0)
    """Half-width of the first-shell 95 % interval (Å) from which it is red."""
    green_probability: float = Field(0.92, gt=0, lt=1)
    """Probability of the first-shell distance being right within 0.1 Å from which a result may be
    green; for models that bring a calibrated verdict, which take no account of the half-widths. At
    0.9 more than 2 % of all computed spectra would be green and wrong."""
    red_probability: float = Field(0.4, gt=0, lt=1)
    """Probability below which it is red. At 0.5 more than a tenth of what is right would be red."""
    repeats_within_s: float = Field(14_400.0, ge=0)
    """Runs of the same sample that begin at most this many seconds apart are judged as repeats of
    it; with 0 only the sweeps of one run are."""

    @model_validator(mode="after")
    def _red_is_worse_than_amber(self) -> Self:
        if self.red_probability > self.green_probability:
            raise ValueError("red_probability is above green_probability")
        if self.red_half_width < self.amber_half_width:
            raise ValueError("red_half_width is below amber_half_width")
        return self


class ServiceConfig(Section):
    """The long-running service."""

    state_directory: Path = Path("var/xanes-live")
    """Holds the outbox and the resume files."""
    max_runs: int = Field(64, ge=1)
    """Runs assembled at the same time; the oldest is given up beyond that."""
    max_points: int = Field(2_000_000, ge=1000)
    """Values kept of one run while it is assembled."""
    queue: int = Field(256, ge=1)
    """Completed runs that may wait; beyond that they are put down as to be re-read from Tiled."""
    catch_up_s: float = Field(86_400.0, ge=0)
    """At start, runs of this many past seconds without a prediction are processed; 0: none."""
    stale_s: float = Field(3600.0, gt=0)
    """A run without documents for this long is published as one that never ended; should it end
    after all, the result of the whole run replaces that."""


class MetricsConfig(Section):
    """What the service says of itself over HTTP: /metrics for Prometheus, /healthz for a probe."""

    host: str = "127.0.0.1"
    """Address to listen on; there is no password, so beyond loopback only behind a firewall."""
    port: int = Field(9464, ge=0, le=65535)
    """0: do not listen."""


class Config(Section):
    """The whole configuration."""

    source: SourceConfig = SourceConfig()
    tiled: TiledConfig = TiledConfig()
    beamline: BeamlineConfig = BeamlineConfig()
    reduction: ReductionConfig = ReductionConfig()
    model: ModelConfig = ModelConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
    service: ServiceConfig = ServiceConfig()
    metrics: MetricsConfig = MetricsConfig()

    def hash(self) -> str:
        """Return 12 hex digits that change exactly when a setting that changes numbers does."""
        numbers = self.model_dump(mode="json", include={"beamline", "reduction", "confidence"})
        text = json.dumps(numbers, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def tiled_key(self) -> str | None:
        """Return the service's Tiled key: environment first, then the file."""
        key = key_from(API_KEY_VARIABLE)
        if key:
            return key
        own = self.tiled.api_key
        return _checked_key(own.get_secret_value(), "[tiled] api_key") if own else None


def key_from(variable: str) -> str | None:
    """Return the key an environment variable holds, if any; ConfigurationError if it is none."""
    return _checked_key(os.environ.get(variable, ""), variable) or None


def _checked_key(key: str, where: str) -> str:
    """Return a key without the line end that files of secrets have.

    Raises
    ------
    ConfigurationError
        If it cannot be sent: libraries would print it with their own complaint.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            f"{where}: holds characters that no key has (a line end, a letter with an accent, …)"
        )
    return key


def parse(data: dict[str, Any], origin: str = "configuration") -> Config:
    """Check `data` and return it as a :class:`Config`.

    Raises
    ------
    ConfigurationError
        With one line for each thing that is wrong.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError(f"{origin}:\n" + "\n".join(lines)) from None


def load(path: Path | None) -> Config:
    """Read a TOML (``.toml``) or YAML (``.yaml``, ``.yml``) file; None gives the defaults.

    Raises
    ------
    ConfigurationError
        If the file is missing, not readable as its kind, or holds a wrong or unknown setting.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not a text file in UTF-8") from None
    try:
        data = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: {_yaml_problem(error)}") from None
    if not isinstance(data, dict | None):
        raise ConfigurationError(f"{path}: expected sections, found {type(data).__name__}")
    return parse(data or {}, str(path))


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Say what is wrong and where, without the line itself: it may hold a key."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "not YAML"
    mark = error.problem_mark
    return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"


def reader_key(config: Config) -> str | None:
    """Return the key with which results are only read; the service's where there is no other."""
    return key_from(READER_KEY_VARIABLE) or config.tiled_key()
