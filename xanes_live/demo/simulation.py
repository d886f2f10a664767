"""Physics of the simulated beamline: what reaches each detector and what its electronics count.

Everything is vectorised over energies, so that a step scan (one energy at a time), a fly scan and a
QEXAFS sweep are the same experiment. Nothing here knows of Bluesky.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from xanes_live.demo.samples import Sample, load
from xanes_live.domain import Array

FLUX: Final = 1e7
"""Photons per second on the sample, as far as they are counted."""
ELEMENT_SHARE: Final = (0.0055, 0.0050, 0.0060, 0.0045)
"""Photons each element of the fluorescence detector sees per incident photon at the white line."""
SCATTER: Final = 0.04
"""Elastic and Compton background of the fluorescence detector, in units of the white line."""
FOIL_STEP: Final = 1.0
"""Edge step of the reference foil."""


@dataclass(frozen=True, slots=True)
class Photons:
    """Expected number of photons at each detector, before counting statistics."""

    energy: Array
    """True photon energy, eV, shape (n_points,)."""
    i0: Array
    """shape (n_points,)"""
    it: Array
    """shape (n_points,)"""
    ir: Array
    """Behind the reference foil, shape (n_points,)."""
    fluorescence: Array
    """shape (n_elements, n_points)"""


@dataclass(frozen=True, slots=True)
class Electronics:
    """Amplifier and counter of one detector, with what can be wrong with them."""

    dark_rate: float = 40.0
    """Dark counts per second."""
    dead: bool = False
    """True: nothing but dark counts."""
    dropout: tuple[float, float] | None = None
    """Photon energies (eV, from – to) between which the amplifier loses 85 % of the signal."""

    def count(
        self, photons: Array, energy: Array, time_s: float, rng: np.random.Generator
    ) -> Array:
        """Return counts, shape of `photons`, with Poisson noise of signal and dark current."""
        signal = np.zeros_like(photons) if self.dead else photons.copy()
        if self.dropout is not None:
            low, high = self.dropout
            signal[..., (energy >= low) & (energy <= high)] *= 0.15
        return rng.poisson(signal + self.dark_rate * time_s).astype(float)


@dataclass(frozen=True)
class Fault:
    """What is wrong during one scan."""

    dead: tuple[str, ...] = ()
    """Dead detectors: 'i0', 'it', 'ir', 'fluorescence[2]' (counted from 0)."""
    i0_dropout: tuple[float, float] | None = None
    """Energies relative to the edge (eV) between which I0 drops out."""


NO_FAULT: Final = Fault()


@dataclass(eq=False)
class Experiment:
    """What is in the beam now: sample, reference foil, shutter, monochromator energy, faults."""

    sample: Sample
    rng: np.random.Generator
    fault: Fault = NO_FAULT
    shutter_open: bool = True
    time_scale: float = 0.003
    """Real seconds per second of beamtime."""
    _now: Photons = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.move(self.sample.e0 - 50.0)

    @cached_property
    def _curves(self) -> tuple[PchipInterpolator, PchipInterpolator, PchipInterpolator]:
        """Absorption of the sample, its emission (1 at most) and absorption of the foil."""
        sample, foil = self.sample, _foil(self.sample)
        emission = sample.emission / sample.emission.max()
        return (
            PchipInterpolator(sample.energy, sample.absorption),
            PchipInterpolator(sample.energy, emission),
            PchipInterpolator(foil.energy, FOIL_STEP * foil.absorption / _step(foil)),
        )

    @cached_property
    def electronics(self) -> dict[str, Electronics]:
        """Electronics by channel: 'i0', 'it', 'ir', 'fluorescence[0]' and so on."""
        dropout = self.fault.i0_dropout
        window = (self.sample.e0 + dropout[0], self.sample.e0 + dropout[1]) if dropout else None
        channels = ["i0", "it", "ir", *(f"fluorescence[{k}]" for k in range(len(ELEMENT_SHARE)))]
        return {
            name: Electronics(
                dead=name in self.fault.dead, dropout=window if name == "i0" else None
            )
            for name in channels
        }

    def photons(self, energy: Array, time_s: float) -> Photons:
        """Return the photons expected in `time_s` at each energy (eV, shape (n_points,)).

        The flux falls slowly with energy, has the waviness of a monochromator and jitters by
        0.1 % from point to point, all in common to the detectors behind I0.
        """
        mu, emission, foil = (
            curve(np.clip(energy, curve.x[0], curve.x[-1])) for curve in self._curves
        )
        shape = 1.0 - 2e-4 * (energy - self.sample.e0) + 0.01 * np.sin(energy / 37.0)
        jitter = self.rng.normal(1.0, 1e-3, energy.shape)
        i0 = FLUX * time_s * shape * jitter
        it = i0 * np.exp(-mu)
        share = np.asarray(ELEMENT_SHARE)[:, None]
        return Photons(energy, i0, it, it * np.exp(-foil), i0 * share * (emission + SCATTER))

    def move(self, energy_ev: float) -> None:
        """Put the monochromator at `energy_ev`: from now on one draw of the flux for all."""
        self._now = self.photons(np.array([energy_ev]), 1.0)

    def count(self, channel: str, time_s: float) -> float:
        """Return the counts of `channel` in `time_s` here and now; without beam only dark ones."""
        photons = _of(self._now, channel) * time_s * self.shutter_open
        counts = self.electronics[channel].count(photons, self._now.energy, time_s, self.rng)
        return float(counts[0])

    def sweep(self, energy: Array, time_s: float) -> dict[str, Array]:
        """Return counts by channel at each energy of a sweep (eV, shape (n_points,))."""
        photons = self.photons(energy, time_s)
        return {
            name: electronics.count(_of(photons, name), energy, time_s, self.rng)
            for name, electronics in self.electronics.items()
        }


def _of(photons: Photons, channel: str) -> Array:
    if channel.startswith("fluorescence"):
        element: Array = photons.fluorescence[int(channel[len("fluorescence[") : -1])]
        return element
    plain: Array = getattr(photons, channel)
    return plain


def _foil(sample: Sample) -> Sample:
    """Return the reference foil that belongs to a sample: of its element, else the sample's own."""
    return {"Fe": load("fe_foil"), "Cu": load("cu_foil")}.get(sample.element, sample)


def _step(foil: Sample) -> float:
    """Rough edge step of a foil."""
    above = (foil.energy > foil.e0 + 50.0) & (foil.energy < foil.e0 + 90.0)
    return float(foil.emission[above].mean())
