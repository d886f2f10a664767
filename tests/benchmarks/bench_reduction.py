"""What reduction costs, as ratios to larch on the same spectra in the same run.

``python tests/benchmarks/bench_reduction.py``: 1000 scans of 500 points with noise, e0 included on
both sides; larch is timed on some of them, one by one as it works. Nothing is asserted, because
machines differ.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, the tests' helpers are found

from tests import measured
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Array, Channels, Mode, Scan, Spectrum
from xanes_live.reduction import (
    find_e0,
    normalise,
    pre_edge,
    resample,
    resample_array,
    spectra_from_scan,
)

SCANS, SAMPLE, REPEATS = 1000, 60, 5
GRIDS = {
    "XANES, 500 points": np.linspace(7062.0, 7312.0, 500),
    "EXAFS, 500 points": np.concatenate(
        [np.linspace(6950, 7090, 29), np.arange(7090.5, 7160, 0.25), np.linspace(7161, 7560, 193)]
    ),
}


def say(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201


def best(function: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Return the shortest of several times, s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def scans(energy: Array) -> Array:
    """Return hematite with noise of 0.2 % of its edge step, shape (1000, n_points)."""
    rng = np.random.default_rng(0)
    s = measured.spectrum("Fe2O3")
    mu = np.interp(energy, s.energy, s.mu)
    return mu + 2.5e-3 * rng.standard_normal((SCANS, energy.size))


def against_larch(name: str, energy: Array) -> None:
    """Print times and the ratio for one grid."""
    mu = scans(energy)
    many = best(lambda: pre_edge(energy, mu)) / SCANS
    alone = best(lambda: [pre_edge(energy, row) for row in mu[:SAMPLE]]) / SAMPLE
    theirs = best(lambda: [measured.larch_pre_edge(energy, row) for row in mu[:SAMPLE]], 2) / SAMPLE
    together = pre_edge(energy, mu[:SAMPLE])
    different = max(
        float(np.abs(pre_edge(energy, row).flat - together.flat[i]).max())
        for i, row in enumerate(mu[:SAMPLE])
    )
    say(f"{name}: e0 and normalisation, µs a scan")
    say(f"  larch one by one      {1e6 * theirs:8.0f}")
    say(f"  one by one            {1e6 * alone:8.0f}   {theirs / alone:6.1f} times faster")
    say(f"  {SCANS} together        {1e6 * many:8.1f}   {theirs / many:6.1f} times faster")
    say(f"  largest difference between together and one by one: {different:.1e}")


def stages() -> None:
    """Print what each stage of one live scan costs."""
    energy = GRIDS["EXAFS, 500 points"]
    mu = scans(energy)[0]
    i0 = np.full(energy.size, 1e6) * (1.0 + 1e-4 * np.sin(energy))
    channels = Channels(energy=energy, i0=i0, it=i0 * np.exp(-mu))
    scan = Scan(uid="bench", sweeps=(channels,), element="Fe", edge="K", mode=Mode.TRANSMISSION)
    config, beamline = ReductionConfig(), BeamlineConfig()
    grid = np.linspace(7112.5, 7160.0, 475)
    spectra = spectra_from_scan(scan, beamline, config)
    usable = [s for s in spectra if isinstance(s, Spectrum)]
    (normalised,) = normalise(usable, config)
    rows = {
        "readings to μ(E)": lambda: spectra_from_scan(scan, beamline, config),
        "e0, normalisation, flags": lambda: normalise(usable, config),
        "resampling": lambda: resample(normalised, grid, "flattened"),
    }
    say("one scan of 500 points, ms")
    total = 0.0
    for name, function in rows.items():
        function()
        cost = best(function, 200)
        total += cost
        say(f"  {name:26s} {1e3 * cost:6.2f}")
    say(f"  {'all':26s} {1e3 * total:6.2f}")


def batches() -> None:
    """Print what find_e0 and resampling of many scans cost."""
    energy = GRIDS["EXAFS, 500 points"]
    mu = scans(energy)
    grid = np.linspace(7112.5, 7160.0, 475)
    say(f"{SCANS} scans together, µs a scan")
    say(f"  e0                         {1e6 * best(lambda: find_e0(energy, mu)) / SCANS:6.1f}")
    cost = best(lambda: resample_array(energy, mu, grid)) / SCANS
    say(f"  resampling to 475 points   {1e6 * cost:6.1f}")


def main() -> None:
    """Run everything."""
    for name, energy in GRIDS.items():
        against_larch(name, energy)
    stages()
    batches()


if __name__ == "__main__":
    main()
