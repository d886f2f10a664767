"""From detector readings to the μ(E) that a sweep allows: transmission, fluorescence, reference.

μ t = ln(I0/It) in transmission, I_f/I0 in fluorescence and ln(It/Ir) for the foil behind the
sample (XAFS definitions, e.g. G. Bunker, *Introduction to XAFS*, Cambridge 2010, ch. 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xanes_live.config import BeamlineConfig
from xanes_live.domain import Array, Channels, Flag, Mode, Quality, Scan
from xanes_live.flags import make
from xanes_live.reduction.fluorescence import describe, sum_elements
from xanes_live.reduction.quality import (
    channel_quality,
    frozen_flag,
    quality_flag,
    saturated_flag,
    saturated_fraction,
)
from xanes_live.reduction.sweep import Order

NAMES = {"i0": "I0", "it": "It", "ir": "Ir", "fluorescence": "the fluorescence detector", "mu": "μ"}
"""What an operator calls the channels."""
_ABSURD = 1e30
"""Larger readings are not readings."""
_INVERTED = 0.95
"""Fraction of negative readings from which a channel counts as inverted."""
USES: dict[Mode, tuple[str, ...]] = {
    Mode.TRANSMISSION: ("i0", "it"),
    Mode.FLUORESCENCE: ("i0", "fluorescence"),
    Mode.REFERENCE: ("it", "ir"),
    Mode.GIVEN: ("mu",),
}
"""Channels that each mode is made of."""


@dataclass(frozen=True, slots=True)
class Readings:
    """All channels of a sweep, in order of energy and less their dark counts."""

    energy: Array
    """eV, shape (n_points,), strictly increasing."""
    counts: Mapping[str, Array]
    """Counts by role, each shape (n_points,); fluorescence is the sum of the usable elements."""
    quality: Mapping[str, Quality]
    flags: Mapping[str, tuple[Flag, ...]]
    """What is to be said of a channel if it is used, by role."""


@dataclass(frozen=True, slots=True)
class Signal:
    """μ(E) in one mode."""

    mode: Mode
    mu: Array
    """shape (n_points,); NaN where `valid` is False."""
    valid: NDArray[np.bool_]
    """Where the readings allow a μ, shape (n_points,)."""
    counters: Mapping[str, Array] = field(default_factory=dict)
    """The readings it was computed from, by role."""


def read_channels(
    channels: Channels, order: Order, scan: Scan, beamline: BeamlineConfig
) -> Readings:
    """Bring the channels of a sweep into order, subtract dark counts and judge them.

    Parameters
    ----------
    channels
        The sweep as read.
    order
        From :func:`xanes_live.reduction.sweep.put_in_order` of its energies.
    scan
        The scan it belongs to; its dark counts yield to those of the configuration.
    beamline
        Dark counts, saturation levels, elements never used.
    """
    dark = {**scan.dark, **beamline.dark}
    counts: dict[str, Array] = {}
    quality: dict[str, Quality] = {}
    flags: dict[str, tuple[Flag, ...]] = {}
    for role in ("i0", "it", "ir"):
        raw = getattr(channels, role)
        if raw is None or np.shape(raw) != channels.energy.shape:
            continue
        raw = order.apply(_sane(raw))
        counts[role] = upright(raw - dark.get(role, 0.0))
        fraction = saturated_fraction(raw, beamline.saturation.get(role))
        quality[role] = channel_quality(counts[role], fraction)
        told = (
            quality_flag(NAMES[role], quality[role], counts[role], fraction),
            frozen_flag(NAMES[role], order.energy, counts[role], quality[role]),
        )
        flags[role] = tuple(flag for flag in told if flag is not None)
    _read_fluorescence(channels, order, beamline, dark, counts, quality, flags)
    if channels.mu is not None and channels.mu.shape == channels.energy.shape:
        counts["mu"] = order.apply(_sane(channels.mu))
        above = counts["mu"] - np.fmin.reduce(counts["mu"], initial=np.inf)  # μ has no zero
        hung = frozen_flag(NAMES["mu"], order.energy, above, Quality.GOOD, clips=False)
        flags["mu"] = () if hung is None else (hung,)
    return Readings(order.energy, counts, quality, flags)


def _sane(readings: Array) -> Array:
    """Return readings with NaN for what no detector reads, so that sums and squares stay finite."""
    values = np.asarray(readings, dtype=np.float64)
    return np.where(np.abs(values) < _ABSURD, values, np.nan)


def upright(counts: Array) -> Array:
    """Turn the sign of a channel that reads negative throughout, as inverting amplifiers do.

    Readings that scatter about zero are left alone.
    """
    finite = counts[np.isfinite(counts)]
    if finite.size == 0 or float(np.mean(finite < 0.0)) < _INVERTED:
        return counts
    scatter = float(np.median(np.abs(finite - np.median(finite))))
    return -counts if abs(float(np.median(finite))) > scatter else counts


def _read_fluorescence(
    channels: Channels,
    order: Order,
    beamline: BeamlineConfig,
    dark: Mapping[str, float],
    counts: dict[str, Array],
    quality: dict[str, Quality],
    flags: dict[str, tuple[Flag, ...]],
) -> None:
    if channels.fluorescence is None:
        return
    elements = np.atleast_2d(channels.fluorescence)
    if elements.shape[-1] != channels.energy.size:
        return
    raw = order.apply(_sane(elements))
    counted = np.stack([upright(element - dark.get("fluorescence", 0.0)) for element in raw])
    summed = sum_elements(
        order.energy,
        counted,
        raw,
        counts.get("i0"),
        beamline.exclude_elements,
        beamline.saturation.get("fluorescence"),
    )
    quality.update(summed.quality)
    notes: list[Flag] = []
    why = _why_none(summed.left_out, counted) if summed.total is None else None
    if summed.left_out and (len(raw) > 1 or (summed.total is None and why is None)):
        notes.append(make("elements_left_out", elements=describe(summed.left_out)))
    if why is not None:
        notes.append(why)
    if summed.total is not None:
        counts["fluorescence"] = summed.total
        elements = counted[list(summed.restored)] if summed.restored else summed.total[None]
        notes += _spoiled(order.energy, elements, raw[list(summed.restored)], beamline)
    flags["fluorescence"] = tuple(notes)


def _why_none(left_out: Mapping[int, str], counts: Array) -> Flag | None:
    """Return why no element is usable; None where :func:`.describe` says all there is to say."""
    name, reasons = NAMES["fluorescence"], set(left_out.values())
    if "invalid" in reasons:
        count = int(np.sum(~np.isfinite(counts)))
        return make("channel_invalid", channel=name, count=count)
    return make("channel_low", channel=name) if "dead" in reasons else None


def _spoiled(energy: Array, counts: Array, raw: Array, beamline: BeamlineConfig) -> list[Flag]:
    """Return what is to be said of a detector none of whose elements is as it should be."""
    name, level = NAMES["fluorescence"], beamline.saturation.get("fluorescence")
    shares = [saturated_fraction(element, level) for element in raw]
    k = int(np.argmax(shares)) if shares else 0
    told = [saturated_flag(name, counts[k], shares[k])] if any(shares) else []
    hung = [frozen_flag(name, energy, element, Quality.GOOD) for element in counts]
    return told + [flag for flag in hung if flag is not None][:1]


def signals(readings: Readings) -> dict[Mode, Signal]:
    """Return μ(E) in every mode that the channels allow."""
    made = {mode: _signal(mode, readings) for mode in USES}
    return {mode: signal for mode, signal in made.items() if signal is not None}


def _signal(mode: Mode, readings: Readings) -> Signal | None:
    roles = USES[mode]
    if any(role not in readings.counts for role in roles):
        return None
    values = [readings.counts[role] for role in roles]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if mode is Mode.GIVEN:
            mu, valid = values[0], np.ones(values[0].size, dtype=np.bool_)
        elif mode is Mode.FLUORESCENCE:
            mu = values[1] / values[0]
            valid = values[0] > 0
        else:
            mu = np.log(values[0] / values[1])
            valid = (values[0] > 0) & (values[1] > 0)
    valid &= np.abs(mu) < _ABSURD
    counters = {role: readings.counts[role] for role in roles if role != "mu"}
    if mode is Mode.GIVEN and "i0" in readings.counts:
        counters["i0"] = readings.counts["i0"]
    return Signal(mode, np.where(valid, mu, np.nan), valid, counters)
