"""From a prediction and everything known about its spectrum to one colour and its reasons.

The colour is that of the worst flag: an error makes it red, a warning amber. A calibrated model
gives a probability that the first-shell distance is right; below the thresholds of the
configuration it raises a flag of its own, followed by the signals that cost most. The G2 band is
the error that experience expects, without experience the ensemble's σ, times a factor calibrated on
spectra the members had not seen: the raw ±2σ of a bootstrap ensemble covers far less than 95 %
(David et al., Digital Discovery 2023, 2, 1461).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from xanes_live.confidence.examined import Examined
from xanes_live.confidence.limits import limits
from xanes_live.confidence.signals import BY_NAME, IN_DOUBT
from xanes_live.config import ConfidenceConfig
from xanes_live.descriptor import first_peak
from xanes_live.domain import (
    Array,
    Assessment,
    Confidence,
    Flag,
    ModelInput,
    NormalisedSpectrum,
    Prediction,
    Severity,
)
from xanes_live.errors import ModelFormatError
from xanes_live.flags import by_importance, make

NO_BAND = (
    "the library lacks the experience by which the band of G2 is drawn: take the model's folder as "
    "it was made, or run xanes-live calibrate again"
)


class Calibrated(Protocol):
    """What a calibration is read from."""

    @property
    def calibration(self) -> Mapping[str, Any]:
        """The `[calibration]` table of the model."""
        ...

    @property
    def radius(self) -> Array:
        """Centres of the G2 functions, Å, shape (n_g2,)."""
        ...


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns raw spreads into honest bands."""

    band_factor: Array
    """The spread is multiplied by this for the half-width of the 95 % band, shape (n_g2,)."""
    band_floor: Array
    """Half-width below which the band is never drawn, shape (n_g2,)."""
    band_share: float = 0.0
    """What the members' σ is taken to lack, as a share of G2 itself: added to it in quadrature."""
    band_expected: bool = False
    """Whether the spread is the error that experience expects instead of σ."""
    skill_to: float | None = None
    """Distance up to which G2 of measured spectra is predicted better than by its mean, Å."""
    energy_needed: float | None = None
    """Energy a scan has to reach not to be called too short, eV; None for the model's last."""

    @classmethod
    def of(cls, model: Calibrated) -> Calibration:
        """Read the calibration that a model brings."""
        return cls.from_mapping(model.calibration, model.radius.size)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], n_g2: int) -> Calibration:
        """Read the `[calibration]` table of a model; scalars hold for every radius."""
        factor = np.asarray(values.get("band_factor", 2.0), dtype=float)
        floor = np.asarray(values.get("band_floor", 0.0), dtype=float)
        shape = (n_g2,)
        return cls(
            np.broadcast_to(factor, shape),
            np.broadcast_to(floor, shape),
            float(values.get("band_share", 0.0)),
            bool(values.get("band_expected", False)),
            values.get("skill_to"),
            values.get("energy_needed"),
        )

    def half_width(self, mean: Array, sigma: Array, expected: Array | None = None) -> Array:
        """Return the half-width of the 95 % band of G2, shape (…, n_g2).

        Parameters
        ----------
        mean, sigma
            G2 and its σ over the members, shape (…, n_g2).
        expected
            Error that experience expects, of the same shape; see :attr:`band_expected`.

        Raises
        ------
        ModelFormatError
            If the band is to be drawn by experience and there is none.
        """
        spread = g2_spread(mean, sigma, self.band_share)
        if self.band_expected:
            if expected is None:
                raise ModelFormatError(NO_BAND)
            spread = expected
        return np.asarray(np.maximum(self.band_factor * spread, self.band_floor))

    def band(self, prediction: Prediction, expected: Array | None = None) -> tuple[Array, Array]:
        """Return the lower and upper edge of the 95 % band of G2, each (n_g2,)."""
        mean = prediction.mean
        half = self.half_width(mean, prediction.sigma, expected)
        # G2 is a sum of non-negative terms: a band below zero would say nothing. Where the network
        # says less than nothing the band still holds what it said
        low = np.minimum(np.maximum(mean - half, 0.0), mean)
        return low, np.maximum(mean + half, 0.0)


def g2_spread(mean: Array, sigma: Array, share: float) -> Array:
    """Return σ of G2 with a share of G2 itself added in quadrature, (…, n_g2)."""
    return np.asarray(np.hypot(sigma, share * mean))


def assess(
    prediction: Prediction,
    normalised: NormalisedSpectrum,
    model_input: ModelInput,
    scan_flags: tuple[Flag, ...],
    calibration: Calibration,
    config: ConfidenceConfig,
) -> Assessment:
    """Judge a prediction of a model without a verdict, by flags and the members' spread alone."""
    own = (*by_spread(prediction, config), make("not_calibrated"))
    collected = (*scan_flags, *normalised.flags, *model_input.flags, *own)
    flags = by_importance(collected)
    lower, upper = calibration.band(prediction)
    return Assessment(
        confidence=colour(flags),
        flags=flags,
        lower=lower,
        upper=upper,
        signals={
            "first_shell_sigma": prediction.first_shell.sigma,
            "first_shell_half_width": (prediction.first_shell.high - prediction.first_shell.low)
            / 2,
            "g2_sigma": float(np.mean(prediction.sigma)),
            "covered": float(np.mean(model_input.covered)),
        },
    )


