"""Two-dimensional maps of descriptors and spectra (t-SNE)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xanes_live.domain import Array
from xanes_live.errors import MissingDependencyError


def tsne(values: NDArray[np.floating], *, seed: int = 0) -> Array:
    """Return a t-SNE map (van der Maaten and Hinton, J. Mach. Learn. Res. 9, 2579 (2008)).

    Parameters
    ----------
    values
        Shape (n, n_features); reduced to 30 principal components first.
    seed
        Of the random start.

    Returns
    -------
    Array
        Shape (n, 2).

    Raises
    ------
    MissingDependencyError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import PCA  # noqa: PLC0415 - an optional extra
        from sklearn.manifold import TSNE  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("scikit-learn", "plot", "The t-SNE map") from error
    size = min(30, *values.shape)
    reduced = PCA(n_components=size, random_state=seed).fit_transform(values)
    perplexity = min(30.0, max(2.0, (len(values) - 1) / 4), len(values) - 1.0)
    model: Any = TSNE(perplexity=perplexity, random_state=seed, init="pca")
    return np.asarray(model.fit_transform(reduced), dtype=np.float64)
