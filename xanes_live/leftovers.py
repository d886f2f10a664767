"""What killed processes left behind: named after its process, removed once that is surely gone.

A name holds the number of the process and a mark of where that number means anything: this boot of
this machine and, in a container, its own numbering. Of files marked elsewhere, on a shared disk,
nothing can be known, and they stay.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

_NAME = re.compile(
    r"^xanes-(?:live|theory)-(?P<folder>\d+)-(?P<at>[0-9a-f]{8})-"
    r"|\.(?P<part>\d+)-(?P<on>[0-9a-f]{8})\.part$"
)


def owner() -> str:
    """Return what files of this process that are to go again are marked with."""
    return f"{os.getpid()}-{_place()}"


@cache
def sweep(folder: Path) -> None:
    """Remove what processes that are gone left in a folder; once in a process, as it is slow."""
    with suppress(OSError):
        for path in [entry for entry in folder.iterdir() if _dead(entry)]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _dead(path: Path) -> bool:
    """Tell whether a file or folder is ours, of this machine, and of a process that is gone."""
    found = _NAME.search(path.name)
    if found is None or (found["at"] or found["on"]) != _place():
        return False
    try:
        if path.is_symlink() or path.lstat().st_uid != os.getuid():
            return False
        os.kill(int(found["folder"] or found["part"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError, AttributeError):  # another's; none; Windows
        return False
    return False


@cache
def _place() -> str:
    """Return what tells the process numbers of this machine, boot and container from others'."""
    said = [platform.node()]
    with suppress(OSError):
        said.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with suppress(OSError):
        said.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - names no file
    return hashlib.sha256("|".join(said).encode()).hexdigest()[:8]
