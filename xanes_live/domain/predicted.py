"""What the ensemble says of a spectrum, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from xanes_live.domain.words import Array, Confidence, Flag


@dataclass(frozen=True, slots=True)
class Peak:
    """A maximum of the predicted G2."""

    r: float
    """Å."""
    height: float
    region: str
    """'near' (1–3.5 Å) or 'far' (3.5–6 Å)."""


@dataclass(frozen=True, slots=True)
class FirstShell:
    """Distance from the absorber to its first shell of neighbours."""

    r: float
    """Å; NaN when no peak is significant."""
    sigma: float
    """Standard deviation over members, Å."""
    low: float
    """Lower end of the 95 % interval, Å."""
    high: float
    members: Array
    """Each member's own estimate, Å, shape (n_members,); NaN where it has none."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the ensemble says of one spectrum."""

    radius: Array
    """Centres of the G2 functions, Å, shape (n_g2,)."""
    mean: Array
    """Mean G2 over members, shape (n_g2,)."""
    sigma: Array
    """Standard deviation over members (ddof = 1), shape (n_g2,)."""
    members: Array
    """shape (n_members, n_g2)."""
    first_shell: FirstShell
    peaks: tuple[Peak, ...]
    eta: float
    """Width parameter of the G2 functions, Å⁻²."""


@dataclass(frozen=True, slots=True)
class Others:
    """What the network says of first-shell distances other than those it gives; each (n,)."""

    beyond: Array
    """Probability that the distance is not within 0.1 Å of that given."""
    r: Array
    """The likeliest of the others, Å; NaN where there is no distance."""
    probability: Array
    """Of the distance being within 0.1 Å of that."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the ensemble says of spectra and of changed copies of each, copy 0 being unchanged."""

    predictions: tuple[Prediction, ...]
    """Of the unchanged spectra, n of them."""
    mean: Array
    """Mean G2 over members, shape (n, n_copies, n_g2)."""
    r: Array
    """First-shell distance, Å, shape (n, n_copies)."""
    heads: Mapping[str, Array] = field(default_factory=dict)
    """Mean over members of the network's further outputs by name, unchanged spectra, (n,)."""
    others: Others | None = None
    """What it says of other distances than `r`, unchanged spectra; None where it says nothing."""
    r_further: Array = field(default_factory=lambda: np.zeros(0))
    """First-shell distances of further spectra asked for along with them, Å, shape (m,)."""

    @property
    def sigma(self) -> Array:
        """Standard deviation of G2 over members, unchanged spectra, shape (n, n_g2)."""
        return np.array([said.sigma for said in self.predictions], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a change of the spectrum does to its prediction."""

    kind: str
    """'shift' or 'broadening'."""
    value: float
    """Shift of the energies, or FWHM of the Gaussian, eV."""
    r: float
    """First-shell distance predicted then, Å."""
    g2: float
    """Root-mean-square change of G2, in units of the root-mean-square of G2."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A training compound whose spectrum is like the measured one."""

    name: str
    distance: float
    """Root-mean-square difference of normalised μ."""
    r: float
    """First-shell distance of the computed structure nearest in spectrum, Å; it may be a distorted
    copy, or have the absorber at another element's place, and goes by its parent's name."""
    ligand: str
    """Commonest element of its first shell."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another first-shell distance that the network holds possible."""

    r: float
    """Å."""
    probability: float
    """Of the distance being within 0.1 Å of this."""


@dataclass(frozen=True, slots=True)
class Cyclic:
    """The spectrum that the predicted G2 leads back to."""

    energy: Array
    """eV, shape (n_grid,)."""
    measured: Array
    """Normalised μ, shape (n_grid,)."""
    returned: Array
    """What the forward ensemble makes of the prediction, shape (n_grid,)."""
    residual: Array
    """measured − returned, shape (n_grid,)."""
    score: float
    """Size of the residual in units of what is usual for unseen spectra."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about a prediction besides the ensemble's own spread."""

    sensitivity: tuple[Moved, ...] = ()
    nearest: tuple[Neighbour, ...] = ()
    """Nearest training compounds, nearest first."""
    novelty: float | None = None
    """Share of held-out spectra that lie nearer to the training spectra, 0 … 1."""
    cyclic: Cyclic | None = None
    rival: Rival | None = None
    """The likeliest other distance, where it is likely enough to be told."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """How far to trust a prediction."""

    confidence: Confidence
    flags: tuple[Flag, ...]
    """Everything known against (and about) the result, most important first."""
    lower: Array
    """Lower edge of the calibrated 95 % band of G2, shape (n_g2,)."""
    upper: Array
    probability: float | None = None
    """Probability that the first-shell distance is right within 0.1 Å."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """The numbers the verdict was made from, by name."""
    evidence: Evidence = Evidence()
    skill_to: float | None = None
    """Distance up to which G2 of measured spectra is predicted better than by its mean, Å; None
    where that was never tested."""
