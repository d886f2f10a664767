"""A model is calibrated on what it has not seen, and then judges scans by it."""

import csv
import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from typer.testing import CliRunner

from tests import factories
from tests.unit.evaluation.toy import RECIPE, spectrum, write_data
from xanes_live.cli import app
from xanes_live.confidence import Judge
from xanes_live.confidence.experience import G2_PREFIX, features, kinds_of
from xanes_live.confidence.judge import look
from xanes_live.confidence.signals import NAMES
from xanes_live.config import parse
from xanes_live.ensemble.data_files import read_training_set
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.library import write_library
from xanes_live.ensemble.recipe import stored_recipe
from xanes_live.ensemble.registry import DESCRIPTION
from xanes_live.ensemble.train import train
from xanes_live.errors import ConfigurationError, ModelFormatError
from xanes_live.evaluation import experience
from xanes_live.evaluation.calibrate import calibrate, judged
from xanes_live.evaluation.elsewhere import Elsewhere, add_elsewhere, ask_elsewhere
from xanes_live.evaluation.evaluate import Options, evaluate
from xanes_live.evaluation.fitting import MEASURED_SHARE, cross_fitted, weights_of
from xanes_live.evaluation.judging import read_unseen
from xanes_live.evaluation.measured import Reference, read_measured, read_references
from xanes_live.evaluation.report import Report
from xanes_live.evaluation.spoiled import SPOILED, spoiled
from xanes_live.evaluation.unseen import COMPUTED, Unseen, examine_folds, fingerprint_of
from xanes_live.service.service import load_predictors

HEADS = '["first_shell", "first_shell_error", "coordination", "soft", "carbon", "metal"]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrated")
    write_data(path / "toy.npz")
    recipe = RECIPE.split("[measured]")[0].replace('["first_shell"]', HEADS)
    (path / "recipe.toml").write_text(recipe + "[forward]\nepochs = 2\nmembers = 2\n")
    with (path / "measured.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "file", "compound", "first_shell", "quality", "amcsd", "leave_out"])
        energy = np.concatenate([np.arange(7000.0, 7090.0, 4.0), np.arange(7090.0, 7400.0, 0.5)])
        for name, r, word in (("one", 1.95, "p1"), ("two", 2.1, "p2"), ("three", 2.3, "p3")):
            np.savetxt(path / f"{name}.dat", np.c_[energy, spectrum(r, energy)], header="energy mu")
            writer.writerow([name, f"{name}.dat", name, r, "A", "", word])
    train(path / "recipe.toml", path / "model", device="cpu")
    shutil.copytree(path / "model", path / "as-trained")
    return path


@pytest.fixture(scope="module")
def scores(folder):
    said = []
    found = calibrate(
        folder / "model", folder / "toy.npz", references=folder / "measured.csv", folds=2,
        device="cpu", work=folder / "work", say=said.append,
    )  # fmt: skip
    assert "fold 2 of 2: done" in said
    return found


def test_every_spectrum_is_examined_by_an_ensemble_that_has_not_seen_it(folder, scores):
    table = Unseen.load(folder / "work" / "unseen.npz")
    assert len(table.of("theory")) == len(table.of("exact")) == 80
    damaged = table.of("damaged")
    assert len(damaged) == 80
    assert not damaged.scored.any()
    assert np.abs(damaged.r - table.of("exact").r).max() > 0.01
    assert sorted(table.of("measured").id) == ["one", "three", "two"]
    assert len(table.of("spoiled")) == 3 * len(SPOILED)
    said = np.array(NAMES) != "beyond"  # the toy's network has no classes of distance
    assert np.isfinite(table.signals[:, said]).all()
    assert np.isnan(table.signals[:, ~said]).all()
    assert table.signals.shape[1] == len(NAMES)
    weight = weights_of(table)
    measured = table.source == "measured"
    assert weight[measured].sum() == pytest.approx(
        MEASURED_SHARE * np.isin(table.source, COMPUTED).sum()
    )
    assert scores["theory"]["spectra"] == 80
    stored = json.loads((folder / "model" / "metrics.json").read_text())
    assert stored["confidence"]["theory"] == scores["theory"]


def test_an_interrupted_calibration_goes_on(folder, scores):
    said = []
    again = calibrate(
        folder / "model", folder / "toy.npz", references=folder / "measured.csv", folds=2,
        device="cpu", work=folder / "work", say=said.append,
    )  # fmt: skip
    assert said == ["fold 1 of 2: found", "fold 2 of 2: found", "fitting"]
    assert again == scores


def test_without_a_folder_nothing_is_kept_and_that_is_said_first(folder, tmp_path):
    model, said = shutil.copytree(folder / "as-trained", tmp_path / "model"), []
    calibrate(model, folder / "toy.npz", references=None, folds=2, device="cpu", say=said.append)
    assert "without --work no fold is kept" in said[0]
    before = {path.name for path in (folder / "as-trained").iterdir()}
    made = {path.name for path in model.iterdir()}
    assert made == before | {"library.safetensors", "metrics.json"}


def test_folds_trained_side_by_side_are_the_same(folder, scores):
    ensemble = Ensemble.load(folder / "model", "cpu")
    recipe = stored_recipe(ensemble.model.description, folder / "model")
    data = read_training_set(folder / "toy.npz", ensemble.model.grid)
    one, two = (examine_folds(data, recipe, None, n_folds=2, jobs=jobs) for jobs in (1, 2))
    assert one.id.tolist() == two.id.tolist()
    np.testing.assert_allclose(one.r, two.r, atol=1e-3)
    np.testing.assert_allclose(one.g2_mean, two.g2_mean, atol=1e-2)


def test_folds_of_another_training_are_not_taken_up(folder, scores):
    ensemble = Ensemble.load(folder / "model", "cpu")
    recipe = stored_recipe(ensemble.model.description, folder / "model")
    data = read_training_set(folder / "toy.npz", ensemble.model.grid)
    shorter = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"epochs": 1})}
    )
    said = []
    examine_folds(data, shorter, None, n_folds=2, work=folder / "work", say=said.append)
    assert said == ["fold 1 of 2: done", "fold 2 of 2: done"]


