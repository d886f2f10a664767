"""What a start document says about a scan, whatever the facility's habits of nesting and naming."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xanes_live.documents.leaves import number_of
from xanes_live.domain import Mode
from xanes_live.edges import ELEMENTS, edge_energy

_XAS_PLAN = re.compile(r"xas|xafs|xanes|exafs|absorption|edge_?scan", re.IGNORECASE)
_EDGE = re.compile(r"(?:^|[^a-z])(k|l[-_ ]?(?:[123]|i{1,3}))(?:[-_ ]?edge)?$", re.IGNORECASE)
_ELSE = re.compile(
    r"(?:^|[._ ])(?:reference|ref|foil|filter|attenuator|holder|mirror|calibrat\w*|standard)s?"
    r"(?=[._ ])",
    re.IGNORECASE,
)
"""What has an element of its own that is not the sample's, as a part of a path."""
_ROMAN = {"LI": "L1", "LII": "L2", "LIII": "L3"}
_MODES = {
    "trans": Mode.TRANSMISSION,
    "fluo": Mode.FLUORESCENCE,
    "yield": Mode.FLUORESCENCE,
    "herfd": Mode.FLUORESCENCE,
    "ref": Mode.REFERENCE,
}
_CRYSTALS = {
    # 2 sin θ / λ spacings at room temperature, Å: a / √(h² + k² + l²) with a(Si) = 5.43102 Å
    # (CODATA 2018) and a(Ge) = 5.65791 Å
    ("si", 111): 3.13560,
    ("si", 220): 1.92016,
    ("si", 311): 1.63752,
    ("si", 333): 1.04520,
    ("si", 400): 1.35776,
    ("si", 511): 1.04520,
    ("ge", 111): 3.26660,
    ("ge", 220): 2.00037,
}


def element(leaves: Mapping[str, Any]) -> str:
    """Return the symbol of the absorbing element, '' when nothing names one."""
    names = ("element", "elem", "absorber", "absorbing_element", "element_symbol", "symbol")
    leaves = {path: value for path, value in leaves.items() if not _ELSE.search(path)}
    for path, value in _named(leaves, names):
        if path.endswith("symbol") and "elem" not in path and "absorb" not in path:
            continue
        if symbol := symbol_of(value):
            return symbol
    for _, value in _named(leaves, ("edge", "absorption_edge", "edge_name")):
        # 'Fe K', 'Fe-K', 'Fe_L3'
        match = re.match(r"\s*([A-Z][a-z]?)[-_ ]?[KL]", value) if isinstance(value, str) else None
        if match and (symbol := symbol_of(match[1])):
            return symbol
    return ""


def edge(leaves: Mapping[str, Any]) -> str:
    """Return 'K', 'L3', 'L2' or 'L1', '' when nothing names an edge of the table."""
    names = ("edge", "absorption_edge", "edge_name", "symbol", "element", "elem")
    leaves = {path: value for path, value in leaves.items() if not _ELSE.search(path)}
    for path, value in _named(leaves, names):
        if path.endswith("symbol") and "edge" not in path:
            continue
        if name := edge_of(value, alone="edge" in path):
            return name
    return ""


