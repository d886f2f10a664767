"""Whether the edge step depends on how it is normalised by more than its uncertainty allows.

The fits are repeated with shortened ranges. Straight, clean spectra hardly notice; a curved
background, an edge of another element at the end of the scan or a slope by the detector do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xanes_live.domain import Array, Flag
from xanes_live.flags import make

SIGMAS = 3.0
"""Deviation over the uncertainty of the edge step from which it counts as unstable."""
LEAST = 0.25
"""Least deviation that counts, relative to the edge step: of 203 measured spectra, clean ones with
strong white lines at the end of a short scan reach 0.24."""
_FEWEST = 4
"""Points without which a fit is not repeated."""


def stability_flags(
    x: Array, mu: Array, ranges: Mapping[str, float], step: float, sigma: float
) -> tuple[Flag, ...]:
    """Return a flag if the edge step depends on the ranges.

    Parameters
    ----------
    x
        Energies relative to e0, eV, shape (n_points,), increasing.
    mu
        shape (n_points,).
    ranges
        pre1, pre2, norm1, norm2 (eV relative to e0), nnorm and nvict as used.
    step, sigma
        Edge step and its standard uncertainty, in units of μ.
    """
    if ranges["nvict"]:
        return ()
    steps = [step, *other_steps(x, mu, ranges)]
    low, high = min(steps), max(steps)
    most = max(high - step, step - low)
    if most <= max(SIGMAS * sigma, LEAST * step):
        return ()
    return (make("edge_step_unstable", low=low, high=high, percent=100.0 * most / step),)


def other_steps(x: Array, mu: Array, ranges: Mapping[str, float]) -> list[float]:
    """Return the edge steps of shortened ranges, in units of μ; as many as there are points for.

    The post-edge without its last quarter, the post-edge that starts half as far again from the
    edge, the pre-edge without its farthest fifth and that much nearer to the edge.
    """
    pre = (ranges["pre1"], ranges["pre2"])
    nearer = (0.8 * pre[0], 0.8 * pre[1])
    post = (ranges["norm1"], ranges["norm2"])
    shorter, later = (post[0], 0.75 * post[1]), (1.5 * post[0], post[1])
    degree = int(ranges["nnorm"])
    powers = _powers(x / max(abs(pre[0]), abs(post[1]), 1.0), max(degree, 1))
    parts = (pre, nearer, post, shorter, later)
    insides = np.searchsorted(x, np.array(parts)).tolist()  # all at once: five calls cost more
    ends = {part: slice(*inside) for part, inside in zip(parts, insides, strict=True)}
    below = {part: _at_edge(powers[:2, ends[part]], mu[ends[part]]) for part in parts[:2]}
    above = {part: _at_edge(powers[: degree + 1, ends[part]], mu[ends[part]]) for part in parts[2:]}
    pairs = ((pre, shorter), (pre, later), (nearer, post))
    steps = [above[end] - below[start] for start, end in pairs]
    return [step for step in steps if np.isfinite(step)]


def _powers(x: Array, degree: int) -> Array:
    """Return the powers 0 … `degree` of x, shape (degree + 1, n_points)."""
    powers = np.ones((degree + 1, x.size))
    for k in range(degree):
        np.multiply(powers[k], x, out=powers[k + 1])
    return powers


def _at_edge(powers: Array, mu: Array) -> float:
    """Return the polynomial fitted to a range, at the edge; NaN where there are too few points."""
    if mu.size < max(_FEWEST, len(powers) + 1):
        return float("nan")
    return float(np.linalg.solve(powers @ powers.T, powers @ mu)[0])