def test_folds_are_of_another_calibration_once_the_table_or_the_names_have_changed(folder):
    ensemble = Ensemble.load(folder / "as-trained", "cpu")
    recipe = stored_recipe(ensemble.model.description, folder / "as-trained")
    data = read_training_set(folder / "toy.npz", ensemble.model.grid)
    wide = np.arange(7100.0, 7175.0, 0.5)
    measured = read_measured(
        read_references(folder / "measured.csv"), wide, "flattened", ensemble.model.grid
    )
    first, *rest = measured.references

    def told(**change):
        return replace(measured, references=(replace(first, **change), *rest))

    ids, parents = data.id.copy(), data.parent.copy()
    ids[0], parents[0] = "another", "p9"
    given = [
        (data, measured), (data, None), (replace(data, id=ids), measured),
        (replace(data, parent=parents), measured), (data, told(leave_out=("p1", "p4"))),
        (data, told(leave_out=("p4",))), (data, told(compound="two")), (data, told(quality="C")),
        (data, told(id="first")), (data, replace(measured, g2=np.zeros_like(measured.g2))),
    ]  # fmt: skip
    keys = [fingerprint_of(d, recipe, m) for d, m in given]
    assert len(set(keys)) == len(given)
    assert fingerprint_of(data, recipe, told()) == keys[0]


def test_more_folds_than_structures_are_refused_before_anything_is_trained(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="41 folds of spectra that come from 40 struct"):
        calibrate(
            folder / "as-trained", folder / "toy.npz", references=None, folds=41, work=tmp_path,
            device="cpu", say=pytest.fail,
        )  # fmt: skip


def test_a_compound_whose_words_find_nothing_is_named_first(folder, tmp_path, monkeypatch):
    table = (folder / "measured.csv").read_text().replace(",p2", ",unobtainium")
    (tmp_path / "table.csv").write_text(table)
    said = []

    def begun(*_, **__):
        raise InterruptedError

    monkeypatch.setattr("xanes_live.evaluation.calibrate.examine_folds", begun)
    with pytest.raises(InterruptedError):
        calibrate(
            folder / "as-trained", folder / "toy.npz", references=tmp_path / "table.csv",
            root=folder, device="cpu", work=tmp_path, say=said.append,
        )  # fmt: skip
    assert said == [
        "no computed spectrum is left out with two: its leave_out words match no parent"
    ]


