"""Spectra examined unseen are judged as live ones are, by what was not fitted to them."""

import numpy as np
import pytest

from tests import factories
from xanes_live.confidence.signals import EXPERIENCE, NAMES, SIZES
from xanes_live.config import ConfidenceConfig
from xanes_live.errors import ConfigurationError
from xanes_live.evaluation import fitting
from xanes_live.evaluation.fitting import (
    BAND_SHARE,
    LEAST_HELD,
    MEASURED_HELD,
    calibration_of,
    conformal_by_group,
    cross_fitted,
    ordinary_of,
    ridges,
    weighted_quantile,
)
from xanes_live.evaluation.judging import judge_unseen, read_unseen
from xanes_live.evaluation.unseen import Unseen

N_G2 = 12
RADIUS = np.linspace(0.5, 5.5, N_G2)


def unseen(n=600, n_measured=40, seed=0):
    """A made-up table: σ, the first signal, is the true size of the error; the others are noise."""
    rng = np.random.default_rng(seed)
    sources = [("theory", n), ("measured", n_measured), ("spoiled: noise 3 %", n_measured)]
    source = np.concatenate([np.full(k, s) for s, k in sources])
    total = len(source)
    signals = np.full((total, len(NAMES)), np.nan)  # a model without experience
    noise = np.random.default_rng(seed + 1).standard_normal((total, EXPERIENCE))
    signals[:, :EXPERIENCE] = 0.05 * np.exp(0.5 * noise)
    signals[:, 0] = 0.06 * np.exp(rng.standard_normal(total))
    truth = rng.uniform(1.9, 2.4, total)
    g2 = rng.uniform(0.0, 2.0, (total, N_G2))
    g2_sigma = 0.1 * np.exp(0.5 * rng.standard_normal((total, N_G2)))
    theory = source == "theory"
    compound = np.arange(total) % 10
    parent = np.where(theory, np.arange(total) % 150, 0)
    wider = np.where(theory, 1.0, 2.0)[:, None]  # measured G2 is harder
    return Unseen(
        id=np.array([f"s{k}" for k in range(total)]),
        parent=np.where(theory, parent.astype(str), np.char.add("measured:", compound.astype(str))),
        source=source,
        ligand=np.where(theory, "O", ""),
        coordination=np.where(theory, 6.0, np.nan),
        truth=truth,
        r=truth + signals[:, 0] * rng.laplace(size=total),
        signals=signals,
        g2_truth=g2 + 2.0 * wider * g2_sigma * rng.standard_normal((total, N_G2)),
        g2_mean=g2,
        g2_sigma=g2_sigma,
        g2_expected=np.full_like(g2, np.nan),
        distance=signals[:, NAMES.index("novelty")],
        peak_sigma=2.0 * signals[:, 0],
        heads=np.column_stack([np.zeros((total, 3)), np.full(total, 6.0)]),
        scored=rng.random(total) < 0.9,
    )


@pytest.fixture(scope="module")
def table():
    return unseen()


@pytest.fixture(scope="module")
def judged(table):
    return judge_unseen(table, RADIUS, ConfidenceConfig())


def test_every_column_comes_from_its_place(table, judged):
    assert set(judged.source) == {"theory", "measured", "spoiled"}
    assert set(judged.detail[judged.source == "spoiled"]) == {"noise 3 %"}
    np.testing.assert_array_equal(judged.scored, table.scored)
    np.testing.assert_allclose(0.5 * (judged.low + judged.high), table.r)
    np.testing.assert_allclose(judged.g2_error, table.g2_mean - table.g2_truth)
    assert judged.signal_names == NAMES


def test_the_colour_follows_the_thresholds(judged):
    chance, config = judged.probability, ConfidenceConfig()
    assert (judged.colour[chance < config.red_probability] == "red").all()
    assert not (judged.colour[chance >= config.red_probability] == "red").any()
    assert not (judged.colour[chance < config.green_probability] == "green").any()
    assert (judged.colour == "green").any()
    unlikely = np.array(["first_shell_unlikely" in f for f in judged.flags])
    np.testing.assert_array_equal(unlikely, chance < config.red_probability)
    assert any("members_disagree" in f for f in judged.flags)
    other = judge_unseen(unseen(), RADIUS, ConfidenceConfig(green_probability=0.999))
    assert (other.colour == "green").sum() < (judged.colour == "green").sum()


