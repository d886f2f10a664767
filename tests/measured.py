"""Measured and synthetic spectra, and larch to compare with.

The measured ones are the files of the simulated beamline and those in ``tests/data``; μ(E) is
computed here with two lines of numpy, independently of the reduction under test.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xanes_live.documents.files import read_file
from xanes_live.domain import Array, Scan

DATA = Path(__file__).parent / "data"
DEMO = Path(str(resources.files("xanes_live.demo"))) / "data"


@dataclass(frozen=True)
class Measured:
    """One measured spectrum."""

    name: str
    scan: Scan
    energy: Array
    mu: Array


@cache
def spectra() -> tuple[Measured, ...]:
    """Return all measured spectra, the best signal of each file."""
    paths = [p for folder in (DEMO, DATA) for p in sorted(folder.iterdir())]
    known = {".xdi", ".e", ".dat", ".prj"}
    return tuple(
        Measured(path.name, scan, scan.sweeps[0].energy, _mu(scan))
        for path in paths
        if path.suffix in known
        for scan in read_file(path)
    )


def spectrum(start: str) -> Measured:
    """Return the measured spectrum whose file name begins with `start`."""
    return next(s for s in spectra() if s.name.startswith(start))


def _mu(scan: Scan) -> Array:
    sweep = scan.sweeps[0]
    if sweep.mu is not None:
        return sweep.mu
    assert sweep.i0 is not None
    if sweep.it is not None:
        return np.log(sweep.i0 / sweep.it)
    assert sweep.fluorescence is not None
    return sweep.fluorescence.sum(axis=0) / sweep.i0


def synthetic(
    rng: np.random.Generator, *, e0: float = 7112.0, noise: float = 0.0, step: float = 0.5
) -> tuple[Array, Array]:
    """Return energies and μ(E) of a random edge: background, white line, EXAFS, noise."""
    near = np.arange(-20.0, 50.0, step)
    post = rng.uniform(60.0, 900.0)
    before = -21.0  # so that no energies fall together, which larch treats in its own way
    x = np.concatenate([np.arange(-rng.uniform(60.0, 200.0), before, 5.0), near,
                        np.arange(50.0 + step, post, 3.0)])  # fmt: skip
    x = x + rng.uniform(-0.05, 0.05, x.size) * step
    width = rng.uniform(0.8, 2.0)
    mu = 0.5 + np.arctan(x / width) / np.pi
    mu += rng.uniform(0.0, 1.2) * np.exp(-0.5 * ((x - rng.uniform(4, 10)) / rng.uniform(2, 4)) ** 2)
    k = np.sqrt(np.clip(x - 10.0, 0.0, None) / 3.81)
    onset = 1.0 / (1.0 + np.exp(-(x - 20.0) / 3.0))
    mu += 0.1 * np.exp(-0.1 * k) * np.sin(2.0 * k * rng.uniform(1.8, 2.8)) * onset
    height = rng.uniform(0.05, 3.0)
    mu = height * (mu + noise * rng.standard_normal(x.size))
    mu += rng.uniform(-1.0, 3.0) * ((x + e0) / e0) ** -3
    return x + e0, mu


def larch_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call something of larch, which warns of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


@cache
def larch_xafs() -> Any:
    """Return ``larch.xafs``, or skip the test where xraylarch (extra 'theory') is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("larch.xafs", exc_type=ImportError)


def larch_pre_edge(energy: Array, mu: Array, **parameters: Any) -> Any:
    """Return larch's group after its pre_edge."""
    xafs = larch_xafs()
    from larch import Group

    group = Group(energy=energy.copy(), mu=mu.copy())
    larch_call(xafs.pre_edge, group, **parameters)
    return group


def larch_e0(energy: Array, mu: Array) -> float:
    """Return larch's e0."""
    return float(larch_call(larch_xafs().find_e0, energy.copy(), mu.copy()))
