"""A result as a file: CSV, JSON, NeXus (HDF5), XDI.

Every maker takes the result as the page shows it (:func:`xanes_live.dashboard.view.detail`) and
the whole document from Tiled.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import orjson

from xanes_live import __version__

Shown = Mapping[str, Any]
_SPECTRUM = {
    "energy": "energy / eV",
    "mu": "mu",
    "normalised": "normalised",
    "flattened": "flattened",
    "pre_edge": "pre_edge",
    "post_edge": "post_edge",
}
_G2 = {
    "radius": "radius / Å",
    "mean": "g2_mean",
    "sigma": "g2_sigma",
    "lower": "g2_lower95",
    "upper": "g2_upper95",
}


def file_name(shown: Shown) -> str:
    """Return a name for the file without ending, safe on every system."""
    sample = re.sub(r"[^A-Za-z0-9_.-]+", "_", shown["sample"]).strip("_.")[:60]
    scan = "" if shown["scan_id"] is None else f"scan{shown['scan_id']}"
    key = re.sub(r"[^A-Za-z0-9_.-]+", "_", shown["key"])
    return "_".join(filter(None, (sample, scan, key)))


def as_json(_: Shown, document: Mapping[str, Any]) -> bytes:
    """Return the published document as it is."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def as_csv(shown: Shown, _: Mapping[str, Any]) -> bytes:
    """Return spectrum and G2 side by side below `#` lines with everything else."""
    out = io.StringIO()
    for name, value in _facts(shown):
        out.write(f"# {name}: {value}\n")
    columns = [*_columns(shown["spectrum"], _SPECTRUM), *_columns(shown["g2"], _G2)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for row in zip_longest(*(values for _, values in columns)):
        writer.writerow(["" if value is None else repr(value) for value in row])
    return out.getvalue().encode()


def as_xdi(shown: Shown, _: Mapping[str, Any]) -> bytes:
    """Return the spectrum as XAS Data Interchange 1.0 (github.com/XraySpectroscopy)."""
    columns = _columns(shown["spectrum"], _SPECTRUM)
    lines = [f"# XDI/1.0 xanes_live/{__version__}"]
    for number, (name, _values) in enumerate(columns, start=1):
        label = "energy eV" if name.startswith("energy") else _XDI.get(name, name)
        lines.append(f"# Column.{number}: {label}")
    lines += [f"# {name}: {value}" for name, value in _xdi_facts(shown) if value]
    lines += ["# ///", *(f"# {name}: {value}" for name, value in _facts(shown)), "#-----"]
    lines.append("#" + "".join(f" {_XDI.get(n, n.partition(' ')[0]):>14}" for n, _ in columns))
    for row in zip(*(values for _, values in columns), strict=True):
        lines.append(" " + " ".join(_padded(value) for value in row))
    return ("\n".join(lines) + "\n").encode()


_XDI = {"mu": "mutrans", "normalised": "normtrans"}
"""Words of the XDI dictionary for columns; μ(E) and its normalised form."""


def _padded(value: float | None) -> str:
    return f"{'nan' if value is None else format(value, '.8g'):>14}"


def _xdi_facts(shown: Shown) -> Iterator[tuple[str, str]]:
    yield "Element.symbol", shown["element"]
    yield "Element.edge", shown["edge"]
    yield "Sample.name", shown["sample"]
    yield "Scan.start_time", _iso(shown["time"])
    yield "Scan.end_time", _iso(shown["stop_time"])
    yield "Scan.edge_energy", "" if shown["e0"] is None else f"{shown['e0']:.3f} eV"


def _iso(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _columns(curves: object, names: Mapping[str, str]) -> list[tuple[str, list[float | None]]]:
    if not isinstance(curves, Mapping):
        return []
    return [(label, curves[name]) for name, label in names.items() if name in curves]


def _facts(shown: Shown) -> Iterator[tuple[str, str]]:
    """Yield what is known of the result in words and numbers."""
    for name in ("key", "raw_uid", "scan_id", "sample", "element", "edge", "mode", "plan"):
        yield name, _word(shown[name])
    yield "start", _iso(shown["time"])
    yield "confidence", shown["colour"] or "not predicted"
    yield "probability within 0.1 Å", _word(shown["probability"])
    yield "first shell / Å", _word(shown["r"])
    yield "first shell 95 % / Å", f"{_word(shown['low'])} {_word(shown['high'])}"
    for name in ("e0", "edge_step", "energy_shift"):
        yield name, _word(shown[name])
    for name, value in shown["ranges"].items():
        yield name, _word(value)
    for flag in shown["flags"]:
        yield f"flag {flag['code']} ({flag['severity']})", flag["message"]
    yield "model", shown["model"]
    yield "configuration", shown["config"]
    yield "software", shown["software"]


def _word(value: object) -> str:
    return "" if value is None else str(value)


def as_nexus(shown: Shown, document: Mapping[str, Any]) -> bytes:
    """Return a NeXus file: NXdata for the spectrum (default) and G2, NXprocess for how."""
    import h5py  # noqa: PLC0415 - only this file needs it
    import numpy as np  # noqa: PLC0415

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": "xanes_live"})
        entry = _group(file, "entry", "NXentry", default="spectrum")
        entry["title"] = f"{shown['sample']} {shown['element']} {shown['edge']}"
        entry["entry_identifier"] = shown["raw_uid"]
        if shown["time"] is not None:
            entry["start_time"] = _iso(shown["time"])
        _group(entry, "sample", "NXsample")["name"] = shown["sample"]
        _data(entry, "spectrum", shown["spectrum"], ("flattened", "energy"), {"energy": "eV"})
        g2 = _data(entry, "g2", shown["g2"], ("mean", "radius"), {"radius": "angstrom"})
        if g2 is not None and "sigma" in g2:
            g2["mean_errors"] = g2["sigma"]
        shell = _group(entry, "first_shell", "NXcollection")
        for name in ("r", "low", "high"):
            if shown[name] is not None:
                shell[name] = np.float64(shown[name])
                shell[name].attrs["units"] = "angstrom"
        process = _group(entry, "process", "NXprocess")
        process["program"], process["version"] = "xanes_live", shown["software"]
        process["confidence"] = shown["colour"] or "not predicted"
        process["document"] = orjson.dumps(document).decode()
    return out.getvalue()


def _group(parent: Any, name: str, kind: str, **attributes: str) -> Any:  # noqa: ANN401 - h5py
    group = parent.create_group(name)
    group.attrs.update({"NX_class": kind, **attributes})
    return group


def _data(
    entry: Any,  # noqa: ANN401 - h5py
    name: str,
    curves: object,
    signal_axis: tuple[str, str],
    units: Mapping[str, str],
) -> Any:  # noqa: ANN401
    """Write curves as an NXdata group; None when there are none."""
    import numpy as np  # noqa: PLC0415

    signal, axis = signal_axis
    if not isinstance(curves, Mapping) or not {signal, axis} <= curves.keys():
        return None
    group = _group(entry, name, "NXdata", signal=signal, axes=axis)
    for key, values in curves.items():
        group[key] = np.array(values, dtype=np.float64)
        if key in units:
            group[key].attrs["units"] = units[key]
    return group


Maker = Callable[[Shown, Mapping[str, Any]], bytes]
MAKERS: Mapping[str, Maker] = {
    "csv": as_csv,
    "json": as_json,
    "h5": as_nexus,
    "xdi": as_xdi,
}
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "h5": "application/x-hdf5",
    "xdi": "text/plain; charset=utf-8",
}
