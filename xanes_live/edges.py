"""Tabulated energies of X-ray absorption edges.

Values in eV from the table of Elam, Ravel & Sieber (*Radiat. Phys. Chem.* 63, 121 (2002)) as
distributed with XrayDB 4.5.8 (M. Newville and others, MIT): K edges of Z = 15 … 60 and L edges of
Z = 30 … 92. They are kept here because XrayDB opens a database when it is imported.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_K: Final = """
P 2145.5; S 2472; Cl 2822; Ar 3205.9; K 3608.4; Ca 4038.5; Sc 4492; Ti 4966; V 5465; Cr 5989;
Mn 6539; Fe 7112; Co 7709; Ni 8333; Cu 8979; Zn 9659; Ga 10367; Ge 11103; As 11867; Se 12658;
Br 13474; Kr 14326; Rb 15200; Sr 16105; Y 17038; Zr 17998; Nb 18986; Mo 20000; Tc 21044;
Ru 22117; Rh 23220; Pd 24350; Ag 25514; Cd 26711; In 27940; Sn 29200; Sb 30491; Te 31814;
I 33169; Xe 34561; Cs 35985; Ba 37441; La 38925; Ce 40443; Pr 41991; Nd 43569
"""

# symbol, then L3, L2, L1
_L: Final = """
Zn 1021.8 1044.9 1196.2; Ga 1116.4 1143.2 1299; Ge 1217 1248.1 1414.6; As 1323.6 1359.1 1527;
Se 1433.9 1474.3 1652; Br 1550 1596 1782; Kr 1678.4 1730.9 1921; Rb 1804 1864 2065;
Sr 1940 2007 2216; Y 2080 2156 2373; Zr 2223 2307 2532; Nb 2371 2465 2698; Mo 2520 2625 2866;
Tc 2677 2793 3043; Ru 2838 2967 3224; Rh 3004 3146 3412; Pd 3173 3330 3604; Ag 3351 3524 3806;
Cd 3538 3727 4018; In 3730 3938 4238; Sn 3929 4156 4465; Sb 4132 4380 4698; Te 4341 4612 4939;
I 4557 4852 5188; Xe 4786 5107 5453; Cs 5012 5359 5714; Ba 5247 5624 5989; La 5483 5891 6266;
Ce 5723 6164 6548; Pr 5964 6440 6835; Nd 6208 6722 7126; Pm 6459 7013 7428; Sm 6716 7312 7737;
Eu 6977 7617 8052; Gd 7243 7930 8376; Tb 7514 8252 8708; Dy 7790 8581 9046; Ho 8071 8918 9394;
Er 8358 9264 9751; Tm 8648 9617 10116; Yb 8944 9978 10486; Lu 9244 10349 10870;
Hf 9561 10739 11271; Ta 9881 11136 11682; W 10207 11544 12100; Re 10535 11959 12527;
Os 10871 12385 12968; Ir 11215 12824 13419; Pt 11564 13273 13880; Au 11919 13734 14353;
Hg 12284 14209 14839; Tl 12658 14698 15347; Pb 13035 15200 15861; Bi 13419 15711 16388;
Po 13814 16244 16939; At 14214 16785 17493; Rn 14619 17337 18049; Fr 15031 17907 18639;
Ra 15444 18484 19237; Ac 15871 19083 19840; Th 16300 19693 20472; Pa 16733 20314 21105;
U 17166 20948 21757
"""


class Edge(NamedTuple):
    """One absorption edge."""

    element: str
    """Symbol of the absorbing element."""
    edge: str
    """'K', 'L3', 'L2' or 'L1'."""
    energy: float
    """Tabulated energy, eV."""


def _parse(text: str, names: tuple[str, ...]) -> dict[tuple[str, str], float]:
    entries = (entry.split() for entry in text.split(";"))
    return {
        (symbol, name): float(value)
        for symbol, *values in entries
        for name, value in zip(names, values, strict=True)
    }


_TABLE: Final = {**_parse(_K, ("K",)), **_parse(_L, ("L3", "L2", "L1"))}
_SORTED: Final = tuple(
    sorted((Edge(*key, energy) for key, energy in _TABLE.items()), key=lambda e: e.energy)
)
ELEMENTS: Final = frozenset(symbol for symbol, _ in _TABLE)
"""Symbols of all elements in the table."""
EDGES: Final = ("K", "L1", "L2", "L3")
"""Names of the edges in it."""


def edge_energy(element: str, edge: str) -> float:
    """Return the tabulated energy of an absorption edge.

    Parameters
    ----------
    element
        Symbol, 'Fe'; upper and lower case do not matter.
    edge
        'K', 'L3', 'L2' or 'L1'; upper and lower case do not matter.

    Returns
    -------
    float
        Energy, eV.

    Raises
    ------
    KeyError
        If the table does not hold that edge.
    """
    return _TABLE[element.strip().capitalize(), edge.strip().upper()]


def edges_within(low: float, high: float) -> tuple[Edge, ...]:
    """Return all tabulated edges with low ≤ energy ≤ high (eV), by increasing energy."""
    return tuple(edge for edge in _SORTED if low <= edge.energy <= high)
