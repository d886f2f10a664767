"""Running FEFF8L's three programs, each structure in a fresh directory.

``pot`` may exit 0 although it failed and would leave an older ``pot.pad`` in place: nothing is
trusted but a "Done with module" line of this very run and files written by it.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from xanes_live.errors import MissingDependencyError, TheoryError
from xanes_live.leftovers import owner, sweep
from xanes_live.theory.cluster import HARTREE, Cluster
from xanes_live.theory.feff_input import ScfSettings, edit_xsph, feff_input
from xanes_live.theory.feff_output import Phases, PotentialSummary, read_phases, read_pot

TIME_LIMIT_S = 600.0
PROGRAMS = ("feff8l_rdinp", "feff8l_pot", "feff8l_xsph")
FermiModel = Callable[[Cluster, PotentialSummary], float]
"""Predicts the self-consistent Fermi level (eV, scale of the potentials) from overlapped ones."""
MeshEnd = Callable[[PotentialSummary], float]
"""Chooses the end of the mesh (1/Å) once the photon energy of the Fermi level is known."""


@cache
def feff_directory() -> Path:
    """Return the folder of the FEFF8L programs that come with xraylarch.

    Raises
    ------
    MissingDependencyError
        If xraylarch is not installed or does not hold programs for this machine.
    """
    spec = importlib.util.find_spec("larch")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("xraylarch", "theory", "computing spectra (FEFF8L)")
    folder = {"Linux": "linux64", "Darwin": "darwin64", "Windows": "win64"}[platform.system()]
    directory = Path(spec.origin).parent / "bin" / folder
    suffix = ".exe" if platform.system() == "Windows" else ""
    if not all((directory / (name + suffix)).is_file() for name in PROGRAMS):
        raise MissingDependencyError("xraylarch with FEFF8L", "theory", "computing spectra")
    return directory


def _call(program: str, directory: Path, module: str | None) -> None:
    """Run one program; `module` is the number it must report as done."""
    try:
        done = subprocess.run(  # noqa: S603 (our own programs, no shell)
            [str(feff_directory() / program)],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TheoryError(program, f"not finished after {TIME_LIMIT_S:.0f} s") from None
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode or (module and f"Done with module {module}" not in text):
        raise TheoryError(program, f"exit status {done.returncode}: {_complaint(text)}")


def _complaint(text: str) -> str:
    """Return the last lines of a program's output, where it says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[:300]


def run_feff(
    cluster: Cluster,
    edge: str = "K",
    *,
    scf: ScfSettings | None = None,
    fermi: float | FermiModel | None = None,
    kmax: float | MeshEnd = 4.0,
    kstep: float = 0.07,
) -> tuple[Phases, PotentialSummary]:
    """Return potentials, phase shifts and atomic cross section of one structure.

    Parameters
    ----------
    cluster
        The atoms.
    edge
        Absorption edge.
    scf
        Self-consistency; None overlaps free atoms.
    fermi
        Fermi level to use instead of the one found (eV, scale of the potentials), or a function
        that predicts it.
    kmax, kstep
        End and step of the mesh above the Fermi level, 1/Å; the end may be a function.

    Raises
    ------
    MissingDependencyError
        Without FEFF8L.
    TheoryError
        With the stage and the program's words if one fails.
    """
    sweep(Path(tempfile.gettempdir()))  # a dask worker may have been killed
    with tempfile.TemporaryDirectory(prefix=f"xanes-theory-{owner()}-") as name:
        directory = Path(name)
        (directory / "feff.inp").write_text(feff_input(cluster, edge, scf), encoding="ascii")
        _call("feff8l_rdinp", directory, None)
        if not (directory / "xsph.json").is_file():
            raise TheoryError("feff8l_rdinp", "the input was not accepted")
        _call("feff8l_pot", directory, "1")
        summary = read_pot(directory / "pot.pad")
        level = fermi(cluster, summary) if callable(fermi) else fermi
        shift = 0.0 if level is None else summary.fermi - level
        end = kmax(summary) if callable(kmax) else kmax
        edit_xsph(directory, kmax=end, kstep=kstep, fermi_shift=shift)
        _call("feff8l_xsph", directory, "2")
        # xsph moves its photon energies along with a shifted Fermi level; undo that
        phases = replace(read_phases(directory), emu=summary.emu / HARTREE)
        return phases, summary


def retry_ladder(scf: ScfSettings) -> Iterator[ScfSettings]:
    """Yield settings to try in turn where the self-consistent cycle overshoots."""
    yield scf
    yield replace(scf, mixing=5)
    yield replace(scf, radius=max(scf.radius, 6.0), mixing=5)
    yield replace(scf, mixing=10, step=0.1)


def run_feff_scf(
    cluster: Cluster,
    edge: str,
    scf: ScfSettings,
    *,
    kmax: float | MeshEnd = 4.0,
    kstep: float = 0.07,
) -> tuple[Phases, PotentialSummary, ScfSettings]:
    """:func:`run_feff` with self-consistency, retried; returns the settings that worked.

    Raises
    ------
    TheoryError
        With the words of every attempt if none worked.
    """
    reasons: list[str] = []
    for settings in retry_ladder(scf):
        try:
            phases, summary = run_feff(cluster, edge, scf=settings, kmax=kmax, kstep=kstep)
        except TheoryError as error:
            reasons.append(f"{settings.card(solid=cluster.solid)}: {error}")
            if "FOLP" in error.reason:  # overlapping spheres: the geometry, not the cycle
                break
        else:
            return phases, summary, settings
    raise TheoryError("self-consistency", "; ".join(reasons))
