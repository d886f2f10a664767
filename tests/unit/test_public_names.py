"""Names a user imports from a package, not from whichever module they live in."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = (
    "client", "confidence", "descriptor", "documents", "domain", "ensemble", "flags", "reduction",
    "theory",
)  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_can_be_imported(package: str) -> None:
    module = import_module(f"xanes_live.{package}")
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_the_issue_s_way_to_a_spectrum_is_importable() -> None:
    from xanes_live.theory import TheorySpectrum, compute_xanes

    assert compute_xanes.__annotations__["return"] == TheorySpectrum.__name__


def test_a_name_that_is_none_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="compute_exafs"):
        from xanes_live.theory import compute_exafs  # noqa: F401


def test_packages_start_without_torch() -> None:
    code = (
        "import sys, xanes_live.theory, xanes_live.ensemble, xanes_live.documents\n"
        "assert 'torch' not in sys.modules and 'bluesky' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
