"""Numbers by which an ensemble is judged: arrays in, a few figures out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xanes_live.descriptor import RIGHT
from xanes_live.descriptor.peaks import FAR, NEAR, refine, significant
from xanes_live.domain import Array


@dataclass(frozen=True)
class Predictions:
    """What an ensemble says of spectra it has not seen; all arrays share the first axis."""

    mean: Array
    """G2, shape (n, n_g2)."""
    sigma: Array
    """Standard deviation over members, shape (n, n_g2)."""
    shell: Array
    """First-shell distance, Å, shape (n,)."""
    shell_sigma: Array
    """Its standard deviation over members, Å, shape (n,)."""

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Predictions:
        """Return the predictions selected by a mask or by indices."""
        return Predictions(
            self.mean[chosen], self.sigma[chosen], self.shell[chosen], self.shell_sigma[chosen]
        )


def summary(values: Array) -> dict[str, float]:
    """Return count, median, mean, standard deviation, coefficient of variation and IQR."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {"count": 0}
    low, median, high = np.percentile(values, (25, 50, 75))
    mean, sd = float(values.mean()), float(values.std())
    return {
        "count": len(values),
        "median": float(median),
        "mean": mean,
        "sd": sd,
        "coefficient_of_variation": sd / mean if mean else float("nan"),
        "interquartile_range": float(high - low),
    }


def mean_squared_error(mean: Array, truth: Array) -> Array:
    """Return the mean squared error of each G2, shape (n,)."""
    return np.asarray(((mean - truth) ** 2).mean(axis=-1))


def peak_errors(
    radius: Array, mean: Array, truth: Array, region: tuple[float, float]
) -> tuple[Array, float]:
    """Return the distance from each true peak of a region to the nearest predicted one.

    Parameters
    ----------
    radius
        Centres, Å, shape (n_g2,).
    mean, truth
        Predicted and true G2, shape (n, n_g2).
    region
        From and to, Å.

    Returns
    -------
    tuple
        Absolute errors of all true peaks for which the prediction has a peak in the region, Å,
        and the share of true peaks for which it has none.
    """
    errors, missed, total = [], 0, 0
    inside = (radius >= region[0]) & (radius < region[1])
    true_peaks, predicted = (significant(radius, v) & inside for v in (truth, mean))
    for t_row, p_row, t_is, p_is in zip(truth, mean, true_peaks, predicted, strict=True):
        wanted, found = _positions(radius, t_row, t_is), _positions(radius, p_row, p_is)
        total += len(wanted)
        if not len(found):
            missed += len(wanted)
            continue
        errors.append(np.abs(wanted[:, None] - found).min(axis=1))
    flat = np.concatenate(errors) if errors else np.empty(0)
    return flat, missed / total if total else float("nan")


def _positions(radius: Array, values: Array, chosen: NDArray[np.bool_]) -> Array:
    index = np.flatnonzero(chosen)
    return refine(radius, np.broadcast_to(values, (len(index), len(values))), index)[0]


def peak_scores(radius: Array, mean: Array, truth: Array) -> dict[str, dict[str, float]]:
    """Return the summaries of :func:`peak_errors` near (1–3.5 Å) and far (3.5–6 Å)."""
    scores = {}
    for name, region in (("near", NEAR), ("far", FAR)):
        errors, missed = peak_errors(radius, mean, truth, region)
        scores[name] = summary(errors) | {"missed": missed}
    return scores


def correlation(a: Array, b: Array) -> float:
    """Return Pearson's r; NaN if one of the two does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def spread_scores(predictions: Predictions, truth: Array) -> dict[str, float]:
    """Return how well σ tells the error: coverage of ±2σ and correlation with the error."""
    error = np.abs(predictions.mean - truth)
    mse = mean_squared_error(predictions.mean, truth)
    spread = predictions.sigma.mean(axis=1)
    return {
        "coverage_2_sigma": float(np.mean(error <= 2 * predictions.sigma)),
        "coverage_2_sigma_median": float(
            np.median(np.mean(error <= 2 * predictions.sigma, axis=1))
        ),
        "sigma_mse_correlation": correlation(spread, mse),
        "sigma_rmse_correlation": correlation(spread, np.sqrt(mse)),
        "log_correlation": correlation(np.log(spread + 1e-9), np.log(mse + 1e-9)),
    }


def shell_scores(error: Array, group: NDArray[np.str_] | None = None) -> dict[str, float]:
    """Return median, mean and share within 0.1 Å of first-shell errors.

    Parameters
    ----------
    error
        Predicted − known, Å, shape (n,); a missing prediction (NaN) counts as wrong.
    group
        Compound of each spectrum: each then counts once, by its median error.
    """
    if group is not None:
        names = np.unique(group)
        error = np.array([np.nanmedian(error[group == g]) if np.isfinite(error[group == g]).any()
                          else np.nan for g in names])  # fmt: skip
    size = np.abs(error)
    known = size[np.isfinite(size)]
    return {
        "count": len(error),
        "median": float(np.median(known)) if len(known) else float("nan"),
        "mean": float(known.mean()) if len(known) else float("nan"),
        "bias": float(np.nanmedian(error)) if len(known) else float("nan"),
        "right": float(np.mean(size <= RIGHT)),
    }


def two_fold(
    error: Array, group: NDArray[np.str_], *, splits: int = 200, seed: int = 0
) -> dict[str, float]:
    """Return first-shell scores with an offset fitted on half of the compounds, on the others.

    Mean over random halves, with the standard deviation over them as error bars.
    """
    rng, names = np.random.default_rng(seed), np.unique(group)
    rows = []
    for _ in range(splits):
        first = np.isin(group, rng.permutation(names)[: len(names) // 2])
        for fit, test in ((first, ~first), (~first, first)):
            offset = shell_scores(error[fit], group[fit])["bias"]
            score = shell_scores(error[test] - offset, group[test])
            rows.append((score["median"], score["mean"], score["right"]))
    mean, sd = np.mean(rows, axis=0), np.std(rows, axis=0)
    names_ = ("median", "mean", "right")
    return {n: float(m) for n, m in zip(names_, mean, strict=True)} | {
        f"{n}_sd": float(s) for n, s in zip(names_, sd, strict=True)
    }


def bootstrap(
    error: Array, group: NDArray[np.str_], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the median absolute error over compounds, Å."""
    rng, names = np.random.default_rng(seed), np.unique(group)
    own = np.array([np.abs(np.nanmedian(error[group == g])) for g in names])
    medians = np.nanmedian(own[rng.integers(0, len(own), (draws, len(own)))], axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return float(low), float(high)


def g2_skill(
    radius: Array, mean: Array, truth: Array, reference: Array, region: tuple[float, float]
) -> float:
    """Return the squared error in a region as a share of that of always saying `reference`.

    Below 1 there is skill. Spectra whose truth is unknown (NaN) are left out.
    """
    known = np.isfinite(truth).all(axis=1)
    inside = (radius >= region[0]) & (radius < region[1])
    ours = ((mean - truth) ** 2)[known][:, inside].mean()
    theirs = ((reference - truth) ** 2)[known][:, inside].mean()
    return float(ours / theirs)
