"""Edge energy and normalisation of many scans on one energy grid, beside larch one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np

from xanes_live.bench.rows import Row
from xanes_live.bench.timing import in_turns
from xanes_live.documents.files import read_file
from xanes_live.domain import Array, Channels
from xanes_live.reduction import pre_edge

TARGET = 20.0
SCANS, POINTS, LARCH_SCANS = 1000, 500, 20


def channels(name: str = "Fe2O3_rt_01.xdi") -> Channels:
    """Return the readings of a measured scan that comes with the demonstration."""
    folder = Path(str(resources.files("xanes_live.demo"))) / "data"
    return read_file(folder / name)[0].sweeps[0]


def noisy(n: int) -> tuple[Array, Array]:
    """Return energies (POINTS,) and μ of `n` noisy copies of measured hematite, (n, POINTS)."""
    scan = channels()
    if scan.i0 is None or scan.it is None:
        raise ValueError("the scan has no transmission")
    energy = np.linspace(7062.0, 7312.0, POINTS)
    mu = np.interp(energy, scan.energy, np.log(scan.i0 / scan.it))
    rng = np.random.default_rng(0)
    return energy, mu + 2.5e-3 * rng.standard_normal((n, POINTS))


def larch_one_by_one(energy: Array, mu: Array) -> Callable[[], object] | None:
    """Return larch's ``pre_edge`` for each scan by itself; None if larch is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from larch import Group  # noqa: PLC0415 - an optional extra
            from larch.xafs import pre_edge as larch_pre_edge  # noqa: PLC0415
    except ImportError:
        return None

    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row in mu:
                larch_pre_edge(Group(energy=energy.copy(), mu=row.copy()))

    return work


def reduction(budget_s: float) -> Row:
    """Measure 1000 scans of 500 points; larch is given some of them and its time multiplied."""
    energy, mu = noisy(SCANS)
    works: dict[str, Callable[[], object]] = {"ours": lambda: pre_edge(energy, mu)}
    theirs = larch_one_by_one(energy, mu[:LARCH_SCANS])
    if theirs is not None:
        works["plain"] = theirs
    found = in_turns(works, budget_s)
    plain = found["plain"].scaled(SCANS / LARCH_SCANS) if "plain" in found else None
    name = f"e0 and normalisation of {SCANS} scans of {POINTS} points, plain: larch"
    missing = "" if plain else "larch is not installed (the extra 'theory')"
    return Row("reduction", name, SCANS, found["ours"], plain, target=TARGET, missing=missing)
