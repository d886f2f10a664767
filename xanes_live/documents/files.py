"""Reading scans from files: XDI, text tables of two or more columns, SPEC, Athena projects.

A file says less than a run: where it does not name element and edge they are taken from where the
signal rises, where it does not name its columns they are energy and μ(E).
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from pathlib import Path

import numpy as np

from xanes_live.documents import athena
from xanes_live.documents.columns import Roles, recognise
from xanes_live.documents.guess import nearest_edge, steepest_rise
from xanes_live.documents.header import (
    D_KEYS,
    E0_KEYS,
    EDGE_KEYS,
    ELEMENT_KEYS,
    SAMPLE_KEYS,
    TIME_KEYS,
    edge_of,
    element_of,
    energy_of,
    first,
    number,
    time_of,
)
from xanes_live.documents.tables import Table, parse
from xanes_live.domain import Array, Channels, Flag, Scan
from xanes_live.edges import edges_within
from xanes_live.errors import ReadError
from xanes_live.flags import make

MAX_BYTES = 200_000_000
"""Larger files, also after decompression, are refused: no spectrum is that large."""
HC = 12398.419843320026
"""Planck constant times speed of light, eV Å (exact in the SI of 2019)."""
_IONISATION = ("i0", "it", "ir")


def read_file(path: Path | str) -> tuple[Scan, ...]:
    """Read all scans of a file.

    Parameters
    ----------
    path
        XDI, a text file of two or more columns (comment lines and names of columns are used),
        a SPEC file, or an Athena project; any of them may be compressed with gzip.

    Returns
    -------
    tuple of Scan
        In the order of the file; their uids depend on the contents of the file only.

    Raises
    ------
    ReadError
        With one sentence that says why the file could not be read as XAS data.
    """
    path = Path(path)
    data = _bytes(path)
    text = _text(data, path)
    uid = f"file-{hashlib.sha256(data).hexdigest()[:24]}"
    try:
        if athena.is_project(text):
            return tuple(
                _scan_of_group(group, f"{uid}-{i}", path)
                for i, group in enumerate(athena.parse(text))
            )
        tables = parse(text)
        names = (uid,) if len(tables) == 1 else tuple(f"{uid}-{i}" for i in range(len(tables)))
        return tuple(_scan_of_table(t, u, path) for t, u in zip(tables, names, strict=True))
    except ReadError as error:
        raise ReadError(f"{path.name}: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ReadError(f"{path}: is a directory, not a file")
        if path.stat().st_size > MAX_BYTES:
            raise ReadError(f"{path.name}: larger than {MAX_BYTES // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from None
    if data[:2] == b"\x1f\x8b":
        data = _gunzip(data, path)
    if not data.strip():
        raise ReadError(f"{path.name}: the file is empty")
    return data


def _gunzip(data: bytes, path: Path) -> bytes:
    """Decompress, refusing damaged files and those that would fill the memory."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        text = inflate.decompress(data, MAX_BYTES)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise ReadError(f"{path.name}: damaged gzip file ({error})") from None
    if inflate.unconsumed_tail:
        raise ReadError(f"{path.name}: larger than {MAX_BYTES // 1_000_000} MB when decompressed")
    if not inflate.eof:
        raise ReadError(f"{path.name}: damaged gzip file (it ends too early)")
    return text


def _text(data: bytes, path: Path) -> str:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data:
        raise ReadError(f"{path.name}: a binary file, not text in columns or an Athena project")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# -- tables --------------------------------------------------------------------------------------


def _scan_of_table(table: Table, uid: str, path: Path) -> Scan:
    header = table.header
    element = element_of(first(header, ELEMENT_KEYS))
    channels = _channels(table, element)
    edge = edge_of(first(header, EDGE_KEYS))
    element, edge = _complete(element, edge, channels, f"{path.stem} {' '.join(header.values())}")
    return Scan(
        uid=uid,
        sweeps=(channels,),
        element=element,
        edge=edge,
        sample=first(header, SAMPLE_KEYS) or path.stem,
        time=time_of(first(header, TIME_KEYS)),
        e0_announced=energy_of(first(header, E0_KEYS)),
        metadata=dict(header),
        source=path.name,
        flags=_skipped(table.skipped),
    )


def _channels(table: Table, element: str) -> Channels:
    roles = _roles(table, element)
    energy = _energy(table, roles)
    columns = table.values.T

    def column(index: int | None) -> Array | None:
        return None if index is None else np.ascontiguousarray(columns[index])

    ionisation = {role: _alive(column(getattr(roles, role))) for role in _IONISATION}
    return Channels(
        energy=energy,
        **ionisation,
        fluorescence=_fluorescence(columns, roles),
        mu=column(roles.mu),
    )


def _roles(table: Table, element: str) -> Roles:
    """Recognise the columns; unnamed ones are energy and μ(E), or energy, I0 and It."""
    if table.names:
        roles = recognise(table.names, element or _element_of_names(table))
        if _has_signal(roles):
            return roles
    if table.values.shape[1] == 2 or not _counts(table.values[:, 1:3]):
        return Roles(energy=0, mu=1)
    return Roles(energy=0, i0=1, it=2)


def _has_signal(roles: Roles) -> bool:
    if roles.energy is None and roles.angle is None:
        return False
    pair = roles.i0 is not None and (roles.it is not None or bool(roles.fluorescence))
    return pair or roles.mu is not None


