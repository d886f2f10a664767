from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from xanes_live.errors import MissingDependencyError
from xanes_live.theory.feff_run import feff_directory

DATA = Path(__file__).parents[2] / "data" / "theory"


@pytest.fixture
def feff() -> None:
    """FEFF8L itself, which comes with an optional extra."""
    try:
        feff_directory()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def one_thread():
    """PyTorch's batched CPU solvers are wrong with more (pytorch issues 142815, 141358)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cases() -> dict[str, dict]:
    """Complete FEFF10 runs by name, '-scf' added where self-consistent."""
    loaded = json.loads((DATA / "feff10.json").read_text(encoding="utf-8"))["cases"]
    return {c["name"] + ("-scf" if c["scf_radius"] else ""): c for c in loaded}


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Output of FEFF8L for Fe(CO)5 with overlapped potentials."""
    return DATA / "feco5"