def test_limits_of_the_theory_count():
    table = unseen()
    table.heads[:, 0] = 0.97
    judged = judge_unseen(table, RADIUS, ConfidenceConfig())
    assert not (judged.colour == "green").any()
    assert all("limit_soft" in f for f in judged.flags)


def test_without_further_outputs_and_without_a_distance():
    table = unseen()
    table.heads[:] = np.nan
    table.r[3] = np.nan
    judged = judge_unseen(table, RADIUS, ConfidenceConfig())
    assert (judged.colour == "green").any()
    assert judged.colour[3] == "red"
    assert judged.flags[3] == ("no_first_shell",)


def test_what_is_known_of_a_measured_scan_counts_as_it_does_live(table, judged):
    again = unseen()
    again.id[again.source != "theory"] = "one"
    known = (factories.flag("glitch"), factories.flag("not_sorted"))
    told = judge_unseen(again, RADIUS, ConfidenceConfig(), {"one": known, "s3": known})
    own = judged.source == "measured"
    assert (judged.colour[own] == "green").any()
    expected = np.where(judged.colour[own] == "green", "amber", judged.colour[own])
    np.testing.assert_array_equal(told.colour[own], expected)
    for before, after in zip(judged.take(own).flags, told.take(own).flags, strict=True):
        assert set(after) == {*before, "glitch", "not_sorted"}
        assert after[-1] == "not_sorted"
    assert judged.take(~own).flags == told.take(~own).flags
    np.testing.assert_array_equal(judged.probability, told.probability)


def test_what_is_strange_is_not_green(table):
    strange = unseen()
    strange.signals[5] = 1e-4
    strange.signals[5, NAMES.index("novelty")] = 9.0  # nearly blind to it, the verdict stays sure
    strange.r[5] = strange.truth[5]
    judged = judge_unseen(strange, RADIUS, ConfidenceConfig())
    assert "novel" in judged.flags[5]
    assert judged.colour[5] != "green"


def test_band_and_interval_hold_what_they_promise(judged):
    for source, least in (("theory", 0.94), ("measured", MEASURED_HELD - 0.03)):
        own = (judged.source == source) & judged.scored
        inside = np.abs(judged.g2_error[own]) <= judged.g2_half_width[own]
        assert inside.mean() > least
    for source in ("theory", "measured"):
        own = (judged.source == source) & judged.scored
        off = np.abs(judged.predicted - judged.truth)[own]
        held = off <= 0.5 * (judged.high - judged.low)[own]
        assert 0.92 < held.mean() < 0.995


def test_a_spectrum_is_judged_by_the_others_alone(table):
    """Were its own error known to the fit, a wild one would widen its own band."""
    wild = unseen()
    own = wild.parent == "measured:3"
    plain = cross_fitted(wild).g2_half_width[own & (wild.source == "measured")]
    wild.g2_truth[own] += 50.0
    wild.r[own] += 5.0
    changed = cross_fitted(wild)
    np.testing.assert_allclose(changed.g2_half_width[own & (wild.source == "measured")], plain)
    assert np.isfinite(changed.probability).all()


def sure(table, measured_error):
    """The table with measured errors of one size, in units of σ, and every third shell soft."""
    measured = table.source == "measured"
    error = table.signals[:, 0] * measured_error
    table.r[measured] = (table.truth + error)[measured]
    table.heads[::3, 0] = 0.9
    return table