def symbol_of(value: object) -> str:
    """Return the element meant by 'Fe', 'fe', 'Iron', 26, 'Fe K' or ['Fe']; '' if none is."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    number = number_of(value)
    if number is not None:
        return _by_number(number)
    if not isinstance(value, str) or len(value) > 40:
        return ""
    text = value.strip()
    if text.capitalize() in ELEMENTS:
        return text.capitalize()
    word = re.match(r"[A-Za-z]+", text)
    first = word[0] if word else ""
    if first in ELEMENTS:  # 'Fe K', 'Fe-foil'; in its own spelling only
        return first
    return _by_name(text)


def edge_of(value: object, *, alone: bool = True) -> str:
    """Return the edge meant by 'K', 'Fe K', 'k-edge', 'LIII', 'L_3', …; '' if none is.

    Parameters
    ----------
    value
        What a document says.
    alone
        Whether a bare letter is meant as an edge; otherwise 'K' is potassium.
    """
    if not isinstance(value, str) or len(value) > 40:
        return ""
    text = value.strip()
    text = re.sub(r"[-_ ]?edge$", "", text, flags=re.IGNORECASE)
    match = _EDGE.search(text) or re.match(r"[A-Z][a-z]?(K|L[123])$", text)
    if match is None or (not alone and match.end(1) - match.start(1) == len(text)):
        return ""
    name = re.sub(r"[-_ ]", "", match[1]).upper()
    return _ROMAN.get(name, name)


def mode(leaves: Mapping[str, Any]) -> Mode | None:
    """Return the announced measuring mode; None when none, or several, are announced."""
    names = ("mode", "xas_mode", "measurement_mode", "detection", "detection_mode", "acquisition")
    for _, value in _named(leaves, names):
        if isinstance(value, str) and len(value) < 60:
            found = {m for word, m in _MODES.items() if word in value.lower()}
            if len(found) == 1:
                return found.pop()
    return None


def e0(leaves: Mapping[str, Any]) -> float | None:
    """Return the edge energy named in the metadata, eV; None when none is."""
    for _, value in _named(leaves, ("e0", "e_0", "edge_energy", "ezero")):
        number = number_of(value)
        if number is not None and 100 < number < 150_000:
            return number
        if number is not None and 1 < number <= 100:  # keV
            return 1e3 * number
    return None


def d_spacing(leaves: Mapping[str, Any]) -> float | None:
    """Return the lattice spacing of the monochromator crystal, Å; None when nothing says it.

    A number is taken as it is; a name such as 'Si(111)' gives the spacing at room temperature.
    """
    for path, value in leaves.items():
        last = path.rpartition(".")[2]
        number = number_of(value)
        if re.search(r"d_?spacing$|^dspace$|^2d$", last) and number is not None:
            spacing = number / 2 if last == "2d" else number
            if 0.3 < spacing < 15:
                return spacing
        named = re.search(r"crystal|mono|reflection|d_?spacing", path) is not None
        if named and isinstance(value, str) and (known := _of_crystal(value)) is not None:
            return known
    return None


def is_xas_plan(start: Mapping[str, Any] | None) -> bool:
    """Tell whether the plan's name, or its purpose, says that this is an absorption scan."""
    words = ((start or {}).get(key) for key in ("plan_name", "plan", "scan_type", "experiment"))
    return any(isinstance(w, str) and _XAS_PLAN.search(w[:200]) is not None for w in words)


def known_edge(symbol: str, name: str) -> float | None:
    """Return the tabulated energy, eV; None when the table does not hold that edge."""
    try:
        return edge_energy(symbol, name)
    except KeyError:
        return None


def _named(leaves: Mapping[str, Any], names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the leaves whose last word is one of `names`, the least nested first."""
    found = [(path, v) for path, v in leaves.items() if path.rpartition(".")[2] in names]
    return sorted(found, key=lambda item: item[0].count("."))


def _by_number(number: float) -> str:
    from ase.data import chemical_symbols  # noqa: PLC0415 - rarely needed

    if number != int(number) or not 0 < number < len(chemical_symbols):
        return ""
    symbol = str(chemical_symbols[int(number)])
    return symbol if symbol in ELEMENTS else ""


def _by_name(text: str) -> str:
    from ase.data import atomic_names, chemical_symbols  # noqa: PLC0415 - rarely needed

    names = {str(n).lower(): str(s) for n, s in zip(atomic_names, chemical_symbols, strict=True)}
    symbol = names.get(text.lower(), "")
    return symbol if symbol in ELEMENTS else ""


def _of_crystal(text: str) -> float | None:
    match = re.search(r"\b(si|ge)[^0-9a-z]{0,3}\(?\s*(\d)[ ,]*(\d)[ ,]*(\d)", text[:100].lower())
    if match is None:
        return None
    return _CRYSTALS.get((match[1], int(match[2] + match[3] + match[4])))