def _counts(values: Array) -> bool:
    """Whether both columns look like detector readings: positive and large."""
    return bool(
        np.all(values > 0) and np.median(values[:, 0]) > 50 and np.median(values[:, 1]) > 50
    )


def _element_of_names(table: Table) -> str:
    """Take the element from names of regions of interest ('Fe_Ka_mca1') within the energies."""
    energy = table.values[:, 0] * (1000.0 if np.nanmax(table.values[:, 0]) < 200 else 1.0)
    low, high = float(np.nanmin(energy)), float(np.nanmax(energy))
    reachable = {edge.element for edge in edges_within(low, high)}
    symbols = (re.split(r"[_\s]", name)[0].capitalize() for name in table.names)
    return next((symbol for symbol in symbols if symbol in reachable), "")


def _alive(values: Array | None) -> Array | None:
    """Drop a channel that was not connected: nothing but zeros."""
    return None if values is None or not np.any(values) else values


def _fluorescence(columns: Array, roles: Roles) -> Array | None:
    if not roles.fluorescence:
        return None
    elements = columns[list(roles.fluorescence)]
    if roles.dead_time:
        elements = elements * columns[list(roles.dead_time)]
    return elements if np.any(elements) else None


def _energy(table: Table, roles: Roles) -> Array:
    if roles.energy is None:
        return _energy_of_angle(table, roles)
    energy = np.ascontiguousarray(table.values[:, roles.energy])
    unit = table.units.get(table.names[roles.energy].lower(), "") if table.names else ""
    finite = energy[np.isfinite(energy)]
    # no edge of interest lies below 200 eV, none above 200 keV
    if unit.lower() == "kev" or (finite.size and unit.lower() != "ev" and finite.max() < 200.0):
        energy = energy * 1000.0
    return energy


def _energy_of_angle(table: Table, roles: Roles) -> Array:
    """Turn the Bragg angle into energy, E = hc / (2 d sin θ)."""
    d_spacing = number(first(table.header, D_KEYS))
    if roles.angle is None or d_spacing is None or d_spacing <= 0:
        raise ReadError("energies are given as angles but no d-spacing of the monochromator")
    angle = table.values[:, roles.angle]
    unit = table.units.get(table.names[roles.angle].lower(), "deg").lower()
    radians = angle if unit.startswith("rad") else np.deg2rad(angle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(HC / (2.0 * d_spacing * np.sin(radians)), dtype=np.float64)


def _skipped(count: int) -> tuple[Flag, ...]:
    return (make("points_dropped", count=count, reason="lines not to be read"),) if count else ()


# -- Athena --------------------------------------------------------------------------------------


def _scan_of_group(group: athena.Group, uid: str, path: Path) -> Scan:
    parameters = group.parameters
    # the shift is part of the project's energy scale: Athena stores the measured energies
    shift = group.energy_shift
    channels = Channels(energy=group.energy + shift, mu=group.mu, i0=group.i0)
    element = element_of(parameters.get("bkg_z") or parameters.get("atsym"))
    edge = edge_of(parameters.get("fft_edge") or parameters.get("edge"))
    element, edge = _complete(element, edge, channels, f"{path.stem} {group.label}")
    flags = (make("aligned", shift=shift, how="shift of the Athena project"),) if shift else ()
    keep = ("label", "source", "file", "bkg_z", "bkg_e0", "bkg_eshift", "fft_edge")
    return Scan(
        uid=uid,
        sweeps=(channels,),
        element=element,
        edge=edge,
        sample=group.label or path.stem,
        e0_announced=energy_of(parameters.get("bkg_e0")),
        metadata={k: parameters[k] for k in keep if k in parameters},
        source=path.name,
        flags=flags,
    )


# -- element and edge -----------------------------------------------------------------------------


def _complete(element: str, edge: str, channels: Channels, words: str) -> tuple[str, str]:
    """Fill in the element or edge that the file does not name."""
    if element and edge:
        return element, edge
    energy = channels.energy[np.isfinite(channels.energy)]
    if energy.size == 0:
        return element, edge
    inside = [e for e in edges_within(energy.min(), energy.max()) if e.edge == (edge or "K")]
    inside = [e for e in inside if element in ("", e.element)]
    rises = [steepest_rise(channels.energy, signal) for signal in _signals(channels)]
    at = next((rise for rise in rises if rise is not None), None)
    if element and at is not None:
        own = [e for e in edges_within(energy.min(), energy.max()) if e.element == element]
        best = min(own, key=lambda e: abs(e.energy - at), default=None)
        return element, best.edge if best else ""
    found = nearest_edge(at, words) if at is not None else None
    if found is None or (edge and found.edge != edge):
        # nothing rises: the only edge there could be, so that its absence can be said
        only = inside[0] if len(inside) == 1 else None
        return (only.element, only.edge) if only else (element, edge)
    return found.element, found.edge


def _signals(channels: Channels) -> list[Array]:
    """Return the μ(E) there are, the best known first."""
    signals: list[Array] = [] if channels.mu is None else [channels.mu]
    if channels.i0 is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            if channels.fluorescence is not None:
                signals.append(channels.fluorescence.sum(axis=0) / channels.i0)
            if channels.it is not None:
                signals.append(np.log(channels.i0 / channels.it))
    return signals
