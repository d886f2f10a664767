"""One HDF5 file for the arrays of a result."""

from __future__ import annotations

from pathlib import Path

from xanes_live.publish.document import Node
from xanes_live.whole import written_whole


def file_of(directory: Path, key: str) -> Path:
    """Return where the arrays of the result `key` are."""
    return directory.resolve() / key[:2] / f"{key}.h5"


def write_file(directory: Path, node: Node) -> Path:
    """Write the arrays of `node` and return the file's path.

    The file appears whole: it is written beside, synced and renamed. Written again it holds the
    same, so a second try does no harm.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import h5py  # noqa: PLC0415 - 0.15 s that only this way of publishing needs

    path = file_of(directory, node.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, h5py.File(part, "w") as file:
        for name, values in node.arrays.items():
            file.create_dataset(name, data=values).attrs["units"] = node.units.get(name, "")
    return path
