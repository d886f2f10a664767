"""Pre-edge line, post-edge polynomial, edge step, normalised and flattened μ(E).

Definitions and defaults are those of ``larch.xafs.pre_edge`` (M. Newville, *J. Phys. Conf. Ser.*
430, 012007 (2013)), which follow Athena (B. Ravel, M. Newville, *J. Synchrotron Rad.* 12, 537
(2005)). The polynomials are fitted on a centred and scaled energy, which does not lose digits as
powers of 7000 eV do. Spectra with one e0 on one grid are treated together: the fit is a projection,
the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from xanes_live.domain import Array
from xanes_live.reduction.edge import find_e0

MAX_DEGREE = 5
"""Largest degree of the post-edge polynomial."""
_SMALLEST_STEP = 1e-12


@dataclass(frozen=True, slots=True)
class PreEdge:
    """Result of :func:`pre_edge`.

    Scalars have shape () for one spectrum and (n_spectra,) for many, curves (n_points,) or
    (n_spectra, n_points).
    """

    e0: Array
    """Edge energy, eV."""
    edge_step: Array
    """Height of the edge, always positive."""
    falls: Array
    """1 where the signal falls at the edge (the step is negative), else 0."""
    norm: Array
    """(μ − pre_edge) / edge_step."""
    flat: Array
    """As `norm`, above e0 without the slope and curvature of the post-edge."""
    pre_edge: Array
    post_edge: Array
    pre1: Array
    """Start of the pre-edge range, eV relative to e0."""
    pre2: Array
    norm1: Array
    norm2: Array
    """End of the post-edge range, eV relative to e0."""
    nnorm: Array
    """Degree of the post-edge polynomial."""
    nvict: Array
    """Victoreen power: the pre-edge line is fitted to μ Eⁿ."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of the two fits, as energies relative to e0 and as slices of the grid."""

    e0: float
    index: int
    """Point nearest to e0."""
    pre1: float
    pre2: float
    norm1: float
    norm2: float
    nnorm: int
    nvict: int
    line: bool
    """Whether the pre-edge is a line or, for want of points, a constant."""
    pre: slice
    post: slice


def pre_edge(
    energy: Array,
    mu: Array,
    *,
    e0: float | Array | None = None,
    pre1: float | None = None,
    pre2: float | None = None,
    norm1: float | None = None,
    norm2: float | None = None,
    nnorm: int | None = None,
    nvict: int = 0,
) -> PreEdge:
    """Normalise one or many spectra.

    Parameters
    ----------
    energy
        eV, shape (n_points,). One spectrum may come in any order and with non-finite values, which
        are left out (curves are then on the energies that remain, in order); for many spectra
        energies must increase and everything must be finite.
    mu
        shape (n_points,) or (n_spectra, n_points).
    e0
        Edge energy, eV, one for all or shape (n_spectra,); found where None or where it lies
        outside the data.
    pre1, pre2, norm1, norm2
        Ranges of the fits, eV relative to e0. Defaults: pre1 the second point, rounded to 5 eV
        (2 eV if the edge is within 20 points of the start); pre2 half of pre1; norm2 the last
        point, rounded to 5 eV; norm1 a fifteenth of norm2, rounded to units of 5 eV, at most 25.
    nnorm
        Degree of the post-edge polynomial, 0 to 5. Default: 2, or 1 below 300 eV of range, or 0
        below 30 eV.
    nvict
        Victoreen power.

    Returns
    -------
    PreEdge

    Raises
    ------
    ValueError
        If there are fewer than ten points, or no e0 is given and μ is constant.
    """
    energy, mu = _ordered(energy, mu)
    if energy.size < 10:
        raise ValueError(f"normalisation needs at least 10 points, not {energy.size}")
    rows = np.atleast_2d(mu)
    edges = _edge_energies(energy, rows, e0)
    given = (pre1, pre2, norm1, norm2, nnorm, nvict)
    out = _empty(rows.shape)
    for value in np.unique(edges) if len(edges) > 1 else edges:
        _fit(
            energy, rows, np.flatnonzero(edges == value), ranges(energy, float(value), *given), out
        )
    return out if mu.ndim > 1 else PreEdge(*(getattr(out, f.name)[0] for f in fields(out)))


def _ordered(energy: Array, mu: Array) -> tuple[Array, Array]:
    if mu.ndim > 1:
        return energy, mu
    good = np.isfinite(energy) & np.isfinite(mu)
    energy, mu = energy[good], mu[good]
    if np.all(np.diff(energy) > 0):
        return energy, mu
    order = np.argsort(energy, kind="stable")
    return energy[order], mu[order]


def _edge_energies(energy: Array, rows: Array, e0: float | Array | None) -> Array:
    edges = np.full(len(rows), np.nan) if e0 is None else np.array(np.broadcast_to(e0, len(rows)))
    outside = ~((edges >= energy[1]) & (edges <= energy[-2]))
    if outside.any():
        edges[outside] = find_e0(energy, rows[outside])
    if not np.isfinite(edges).all():
        raise ValueError("no edge energy: μ(E) is constant")
    return edges


