"""Is there an absorption edge, is it the announced one, and where exactly.

:func:`xanes_live.reduction.edge.find_e0` always returns a point; here that point is checked. The
edge looked for is the one announced: where the steepest point of the scan belongs to something else
(another element, a glitch), the announced edge is searched for in its own neighbourhood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xanes_live.domain import Array, Flag
from xanes_live.edges import edge_energy, edges_within
from xanes_live.flags import make
from xanes_live.reduction.edge import find_e0

WINDOW = (-25.0, 40.0)
"""Where e0 of the announced edge may lie relative to the tabulated energy, eV: oxidation moves it
up by as much as 20 eV, a monochromator that was never calibrated by as much again."""
USUAL = (-3.5, 21.0)
"""Where e0 lies on a calibrated energy scale, eV relative to the tabulated energy; all measured K
edges of 3d metals at hand lie within −2 and +20.5."""
SIGNIFICANT = 5.0
"""Step over its standard error from which there is an edge."""
_PLAIN, _MOST = 3.5, 0.5
"""The same for a step that is at least this share of all that μ changes by: a white line, which the
model does not have, keeps few points or a short scan below the other."""
_CERTAIN = 10.0
"""The same from which an edge of another element is claimed."""
_PLACES = (0.0, 5.0, 10.0, 15.0)
"""Where a step is tried, eV above the steepest point."""
_WIDTH = 1.5
"""Half width of the model step, eV."""
_REACH = 150.0
"""Data further from the edge than this do not matter for the question, eV."""
_DEPENDENT = 1e-10
"""Ratio of diagonal elements below which an inverse is not to be trusted."""
_SEARCH = (-50.0, 80.0)
"""Neighbourhood of the announced edge searched when the steepest point is elsewhere, eV."""
_LATE = 5.0
"""Points that begin less than this below the expected edge, eV, show no level below it."""
_FEWEST = 16
"""Points in that neighbourhood with which an edge may be there and not be seen: it is narrower than
their steps."""


@dataclass(frozen=True, slots=True)
class Rise:
    """A step fitted to μ(E) at a given energy."""

    step: float
    """Height in units of μ, negative where μ falls."""
    significance: float
    """Height over its standard error, which includes structure the model does not have."""


def rise_at(energy: Array, mu: Array, at: float) -> Rise:
    """Fit a smooth background and a step to the data around `at`.

    The step may lie up to 15 eV above `at`, because the steepest point of a spectrum with a strong
    pre-edge peak is the flank of that peak.

    Parameters
    ----------
    energy, mu
        shape (n_points,); energies in eV, increasing.
    at
        Where the signal rises, eV.

    Returns
    -------
    Rise
        The most significant step, or the first that is so beyond doubt; (0, 0) where the data do
        not go on for some eV on both sides.
    """
    near = slice(*np.searchsorted(energy, (at - _REACH, at + _REACH)))
    x, y = _binned(energy[near] - at, mu[near])
    if x.size < 7 or x[2] > -1.0 or x[-3] < 1.0:
        return Rise(0.0, 0.0)
    degree = 1 if min(-x[0], x[-1]) < 60.0 else 3
    background = _chebyshev(x / _REACH, degree)
    best = Rise(0.0, 0.0)
    for place in _PLACES:
        if place < x[-3]:
            best = max(best, _step(x - place, y, background), key=_size)
            if best.significance >= 2.0 * SIGNIFICANT:
                break
    return best


def _chebyshev(x: Array, degree: int) -> Array:
    """Return the Chebyshev polynomials of degree 0 … `degree` ≥ 1, (n_points, degree + 1)."""
    basis = np.ones((degree + 1, x.size))
    basis[1] = x
    for k in range(1, degree):
        basis[k + 1] = 2.0 * x * basis[k] - basis[k - 1]
    return basis.T


def _size(rise: Rise) -> float:
    return abs(rise.significance)


def _binned(x: Array, y: Array) -> tuple[Array, Array]:
    """Average over 1 eV, so that the density of points does not count as independence."""
    if x.size == 0:
        return x, y
    starts = np.concatenate(([0], np.flatnonzero(np.diff(np.floor(x))) + 1))
    counts = np.diff(np.append(starts, x.size))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def _step(x: Array, y: Array, background: Array) -> Rise:
    """Fit a step at x = 0 and the background; μ(E) is correlated over about two bins."""
    design = np.column_stack((background, 0.5 + np.arctan(x / _WIDTH) / np.pi))
    orthogonal, triangular = np.linalg.qr(design)
    along = orthogonal.T @ y
    scatter = y - orthogonal @ along
    freedom = max(x.size - design.shape[1], 1)
    row = _last_row(triangular)
    step = float(row @ along)
    error = float(np.sqrt(2.0 * (scatter @ scatter) / freedom * (row @ row)))
    floor = 1e-9 * float(np.abs(y).max()) + 1e-300
    return Rise(step, step / max(error, floor))


def _last_row(triangular: Array) -> Array:
    """Return that of the inverse, or where columns depend on each other of the pseudo-inverse."""
    size = np.abs(np.diagonal(triangular))
    if size.min() < _DEPENDENT * size.max():
        return np.asarray(np.linalg.pinv(triangular)[-1], dtype=np.float64)
    row = np.zeros(size.size)
    row[-1] = 1.0 / triangular[-1, -1]
    return row


@dataclass(frozen=True, slots=True)
class Located:
    """Where the edge is, and what is to be said about it."""

    e0: float
    """eV; NaN where there is no edge to go on with."""
    flags: tuple[Flag, ...] = ()
    other: float | None = None
    """Another, steeper edge in the same data, eV: neither fit may reach across it."""


def expected_energy(element: str, edge: str, announced: float | None = None) -> float | None:
    """Return where the edge is to be looked for, eV; None when nothing is known.

    An energy announced in the metadata counts if it is near the tabulated edge or if the table does
    not hold the edge.
    """
    try:
        tabulated = edge_energy(element, edge)
    except KeyError:
        return announced
    if announced is not None and WINDOW[0] <= announced - tabulated <= WINDOW[1]:
        return announced
    return tabulated


def locate_edge(
    energy: Array, mu: Array, guess: float, element: str, edge: str, announced: float | None = None
) -> Located:
    """Check the steepest point of a spectrum and return the energy of the announced edge.

    Parameters
    ----------
    energy, mu
        shape (n_points,); energies in eV, strictly increasing.
    guess
        e0 from :func:`~xanes_live.reduction.edge.find_e0` on the whole spectrum, eV; may be NaN.
    element, edge
        What the spectrum was announced as; '' when unknown.
    announced
        Edge energy named in the metadata, eV: where the edge is looked for.
    """
    expected = expected_energy(element, edge, announced)
    if expected is None:
        return _anywhere(energy, mu, guess)
    if _within(guess, expected) and _is_edge(energy, mu, guess):
        return Located(guess, _far(guess, element, edge))
    if not energy[1] < expected + 5.0 < energy[-2]:
        return _outside(energy, mu, guess, (element, edge, expected))
    near = slice(*np.searchsorted(energy, (expected + _SEARCH[0], expected + _SEARCH[1])))
    own = float(find_e0(energy[near], mu[near]))
    if _within(own, expected) and _is_edge(energy, mu, own):
        return Located(own, _far(own, element, edge), None if _within(guess, expected) else guess)
    return Located(np.nan, (_why_not(energy, mu, guess, (element, edge, expected)),))


def _is_edge(energy: Array, mu: Array, at: float) -> bool:
    """Whether μ rises at `at` beyond doubt, or by most of what it changes at all."""
    rise = rise_at(energy, mu, at)
    needed = _PLAIN if rise.step >= _MOST * float(np.ptp(mu)) else SIGNIFICANT
    return rise.significance >= needed


def _within(e0: float, expected: float) -> bool:
    return bool(WINDOW[0] <= e0 - expected <= WINDOW[1])


def _far(e0: float, element: str, edge: str) -> tuple[Flag, ...]:
    """Compare with the table: what is announced may be e0 itself, or that of a compound."""
    try:
        offset = e0 - edge_energy(element, edge)
    except KeyError:
        return ()
    return () if USUAL[0] <= offset <= USUAL[1] else (make("edge_far", e0=e0, offset=offset),)


def _anywhere(energy: Array, mu: Array, guess: float) -> Located:
    if np.isfinite(guess) and _is_edge(energy, mu, guess):
        return Located(guess)
    return Located(np.nan, (make("no_edge"),))


def _outside(energy: Array, mu: Array, guess: float, wanted: tuple[str, str, float]) -> Located:
    """Handle data that do not reach the announced edge."""
    element, edge, expected = wanted
    other = _other_edge(energy, mu, guess)
    if not other and -200.0 < energy[-1] - expected < 15.0:
        # stopped on the way to the edge
        return Located(np.nan, (too_short("ends", energy[-1] - expected),))
    if not other and -15.0 < energy[0] - expected < WINDOW[1]:
        return Located(np.nan, (too_short("begins", energy[0] - expected),))
    if not other:
        ends_below = energy[-1] < expected + 15.0
        other = f"end at {energy[-1]:.0f} eV" if ends_below else f"start at {energy[0]:.0f} eV"
    flag = make("wrong_edge", element=element, edge=edge, expected=expected, found=other)
    return Located(np.nan, (flag,))


def too_short(end: Literal["begins", "ends"], at: float) -> Flag:
    """Return the flag of a scan that has too little below or above the edge.

    Parameters
    ----------
    end
        Which end of the scan is in the way.
    at
        Where that is, eV relative to the edge.
    """
    side = "below" if at < 0.0 else "above"
    return make("too_short", end=end, distance=abs(at), side=side)


def begins_late(energy: Array, expected: float | None) -> Flag | None:
    """Return the flag of a scan that begins too late to tell a falling edge from a white line.

    Parameters
    ----------
    energy
        eV, shape (n_points,), increasing.
    expected
        Where the edge is looked for, eV; None when unknown.
    """
    if expected is None or energy[0] <= expected - _LATE:
        return None
    return too_short("begins", energy[0] - expected)


def _why_not(energy: Array, mu: Array, guess: float, wanted: tuple[str, str, float]) -> Flag:
    """Name the reason why the announced edge is not in the data although they reach it."""
    element, edge, expected = wanted
    near = slice(*np.searchsorted(energy, (expected + _SEARCH[0], expected + _SEARCH[1])))
    late = begins_late(energy, expected)
    fall = float(find_e0(energy[near], -mu[near]))
    if late is None and _within(fall, expected):
        found = rise_at(energy, mu, fall)
        if found.significance <= -SIGNIFICANT:
            return make("negative_edge_step", step=found.step)
    other = "" if _within(guess, expected) else _other_edge(energy, mu, guess)
    if other:
        return make("wrong_edge", element=element, edge=edge, expected=expected, found=other)
    if late is not None:
        return late
    if energy[-1] < expected + USUAL[1]:
        # the edge of an oxidised sample may lie further up
        return too_short("ends", energy[-1] - expected)
    count = near.stop - near.start
    if count < _FEWEST:
        where = f" from {_SEARCH[0]:+.0f} to {_SEARCH[1]:+.0f} eV around the edge"
        return make("too_few_points", count=count, where=where)
    return make("no_edge")


def _other_edge(energy: Array, mu: Array, guess: float) -> str:
    """Describe the edge at `guess`, '' where there is none."""
    if not np.isfinite(guess) or rise_at(energy, mu, guess).significance < _CERTAIN:
        return ""
    k_edges = [e for e in edges_within(guess + -25.0, guess + 10.0) if e.edge in {"K", "L3"}]
    name = min(k_edges, key=lambda e: (e.edge != "K", abs(e.energy - guess)), default=None)
    return f"rise at {guess:.0f} eV" + (f" ({name.element} {name.edge})" if name else "")
