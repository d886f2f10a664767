"""All comparisons in one run, as a table or as JSON."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from xanes_live import __version__
from xanes_live.bench.device import Rates, rates
from xanes_live.bench.inference import inference
from xanes_live.bench.live import live
from xanes_live.bench.reduction import reduction
from xanes_live.bench.rows import Row, table
from xanes_live.bench.scattering import scattering
from xanes_live.bench.training import training
from xanes_live.config import Config
from xanes_live.ensemble.device import choose_device
from xanes_live.ensemble.engine import Engine
from xanes_live.ensemble.network import PAPER
from xanes_live.ensemble.precision import Precision
from xanes_live.ensemble.registry import read_model
from xanes_live.ensemble.stacked import Stacked

FORMAT = 1
SECTIONS = ("inference", "training", "reduction", "scattering", "live")
SIZES = (1, 8, 32, 1024, 4096, 16_384, 131_072)
QUICK_SIZES = (1, 8, 32, 256)


@dataclass(frozen=True)
class Options:
    """What to measure, and how long."""

    device: str = "auto"
    sizes: tuple[int, ...] = SIZES
    sections: tuple[str, ...] = SECTIONS
    model: str | None = None
    """Whose network is measured; None: the paper's, 15 members with weights as they begin."""
    precision: Precision = "float32"
    """Of large batches."""
    budget_s: float = 10.0
    """Roughly how long each comparison takes; large ones take as long as three runs do."""


@dataclass(frozen=True)
class Report:
    """What was found."""

    machine: dict[str, Any]
    rates: Rates
    network: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; docs/reference/bench.md says what each field means."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "rates_1e9_per_s": self.rates.as_dict(),
            "network": self.network,
            "rows": [row.as_dict() for row in self.rows],
        }

    def text(self) -> str:
        """Return the table for people."""
        m, r, n = self.machine, self.rates.as_dict(), self.network
        low = f" ({n['precision']}: {r['flops_low']:g})" if r["flops_low"] else ""
        head = (
            f"{m['device']}, {m['threads']} threads, torch {m['torch']}, load {m['load']}\n"
            f"measured peaks: {r['flops']:g} GFLOP/s{low}, copy {r['bandwidth']:g} GB/s\n"
            f"network: {n['name']}, channels {n['channels']}, {n['members']} members, "
            f"{n['precision']}; largest difference from the loop: {n['difference']:.1e}\n"
        )
        return f"{head}\nmedians and 99th percentiles, ms\n{table(self.rows)}\n{self._absent()}"

    def _absent(self) -> str:
        cuda = torch.cuda.is_available() or self.machine["kind"] != "cpu"
        return "" if cuda else "GPU: not measured, there is no CUDA device here\n"


def run(options: Options, note: Callable[[str], None] = lambda _: None) -> Report:
    """Measure everything asked for; `note` is told what comes next.

    Raises
    ------
    ConfigurationError
        If the device cannot be used.
    UnknownModelError
        If there is no such model.
    """
    device = choose_device(options.device)
    note("peaks")
    peak = rates(device, options.precision)
    network = _network(options).to(device)
    engine = Engine(network, options.precision)
    rows: list[Row] = []
    difference, budget = 0.0, options.budget_s
    for section in (s for s in SECTIONS if s in options.sections):
        note(section)
        if section == "inference":
            found, difference = inference(engine, options.sizes, peak, budget)
            rows += found
        elif section == "training":
            rows.append(training(engine.architecture, engine.n_members, device, budget))
        elif section == "reduction":
            rows.append(reduction(budget))
        elif section == "scattering":
            rows.append(scattering(device, budget))
        else:
            rows += _live(device)
    return Report(_machine(device), peak, _described(options, engine, difference), rows)


def _live(device: torch.device) -> list[Row]:
    from xanes_live.service.service import load_predictors  # noqa: PLC0415 - models are loaded

    config = Config.model_validate({"model": {"device": str(device)}})
    return live(load_predictors(config), config, device.type)


def _network(options: Options) -> Stacked:
    if options.model is not None:
        return read_model(options.model).network
    return Stacked.initialised(PAPER, 15, seed=0).eval()


def _described(options: Options, engine: Engine, difference: float) -> dict[str, Any]:
    return {
        "name": options.model or "paper",
        "channels": list(engine.architecture.channels),
        "members": engine.n_members,
        "precision": engine.precision,
        "error_in_sigmas": round(engine.error, 5),
        "difference": difference,
    }


def _machine(device: torch.device) -> dict[str, Any]:
    cuda = device.type == "cuda"
    return {
        "software": f"xanes-live {__version__}",
        "device": torch.cuda.get_device_name(device) if cuda else _processor(),
        "kind": device.type,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - not a file of ours
            lines = [line for line in file if line.startswith("model name")]
        return lines[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
