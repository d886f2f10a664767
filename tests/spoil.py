"""Good measured scans spoiled on purpose, as things go wrong at a beamline.

Every way takes a :class:`Sample` (a measured spectrum that ships with the package) and returns a
scan with detector readings, so that it goes through the whole pipeline. `FITTING` says which flags
name the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from xanes_live.demo.samples import Sample
from xanes_live.domain import Array, Channels, Mode, Scan
from xanes_live.flags import make
from xanes_live.reduction import pre_edge

I0 = 1e6
FOIL = 7112.0
"""Energy of the first inflection of the simulated iron foil, eV."""
THICK = 0.4
"""α of a thick concentrated sample: what absorbs besides the edge, relative to the edge step; 0.40
for Fe2O3 at 45°, from tabulated mass attenuation coefficients."""


def scan(sample: Sample, channels: Channels, **changes: object) -> Scan:
    """Return the scan of `sample` with these readings."""
    fields: dict[str, object] = {
        "uid": f"spoiled-{sample.name}",
        "sweeps": (channels,),
        "element": sample.element,
        "edge": sample.edge,
        "sample": sample.name,
        "scan_id": 1,
    }
    return Scan(**(fields | changes))  # type: ignore[arg-type]


def transmission(sample: Sample, energy: Array | None = None, mu: Array | None = None) -> Channels:
    """Return readings that give back the measured spectrum; the edge step is brought to 1."""
    energy = sample.energy if energy is None else energy
    mu = spectrum(sample) if mu is None else mu
    i0 = beam(energy)
    return Channels(energy=energy, i0=i0, it=i0 * np.exp(-mu))


def beam(energy: Array) -> Array:
    """Return a beam that decays slowly and trembles by 0.1 %."""
    tremble = np.random.default_rng(3).standard_normal(energy.size)
    return np.asarray(I0 * (1.0 - 2e-4 * np.arange(energy.size) + 1e-3 * tremble))


def spectrum(sample: Sample) -> Array:
    """Return the measured μ(E) with its edge step brought to 1 and a zero as in transmission.

    A thin sample's slope, which is that of the detectors, is taken out with its pre-edge line.
    """
    flat = pre_edge(sample.energy, sample.mu).norm
    return np.asarray(flat - flat.min() + 0.4, dtype=np.float64)


def foil(energy: Array) -> Array:
    """Return μ(E) of a foil whose first inflection is at 7112 eV, with a plausible shape."""
    x = energy - FOIL
    rise = 0.45 / (1 + np.exp(-x / 0.7)) + 0.55 / (1 + np.exp(-(x - 7.0) / 1.2))
    return 0.4 + 1.5 * rise * (1 + 0.08 * np.sin(x / 6.0) * np.exp(-np.abs(x) / 60.0))


def good(sample: Sample) -> Scan:
    """Leave the scan as it is."""
    return scan(sample, transmission(sample))


def _absorbed(sample: Sample, alpha: float) -> Array:
    """Return fluorescence of a thick sample, μ(1 + α)/(α + μ) of the normalised μ.

    Formula: D. Haskel, *FLUO* (1999); L. Tröger et al., *Phys. Rev. B* 46, 3283 (1992).
    """
    norm = np.maximum(pre_edge(sample.energy, sample.mu).flat, 0.0)
    shape = 0.02 + norm * (1 + alpha) / (alpha + norm)
    return np.asarray(0.01 * beam(sample.energy) * shape, dtype=np.float64)


def self_absorbed(sample: Sample) -> Scan:
    """Measure a thick concentrated sample in fluorescence; It shows the true spectrum."""
    made = replace(transmission(sample), fluorescence=_absorbed(sample, THICK)[None])
    return scan(sample, made, mode=Mode.FLUORESCENCE)


def self_absorbed_alone(sample: Sample) -> Scan:
    """Measure a thick concentrated sample in fluorescence, nothing in transmission."""
    readings = Channels(
        energy=sample.energy,
        i0=beam(sample.energy),
        fluorescence=_absorbed(sample, THICK)[None],
    )
    return scan(sample, readings, mode=Mode.FLUORESCENCE)


def glitched(sample: Sample) -> Scan:
    """Put three Bragg glitches of 10 to 20 % of the edge step into the XANES."""
    mu = spectrum(sample)
    for at, size in ((-14.0, 0.2), (24.0, -0.15), (41.0, 0.1)):
        mu[np.abs(sample.energy - sample.e0 - at).argmin()] += size
    return scan(sample, transmission(sample, mu=mu))


def _shifted(sample: Sample, by: float, *, with_foil: bool) -> Scan:
    made = transmission(sample)
    if with_foil:
        assert made.it is not None
        made = replace(made, ir=made.it * np.exp(-foil(made.energy)))
    return scan(sample, replace(made, energy=made.energy + by))


def shifted_up(sample: Sample) -> Scan:
    """Put the monochromator 5 eV off, no foil measured."""
    return _shifted(sample, 5.0, with_foil=False)


def shifted_down(sample: Sample) -> Scan:
    """Put the monochromator 5 eV off the other way, no foil measured."""
    return _shifted(sample, -5.0, with_foil=False)


def shifted_up_with_foil(sample: Sample) -> Scan:
    """Put the monochromator 5 eV off, a foil measured along."""
    return _shifted(sample, 5.0, with_foil=True)


def shifted_down_with_foil(sample: Sample) -> Scan:
    """Put the monochromator 5 eV off the other way, a foil measured along."""
    return _shifted(sample, -5.0, with_foil=True)


def cut(sample: Sample) -> Scan:
    """Plan a scan that ends 20 eV above the tabulated edge."""
    return scan(sample, _until(sample, 20.0))


def begun_late(sample: Sample) -> Scan:
    """Plan a scan that begins 8 eV below the edge."""
    kept = sample.energy > sample.e0 - 8.0
    return scan(sample, transmission(sample, sample.energy[kept], spectrum(sample)[kept]))


def noisy(sample: Sample) -> Scan:
    """Count so little that the noise is 5 % of the edge step."""
    mu = spectrum(sample)
    mu += 0.05 * np.random.default_rng(0).standard_normal(mu.size)
    return scan(sample, transmission(sample, mu=mu))


def saturated(sample: Sample) -> Scan:
    """Clip the amplifier of It below the edge and the fluorescence above it."""
    made = transmission(sample)
    norm = np.maximum(pre_edge(sample.energy, sample.mu).flat, 0.0)
    counts = 0.01 * beam(sample.energy) * (0.02 + norm)
    clipped = np.minimum(counts, 0.9 * np.median(counts[sample.energy > sample.e0 + 15.0]))
    readings = replace(made, it=None, fluorescence=clipped[None])
    return scan(sample, readings, mode=Mode.FLUORESCENCE)


def dropout(sample: Sample) -> Scan:
    """Lose the beam for six points on the white line; the detectors have an offset."""
    made = transmission(sample)
    start = int(np.searchsorted(made.energy, sample.e0 + 12.0))
    left = np.ones(made.energy.size)
    left[start : start + 6] = 0.02
    assert made.i0 is not None
    assert made.it is not None
    return scan(sample, replace(made, i0=made.i0 * left + 100.0, it=made.it * left + 500.0))


def frozen(sample: Sample) -> Scan:
    """Let the detector behind the sample hang for a fifth of the scan, at the edge."""
    made = transmission(sample)
    assert made.it is not None
    it = made.it.copy()
    at = int(np.searchsorted(made.energy, sample.e0 - 5.0))
    it[at : at + it.size // 5] = it[at]
    return scan(sample, replace(made, it=it))


def absent(sample: Sample) -> Scan:
    """Miss the sample: air and windows absorb, the element does not."""
    rng = np.random.default_rng(1)
    mu = 0.3 * (sample.energy / sample.e0) ** -3 + 1e-4 * rng.standard_normal(sample.energy.size)
    return scan(sample, transmission(sample, mu=mu))


def swapped(sample: Sample) -> Scan:
    """Exchange the cables of I0 and It."""
    made = transmission(sample)
    return scan(sample, replace(made, i0=made.it, it=made.i0))


def wrong_channel(sample: Sample) -> Scan:
    """Read a detector that sees nothing but noise instead of It."""
    counts = np.random.default_rng(2).poisson(50.0, sample.energy.size)
    made = transmission(sample)
    return scan(sample, replace(made, it=counts.astype(np.float64)))


def interrupted(sample: Sample) -> Scan:
    """Abort the plan 35 eV above the edge."""
    made = _until(sample, 35.0)
    flag = make("scan_aborted", points=made.energy.size)
    return scan(sample, made, exit_status="abort", flags=(flag,))


def stopped(sample: Sample) -> Scan:
    """Stop the plan 45 eV above the edge, which Bluesky calls a success."""
    return scan(sample, _until(sample, 45.0), metadata={"num_points": sample.energy.size})


def ended_at(end: float) -> Callable[[Sample], Scan]:
    """Return a way to scan no further than `end` eV above the edge."""
    return lambda sample: scan(sample, _until(sample, end))


def _until(sample: Sample, end: float) -> Channels:
    kept = sample.energy < sample.e0 + end
    return transmission(sample, sample.energy[kept], spectrum(sample)[kept])


def mislabelled(other: Sample) -> Callable[[Sample], Scan]:
    """Return a way to scan `other` under the label of the sample."""
    return lambda sample: scan(sample, transmission(other))


def relabelled(other: Sample) -> Callable[[Sample], Scan]:
    """Return a way to scan `other` with the energies of its edge moved to the sample's."""

    def way(sample: Sample) -> Scan:
        return scan(sample, transmission(other, other.energy - other.e0 + sample.e0))

    return way


