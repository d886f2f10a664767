"""How far a prediction may be off: factors found on spectra the members have not seen.

The raw ±2σ of a bootstrap ensemble covers far less than 95 %: σ knows nothing of what all members
have wrong. Two things are measured and stored with the model: the band of G2, on unseen
theory, and the interval of the first-shell distance, on measured spectra of known structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.descriptor.shell import Z95
from xanes_live.domain import Array


def conformal_quantile(scores: Array, level: float = 0.95) -> float:
    """Return the value not exceeded with probability ≥ `level` by one more score of their kind.

    The ⌈(n + 1)·level⌉-th smallest of n scores (Vovk; Lei et al., J. Am. Stat. Assoc. 113, 1094
    (2018)); the largest if there are too few for that.
    """
    ordered = np.sort(scores[np.isfinite(scores)])
    if not len(ordered):
        return float("nan")
    rank = int(np.ceil((len(ordered) + 1) * level))
    return float(ordered[min(rank, len(ordered)) - 1])


def band(error: Array, sigma: Array, level: float = 0.95) -> dict[str, list[float]]:
    """Return factor on the spread and least half-width of the band of G2 at each radius.

    Parameters
    ----------
    error
        |mean − truth| of unseen spectra, shape (n, n_g2).
    sigma
        Their spread, shape (n, n_g2): the standard deviation over members, or the error expected.
    level
        Coverage wanted of ``max(factor·σ, floor)``.

    Returns
    -------
    dict
        ``band_factor`` and ``band_floor``, each n_g2 numbers. The floor is half the median error,
        so that a band never shrinks to nothing where the members happen to agree.
    """
    floor = 0.5 * np.median(error, axis=0)
    ratio = np.where(error <= floor, 0.0, error / np.maximum(sigma, 1e-9))
    factor = [conformal_quantile(column, level) for column in ratio.T]
    return {
        "band_factor": [round(f, 3) for f in factor],
        "band_floor": [round(float(f), 4) for f in floor],
    }


def coverage(error: Array, sigma: Array, calibration: Mapping[str, Any]) -> float:
    """Return the share of values inside the calibrated band."""
    half = np.maximum(
        np.asarray(calibration["band_factor"]) * sigma, np.asarray(calibration["band_floor"])
    )
    return float(np.mean(error <= half))


def shell_interval(
    error: Array,
    sigma: Array,
    *,
    group: NDArray[np.str_] | None = None,
    level: float = 0.95,
    base: float = 0.02,
) -> dict[str, float]:
    """Return offset, scale and floor of the first-shell interval, from known distances.

    Conformal with the score ``|error + offset| / sqrt(σ² + base²)``: what the members disagree
    about widens the interval, and what they agree about still has a least width. See
    :func:`xanes_live.descriptor.first_shell` for the use of the three numbers.

    Parameters
    ----------
    error
        Predicted − known distance, Å, shape (n,).
    sigma
        Standard deviation over members, Å, shape (n,).
    group
        Label of the compound, shape (n,): each compound counts once, by its own median.
    level
        Coverage wanted.
    base
        Spread every prediction is given at least, Å.
    """
    usable = np.isfinite(error) & np.isfinite(sigma)
    error, sigma = error[usable], sigma[usable]
    if group is not None:
        names = group[usable]
        error, sigma = (
            np.array([np.median(v[names == g]) for g in np.unique(names)]) for v in (error, sigma)
        )
    offset = -float(np.median(error))
    quantile = conformal_quantile(np.abs(error + offset) / np.hypot(sigma, base), level)
    return {
        "offset": round(offset, 4),
        "scale": round(quantile / Z95, 3),
        "floor": round(quantile * base, 4),
    }