def test_a_calibration_on_spectra_without_errors_is_not_silent(tmp_path):
    write_data(tmp_path / "toy.npz")
    recipe = RECIPE.split("[augmentation]")[0].replace('["first_shell"]', HEADS)
    (tmp_path / "recipe.toml").write_text(recipe)
    model, said = train(tmp_path / "recipe.toml", tmp_path / "model", device="cpu"), []
    given = {"folds": 2, "device": "cpu", "work": tmp_path, "say": said.append}
    calibrate(model, tmp_path / "toy.npz", references=None, **given)
    assert "promise too much of measured ones" in said[0]
    evaluate(
        model, tmp_path / "toy.npz", tmp_path / "report", unseen=tmp_path / "unseen.npz",
        options=Options(folds=0, limit=20, device="cpu"),
    )  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text()
    assert "have no errors of measurement" in page
    assert "Computed spectra have random errors" not in page


def test_a_fold_is_there_whole_or_not_at_all(folder, scores, tmp_path, monkeypatch):
    table, path = Unseen.load(folder / "work" / "unseen.npz"), tmp_path / "fold.npz"
    table.save(path)

    def breaks_off(file, **columns):
        file.write(b"PK")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", breaks_off)
    with pytest.raises(OSError, match="no space"):
        table.take(table.scored).save(path)
    assert len(Unseen.load(path)) == len(table)


def test_a_damaged_fold_is_made_again_and_a_damaged_table_refused(folder, scores, tmp_path):
    work = shutil.copytree(folder / "work", tmp_path / "work")
    table = work / "unseen.npz"
    for path in (table, *work.glob("fold-1-*.npz")):
        path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ConfigurationError, match=r"unseen\.npz"):
        read_unseen(table, 20)
    model, said = shutil.copytree(folder / "as-trained", tmp_path / "model"), []
    calibrate(
        model, folder / "toy.npz", references=folder / "measured.csv", root=folder, folds=2,
        device="cpu", work=work, say=said.append,
    )  # fmt: skip
    assert said[::2] == ["fold 1 of 2: found", "fold 2 of 2: done"]
    assert said[1].endswith(".npz is damaged: made again")


def test_the_report_then_says_how_far_to_trust_it(folder, scores):
    runner = CliRunner()
    command = [
        "evaluate", str(folder / "model"), str(folder / "toy.npz"), "--report",
        str(folder / "report"), "--folds", "0", "--no-learning-curve", "--device", "cpu",
    ]  # fmt: skip
    table = ["--unseen", str(folder / "work" / "unseen.npz")]
    assert runner.invoke(app, [*command, *table], catch_exceptions=False).exit_code == 0
    page = (folder / "report" / "report.html").read_text()
    assert "How far to trust it" in page
    assert "but for 3 whose files were not given" in page
    found = json.loads((folder / "report" / "metrics.json").read_text())["confidence"]
    assert {row["id"] for row in found["measured"]} == {"one", "two", "three"}
    assert not {row["source"] for row in found["coverage"]} - {
        "theory",
        "exact",
        "measured",
        "spoiled",
    }
    assert found["verdict"]["theory"]["spectra"] == 80
    assert found["verdict"]["spoiled"]["spectra"] == 3 * len(SPOILED)
    assert set(found["verdict"]["spoiled"]["green_by_detail"]) == set(SPOILED)
    bad = runner.invoke(app, [*command, "--unseen", str(folder / "measured.csv")])
    assert bad.exit_code != 0


def test_the_report_lists_what_an_operator_would_be_told_of_a_measured_scan(
    folder, scores, tmp_path
):
    energy = np.concatenate([np.arange(7000.0, 7090.0, 4.0), np.arange(7090.0, 7400.0, 2.0)])
    coarse = np.c_[energy, spectrum(1.95, energy)]
    for name in ("two", "three"):
        shutil.copy(folder / f"{name}.dat", tmp_path)
    np.savetxt(tmp_path / "one.dat", coarse, header="energy mu")
    options = Options(folds=0, learning_curve=False, limit=40, device="cpu")
    metrics = evaluate(
        folder / "model", folder / "toy.npz", tmp_path / "report", options=options,
        references=folder / "measured.csv", root=tmp_path, unseen=folder / "work" / "unseen.npz",
    )  # fmt: skip
    rows = {row["id"]: row for row in metrics["confidence"]["measured"]}
    assert [name for name, row in rows.items() if "coarse_grid" in row["flags"]] == ["one"]
    assert rows["one"]["colour"] != "green"
    assert "files were not given" not in (tmp_path / "report" / "report.html").read_text()


