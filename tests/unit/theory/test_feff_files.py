from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from xanes_live.errors import TheoryError
from xanes_live.theory.cluster import HARTREE, make_cluster
from xanes_live.theory.feff_input import ScfSettings, edit_xsph, feff_input
from xanes_live.theory.feff_output import decode_pad, read_phases, read_pot


def encode_pad(value: float, width: int = 8) -> str:
    """Write a number the way the format is described: exponent, sign and first digit, digits."""
    if value == 0:
        return "Q" + "%" * (width - 1)
    exponent = int(np.floor(np.log10(abs(value)))) + 1
    rest = abs(value) / 10.0**exponent / 2
    digits = []
    for place in range(width - 1):
        rest *= 90
        digit = round(rest) if place == width - 2 else int(rest)
        digits.append(min(digit, 89))
        rest -= digit
    digits[0] = 2 * digits[0] + (value > 0)
    return "".join(chr(37 + d) for d in (exponent + 45, *digits))


@given(st.floats(1e-30, 1e30), st.booleans())
def test_packed_numbers_come_back(size: float, negative: bool) -> None:
    value = -size if negative else size
    np.testing.assert_allclose(decode_pad(encode_pad(value) + encode_pad(1.0), 8), [value, 1.0])


def test_recorded_output(recorded: Path) -> None:
    phases, summary = read_phases(recorded), read_pot(recorded / "pot.pad")
    assert len(phases.energy) == 84
    assert phases.n_real == 64
    assert phases.energy[phases.fermi_index].real == pytest.approx(phases.fermi)
    assert phases.energy[0].imag * HARTREE == pytest.approx(0.654463, abs=1e-5)
    assert summary.fermi == pytest.approx(11.773, abs=1e-3)  # FEFF's own log says so
    assert summary.vint == pytest.approx(-20.351, abs=1e-3)
    assert summary.emu == pytest.approx(phases.emu * HARTREE)
    assert [s.shape[1] for s in phases.shifts] == [6, 6, 6]


def test_phase_shifts_do_not_jump(recorded: Path) -> None:
    for shifts in read_phases(recorded).shifts:
        assert np.abs(np.diff(shifts[:64].real, axis=0)).max() < 1.0


def test_a_file_cut_short_is_refused(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "run")
    text = (recorded / "phase.pad").read_text()
    (tmp_path / "run" / "phase.pad").write_text(text[: len(text) // 2])
    with pytest.raises(TheoryError, match="output"):
        read_phases(tmp_path / "run")
    with pytest.raises(TheoryError, match=r"pot\.pad"):
        read_pot(tmp_path / "pot.pad")


def test_input_of_a_molecule() -> None:
    atoms = Atoms("OFeCO", [[0, 0, 3.0], [0, 0, 0], [0, 0, 1.8], [0, 0, -1.9]])
    lines = feff_input(make_cluster(atoms, 1), "K", ScfSettings(5.0)).splitlines()
    assert "EDGE K" in lines
    assert "SCF 5.0000 1 30 0.2 1" in lines
    start = lines.index("POTENTIALS") + 1
    assert lines[start : start + 3] == ["0 26 Fe 3 3 0.01", "1 6 C 2 2 1", "2 8 O 2 2 2"]
    sites = lines[lines.index("ATOMS") + 1 : -1]
    assert sites[0] == "0.000000000 0.000000000 0.000000000 0"
    assert [s.split()[-1] for s in sites[1:]] == ["1", "2", "2"]  # by distance


def test_input_of_a_crystal_is_not_continued_as_a_molecule() -> None:
    text = feff_input(make_cluster(bulk("Fe"), 0), "K", ScfSettings(3.6))
    assert "SCF 3.6000 0 30 0.2 1" in text
    assert "1 26 Fe 3 3" in text
    assert "SCF" not in feff_input(make_cluster(bulk("Fe"), 0), "K", None)


def test_settings_that_rdinp_does_not_pass_on(recorded: Path, tmp_path: Path) -> None:
    shutil.copy(recorded / "xsph.json", tmp_path)
    edit_xsph(tmp_path, kmax=4.9, kstep=0.07, fermi_shift=18.5)
    written = json.loads((tmp_path / "xsph.json").read_text())
    assert (written["ispec"], written["ixc0"], written["xkmax"]) == (1, 2, 4.9)
    assert written["vro"] == 18.5
    assert written["potlbl"][0] == "Fe"  # the rest is left alone
