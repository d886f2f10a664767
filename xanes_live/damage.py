"""Files that are damaged: a sentence in place of what their libraries raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xanes_live.errors import ReadError, XanesLiveError


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Say of a file that cannot be read to its end that it is damaged.

    For blocks that do nothing but read `path`: HDF5 and NumPy raise nearly anything on bytes that
    do not belong together.

    Raises
    ------
    ReadError
        In place of what tells of damage. Errors of the file system stay what they are.
    """
    try:
        yield
    except XanesLiveError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from None
    except Exception as error:  # noqa: BLE001 - see above
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ReadError:
    reason = str(error) or type(error).__name__
    return ReadError(
        f"{path}: damaged, it cannot be read to its end ({reason}). Restore it from a copy, or "
        "make it again under another name"
    )