def test_a_live_scan_is_asked_about_as_the_spectra_learnt_from_were(folder, scores):
    judge = Judge.of(Ensemble.load(folder / "model", "cpu"))
    assert judge.experience is not None
    wide = np.stack([spectrum(2.0, judge.wide), spectrum(2.2, judge.wide)])
    found = judge.examine(wide)
    seen = look(judge.model, judge.library, judge.wide, wide)  # without experience
    g2 = seen.survey.mean[:, 0], np.array([p.sigma for p in seen.survey.predictions])
    shown = features(kinds_of(seen.survey), seen.survey.r[:, 0], *g2)
    said = [one.signals["experience"] for one in found]
    np.testing.assert_allclose(said, judge.experience.odds(shown))
    assert min(said) > 0
    assert "experience" in judge.verdict.names
    expected = judge.experience.g2_error(seen.survey.r[:, 0], *g2)
    for one, error in zip(found, expected, strict=True):
        lower, upper = judge.calibration.band(one.prediction, one.g2_expected)
        half = np.maximum(judge.calibration.band_factor * error, judge.calibration.band_floor)
        np.testing.assert_allclose(upper, np.maximum(one.prediction.mean + half, 0.0))
        assert (lower <= one.prediction.mean).all()
    assert Judge.of(Ensemble.load(folder / "as-trained", "cpu")) is None


def test_neighbouring_elements_are_a_blind_test(folder, scores, tmp_path):
    head = "id,file,element,compound,first_shell,quality,amcsd,leave_out"
    rows = [head]
    for k, r in enumerate((1.95, 2.1, 2.3)):
        energy, mu = np.loadtxt(folder / f"{('one', 'two', 'three')[k]}.dat", unpack=True)
        np.savetxt(tmp_path / f"{k}.dat", np.c_[energy + 597.0, mu], header="energy mu")
        rows.append(f"co{k},{k}.dat,Co,compound {k},{r},A,,")
    rows.append("bad,0.dat,Co,unknown,1.5,C,,")
    (tmp_path / "elsewhere.csv").write_text("\n".join(rows) + "\n")
    ensemble = Ensemble.load(folder / "model", "cpu")
    said = ask_elsewhere(ensemble, tmp_path / "elsewhere.csv")
    assert [r.id for r in said.references] == ["co0", "co1", "co2"]
    judge = Judge.of(ensemble)
    iron = read_measured(
        read_references(folder / "measured.csv")[:1], judge.wide, "flattened", ensemble.model.grid
    )
    (same,) = judge.examine(iron.mu)
    assert said.r[0] == pytest.approx(same.prediction.first_shell.r, abs=5e-3)
    page = Report("toy")
    found = add_elsewhere(page, said, 0.9)
    assert found["all"]["spectra"] == found["Co"]["spectra"] == 3
    assert found["all"]["mean"] == pytest.approx(np.abs(said.r - [1.95, 2.1, 2.3]).mean())
    assert found["each"]["co1"] == pytest.approx(said.r[1] - 2.1, abs=1e-4)
    assert said.half_width[0] == pytest.approx(
        (same.prediction.first_shell.high - same.prediction.first_shell.low) / 2, rel=0.1
    )
    assert ask_elsewhere(Ensemble.load(folder / "as-trained", "cpu"), tmp_path / "x.csv") is None
    command = [
        "evaluate", str(folder / "model"), str(folder / "toy.npz"), "--report", str(tmp_path / "r"),
        "--folds", "0", "--device", "cpu", "--elsewhere", str(tmp_path / "elsewhere.csv"),
    ]  # fmt: skip
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    assert "Neighbouring elements" in (tmp_path / "r" / "report.html").read_text()
    stored = json.loads((tmp_path / "r" / "metrics.json").read_text())["elsewhere"]
    assert stored["all"]["mean"] == pytest.approx(found["all"]["mean"])
    command[1] = str(folder / "as-trained")
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    assert "was never calibrated" in (tmp_path / "r" / "report.html").read_text()
    (tmp_path / "elsewhere.csv").write_text("\n".join((head, rows[-1])) + "\n")
    with pytest.raises(ConfigurationError, match="no spectrum of quality A or B"):
        ask_elsewhere(ensemble, tmp_path / "elsewhere.csv")


