"""Computed spectra brought onto measured ones of the same compound, and what remains.

For every measured spectrum of known structure the computed spectra of its compound are stretched,
shifted and broadened until one lies as close as it can. How much of each is needed tells how wide
an augmentation has to be; what remains is what theory cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import qmc

from xanes_live.confidence.signals import rms
from xanes_live.domain import Array
from xanes_live.ensemble.augment import Augmentation, Bank, moved
from xanes_live.ensemble.data import TrainingSet
from xanes_live.ensemble.discrepancy import FITTED, Discrepancies
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation.measured import BAD, MeasuredSet

LOW = np.array([0.90, -12.0, 0.0, 0.0])
HIGH = np.array([1.25, 5.0, 3.0, 13.0])
"""Range of stretch, shift (eV), broadening and further broadening far above the edge (eV FWHM)."""
STEP = (0.92, 1.10)
"""Range of the factor on the edge step."""
TRIES = (2048, 512)
"""Trials over the whole range, and around the best of them."""
CLOSER = 0.15
"""Share of the range that the second trials cover."""
CANDIDATES = 12
"""Computed spectra of a compound that are tried: those with the distance nearest to the known."""
BLOCK = 512
"""Trials computed at a time."""


@dataclass(frozen=True)
class Best:
    """The best of some trials."""

    rms: float
    values: Array
    """Stretch, shift, broadening, further broadening; shape (4,)."""
    step: float
    residual: Array
    """Shape (n_energies,)."""


def fit_transfers(
    data: TrainingSet, measured: MeasuredSet, energy: Array, pivot: float, far_rise: float
) -> Discrepancies:
    """Fit the computed spectra of every measured compound to its measured spectra.

    Parameters
    ----------
    data
        Computed spectra.
    measured
        Measured spectra of known structure; those no computed spectrum is of are passed over, and
        those known to be bad.
    energy
        The model's energies, eV, shape (n_energies,).
    pivot, far_rise
        As in :class:`xanes_live.ensemble.augment.Augmentation`.

    Raises
    ------
    ConfigurationError
        If no measured compound was computed.
    """
    wanted = measured.on(energy)
    rows: list[tuple[int, int, Best]] = []
    for i, own in enumerate(measured.references):
        if own.quality == BAD:
            continue
        candidates = _candidates(data, own.leave_out, own.first_shell)
        if len(candidates):
            best = [_fit(data, int(j), wanted[i], energy, (pivot, far_rise)) for j in candidates]
            k = int(np.argmin([b.rms for b in best]))
            rows.append((i, int(candidates[k]), best[k]))
    if not rows:
        raise ConfigurationError("none of the measured compounds is among the computed spectra")
    which = [i for i, _, _ in rows]
    found = [j for _, j, _ in rows]
    return Discrepancies(
        energy=energy,
        residual=np.array([b.residual for _, _, b in rows]),
        id=np.array([measured.references[i].id for i in which]),
        compound=measured.compound[which],
        computed=data.id[found],
        fitted=np.array([[*b.values, b.step - 1.0] for _, _, b in rows]),
        fermi=data.fermi[found],
    )


def _candidates(data: TrainingSet, words: tuple[str, ...], known: float) -> Array:
    """Return the computed spectra of a compound whose distance is nearest to the known one."""
    own = np.flatnonzero(data.named(words) & ~data.measured)
    away = np.abs(data.shell[own] - known)
    return np.asarray(own[np.argsort(away, kind="stable")][:CANDIDATES])


def _fit(
    data: TrainingSet, index: int, wanted: Array, energy: Array, fixed: tuple[float, float]
) -> Best:
    """Bring one computed spectrum onto a measured one: trials over the range, then closer ones."""
    widest = HIGH[2] + HIGH[3]
    bank = Bank.build(
        data.energy, data.mu[[index]].astype(np.float64), data.fermi[[index]], fwhm_max=widest
    )
    best = _try(bank, _spread(TRIES[0], LOW, HIGH), wanted, energy, fixed)
    reach = CLOSER / 2 * (HIGH - LOW)
    low, high = np.maximum(best.values - reach, LOW), np.minimum(best.values + reach, HIGH)
    closer = _try(bank, _spread(TRIES[1], low, high), wanted, energy, fixed)
    return min(best, closer, key=lambda b: b.rms)


def _spread(count: int, low: Array, high: Array) -> Array:
    """Return evenly spread values of the four parameters, the same ones at every call."""
    numbers = qmc.Sobol(len(low), seed=0).random(count)
    return np.asarray(low + numbers * (high - low))


def _try(
    bank: Bank, trials: Array, wanted: Array, energy: Array, fixed: tuple[float, float]
) -> Best:
    """Return the best of the trials, (n, 4), each with the edge step that suits it."""
    best: Best | None = None
    for start in range(0, len(trials), BLOCK):
        values = trials[start : start + BLOCK]
        mu = _moved(bank, values, energy, *fixed)
        step = np.clip((mu * wanted).sum(axis=1) / (mu**2).sum(axis=1), *STEP)
        residual = wanted - step[:, None] * mu
        size = rms(residual)
        k = int(size.argmin())
        if best is None or size[k] < best.rms:
            best = Best(float(size[k]), values[k], float(step[k]), residual[k])
    assert best is not None  # noqa: S101 - there are trials
    return best


def _moved(bank: Bank, values: Array, energy: Array, pivot: float, far_rise: float) -> Array:
    """Return the bank's one spectrum stretched, shifted and broadened, (n, n_energies)."""
    stretch, shift, fwhm, far = torch.tensor(values, dtype=torch.float32).T[..., None]
    found = moved(
        bank, torch.zeros(len(values), dtype=torch.long), torch.tensor(energy, dtype=torch.float32),
        pivot=pivot, stretch=stretch, shift=shift, fwhm=fwhm, far_fwhm=far, far_rise=far_rise,
    )  # fmt: skip
    return np.asarray(found.numpy(), dtype=np.float64)


