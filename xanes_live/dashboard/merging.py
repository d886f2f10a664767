"""Repeats put together: the mean spectrum with its error, the mean distance with its scatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xanes_live.domain import Array, Flag, Mode, NormalisedSpectrum, Severity, Spectrum
from xanes_live.reduction import merge

MAX_DEGREE = 5
"""Of a post-edge polynomial that is believed."""


def merged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge results as the page has them (:func:`xanes_live.dashboard.view.detail`).

    Red ones are left out of the distance, and of the spectrum where any others remain; of several
    results of one run the first counts.

    Returns
    -------
    dict
        `spectrum`: `count` spectra merged, their `energy` (eV), `normalised`, `flattened` and
        `sigma` (standard error); `first_shell`: mean and standard deviation over the repeats (Å),
        which leaves out the model's own error, of `count` results; each None where there is nothing
        to merge. `why` there is no mean distance, in words, and how many were `left_out`.
    """
    single = list({r["raw_uid"] or r["key"]: r for r in reversed(results)}.values())[::-1]
    good = [r for r in single if r["colour"] != "red"]
    spectra = [s for s in map(_spectrum, good or single) if s is not None]
    why = _mixed([r for r in good if r["r"] is not None])
    return {
        "spectrum": _curves(spectra),
        "first_shell": None if why else _shell(good),
        "why": why,
        "left_out": len(results) - len(good),
    }


def _mixed(results: Sequence[Mapping[str, Any]]) -> str:
    """Return why the distances of results cannot be averaged, '' if they can."""
    kinds = {
        "edges": ("element", "edge"),
        "modes": ("mode",),
        "models": ("model", "model_hash"),
        "configurations": ("config",),
    }
    found = [word for word, names in kinds.items() if len({_of(r, names) for r in results}) > 1]
    return f"the results are of different {' and '.join(found)}" if found else ""


def _of(result: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(result[name] for name in names)


def _curves(spectra: Sequence[NormalisedSpectrum]) -> dict[str, Any] | None:
    try:
        found = merge(spectra)
    except ValueError:
        return None
    return {
        "count": found.count,
        "energy": found.energy,
        "normalised": found.normalised,
        "flattened": found.flattened,
        "sigma": found.sigma,
        "spread": found.spread,
    }


def _shell(results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    distances = np.array([r["r"] for r in results if r["r"] is not None], dtype=np.float64)
    if not distances.size:
        return None
    spread = float(distances.std(ddof=1)) if distances.size > 1 else None
    return {
        "count": int(distances.size),
        "mean": float(distances.mean()),
        "spread": spread,
    }


def _spectrum(result: Mapping[str, Any]) -> NormalisedSpectrum | None:
    """Return a result's spectrum for merging; None if it has no usable one."""
    curves = result.get("spectrum") or {}
    names = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    arrays = {n: np.array(curves[n], dtype=np.float64) for n in names if n in curves}
    if not {"energy", "normalised", "flattened"} <= arrays.keys():
        return None
    good = np.all([np.isfinite(arrays[n]) for n in ("normalised", "flattened")], axis=0)
    arrays = {name: array[good] for name, array in arrays.items()}
    energy = arrays["energy"]
    if energy.size < 2 or np.any(np.diff(energy) <= 0):
        return None
    return _normalised(arrays, result)


def _normalised(arrays: Mapping[str, Array], result: Mapping[str, Any]) -> NormalisedSpectrum:
    energy = arrays["energy"]
    unknown = np.full(energy.size, np.nan)
    mu = arrays.get("mu", unknown)
    noise = result["noise"] if result["edge_step"] else None
    spectrum = Spectrum(energy, mu, Mode.GIVEN, result["element"], result["edge"], noise=noise)
    return NormalisedSpectrum(
        energy=energy,
        mu=mu,
        normalised=arrays["normalised"],
        flattened=arrays["flattened"],
        pre_edge=arrays.get("pre_edge", unknown),
        post_edge=arrays.get("post_edge", unknown),
        e0=result["e0"] if result["e0"] is not None else float("nan"),
        edge_step=result["edge_step"] or 1.0,
        edge_step_sigma=None,
        energy_shift=0.0,
        ranges=_ranges(result["ranges"]),
        spectrum=spectrum,
        flags=tuple(
            Flag(flag["code"], Severity(flag["severity"]), flag["message"], flag["remedy"])
            for flag in result["flags"]
        ),
    )


def _ranges(ranges: Mapping[str, float]) -> Mapping[str, float]:
    """Return ranges of the normalisation as they were used, none if they cannot be meant."""
    return ranges if 0 <= ranges.get("nnorm", -1) <= MAX_DEGREE else {}