def test_figures_of_neighbouring_elements_by_hand():
    rows = [
        ("a", "Co", "x", 2.0),
        ("b", "Co", "x", 2.0),
        ("c", "Ni", "y", 2.2),
        ("d", "Ni", "z", 1.8),
    ]
    references = tuple(
        Reference(name, Path(), compound, r, "A", "", (), element)
        for name, element, compound, r in rows
    )
    said = Elsewhere(
        references, r=np.array([2.02, 2.04, 2.5, 1.95]),
        half_width=np.array([0.05, 0.03, 0.2, 0.2]), probability=np.array([0.9, 0.8, 0.3, 0.95]),
    )  # fmt: skip
    found = add_elsewhere(Report("toy"), said, 0.9)
    assert found["all"]["inside"] == 0.5
    assert found["all"]["half_width"] == pytest.approx(0.125)
    assert found["all"]["green"] == 0.5
    assert found["all"]["green_but_wrong"] == 1
    assert found["all"]["auroc"] == pytest.approx(0.5)
    assert found["all"]["right"] == pytest.approx(1 / 3)  # of three compounds
    assert found["Ni"]["auroc"] != found["Ni"]["auroc"]  # none is right
    assert found["Co"]["median"] == pytest.approx(0.03)


def without_band(model, to, **calibration):
    """Copy a model as calibrations were before: its library knows nothing of errors of G2."""
    shutil.copytree(model, to)
    arrays, words = Ensemble.load(to, "cpu").library
    less = {name: value for name, value in arrays.items() if not name.startswith(G2_PREFIX)}
    description = tomllib.loads((to / DESCRIPTION).read_text())
    description["calibration"] |= calibration
    description["library"] |= write_library(to, less, words)
    (to / DESCRIPTION).write_text(tomli_w.dumps(description))


def test_a_band_by_experience_that_the_library_lacks_is_refused(folder, scores, tmp_path):
    without_band(folder / "model", tmp_path / "less")
    with pytest.raises(ModelFormatError, match=r"lacks the experience.*calibrate again"):
        Judge.of(Ensemble.load(tmp_path / "less", "cpu"))
    config = parse({"model": {"names": [str(tmp_path / "less")], "device": "cpu"}})
    with pytest.raises(ModelFormatError, match="less: the library lacks"):
        load_predictors(config)  # not with the first scan


def test_a_model_calibrated_before_has_its_band_by_the_members(folder, scores, tmp_path):
    without_band(folder / "model", tmp_path / "before", band_expected=False, band_share=0.15)
    judge = Judge.of(Ensemble.load(tmp_path / "before", "cpu"))
    (found,) = judge.examine(spectrum(2.0, judge.wide)[None])
    said, bands = found.prediction, judge.calibration
    spread = bands.band_factor * np.hypot(said.sigma, 0.15 * said.mean)
    _, upper = bands.band(said, found.g2_expected)
    expected = np.maximum(said.mean + np.maximum(spread, bands.band_floor), 0.0)
    np.testing.assert_allclose(upper, expected)


def test_where_too_little_is_known_to_learn_from_that_is_said(
    folder, scores, tmp_path, monkeypatch
):
    monkeypatch.setattr(experience, "FEWEST", 10_000)
    shutil.copytree(folder / "as-trained", tmp_path / "model")
    shutil.copytree(folder / "work", tmp_path / "work")
    said = []
    calibrate(
        tmp_path / "model", folder / "toy.npz", references=folder / "measured.csv", folds=2,
        device="cpu", work=tmp_path / "work", say=said.append,
    )  # fmt: skip
    assert any("band of G2 goes by the members' spread alone" in line for line in said)
    judge = Judge.of(Ensemble.load(tmp_path / "model", "cpu"))
    (found,) = judge.examine(spectrum(2.0, judge.wide)[None])
    lower, upper = judge.calibration.band(found.prediction, found.g2_expected)
    assert (lower <= upper).all()


