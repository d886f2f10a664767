"""What the columns of a data file are, from their names.

The names are those of the XDI dictionary (B. Ravel, M. Newville, *J. Phys. Conf. Ser.* 712, 012148
(2016)) and of the acquisition programs whose files are met most often; other names are judged by
the rules for data keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xanes_live.documents.names import channel_points, energy_points

_ROLES: dict[str, tuple[str, ...]] = {
    # within one role the first name that is present wins
    "energy": ("energy", "e", "en", "ene", "energyev", "energykev", "monoenergy", "enc",
               "energyrbv", "energyreadback", "eev", "ekev", "photonenergy", "xenergy"),
    "angle": ("angle", "theta", "bragg", "braggangle", "dcmtheta", "thetac"),
    "i0": ("i0", "io", "izero", "i00", "i0detector", "ion0", "ic0", "i0eh1", "i0eh2", "monitor",
           "mon", "imon", "scaleri0"),
    "it": ("itrans", "it", "i1", "transmission", "trans", "itransmission", "ion1", "ic1", "itr"),
    "ir": ("irefer", "iref", "ir", "i2", "ireference", "reference", "ref", "refer", "ion2", "ic2"),
    "mu": ("mutrans", "mu", "xmu", "mue", "mux", "mufluor", "mut", "muf", "absorption",
           "absorbance", "norm", "normalized", "normalised", "flat", "normabs", "xanes", "mutey",
           "normalizedabsorbance", "normalisedabsorbance", "normalizedabsorption", "intensity"),
    "fluorescence": ("ifluor", "if", "ifl", "fyc", "iff", "fluor", "fluo", "fluorescence", "pfy",
                     "fy", "ifluo", "iflu", "ifluorescence", "fl", "ff", "pips", "lytle", "tfy",
                     "herfd", "tey"),
}  # fmt: skip
_LIKELY = 7.0
"""Points by the rules for data keys from which a column of another name is taken."""
_LINE = r"k(?:[ab]\d?)?|l(?:[abg]?\d?)?"
_ELEMENT_ROI = re.compile(
    rf"^(?P<symbol>[a-z]{{1,2}})_?(?:{_LINE})_?(?:mca|ch|el|elem|element|det|sdd|roi|chan)?"
    rf"_?(?P<number>\d+)$"
)
_PLAIN_ROI = re.compile(
    r"^(?:ifluor|if|fluor|fluo|fluorescence|ff|sdd|ge|mca|roi|pfy|det|lytle|pips)"
    r"_?(?:ch|el|roi|mca|sdd|det|chan)?_?(?P<number>\d+)(?:_?roi_?\d+)?$"
)
_SUM_ROI = re.compile(rf"^(?:sum|total|tot|avg|mean)?_?(?P<symbol>[a-z]{{1,2}})_?(?:{_LINE})$")
_DEAD_TIME = re.compile(
    r"^(?:dtfactor|dtf|dtcorr|dt_?factor)_?(?:mca|ch|el|det|sdd)?_?(?P<number>\d+)$"
)


@dataclass(frozen=True, slots=True)
class Roles:
    """Column numbers by role; None where there is no such column."""

    energy: int | None = None
    angle: int | None = None
    i0: int | None = None
    it: int | None = None
    ir: int | None = None
    mu: int | None = None
    fluorescence: tuple[int, ...] = ()
    """One column an element of the detector, or a single one."""
    dead_time: tuple[int, ...] = field(default=())
    """Columns of dead-time factors belonging to `fluorescence`, or empty."""


def recognise(names: Sequence[str], element: str = "") -> Roles:
    """Return which column plays which role.

    Parameters
    ----------
    names
        Column names in order.
    element
        Symbol of the absorbing element: chooses among the regions of interest of a multi-element
        fluorescence detector; '' takes any.
    """
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    found = {role: _first(plain, known) for role, known in _ROLES.items()}
    fluorescence, dead_time = _elements(names, element)
    single = found.pop("fluorescence")
    if not fluorescence and single is not None:
        fluorescence = (single,)
    taken = {i for i in (*found.values(), *fluorescence, *dead_time) if i is not None}
    for role in ("energy", "angle"):
        if found["energy"] is None and found[role] is None:
            found[role] = _likely(names, role, taken, energy_points)
    for role in ("i0", "it", "ir", "mu"):
        if found[role] is None:
            found[role] = _likely(names, role, taken, channel_points)
    if not fluorescence:
        likely = _likely(names, "fluorescence", taken, channel_points)
        fluorescence = () if likely is None else (likely,)
    return Roles(**found, fluorescence=fluorescence, dead_time=dead_time)


def _likely(
    names: Sequence[str], role: str, taken: set[int], rate: Callable[[str], Mapping[str, float]]
) -> int | None:
    """Return the column most like `role` by the rules for data keys, and take it."""
    points = {i: rate(name) for i, name in enumerate(names) if i not in taken}
    best = max(points, key=lambda i: points[i].get(role, 0.0), default=None)
    if best is None or points[best].get(role, 0.0) < max(_LIKELY, *points[best].values(), 0.0):
        return None
    taken.add(best)
    return best


def _first(plain: Sequence[str], known: Sequence[str]) -> int | None:
    return next((plain.index(name) for name in known if name in plain), None)


def _elements(names: Sequence[str], element: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the detector elements' columns and, if all are there, their dead-time factors."""
    lower = [name.strip().lower() for name in names]
    by_number = _numbered(lower, _ELEMENT_ROI, element) or _numbered(lower, _PLAIN_ROI, "")
    if not by_number:
        sums = [
            i
            for i, name in enumerate(lower)
            if (m := _SUM_ROI.match(name)) and m["symbol"] == element.lower()
        ]
        return tuple(sums[:1]), ()
    factors = _numbered(lower, _DEAD_TIME, "")
    dead = tuple(factors[n] for n in by_number) if by_number.keys() <= factors.keys() else ()
    return tuple(by_number.values()), dead


def _numbered(lower: Sequence[str], pattern: re.Pattern[str], element: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for i, name in enumerate(lower):
        match = pattern.match(name)
        if match is None:
            continue
        if element and match.groupdict().get("symbol", element.lower()) != element.lower():
            continue
        found.setdefault(int(match["number"]), i)
    return found
