"""Readers of what FEFF8L leaves: ``pot.pad``, ``phase.pad``, ``xsect.json``.

PAD ("packed ASCII data") writes a real number in `npad` characters of base 90, offset 37: the
decimal exponent plus 45, then sign (odd: positive) and leading digit together, then further digits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xanes_live.errors import TheoryError
from xanes_live.theory.cluster import HARTREE
from xanes_live.theory.harmonics import Array

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class PotentialSummary:
    """What ``pot.pad`` says of the potentials as a whole, eV."""

    fermi: float
    """Fermi level on the scale of the potentials."""
    vint: float
    """Interstitial potential."""
    emu: float
    """Fermi level on the scale of the photon energy."""
    density: float
    """Interstitial density, electrons per bohr³ (times 4π, as FEFF keeps it)."""
    norman: float
    """Average Norman radius, bohr."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Everything multiple scattering needs of one structure, on FEFF's own mesh.

    Energies in Hartree on the scale of the potentials. The first `n_real` points run parallel to
    the real axis at half the core-hole width, the rest straight up from the Fermi level.
    """

    energy: Complex
    """Complex energies, shape (n,)."""
    reference: Complex
    """Interstitial energy with self-energy, shape (n,)."""
    shifts: tuple[Complex, ...]
    """Phase shifts of each potential, (n, lmax + 1); unwrapped along each of the two branches."""
    matrix_element: Complex
    """rkk₁² + rkk₂², squared dipole matrix elements to p₁/₂ and p₃/₂, shape (n,)."""
    atomic: Complex
    """Cross section of the embedded atom, complex, shape (n,)."""
    norm: Array
    """Normalisation of the scattering part, shape (n,)."""
    n_real: int
    fermi_index: int
    """Index of the point straight above the Fermi level."""
    fermi: float
    """Fermi level, Hartree."""
    emu: float
    """Fermi level on the photon scale, Hartree."""
    vint: float
    """Interstitial potential, Hartree."""


def decode_pad(text: str, width: int) -> Array:
    """Return the numbers packed in `text`, `width` characters each."""
    digits = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(float).reshape(-1, width)
    digits -= 37
    sign = digits[:, 1] % 2
    mantissa = (digits[:, 1] - sign) / 2 / 90
    for place in range(2, width):
        mantissa += digits[:, place] / 90.0**place
    return np.asarray(np.where(sign == 1, 2, -2) * mantissa * 10.0 ** (digits[:, 0] - 45))


class _PadReader:
    """Line by line through a PAD file."""

    def __init__(self, path: Path) -> None:
        try:
            self.lines = path.read_text(encoding="ascii").splitlines()
        except OSError as error:
            raise TheoryError("output", f"{path.name}: {error.strerror}") from None
        self.at = 0

    def words(self) -> list[str]:
        self.at += 1
        return self.lines[self.at - 1].split()

    def real(self, count: int, width: int) -> Array:
        return self._packed("!", count, width)

    def complex(self, count: int, width: int) -> Complex:
        flat = self._packed("$", 2 * count, width)
        return np.asarray(flat[0::2] + 1j * flat[1::2])

    def _packed(self, mark: str, count: int, width: int) -> Array:
        text = ""
        while len(text) < count * width:
            if self.at >= len(self.lines) or not self.lines[self.at].startswith(mark):
                raise TheoryError("output", f"line {self.at + 1} is not packed data")
            text += self.lines[self.at][1:]
            self.at += 1
        return decode_pad(text, width)


def read_pot(path: Path) -> PotentialSummary:
    """Read the head of ``pot.pad``.

    Raises
    ------
    TheoryError
        If the file is missing or cut short.
    """
    reader = _PadReader(path)
    titles, _, width = (int(w) for w in reader.words()[:3])
    reader.at += titles
    norman, fermi, vint, density, emu = reader.real(13, width)[:5]
    return PotentialSummary(fermi * HARTREE, vint * HARTREE, emu * HARTREE, density, norman)


def read_phases(directory: Path) -> Phases:
    """Read ``phase.pad`` and ``xsect.json`` from `directory`.

    Raises
    ------
    TheoryError
        If a file is missing, cut short, or the numbers in it are not finite.
    """
    reader = _PadReader(directory / "phase.pad")
    head = reader.words()
    n, n_real, _, n_pot, _, ik0, width = (int(w) for w in head[1:8])
    _, fermi, _ = reader.real(3, width)
    energy, reference = reader.complex(n, width), reader.complex(n, width)
    shifts = []
    for _ in range(n_pot + 1):
        lmax = int(reader.words()[0])
        both = reader.complex(n * (2 * lmax + 1), width).reshape(n, 2 * lmax + 1)
        shifts.append(_unwrap(both[:, lmax:], n_real))
    rkk = reader.complex(8 * n, width).reshape(8, n)
    section = json.loads((directory / "xsect.json").read_text(encoding="utf-8"))
    phases = Phases(
        energy=energy,
        reference=reference,
        shifts=tuple(shifts),
        matrix_element=rkk[0] ** 2 + rkk[1] ** 2,
        atomic=np.array(section["dum1"]) + 1j * np.array(section["dum2"]),
        norm=np.array(section["xsnorm"]),
        n_real=n_real,
        fermi_index=ik0 - 1,
        fermi=float(fermi),
        emu=float(section["emu"]),
        vint=float(head[10]),
    )
    parts = (energy, reference, phases.matrix_element, phases.atomic, *shifts)
    if not all(np.isfinite(part).all() for part in parts):
        raise TheoryError("output", "phase shifts or cross sections are not finite")
    return phases


def _unwrap(shifts: Complex, n_real: int) -> Complex:
    """Take jumps of π out of the phase shifts, which FEFF gives modulo π.

    Interpolating across such a jump makes spikes of most of the white line near d resonances.
    """
    parts = [
        np.unwrap(part.real, axis=0, period=np.pi) + 1j * part.imag
        for part in (shifts[:n_real], shifts[n_real:])
    ]
    return np.concatenate(parts)
