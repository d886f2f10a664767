"""The ratios of `xanes-live bench` that must not get worse, on this machine's CPU.

    python tests/benchmarks/bench_ratios.py

Sizes are small, so that it takes a minute or two. Ends with 1 if a ratio wanted is missed both by
the clock and in processor time: on a machine that others use, only the latter says much.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from xanes_live.bench.run import Options, run

MARGIN = 0.9
"""Noise allowed for."""


def main() -> int:
    torch.set_num_threads(1)
    sections = ("inference", "training", "reduction", "scattering")
    good = True
    for model in (None, "fe-k"):
        wanted = sections if model is None else ("inference",)
        report = run(Options("cpu", (1, 8, 32, 1024), wanted, model, budget_s=3.0))
        print(report.text())  # noqa: T201
        for row in report.rows:
            found = [r for r in (row.ratio, row.processor_ratio) if r is not None]
            if row.target is not None and found:
                good = good and max(found) >= MARGIN * row.target
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
