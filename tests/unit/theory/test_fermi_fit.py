"""The prediction of the Fermi level, fitted to any element."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from xanes_live.cli import app
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.theory import fermi_fit, store
from xanes_live.theory.cluster import Cluster
from xanes_live.theory.feff_output import PotentialSummary
from xanes_live.theory.fermi import fermi_model, level_of, read_model
from xanes_live.theory.fermi_fit import Known, fit_fermi, mean_error, worst
from xanes_live.theory.tasks import Settings


def known(n: int, *, solid: bool, offset: float = 0.0, seed: int = 0) -> list[Known]:
    """Structures whose level is 0.8·E_F − 0.3·V_int − 4 eV · (share of oxygen) + offset."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        numbers = np.array([28, *rng.choice([6, 7, 8], 12)])
        cluster = Cluster(numbers, rng.normal(size=(13, 3)), solid)
        summary = PotentialSummary(rng.normal(5, 2), rng.normal(-15, 3), 8333.0, 0.1, 2.0)
        share = float((numbers[1:] == 8).mean())
        level = 0.8 * summary.fermi - 0.3 * summary.vint - 4.0 * share + offset
        made.append(Known(cluster, summary, level, f"parent {k % 30}"))
    return made


def test_each_kind_has_its_own_line():
    data = known(60, solid=True) + known(60, solid=False, offset=3.0, seed=1)
    model = fit_fermi(data, penalty=1e-6)
    assert model["element"] == "Ni"
    assert (model["solid"]["n"], model["molecule"]["n"]) == (60, 60)
    turned = model | {"solid": model["molecule"]}
    levels = [level_of(m, data[0].cluster, data[0].overlapped) for m in (turned, model)]
    assert levels[0] - levels[1] == pytest.approx(3.0, abs=1e-3)
    assert model["solid"]["error"] < 1e-3
    assert mean_error(model, data) < 1e-3
    assert fermi_model(model)(data[0].cluster, data[0].overlapped) == pytest.approx(data[0].level)


def test_a_kind_that_is_hardly_there_shares_the_others_line():
    molecules = known(60, solid=False)
    model = fit_fermi([*molecules, *known(3, solid=True, seed=2)], penalty=1e-6)
    assert model["solid"]["slope"] == model["molecule"]["slope"]
    assert model["solid"]["n"] == 3
    assert fit_fermi(molecules)["solid"]["error"] is None


def test_the_error_is_that_of_parents_left_out():
    rng = np.random.default_rng(3)
    data = [
        Known(k.cluster, k.overlapped, k.level + 5.0 * float(p), f"parent {i}")
        for i, (k, p) in enumerate(zip(known(40, solid=False), rng.normal(size=40), strict=True))
    ]
    model = fit_fermi(data)  # six coefficients for forty noisy structures
    assert model["molecule"]["error"] > 1.02 * mean_error(model, data)
    name, off = worst(model, data, 1)[0]
    errors = [level_of(model, k.cluster, k.overlapped) - k.level for k in data]
    assert abs(off) == pytest.approx(np.abs(errors).max())
    assert name == data[int(np.argmax(np.abs(errors)))].parent


def test_too_few_structures_are_refused():
    with pytest.raises(ConfigurationError, match="20 are needed"):
        fit_fermi(known(19, solid=True))


def data_set(path: Path, scf: int, element: str = "Fe", solid: int = 0) -> Path:
    """Water complexes of several sizes, as a self-consistent run would have left them."""
    store.create(path, Settings().energy(), {"settings": Settings(mode="scf").as_dict()})
    octahedron = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    for k, r in enumerate((1.95, 2.05, 2.15)):
        oxygen = Atoms("O6", positions=r * octahedron)
        hydrogen = Atoms("H6", positions=(r + 0.96) * octahedron)
        atoms = Atoms(element) + oxygen + hydrogen
        row = dict.fromkeys(store.NUMBERS, 0.0) | dict.fromkeys(store.TEXT, "")
        row |= {"id": f"{k}", "parent": f"p{k}", "element": element, "ok": True, "scf": scf}
        row["solid"] = solid
        row |= {"fermi_potential": -8.0 - k, "edge_energy": 7112.0}
        row |= {c: np.zeros(len(Settings().energy()), "f4") for c in store.CURVES}
        row |= {"numbers": atoms.numbers, "positions": atoms.positions}
        store.append(path, row)
    store.consolidate(path)
    return path


def test_from_a_data_set_to_a_file_that_theory_takes(tmp_path, feff, monkeypatch):
    monkeypatch.setattr(fermi_fit, "FEWEST", 3)
    monkeypatch.setattr(fermi_fit, "RARE", 1)
    path = data_set(tmp_path / "scf.h5", scf=1)
    said = CliRunner().invoke(app, ["fermi", str(path), "-o", str(tmp_path / "fermi.json")])
    assert said.exit_code == 0, said.output
    assert "3 molecules: off by" in said.output
    assert "no solids among them" in said.output
    model = read_model(tmp_path / "fermi.json")
    assert model["element"] == "Fe"
    found = fermi_fit.known_levels(path)
    assert [k.level for k in found] == [-8.0, -9.0, -10.0]
    assert all(k.overlapped.fermi > 0 for k in found)  # 12 to 21 eV too high
    assert not np.isnan(mean_error(model, found))


@pytest.mark.parametrize(("solid", "kind"), [(1, "solid"), (0, "molecule"), (-1, "molecule")])
def test_a_crystal_stays_one_however_few_atoms_are_around(tmp_path, monkeypatch, solid, kind):
    summary = PotentialSummary(5.0, -15.0, 8333.0, 0.1, 2.0)
    monkeypatch.setattr(fermi_fit, "run_feff", lambda cluster: (None, summary))
    path = data_set(tmp_path / "scf.h5", scf=1, solid=solid)
    assert {k.kind for k in fermi_fit.known_levels(path)} == {kind}


@pytest.mark.parametrize(("scf", "word"), [(0, "no such spectrum")])
def test_cheap_spectra_say_nothing_of_the_level(tmp_path, scf, word):
    with pytest.raises(ConfigurationError, match=word):
        fermi_fit.known_levels(data_set(tmp_path / "cheap.h5", scf))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"solid": {"elements": [8], "slope": [1.0], "offset": 0}}']
)
def test_a_file_that_is_no_prediction(tmp_path, text):
    (tmp_path / "fermi.json").write_text(text)
    with pytest.raises(ReadError, match=r"fermi\.json"):
        read_model(tmp_path / "fermi.json")
    with pytest.raises(ReadError, match="No such file"):
        read_model(tmp_path / "missing.json")


def test_settings_with_a_prediction_are_others():
    plain, own = Settings(), Settings(fermi={"element": "Ni"})
    assert "fermi" not in plain.as_dict()  # data sets made before go on
    assert json.loads(json.dumps(own.as_dict()))["fermi"] == {"element": "Ni"}