def table(found: Discrepancies) -> list[str]:
    """Return the fits as lines of a table, best first."""
    head = f"{'spectrum':40} {'compound':14} {'rms':>6} " + " ".join(f"{n:>8}" for n in FITTED)
    rows = [
        f"{found.id[i][:40]:40} {found.compound[i][:14]:14} {found.rms[i]:6.3f} "
        + " ".join(f"{v:8.2f}" for v in found.fitted[i])
        for i in np.argsort(found.rms)
    ]
    return [head, *rows]


def summary(found: Discrepancies, settings: Augmentation) -> list[str]:
    """Return mean and deviation over compounds beside what a recipe draws from.

    What the recipe's `fermi_pull` shifts is taken off the shifts first.
    """
    names = np.unique(found.compound)
    fitted = found.fitted.copy()
    pulled = settings.fermi_pull * (found.fermi - settings.fermi)
    fitted[:, FITTED.index("shift")] += pulled
    each = np.array([fitted[found.compound == n].mean(axis=0) for n in names])
    recipe = {
        "stretch": f"{settings.stretch:.2f} ± {settings.stretch_sd:.2f}",
        "shift": f"{settings.shift:.2f} ± {settings.shift_sd:.2f} eV",
        "fwhm": f"0 to {settings.fwhm_max:.1f} eV",
        "far_fwhm": f"{settings.far_fwhm_min:.1f} to {settings.far_fwhm_max:.1f} eV",
        "step": f"{settings.step:.2f} ± {settings.step_sd:.2f}",
    }
    mean, spread = each.mean(axis=0), each.std(axis=0, ddof=min(1, len(names) - 1))
    return [
        f"of {len(names)} compounds:",
        *(
            f"{name:9} {mean[k]:7.2f} ± {spread[k]:.2f}; recipe {recipe[name]}"
            for k, name in enumerate(FITTED)
        ),
    ]
