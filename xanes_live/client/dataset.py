"""One result as an xarray Dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xanes_live.publish.names import children_of
from xanes_live.publish.tiled import faults

if TYPE_CHECKING:
    from xanes_live.client.results import Published

LONG_NAMES = {
    "radius": "centre of the G2 function",
    "mean": "G2, mean over members",
    "sigma": "standard deviation of G2 over members",
    "lower": "lower edge of the calibrated 95 % band of G2",
    "upper": "upper edge of the calibrated 95 % band of G2",
    "energy": "energy",
    "normalised": "normalised μ(E)",
    "flattened": "flattened μ(E)",
    "mu": "μ(E)",
    "pre_edge": "pre-edge line",
    "post_edge": "post-edge polynomial",
    "first_shell_r": "first-shell distance",
    "first_shell_sigma": "standard deviation of the first-shell distance over members",
    "first_shell_low": "lower end of the 95 % interval of the first-shell distance",
    "first_shell_high": "upper end of the 95 % interval of the first-shell distance",
    "e0": "edge energy",
    "edge_step": "edge step",
    "probability": "probability that the first-shell distance is right within 0.1 Å",
    "confidence": "0 green, 1 amber, 2 red",
}
UNITS = {"radius": "Å", "energy": "eV", "e0": "eV"}
_ON_RADIUS = {"mean", "sigma", "lower", "upper"}
_ON_ENERGY = {"normalised", "flattened", "mu", "pre_edge", "post_edge"}
_CURVES = ("mu", "pre_edge", "post_edge")
"""Only in the document."""


def dataset(result: Published) -> xr.Dataset:
    """Return the curves of a result on `radius` and `energy` (and `spectrum`), with units.

    The arrays are read where Tiled has them, and taken from the document, with its seven or more
    digits, where it has not (yet). Scalars of the document become attributes.
    """
    document = result.metadata
    values = _from_document(document)
    if document.get("arrays") == "complete":
        values |= _from_arrays(result)
    values = {name: value for name, value in values.items() if _fits(name, value, values)}
    units = {**UNITS, **(document.get("units") or {})}
    variables = {
        name: (_dims(name, value), value, _attributes(name, units))
        for name, value in values.items()
    }
    return xr.Dataset(variables, attrs=_scalars(document)).set_coords(
        [name for name in ("radius", "energy") if name in variables]
    )


def _from_arrays(result: Published) -> dict[str, Any]:
    node = result.node
    with faults():
        children = children_of(result.metadata, list(node))
        return {name: np.asarray(node[child].read()) for name, child in children.items()}


def _from_document(document: Mapping[str, Any]) -> dict[str, Any]:
    g2 = document.get("g2") or {}
    curves = {k: v for k, v in (document.get("spectrum") or {}).items() if isinstance(v, list)}
    many = document.get("spectra")
    if many:
        # The curves of the described spectrum lie on its own energies, which all rows share.
        grids = {"radius": g2.get("radius"), "energy": curves.get("energy")}
        rows = {k: v for k, v in many.items() if isinstance(v, list) and k != "confidence"}
        return _numeric({**grids, **rows})
    band = g2.get("band95") or {}
    one = {name: g2.get(name) for name in ("radius", "mean", "sigma")}
    return _numeric({**one, "lower": band.get("lower"), "upper": band.get("upper"), **curves})


def _numeric(lists: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.array(v, dtype=np.float64) for k, v in lists.items() if v is not None}


def _fits(name: str, value: Any, values: Mapping[str, Any]) -> bool:  # noqa: ANN401
    """Leave out curves of the document that are thinner than the arrays."""
    grid = "radius" if name in _ON_RADIUS else "energy" if name in _ON_ENERGY else ""
    return not grid or (grid in values and value.shape[-1] == values[grid].size)


def _dims(name: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401
    if name in {"radius", "energy"}:
        return (name,)
    last = "radius" if name in _ON_RADIUS else "energy" if name in _ON_ENERGY else None
    if last is None:
        return ("spectrum",)
    return (last,) if value.ndim == 1 else ("spectrum", last)


def _attributes(name: str, units: Mapping[str, str]) -> dict[str, str]:
    return {"units": units.get(name, ""), "long_name": LONG_NAMES.get(name, name)}


def _scalars(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what netCDF takes as attributes: text and numbers, the rest as JSON."""
    skipped = {"g2", "spectrum", "spectra", "units"}
    attributes: dict[str, Any] = {}
    for name, value in document.items():
        if name in skipped or value is None:
            continue
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        attributes[name] = value if plain else json.dumps(_plain(value), ensure_ascii=False)
    return attributes


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON, possibly behind Tiled's read-only views
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, str | int | float) or value is None:
        return value
    return [_plain(v) for v in value]