FITTING: Mapping[str, set[str]] = {
    "self_absorbed": {"over_absorption"},
    "self_absorbed_alone": {"over_absorption"},
    "glitched": {"glitch"},
    "shifted_up": {"energy_scale_off", "edge_far"},
    "shifted_down": {"energy_scale_off", "edge_far"},
    "shifted_up_with_foil": {"energy_scale_off"},
    "shifted_down_with_foil": {"energy_scale_off"},
    "cut": {"too_short", "short_post_edge"},
    "begun_late": {"short_pre_edge", "too_short"},
    "noisy": {"noisy"},
    "saturated": {"channel_saturated"},
    "dropout": {"dropout"},
    "frozen": {"channel_frozen"},
    "absent": {"no_edge"},
    "swapped": {"negative_edge_step", "detector_dead"},
    "wrong_channel": {"detector_dead", "no_edge"},
    "interrupted": {"scan_aborted"},
    "stopped": {"scan_incomplete"},
    "mislabelled": {"wrong_edge"},
}
"""The flags one of which is to come first."""
WAYS: Mapping[str, Callable[[Sample], Scan]] = {
    way.__name__: way
    for way in (
        self_absorbed,
        self_absorbed_alone,
        glitched,
        shifted_up,
        shifted_down,
        shifted_up_with_foil,
        shifted_down_with_foil,
        cut,
        begun_late,
        noisy,
        saturated,
        dropout,
        frozen,
        absent,
        swapped,
        wrong_channel,
        interrupted,
        stopped,
    )
}
