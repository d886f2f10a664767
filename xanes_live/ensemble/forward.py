"""The way back: an ensemble from G2 to the spectrum, and what it leaves unexplained.

A prediction is mapped back to a spectrum; what then differs from the measured one beyond energy
scale, broadening and edge step does not follow from the predicted structure. David et al.,
Digital Discovery 2, 1461 (2023), keep the descriptor two-body for this purpose.

All of it is NumPy: a few small matrix products, cheaper so than by way of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.ensemble.nuisance import Nuisance
from xanes_live.ensemble.stacked import Stacked

Single = NDArray[np.float32]

WINDOW = 5.0
"""Width of the window in which a residual is looked for, eV: about that of a feature."""
CHUNK = 1024
"""Spectra computed at a time: bounds memory."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Measured spectra beside those their predicted structures lead back to."""

    returned: Array
    """Fitted to the measured one in energy scale, broadening, step and slope, (n, n_grid)."""
    residual: Array
    """measured − returned, shape (n, n_grid)."""
    score: Array
    """Size of the residual in units of what is usual for unseen spectra, shape (n,)."""
    place: Array
    """Centre of the 5 eV in which the residual is largest against what is usual, eV, (n,)."""
    parameters: Array
    """What was fitted, in units of its usual width, (n, 7); see :mod:`.nuisance`."""


@dataclass(frozen=True)
class Scale:
    """What is usual: found on spectra that neither this nor the reverse ensemble has seen."""

    sigma: Array
    """Root-mean-square residual at each energy, shape (n_grid,)."""
    usual: float
    """Median over spectra of the root-mean-square of residual / `sigma`."""
    quantiles: Mapping[str, float]
    """Quantiles of the score, by name ('0.95'); the median is 1."""
    spectra: int
    """How many spectra it was found on; 0 if all had been seen."""