def test_the_model_then_judges_scans(folder, scores):
    ensemble = Ensemble.load(folder / "model", "cpu")
    judge = Judge.of(ensemble)
    mu = np.stack([spectrum(2.0, judge.wide), spectrum(2.2, judge.wide)])
    found = judge.examine(mu)
    alone = ensemble.predict(mu[:, [int(np.argmin(abs(judge.wide - e))) for e in ensemble.energy]])
    for one, plain in zip(found, alone, strict=True):
        assert one.prediction.first_shell.r == pytest.approx(plain.first_shell.r, abs=2e-3)
        assert one.prediction.first_shell.low < one.prediction.first_shell.r
        assert 0.0 < one.probability < 1.0
        assert one.evidence.nearest[0].name.startswith("p")
        assert 0.0 <= one.evidence.novelty <= 1.0
        assert one.evidence.cyclic.residual.shape == ensemble.energy.shape
        assert {m.kind for m in one.evidence.sensitivity} == {"shift", "broadening"}
    together = judge.examine(mu)
    assert [f.probability for f in together] == [f.probability for f in found]


def test_what_is_in_doubt_widens_the_interval_and_lowers_the_probability(folder, scores):
    judge = Judge.of(Ensemble.load(folder / "model", "cpu"))
    mu = np.stack([spectrum(r, judge.wide) for r in (2.0, 2.1, 2.2)])
    certain = judge.examine(mu)
    # the middle one may as well be either of its neighbours
    found = judge.examine(mu, [None, mu[[0, 2]][None, :, judge.inner], None])
    for k in (0, 2):
        assert found[k].probability == certain[k].probability
        assert np.isnan(found[k].signals["range"])
    middle, before = found[1].prediction.first_shell, certain[1].prediction.first_shell
    moved = [certain[k].prediction.first_shell.r - before.r for k in (0, 2)]
    by = np.sqrt(np.mean(np.square(moved)))
    assert found[1].signals["range"] == pytest.approx(by, abs=1e-3)
    assert (middle.high - middle.low) / 2 == pytest.approx(
        np.hypot((before.high - before.low) / 2, 1.96 * by), rel=1e-2
    )
    assert found[1].probability < certain[1].probability
    assert middle.r == before.r


def test_what_is_calibrated_is_another_model(folder, scores):
    """Results judged otherwise must not share a key with those published before."""
    before, after = (Ensemble.load(folder / n, "cpu").info for n in ("as-trained", "model"))
    assert before.hash != after.hash


def test_a_model_without_a_verdict_has_no_judge(folder):
    assert Judge.of(Ensemble.load(folder / "as-trained", "cpu")) is None


def test_spoiling_changes_what_it_says_and_nothing_else():
    energy = np.arange(7090.0, 7180.0, 0.1)
    mu = factories.white_line(energy)[None]
    for name in SPOILED:
        changed = spoiled(energy, mu, name)
        assert changed.shape == mu.shape
        assert np.isfinite(changed).all()
        assert np.abs(changed - mu).max() > 0.01
        assert spoiled(energy, mu[:0], name).shape == (0, energy.size)  # of few, none may get it
    shifted = spoiled(energy, mu, "shifted by +5 eV")
    assert np.allclose(shifted[0, 100:], mu[0, 50:-50], atol=1e-6)


def test_no_distance_is_no_right_one(folder, scores):
    table = Unseen.load(folder / "work" / "unseen.npz")
    found, own = cross_fitted(table), table.source == "theory"
    r = table.r.copy()
    r[np.flatnonzero(own)[1:]] = np.nan
    scored = judged(replace(table, r=r), found)["theory"]
    assert scored["within_0.1"] <= 1.0 / own.sum()


def test_another_data_set_than_that_trained_on_is_named(folder, tmp_path):
    said = []
    write_data(tmp_path / "other.npz", n_parents=4)
    with pytest.raises(ConfigurationError, match="folds"):
        calibrate(
            folder / "as-trained", tmp_path / "other.npz", references=None, folds=9, device="cpu",
            work=tmp_path, say=said.append,
        )  # fmt: skip
    assert "other.npz is not the file the model was trained on" in said[0]