@pytest.mark.parametrize(("least", "share"), [(0.88, 0.85), (LEAST_HELD, 0.96)])
def test_measured_compounds_narrow_the_interval_of_shells_like_theirs(monkeypatch, least, share):
    monkeypatch.setattr(fitting, "LEAST_HELD", least)
    wide, narrow = (
        cross_fitted(sure(unseen(), 2.5)),
        cross_fitted(sure(unseen(), 0.3)),
    )
    table = unseen()
    table.heads[::3, 0] = 0.9
    own = ordinary_of(table) & (table.source == "theory")
    other = ~ordinary_of(table) & (table.source == "theory")
    change = narrow.half_width / wide.half_width
    assert np.median(change[own]) < share * np.median(change[other])
    held = np.abs(table.r - table.truth)[own] <= narrow.half_width[own]
    assert held.mean() > least - 0.04  # they alone would narrow it further


def test_too_few_measured_compounds_do_not_narrow_it():
    table = unseen()
    few = np.isin(table.parent, ["measured:1", "measured:2"]) | (table.source == "theory")
    assert "quantile_ordinary" in calibration_of(table)["verdict"]
    assert "quantile_ordinary" not in calibration_of(table.take(few))["verdict"]
    table.heads[:] = np.nan  # a network that does not say what kind of first shell it is
    assert "quantile_ordinary" not in calibration_of(table)["verdict"]


def test_signals_weigh_less_beside_those_that_know_of_errors_themselves():
    alone, beside = ridges(["spread", "shift"]), ridges(["spread", "beyond"])
    assert alone.tolist() == [fitting.RIDGE] * 2 * len(SIZES)
    assert beside[: len(SIZES)].tolist() == [fitting.RIDGE_BESIDE] * len(SIZES)
    assert beside[len(SIZES) :].tolist() == [fitting.RIDGE] * len(SIZES)


def test_each_compound_counts_once():
    scores = np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0])
    group = np.array(["a", "b", "c", "d", "d", "d", "d"])
    assert weighted_quantile(scores, np.ones(7), 0.5) == 9.0
    assert conformal_by_group(scores, group, 0.5) == 3.0  # the third of four and one to come
    assert conformal_by_group(scores, group, 0.95) == 9.0


def test_the_band_grows_with_g2_where_the_error_does(table):
    stored = calibration_of(table)
    assert stored["band_share"] == BAND_SHARE
    steady = unseen()
    rng = np.random.default_rng(3)
    steady.g2_sigma[:] = 0.02
    steady.g2_truth[:] = steady.g2_mean * (1.0 + 0.3 * rng.standard_normal((len(steady), N_G2)))
    found = cross_fitted(steady).g2_half_width
    big = steady.g2_mean > 1.5
    small = (steady.g2_mean > 0.4) & (steady.g2_mean < 0.6)
    inside = np.abs(steady.g2_mean - steady.g2_truth) <= found
    assert np.median(found[big]) > 2.5 * np.median(found[small])
    assert inside[big].mean() > 0.9
    assert inside[small].mean() > 0.9


def test_a_calibration_is_what_a_model_stores(table):
    stored = calibration_of(table)
    assert len(stored["band_factor"]) == len(stored["band_floor"]) == N_G2
    assert stored["verdict"]["names"][0] == "spread"
    assert stored["limits"]["novelty"] == pytest.approx(table.of("theory").distance.max(), abs=1e-3)


def test_the_table_is_kept_and_read(tmp_path, table):
    table.save(tmp_path / "unseen.npz")
    again = read_unseen(tmp_path / "unseen.npz", N_G2)
    np.testing.assert_array_equal(again.signals, table.signals)
    with pytest.raises(ConfigurationError, match="another model"):
        read_unseen(tmp_path / "unseen.npz", N_G2 + 1)
    with pytest.raises(ConfigurationError, match="not a table"):
        read_unseen(tmp_path / "nothing.npz", N_G2)
    with np.load(tmp_path / "unseen.npz") as kept:
        before = {name: kept[name] for name in kept.files if name != "g2_expected"}
    np.savez(tmp_path / "before.npz", **before)
    with pytest.raises(ConfigurationError, match=r"version.*g2_expected.*calibrate again"):
        read_unseen(tmp_path / "before.npz", N_G2)
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ConfigurationError, match="not a table"):
        read_unseen(tmp_path / "other.npz", N_G2)
