"""What must be beaten: saying always the same, and looking the spectrum up in the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.evaluation.scores import Predictions

BLOCK = 256
"""Spectra compared at a time."""


def constant(g2: Array, shell: Array, n: int) -> Predictions:
    """Return the training mean of G2 and the median first-shell distance, `n` times."""
    mean = np.tile(g2.mean(axis=0), (n, 1))
    sigma = np.tile(g2.std(axis=0), (n, 1))
    return Predictions(mean, sigma, np.full(n, np.median(shell)), np.full(n, np.std(shell)))


def nearest(
    spectra: Array, library: Array, g2: Array, shell: Array, neighbours: int
) -> Predictions:
    """Return the mean of the structures whose computed spectra are nearest.

    Parameters
    ----------
    spectra
        What to look up, shape (n, n_grid).
    library
        Computed spectra on the same grid, as the network is shown them, shape (m, n_grid).
    g2, shell
        Of the library, shape (m, n_g2) and (m,).
    neighbours
        How many to average.
    """
    index = np.concatenate(
        [
            _lookup(spectra[i : i + BLOCK], library, neighbours)
            for i in range(0, len(spectra), BLOCK)
        ]
    )
    found, r = g2[index], shell[index]
    spread = found.std(axis=1) if neighbours > 1 else np.zeros(found.shape[::2])
    return Predictions(found.mean(axis=1), spread, np.median(r, axis=1), r.std(axis=1))


def _lookup(spectra: Array, library: Array, neighbours: int) -> NDArray[np.int64]:
    """Return indices of the nearest library spectra by Euclidean distance, (n, neighbours)."""
    distance = (library**2).sum(axis=1) - 2.0 * spectra @ library.T
    order = np.argpartition(distance, neighbours - 1, axis=1)
    return order[:, :neighbours].astype(np.int64)
