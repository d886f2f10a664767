import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

from tests.unit.evaluation.toy import ENERGY, RECIPE, spectrum, write_data
from xanes_live.cli import app
from xanes_live.confidence import Judge
from xanes_live.descriptor import G2Grid, g2
from xanes_live.ensemble.data_files import (
    read_measured_set,
    read_training_set,
    write_measured_set,
)
from xanes_live.ensemble.train import train
from xanes_live.ensemble.training import MARGIN
from xanes_live.errors import ConfigurationError, ReadError
from xanes_live.evaluation import folds, sections
from xanes_live.evaluation.evaluate import Options, evaluate, prepare
from xanes_live.evaluation.folds import ask
from xanes_live.evaluation.measured import read_measured, read_references
from xanes_live.evaluation.report import Report, with_ends, written

COMPOUNDS = (("one", 1.95, "p1"), ("two", 2.1, "p2"), ("three", 2.3, "p3"), ("four", 2.0, "none"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained toy model, its data, and 'measured' spectra of compounds among them."""
    path = tmp_path_factory.mktemp("toy")
    write_data(path / "toy.npz")
    (path / "recipe.toml").write_text(RECIPE)
    rng = np.random.default_rng(8)
    with (path / "measured.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "file", "compound", "first_shell", "quality", "amcsd", "leave_out"])
        for name, r, word in COMPOUNDS:
            energy = np.concatenate(
                [np.arange(7000.0, 7090.0, 4.0), np.arange(7090.0, 7400.0, 0.5)]
            )
            mu = spectrum(r, energy) + 1e-4 * rng.standard_normal(len(energy))
            np.savetxt(path / f"{name}.dat", np.c_[energy, mu], header="energy mu")
            writer.writerow([name, f"{name}.dat", name, r, "A", "", word])
    references = read_references(path / "measured.csv")
    measured = read_measured(references, ENERGY, "flattened", G2Grid(size=20))
    write_measured_set(path / "measured.npz", measured.training_set(ENERGY), "flattened")
    train(path / "recipe.toml", path / "model", device="cpu")
    return path


def test_spectra_of_another_edge_are_refused(folder, tmp_path):
    references = read_references(folder / "measured.csv")
    with pytest.raises(ReadError, match="of this element and edge"):
        read_measured(references, ENERGY + 1000.0, "flattened", G2Grid(size=20))
    data = read_training_set(folder / "toy.npz", G2Grid(size=20))
    with pytest.raises(ConfigurationError, match="do not cover a model"):
        data.must_cover(8100.0, 8150.0, folder / "toy.npz")


def test_the_command_line_makes_a_measured_set(folder, tmp_path):
    command = ["measured", str(folder / "measured.csv"), "-o", str(tmp_path / "set.npz")]
    made = CliRunner().invoke(app, [*command, "--form", "normalised", "--element", "Fe"])
    assert made.exit_code == 0, made.output
    assert "4 spectra" in made.output
    found = read_measured_set(tmp_path / "set.npz", G2Grid(), "normalised")
    assert found.shell.tolist() == [r for _, r, _ in COMPOUNDS]
    assert found.parent.tolist() == [f"measured:{name}" for name, _, _ in COMPOUNDS]
    recipe = ["--recipe", str(folder / "recipe.toml")]
    assert CliRunner().invoke(app, [*command, *recipe]).exit_code == 0
    found = read_measured_set(tmp_path / "set.npz", G2Grid(size=20), "flattened")
    assert found.energy[0] == pytest.approx(7112.5 - MARGIN)
    refused = CliRunner().invoke(app, [*command, "--low", "7200"])
    assert isinstance(refused.exception, ConfigurationError)
    assert "--low 7200 has to be below" in str(refused.exception)
    table = (
        (folder / "measured.csv").read_text().replace("one,one.dat,one,1.95,A", "one,no,one,1.95,C")
    )
    (folder / "some.csv").write_text(table)  # what is not learnt from need not be readable
    some = ["measured", str(folder / "some.csv"), "-o", str(tmp_path / "some.npz")]
    assert "3 spectra" in CliRunner().invoke(app, some).output
    (folder / "some.csv").write_text(table.replace(",A,", ",C,"))
    nothing = CliRunner().invoke(app, some)
    assert "no spectrum of quality A or B" in str(nothing.exception)
    bad = CliRunner().invoke(app, [*command, "--form", "flat"])
    assert bad.exit_code == 2
    assert "'flat' is not one of" in bad.output


@pytest.mark.parametrize("option", [("--members", "1"), ("--epochs", "0")])
def test_folds_of_too_few_members_or_epochs_are_refused(tmp_path, option):
    command = ["evaluate", "none", str(tmp_path / "none.npz"), "--report", str(tmp_path)]
    refused = CliRunner().invoke(app, [*command, *option])
    assert refused.exit_code == 2
    assert option[0] in refused.output


class Links(HTMLParser):
    """Everything the page refers to."""

    def __init__(self):
        super().__init__()
        self.found, self.images = [], 0

    def handle_starttag(self, tag, attrs):
        self.images += tag == "img"
        self.found += [v for k, v in attrs if k in {"src", "href"} and not v.startswith("data:")]


@pytest.fixture(scope="module")
def made(folder):
    options = Options(folds=2, members=2, epochs=1, limit=60)  # device: whatever there is
    said = []
    metrics = evaluate(
        folder / "model", folder / "toy.npz", folder / "report",
        references=folder / "measured.csv", options=options, say=said.append,
    )  # fmt: skip
    return folder / "report", metrics, said


def test_one_page_without_outside_references(made):
    report, _, said = made
    links = Links()
    links.feed((report / "report.html").read_text())
    assert links.found == []
    assert links.images == len(list((report / "figures").glob("*.png"))) >= 10
    assert any("fold 2 of 2" in text for text in said)
    told = "no computed spectrum is left out with four: its leave_out words match no parent"
    assert said[0] == told


def test_every_number_of_the_paper_is_there(made):
    report, metrics, _ = made
    stored = json.loads((report / "metrics.json").read_text())
    assert stored.keys() == metrics.keys()
    computed = stored["computed"]
    assert {"median", "mean", "coefficient_of_variation"} <= set(computed["mse"])
    assert {"near", "far"} == set(computed["peaks"])
    assert {"coverage_2_sigma", "sigma_mse_correlation"} <= set(computed["spread"])
    assert {"natoli", "natoli_measured", "pre_edge"} <= set(stored["experiments"])
    assert len(stored["learning_curve"]) == 5
    assert len(stored["cross_validation"]["mse_median_by_fold"]) == 2
    assert {"ensemble", "constant", "nearest computed", "five nearest"} <= set(stored["measured"])


def test_own_data_are_scored_out_of_bag(made):
    _, metrics, _ = made
    assert metrics["about"]["scored"] == "out of bag"
    assert metrics["computed"]["mse"]["count"] < metrics["about"]["spectra"]
    assert metrics["measured"]["left_out"]


def test_a_spectrum_of_zero_shift_does_not_move(made):
    _, metrics, _ = made
    natoli = metrics["experiments"]["natoli"]
    assert natoli["found"][natoli["factor"].index(1.0)] == 0.0
    sizes = metrics["experiments"]["energy shift / eV"]
    middle = np.argmin(np.abs(sizes["size"]))
    assert sizes["worst_fifth"][middle] < sizes["worst_fifth"][0]


def test_changed_spectra_are_asked_of_members_that_have_not_seen_them(folder, monkeypatch):
    asked = []

    def listening(ensemble, spectra, unseen=None):
        asked.append((len(spectra), None if unseen is None else unseen.copy()))
        return ask(ensemble, spectra, unseen)

    monkeypatch.setattr(sections, "ask", listening)
    options = Options(folds=0, limit=30, device="cpu")
    subject = prepare(
        folder / "model", folder / "toy.npz", folder / "measured.csv", None, None, options
    )
    page = Report("x")
    sections.experiment_section(page, subject, options)
    computed = [unseen for n, unseen in asked if n == 30]
    assert len(computed) > 20
    for unseen in computed:
        assert unseen.shape == (5, 30)
        assert (unseen.sum(axis=0) >= 2).all()
        assert not unseen.all()
    assert "members that have not seen it (out of bag)" in page.html()
    assert all(unseen is None for n, unseen in asked if n == 4)  # the measured ones


def broken(*_, **__):
    raise RuntimeError("a section fails")


def test_what_is_done_is_kept_when_a_later_section_fails(folder, tmp_path, monkeypatch):
    options = Options(folds=2, members=2, epochs=1, limit=60, device="cpu")
    (tmp_path / "report.html").write_text("of last week")
    given = {"references": folder / "measured.csv", "options": options, "work": tmp_path / "work"}
    model, data, said = folder / "model", folder / "toy.npz", []
    with monkeypatch.context() as patch:
        patch.setattr("xanes_live.evaluation.evaluate.add_measured", broken)
        with pytest.raises(RuntimeError):
            evaluate(model, data, tmp_path, **given, say=said.append)
    unfinished = tmp_path / "unfinished-report.html"
    assert said[-1] == f"broken off: what was done is in {unfinished}"
    assert "Learning curve" in unfinished.read_text()
    kept = json.loads((tmp_path / "unfinished-metrics.json").read_text())
    assert {"about", "computed", "cross_validation", "learning_curve"} <= kept.keys()
    assert (tmp_path / "report.html").read_text() == "of last week"
    with monkeypatch.context() as patch:  # nothing is trained a second time
        patch.setattr(folds, "train_without", broken)
        said.clear()
        again = evaluate(model, data, tmp_path, **given, say=said.append)
    assert {"fold 1 of 2: found", "fold 2 of 2: found"} <= set(said)
    assert again["cross_validation"]["mse_mean_by_fold"] == pytest.approx(
        kept["cross_validation"]["mse_mean_by_fold"]
    )
    assert again["learning_curve"] == kept["learning_curve"]
    assert again["measured"]["left_out"]
    assert not list(tmp_path.glob("unfinished*"))
    assert "Learning curve" in (tmp_path / "report.html").read_text()


def test_trainings_of_another_recipe_and_damaged_ones_are_not_taken_up(folder, tmp_path):
    said = []

    def trained(epochs):
        options = Options(
            folds=2, members=2, epochs=epochs, learning_curve=False, limit=20, device="cpu"
        )
        said.clear()
        evaluate(
            folder / "model", folder / "toy.npz", tmp_path / "report", work=tmp_path,
            options=options, say=said.append,
        )  # fmt: skip
        return [text for text in said if "fold" in text or "damaged" in text]

    new = ["fold 1 of 2", "fold 2 of 2"]
    assert trained(1) == new
    assert trained(2) == new
    for path in tmp_path.glob("fold-0*.npz"):
        path.write_bytes(path.read_bytes()[:-900])
    first, *rest = trained(1)
    assert "is damaged: made again" in first
    assert rest == ["fold 1 of 2", "fold 2 of 2: found"]


def test_without_training_again(folder, tmp_path):
    options = Options(folds=0, limit=40, device="cpu")
    metrics = evaluate(folder / "model", folder / "toy.npz", tmp_path, options=options)
    assert not {"cross_validation", "learning_curve", "measured", "confidence"} & set(metrics)
    assert "xanes-live calibrate" in (tmp_path / "report.html").read_text()


def test_reduction_is_that_of_the_live_path(folder):
    references = read_references(folder / "measured.csv")
    wide = np.arange(7105.0, 7165.0, 0.5)
    measured = read_measured(references, wide, "flattened", G2Grid(size=20))
    expected = np.array([spectrum(r, wide) for _, r, _ in COMPOUNDS])
    above = wide > 7125
    # a model curve with oscillations: the normalisation is right to a few per cent
    assert np.abs(measured.mu - expected)[:, above].mean() < 0.04
    as_set = measured.training_set(ENERGY)
    assert len(as_set) == 4
    assert as_set.measured.all()
    assert measured.words({"one", "two"}) == ("p1", "p2")


def test_a_table_that_lacks_a_column(tmp_path):
    (tmp_path / "table.csv").write_text("id,file\na,b\n")
    with pytest.raises(ConfigurationError, match="lacks amcsd"):
        read_references(tmp_path / "table.csv")
    with pytest.raises(ConfigurationError, match="No such file"):
        read_references(tmp_path / "none.csv")
    (tmp_path / "table.csv").write_text("id,file,compound,first_shell,quality,amcsd,leave_out\n")
    with pytest.raises(ConfigurationError, match="names no spectrum"):
        read_references(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("")
    with pytest.raises(ConfigurationError, match="lacks amcsd"):
        read_references(tmp_path / "table.csv")


@pytest.mark.parametrize("option", ["references", "elsewhere"])
def test_tables_without_a_scored_spectrum_are_refused_before_training_again(
    folder, tmp_path, option, monkeypatch
):
    table = (folder / "measured.csv").read_text().replace(",A,", ",C,")
    (tmp_path / "table.csv").write_text(table)
    monkeypatch.setattr(Judge, "of", lambda ensemble: ensemble)  # asked of calibrated models only
    said = []
    with pytest.raises(ConfigurationError, match="no spectrum of quality A or B"):
        evaluate(
            folder / "model", folder / "toy.npz", tmp_path, root=folder, say=said.append,
            options=Options(device="cpu"), **{option: tmp_path / "table.csv"},
        )  # fmt: skip
    assert said == []


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("a,f,c,two,A,,", "row 2: first_shell is 'two'"),
        ("a,f,c,2.0,A", "row 2: lacks amcsd"),
        ("a,f,c,2.0,a,,", "row 2: quality is 'a', not A, B, C or X"),
        ("a,f,c,2.0,,,", "row 2: quality is ''"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, word):
    head = "\ufeffid,file,compound,first_shell,quality,amcsd,leave_out"  # as spreadsheets write
    (tmp_path / "table.csv").write_text(f"{head}\nb, g ,c,2.0,A,, one | {{NiO}}\n{row}\n")
    with pytest.raises(ConfigurationError, match=word):
        read_references(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text(f"{head}\nb, g ,c,2.0,A,, one | {{NiO}}\n")
    (good,) = read_references(tmp_path / "table.csv")
    assert (good.file, good.leave_out) == (tmp_path / "g", ("one", "{NiO}"))


def test_spectra_of_another_element_are_moved_by_the_difference_of_the_edges(folder, tmp_path):
    (one, *_) = read_references(folder / "measured.csv")
    energy, mu = np.loadtxt(one.file, unpack=True)
    np.savetxt(tmp_path / "co.dat", np.c_[energy + 597.0, mu], header="energy mu")  # 7709 − 7112
    other = replace(one, file=tmp_path / "co.dat", element="Co")
    iron, cobalt = (read_measured((r,), ENERGY, "flattened", G2Grid()).mu for r in (one, other))
    np.testing.assert_allclose(cobalt, iron, atol=2e-3)
    for edge in ("K", "L3"):  # platinum's own spectra are where they are, whatever the table holds
        own = read_measured((one,), ENERGY, "flattened", G2Grid(), element="Pt", edge=edge)
        np.testing.assert_array_equal(own.mu, iron)
    with pytest.raises(ConfigurationError, match="no K edge of 'Xx'"):
        read_measured((replace(one, element="Xx"),), ENERGY, "flattened", G2Grid())


def test_flags_of_a_measured_scan_are_those_an_operator_gets(folder, tmp_path):
    (one, *_) = read_references(folder / "measured.csv")
    assert read_measured((one,), ENERGY, "flattened", G2Grid()).told == {one.id: ()}
    energy = np.concatenate([np.arange(7000.0, 7090.0, 4.0), np.arange(7090.0, 7160.0, 2.0)])
    columns = np.c_[energy, spectrum(2.0, energy)][::-1]  # scanned downwards
    np.savetxt(tmp_path / "short.dat", columns, header="energy mu")
    short = replace(one, id="short", file=tmp_path / "short.dat")
    wide = read_measured((one, short), ENERGY, "flattened", G2Grid())
    narrow = read_measured(
        (one, short), ENERGY, "flattened", G2Grid(), needed=ENERGY[ENERGY < 7150.0]
    )
    codes = {flag.code for flag in wide.told["short"]}
    assert codes >= {"not_sorted", "coarse_grid", "grid_not_covered"}
    assert {flag.code for flag in narrow.told["short"]} == codes - {"grid_not_covered"}
    np.testing.assert_array_equal(wide.mu, narrow.mu)


def test_expected_g2_is_that_of_the_absorber(folder, tmp_path):
    alloy = bulk("FeCu", "cesiumchloride", a=2.9, cubic=True)
    alloy.info["amcsd"] = 7
    ase.io.write(tmp_path / "s.extxyz", alloy)
    (first, *_) = read_references(folder / "measured.csv")
    known = (replace(first, amcsd="7"),)
    for element in ("Fe", "Cu"):
        measured = read_measured(
            known, ENERGY, "flattened", G2Grid(), tmp_path / "s.extxyz", element=element
        )
        site = list(alloy.symbols).index(element)
        np.testing.assert_allclose(measured.g2[0], g2(alloy, site), rtol=1e-9)
    with pytest.raises(ConfigurationError, match="no Ni in amcsd 7"):
        read_measured(known, ENERGY, "flattened", G2Grid(), tmp_path / "s.extxyz", element="Ni")


def test_too_few_for_out_of_bag_are_scored_as_trained(tmp_path):
    write_data(tmp_path / "toy.npz", 3)
    text = RECIPE[: RECIPE.index("[measured]")].replace("members = 5", "members = 2")
    (tmp_path / "recipe.toml").write_text(text.replace('"parent"', '"parent"\nseed = 1'))
    model = train(tmp_path / "recipe.toml", tmp_path / "model", device="cpu")
    options = Options(folds=0, limit=6, device="cpu")
    metrics = evaluate(model, tmp_path / "toy.npz", tmp_path / "report", options=options)
    assert metrics["about"]["scored"] == "as trained: this flatters"
    assert "members that have not seen it" not in (tmp_path / "report" / "report.html").read_text()


def test_members_are_not_said_to_be_unseeing_where_they_may_have_seen(tmp_path):
    write_data(tmp_path / "toy.npz", 12)
    text = RECIPE[: RECIPE.index("[measured]")].replace('"parent"', '"parent"\nseed = 1')
    (tmp_path / "recipe.toml").write_text(text)
    model = train(tmp_path / "recipe.toml", tmp_path / "model", device="cpu")
    options = Options(folds=0, limit=6, device="cpu")

    def scored(data):
        return evaluate(model, data, tmp_path / "report", options=options)["about"]["scored"]

    assert scored(tmp_path / "toy.npz") == "out of bag"
    description = (model / "model.toml").read_text()
    draws = re.search(r'draws = "(\w{64})"', description)
    (model / "model.toml").write_text(description.replace(draws[1], "0" * 64))
    assert scored(tmp_path / "toy.npz") == "as trained: this flatters"  # others would be drawn now
    write_data(tmp_path / "more.npz", 13)
    assert scored(tmp_path / "more.npz").startswith("on another file")


def test_text_is_escaped_and_numbers_are_short():
    page = Report("a < b")
    page.table(("<x>",), [("<script>",), (0.123456,), (float("nan"),), (123456.7,)])
    assert "<script>" not in page.html()
    assert [written(v) for v in (0.123456, float("nan"), 123456.7, 3, "x")] == [
        "0.123", "–", "123457", "3", "x",
    ]  # fmt: skip


def test_a_share_with_its_interval():
    unknown = (float("nan"), float("nan"))
    assert with_ends(0.9461, (0.9312, 0.958)) == "0.946 (0.931\u2060–\u20600.958)"
    assert with_ends(-1e-6, unknown) == "0.000"
    assert with_ends(float("nan"), unknown) == "–"