def ranges(
    energy: Array,
    e0: float,
    pre1: float | None = None,
    pre2: float | None = None,
    norm1: float | None = None,
    norm2: float | None = None,
    nnorm: int | None = None,
    nvict: int = 0,
) -> Ranges:
    """Fill in the defaults of the ranges of :func:`pre_edge` and find them on the grid.

    Parameters
    ----------
    energy
        eV, shape (n_points,), increasing.
    e0
        Edge energy, eV.
    """
    index = _nearest(energy, e0)
    pre1, pre2 = _pre_range(energy, e0, index, pre1, pre2)
    relative = energy - e0
    line = _at_or_below(relative, pre2) - _at_or_below(relative, pre1) >= 3
    norm1, norm2 = _post_range(energy, e0, norm1, norm2)
    if nnorm is None:
        nnorm = 0 if norm2 - norm1 < 30 else 1 if norm2 - norm1 < 300 else 2
    post, nnorm = _post_slice(energy, e0, norm1, norm2, max(0, min(nnorm, MAX_DEGREE)))
    first, last = _at_or_below(energy, pre1 + e0), _nearest(energy, pre2 + e0)
    last = max(last, first + 2) if line else max(last, first + 1)
    nvict = nvict if line else 0
    pre = slice(first, last)
    return Ranges(e0, index, pre1, pre2, norm1, norm2, nnorm, nvict, line, pre, post)


def _pre_range(
    energy: Array, e0: float, index: int, pre1: float | None, pre2: float | None
) -> tuple[float, float]:
    if pre1 is None:
        # the first point often is bad
        unit = 5.0 if index > 20 else 2.0
        pre1 = unit * round((float(energy[1]) - e0) / unit)
    pre1 = max(pre1, float(energy[0]) - e0)
    if pre2 is None:
        pre2 = 0.5 * pre1
    return min(pre1, pre2), max(pre1, pre2)


def _post_range(
    energy: Array, e0: float, norm1: float | None, norm2: float | None
) -> tuple[float, float]:
    reach = float(energy[-1]) - e0
    if norm2 is None:
        norm2 = 5.0 * round(reach / 5.0)
    if norm2 < 0:
        norm2 = reach - norm2
    norm2 = min(norm2, reach)
    if norm1 is None:
        norm1 = min(25.0, 5.0 * round(norm2 / 15.0))
    norm1, norm2 = min(norm1, norm2), max(norm1, norm2)
    return min(norm1, norm2 - 2.0), norm2


def _post_slice(
    energy: Array, e0: float, norm1: float, norm2: float, nnorm: int
) -> tuple[slice, int]:
    """Return the points of the post-edge and the degree they can bear."""
    first = min(_at_or_below(energy, norm1 + e0), energy.size - 3)
    last = _nearest(energy, norm2 + e0)
    if last - first < 2:
        first, nnorm = max(0, first - 2), 0
    elif last - first < 5:
        nnorm = min(1, nnorm)
    return slice(first, max(last, first + 1)), nnorm


def _fit(
    energy: Array,
    rows: Array,
    members: np.ndarray[tuple[int], np.dtype[np.intp]],
    r: Ranges,
    out: PreEdge,
) -> None:
    """Normalise the rows `members`, all with the ranges `r`, into `out`."""
    mu = rows[members] if len(members) < len(rows) else rows
    victoreen = energy**r.nvict if r.nvict else None
    weighted = mu[:, r.pre] if victoreen is None else mu[:, r.pre] * victoreen[r.pre]
    line = polynomial(energy, weighted, r.pre, 1 if r.line else 0)
    pre = line if victoreen is None else line / victoreen
    rise = polynomial(energy, mu[:, r.post] - pre[:, r.post], r.post, r.nnorm)
    step = rise[:, r.index]
    height = np.maximum(_SMALLEST_STEP, np.abs(step))
    norm = (mu - pre) / height[:, None]
    flat = norm.copy()
    above = slice(r.index, None)
    flat[:, above] += (step[:, None] - rise[:, above]) / height[:, None]
    scalars = (r.pre1, r.pre2, r.norm1, r.norm2, r.nnorm, r.nvict)
    values = (r.e0, height, step < 0, norm, flat, pre, pre + rise, *scalars)
    for field, value in zip(fields(out), values, strict=True):
        getattr(out, field.name)[members] = value


def polynomial(energy: Array, values: Array, part: slice, degree: int) -> Array:
    """Fit polynomials to a part of the grid and evaluate them on all of it.

    Parameters
    ----------
    energy
        eV, shape (n_points,).
    values
        What is fitted, on the points of `part`, shape (n_spectra, n_part).
    part
        Which points of `energy` the values belong to.
    degree
        Degree of the polynomials; one less than the number of points at most.

    Returns
    -------
    Array
        shape (n_spectra, n_points).
    """
    inside = energy[part]
    degree = min(degree, inside.size - 1)
    if degree == 0:
        return np.repeat(values.mean(axis=1, keepdims=True), energy.size, axis=1)
    centre = 0.5 * (inside[0] + inside[-1])
    scaled = (energy - centre) / max(0.5 * (inside[-1] - inside[0]), 1e-9)
    basis = _legendre(scaled, degree)
    orthogonal, triangular = np.linalg.qr(basis[part])
    coefficients = np.linalg.solve(triangular, orthogonal.T @ values.T)
    return np.asarray((basis @ coefficients).T, dtype=np.float64)


def _legendre(x: Array, degree: int) -> Array:
    """Return the Legendre polynomials of degree 0 … `degree` ≥ 1, shape (n_points, degree + 1)."""
    basis = np.ones((degree + 1, x.size))
    basis[1] = x
    for k in range(1, degree):
        basis[k + 1] = ((2 * k + 1) * x * basis[k] - k * basis[k - 1]) / (k + 1)
    return basis.T


def _empty(shape: tuple[int, ...]) -> PreEdge:
    curves = {"norm", "flat", "pre_edge", "post_edge"}
    sizes = (shape if f.name in curves else shape[:1] for f in fields(PreEdge))
    return PreEdge(*(np.empty(size) for size in sizes))


def _at_or_below(values: Array, limit: float) -> int:
    """Return the index of the last of the increasing `values` not above `limit`, else 0."""
    return max(0, int(np.searchsorted(values, limit, side="right")) - 1)


def _nearest(values: Array, target: float) -> int:
    return int(np.abs(values - target).argmin())