def judge_examined(
    examined: Examined,
    normalised: NormalisedSpectrum,
    model_input: ModelInput,
    scan_flags: tuple[Flag, ...],
    calibration: Calibration,
    config: ConfidenceConfig,
) -> Assessment:
    """Judge a prediction of a calibrated model by everything that was found out about it."""
    prediction = examined.prediction
    known = (*scan_flags, *normalised.flags, *model_input.flags)
    flags = by_importance((*known, *opinion(examined, config)))
    lower, upper = calibration.band(prediction, examined.g2_expected)
    signals = {name: value for name, value in examined.signals.items() if np.isfinite(value)}
    return Assessment(
        confidence=colour(flags),
        flags=flags,
        lower=lower,
        upper=upper,
        probability=examined.probability,
        signals={**signals, "covered": float(np.mean(model_input.covered))},
        evidence=examined.evidence,
        skill_to=calibration.skill_to,
    )


def opinion(examined: Examined, config: ConfidenceConfig) -> tuple[Flag, ...]:
    """Return the flags that come from what was found out about the prediction."""
    r = examined.prediction.first_shell.r
    return (*_verdict(examined, config), *limits(examined.kind, r))


def _verdict(examined: Examined, config: ConfidenceConfig) -> tuple[Flag, ...]:
    """Return the verdict's own flag where it is not green, then the signals that drove it."""
    if not np.isfinite(examined.prediction.first_shell.r):
        return (make("no_first_shell", but=""),)
    strange = tuple(_flag_of(name, examined) for name in examined.strange)
    # the signal is silent to the verdict where G2 has no peak to compare with
    if np.isnan(examined.signals["peak"]):
        strange = (_contradicted(), *strange)
    chance = examined.probability
    if chance >= config.green_probability:
        return strange
    code = "first_shell_unlikely" if chance < config.red_probability else "first_shell_uncertain"
    # rounded down: 92 % beside amber would contradict a green from 92 % on
    verdict, costly = make(code, percent=math.floor(100 * chance)), drivers(examined)
    if costly and costly[0].code == BY_NAME[IN_DOUBT].flag:  # a cause, which a longer scan removes
        return (costly[0], verdict, *costly[1:], *strange)
    return (verdict, *costly, *strange)


def _contradicted() -> Flag:
    """Return the flag of a distance, by its own output of the network, without a peak of G2."""
    return make("no_first_shell", but=", though the network gives a distance: do not use it")


def _flag_of(name: str, examined: Examined) -> Flag:
    rival = examined.evidence.rival
    other = "" if rival is None else f", {rival.r:.2f} Å with {100 * rival.probability:.0f} %"
    return make(BY_NAME[name].flag, value=examined.signals[name], other=other)


def drivers(examined: Examined, most: int = 3, share: float = 0.15) -> tuple[Flag, ...]:
    """Return flags of the signals that cost most, at most `most`, each at least `share` of all."""
    total = sum(examined.blame.values())
    ordered = sorted(examined.blame.items(), key=lambda item: -item[1])
    told: dict[str, Flag] = {}
    for name, cost in ordered:
        if cost > 0 and cost >= share * total:
            told.setdefault(BY_NAME[name].flag, _flag_of(name, examined))
    return tuple(told.values())[:most]


def refuse(flags: tuple[Flag, ...], n_g2: int) -> Assessment:
    """Judge a spectrum that could not be predicted: red, with the reasons and an empty band."""
    nothing = np.full(n_g2, np.nan)
    return Assessment(Confidence.RED, by_importance(flags), nothing, nothing)


def colour(flags: tuple[Flag, ...]) -> Confidence:
    """Return the colour the worst of `flags` allows."""
    severities = {flag.severity for flag in flags}
    if Severity.ERROR in severities:
        return Confidence.RED
    return Confidence.AMBER if Severity.WARNING in severities else Confidence.GREEN


def by_spread(prediction: Prediction, config: ConfidenceConfig) -> tuple[Flag, ...]:
    """Return what speaks against a distance of a model that brings no verdict."""
    shell = prediction.first_shell
    if not np.isfinite(shell.r):
        return (make("no_first_shell", but=""),)
    if np.isnan(first_peak(prediction.radius, prediction.mean)):
        return (_contradicted(),)
    half = (shell.high - shell.low) / 2
    if not np.isfinite(half) or half >= config.red_half_width:
        return (make("ensemble_spread_large", half=half),)
    if half >= config.amber_half_width:
        return (make("ensemble_spread", half=half),)
    return ()
