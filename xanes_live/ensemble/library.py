"""The library of a model: its training spectra made small, to tell how novel a measured one is.

One file, ``library.safetensors``: arrays, and the names of compounds and elements as JSON in the
file's own metadata. What they mean is said in :class:`xanes_live.confidence.novelty.Library` and,
of those called ``experience.…``, in :class:`xanes_live.confidence.experience.Experience`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xanes_live.errors import ModelFormatError

LIBRARY = "library.safetensors"
Arrays = Mapping[str, NDArray[Any]]
Words = Mapping[str, list[str]]


def write_library(folder: Path, arrays: Arrays, words: Words) -> dict[str, Any]:
    """Write the library of the model in `folder`; return what model.toml is to say of it."""
    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    metadata = {name: json.dumps(list(value)) for name, value in words.items()}
    data = save(contiguous, metadata=metadata)
    (folder / LIBRARY).write_bytes(data)
    return {"sha256": hashlib.sha256(data).hexdigest()}


def read_library(folder: Path, about: Mapping[str, Any] | None) -> tuple[Arrays, Words] | None:
    """Read the library of a model folder.

    Parameters
    ----------
    folder
        The model folder.
    about
        ``[library]`` of its model.toml; without one the model has no library (None).

    Raises
    ------
    ModelFormatError
        If the file is missing, damaged, or not the one that was described.
    """
    if about is None:
        return None
    path = folder / LIBRARY
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != about.get("sha256"):
            raise ModelFormatError(f"{path}: not the library model.toml describes (sha256)")
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
            words = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFormatError(f"{path}: {error}") from None
    return arrays, words