class Forward:
    """A trained forward ensemble.

    Parameters
    ----------
    network
        Dense networks from G2 to components, in evaluation mode.
    components
        Shape (n_components, n_wide), on the energies ``nuisance.wide``.
    offset
        Mean spectrum, shape (n_wide,).
    nuisance
        What is fitted before comparing.
    scale
        What is usual; without it all scores are NaN.
    """

    def __init__(
        self,
        network: Stacked,
        components: Array,
        offset: Array,
        nuisance: Nuisance,
        scale: Scale | None = None,
    ) -> None:
        self.network, self.architecture = network, network.architecture
        self.components, self.offset = components, offset
        self.nuisance, self.scale = nuisance, scale
        self._activation = ACTIVATIONS[self.architecture.activation]
        self._layers = _layers(network)

    @property
    def n_members(self) -> int:
        """Number of members."""
        return self.network.n_members

    @property
    def energy(self) -> Array:
        """Energies of the spectra, eV, shape (n_grid,)."""
        return self.nuisance.energy

    def members(self, g2: NDArray[np.floating]) -> Array:
        """Return the components each member gives.

        Parameters
        ----------
        g2
            Shape (n, n_g2).

        Returns
        -------
        Array
            Shape (n_members, n, n_components).
        """
        hidden = np.asarray(g2, dtype=np.float32)[None]
        for k, (weight, bias) in enumerate(self._layers):
            hidden = np.matmul(hidden, weight) + bias
            if k < len(self._layers) - 1:
                hidden = self._activation(hidden)
        return hidden.astype(np.float64)

    def spectrum(self, g2: Array) -> tuple[Array, Array]:
        """Return the spectra that structures should have.

        Parameters
        ----------
        g2
            Shape (n, n_g2).

        Returns
        -------
        tuple of Array
            Mean and standard deviation over members, each (n, n_grid): as measured on average,
            without the errors of a measurement.
        """
        start = int(np.argmin(np.abs(self.nuisance.wide - self.energy[0])))
        inside = slice(start, start + len(self.energy))
        each = self.members(g2)
        spread = each - each.mean(axis=0)
        mean: Array = each.mean(axis=0) @ self.components[:, inside] + self.offset[inside]
        square = ((spread @ self.components[:, inside]) ** 2).sum(axis=0)
        return mean, np.sqrt(square / max(1, self.n_members - 1))

    def residual(self, mu: Array, g2: Array) -> Cycle:
        """Compare measured spectra with those their predicted structures lead back to.

        Parameters
        ----------
        mu
            Normalised μ on :attr:`energy`, shape (n, n_grid).
        g2
            Predicted G2, mean over members, shape (n, n_g2).
        """
        components = np.concatenate(
            [self.members(g2[k : k + CHUNK]).mean(axis=0) for k in range(0, max(len(mu), 1), CHUNK)]
        )
        returned, parameters = self.fitted(mu, components)
        residual = mu - returned
        score, place = self._judged(residual)
        return Cycle(returned, residual, score, place, parameters)

    def fitted(self, mu: Array, components: Array) -> tuple[Array, Array]:
        """Return the spectra of some components, fitted to measured ones, and the parameters.

        Parameters
        ----------
        mu
            Shape (n, n_grid).
        components
            Shape (n, n_components).
        """
        return self.nuisance.fit(mu, components @ self.components + self.offset)

    def _judged(self, residual: Array) -> tuple[Array, Array]:
        """Return score and place of residuals."""
        if self.scale is None:
            unknown = np.full(len(residual), np.nan)
            return unknown, unknown.copy()
        square = (residual / self.scale.sigma) ** 2
        score: Array = np.sqrt(square.mean(axis=1)) / self.scale.usual
        return score, self.energy[_densest(square, self._window())]

    def _window(self) -> int:
        return max(1, round(WINDOW / float(self.energy[1] - self.energy[0])))

    def describe(self) -> dict[str, Any]:
        """Return what the model's description says of it, beside its weights' hash."""
        wide, scale = self.nuisance.wide, self.scale
        about: dict[str, Any] = {
            "members": self.n_members,
            "architecture": self.architecture.as_dict(),
            "wide": {"start": float(wide[0]), "stop": float(wide[-1]), "size": len(wide)},
            "nuisance": self.nuisance.describe(),
        }
        if scale is not None:
            about["scale"] = {
                "usual": scale.usual, "spectra": scale.spectra, "quantiles": dict(scale.quantiles)
            }  # fmt: skip
        return about


def _densest(values: Array, window: int) -> Array:
    """Return the middle of the window with the largest sum in each row, shape (n,)."""
    window = min(window, values.shape[1])
    total = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=total[:, 1:])
    best: Array = np.argmax(total[:, window:] - total[:, :-window], axis=1) + window // 2
    return best


def _layers(network: Stacked) -> list[tuple[Single, Single]]:
    """Lay out the weights as (members, in, out), the scales of the data folded in."""
    layers = [
        (weight.transpose(1, 2).cpu().numpy(), bias.unsqueeze(1).cpu().numpy())
        for weight, bias in network.weights("dense")
    ]
    mean, scale = network.input_mean.cpu().numpy(), network.input_scale.cpu().numpy()
    weight, bias = layers[0]
    weight = weight / scale
    layers[0] = (weight, bias - (mean @ weight)[:, None])
    weight, bias = layers[-1]
    out_mean, out_scale = network.output_mean.cpu().numpy(), network.output_scale.cpu().numpy()
    layers[-1] = (weight * out_scale, bias * out_scale + out_mean)
    return [(np.ascontiguousarray(w), np.ascontiguousarray(b)) for w, b in layers]


def _silu(x: Single) -> Single:
    result: Single = x * (0.5 + 0.5 * np.tanh(0.5 * x))  # exp(-x) would overflow
    return result


def _relu(x: Single) -> Single:
    return np.maximum(x, np.float32(0.0))


ACTIVATIONS: dict[str, Callable[[Single], Single]] = {"silu": _silu, "relu": _relu}
"""Those a forward network may have."""
