"""The library of a model: its training spectra made small, to tell how novel a measured one is.

One file, ``library.safetensors``: arrays, and the names of compounds and elements as JSON in the
file's own metadata. What they mean is said in :class:`xanes_live.confidence.novelty.Library`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from xanes_live.errors import ModelFormatError

LIBRARY = "library.safetensors"
Arrays = Mapping[str, NDArray[Any]]
Words = Mapping[str, list[str]]


def write_library(folder: Path, arrays: Arrays, words: Words) -> None:
    """Write the library of the model in `folder`."""
    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    metadata = {name: json.dumps(list(value)) for name, value in words.items()}
    save_file(contiguous, folder / LIBRARY, metadata=metadata)


def read_library(folder: Path) -> tuple[Arrays, Words] | None:
    """Read the library of a model folder; None if it has none.

    Raises
    ------
    ModelFormatError
        If the file is damaged.
    """
    path = folder / LIBRARY
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
            words = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFormatError(f"{path}: {error}") from None
    return arrays, words
