from dataclasses import replace

import numpy as np
import pytest

from xanes_live.evaluation import confidence_scores as scores
from xanes_live.evaluation.ablation import ablation, cross_fitted, verdict_again
from xanes_live.evaluation.confidence_section import add_confidence
from xanes_live.evaluation.judged import Judged, parent_weights, strata
from xanes_live.evaluation.report import Report

RADIUS = np.linspace(0.5, 5.5, 50)


def judged(n=400, n_parents=100, seed=0, source="theory"):
    """Made-up spectra whose first signal is the error's true σ and whose second is noise."""
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.normal(np.log(0.07), 0.8, n))
    truth = rng.uniform(1.9, 2.4, n)
    predicted = truth + sigma * rng.standard_normal(n)
    probability = np.array([_within(0.1 / s) for s in sigma])
    colour = np.where(probability > 0.9, "green", np.where(probability > 0.5, "amber", "red"))
    return Judged(
        id=np.array([f"{source}-{k}" for k in range(n)]),
        parent=np.array([f"p{k % n_parents}" for k in range(n)]),
        source=np.full(n, source),
        detail=np.full(n, ""),
        scored=np.ones(n, dtype=bool),
        first_shell_element=np.array(["O", "N", "S", "O"])[np.arange(n) % 4],
        coordination=np.array([4.0, 6.0, 6.0, np.nan])[np.arange(n) % 4],
        truth=truth,
        predicted=predicted,
        low=predicted - 1.96 * sigma,
        high=predicted + 1.96 * sigma,
        probability=probability,
        colour=colour,
        flags=tuple(("members_disagree",) if c == "red" else () for c in colour),
        signals=np.column_stack([sigma, np.exp(rng.standard_normal(n))]),
        signal_names=("spread", "novelty"),
        peak_sigma=sigma * np.exp(rng.standard_normal(n)),
        radius=RADIUS,
        g2_error=0.5 * rng.standard_normal((n, 50)),
        g2_half_width=np.where(RADIUS <= 2.6, 1.96, 0.98)[None] * 0.5 * np.ones((n, 1)),
    )


def _within(z):
    from math import erf, sqrt

    return erf(z / sqrt(2))


def test_columns_must_be_of_one_length():
    good = judged(20)
    with pytest.raises(ValueError, match="not 20 long: flags, truth"):
        replace(good, truth=good.truth[:5], flags=good.flags[:5])


def test_a_band_that_widens_with_the_error_is_told_from_one_that_does_not():
    table, rng = judged(600), np.random.default_rng(4)
    size = np.exp(rng.standard_normal((600, 1)))
    error = size * rng.standard_normal((600, 50))
    knows = replace(table, g2_error=error, g2_half_width=1.96 * size * np.ones(50))
    blind = replace(knows, g2_half_width=knows.g2_half_width[rng.permutation(600)])
    unknown = replace(knows, g2_error=np.where(np.arange(600)[:, None] < 590, np.nan, error))
    for name in ("log_correlation", "rank_correlation"):
        assert scores.band_against_error(knows)[name] > 0.95
        assert abs(scores.band_against_error(blind)[name]) < 0.15
    assert scores.band_against_error(unknown)["spectra"] == 10


def test_take_keeps_rows_together():
    table = judged(20)
    part = table.take(np.array([7, 3]))
    assert part.id.tolist() == ["theory-7", "theory-3"]
    assert part.flags == (table.flags[7], table.flags[3])
    np.testing.assert_array_equal(part.g2_error, table.g2_error[[7, 3]])
    assert part.signal_names == table.signal_names
    assert len(table.take(np.zeros(20, dtype=bool))) == 0


def test_strata():
    table = judged(40)
    found = strata(table)
    assert list(found) == [
        "all", "first shell N", "first shell O", "first shell S",
        "coordination 4", "coordination 6",
    ]  # fmt: skip
    assert found["first shell O"].sum() == 20
    assert found["coordination 6"].sum() == 20
    assert "first shell N" not in strata(judged(12))  # three of them are too few
    alike = replace(table, parent=np.full(40, "one"))
    assert list(strata(alike)) == ["all"]  # copies of one structure are no stratum
    kinds = replace(table, detail=np.array(["noise", "shift"])[np.arange(40) % 2])
    assert strata(kinds)["noise"].sum() == 20


def test_coverage_of_honest_intervals():
    rows = {row.stratum: row for row in scores.coverage(judged(4000, 1000), draws=100)}
    whole = rows["all"]
    assert (whole.spectra, whole.parents) == (4000, 1000)
    assert whole.interval == pytest.approx(0.95, abs=0.015)
    assert whole.near == pytest.approx(0.95, abs=0.01)
    assert whole.far == pytest.approx(0.673, abs=0.01)  # ±0.98 σ
    assert whole.interval_95[0] < whole.interval < whole.interval_95[1]
    assert whole.interval_95[1] - whole.interval_95[0] < 0.03
    assert rows["first shell S"].spectra == 1000


def test_coverage_by_hand():
    table = replace(
        judged(6), truth=np.full(6, 2.0), predicted=np.full(6, 2.05),
        low=np.array([1.9, 1.9, 1.9, 2.01, 2.01, np.nan]), high=np.full(6, 2.2),
        g2_error=np.full((6, 50), np.nan),
    )  # fmt: skip
    row = scores.coverage(table, draws=50)[0]
    assert row.interval == pytest.approx(0.5)
    assert row.half_width == pytest.approx(0.15)
    assert row.g2_spectra == 0
    assert np.isnan(row.near)
    assert np.isnan(row.near_95).all()


def test_copies_of_one_parent_do_not_narrow_the_error_bars():
    base = judged(60, 60)
    copies = base.take(np.tile(np.arange(60), 20))
    apart = replace(copies, parent=np.arange(1200).astype(str))
    together = scores.coverage(copies, draws=300)[0].interval_95
    narrow = scores.coverage(apart, draws=300)[0].interval_95
    assert np.ptp(together) > 3 * np.ptp(narrow)


def test_weights_of_a_bootstrap_over_parents():
    parent = np.array(["a", "b", "a", "c"])
    weights = parent_weights(parent, 50, 1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3.0)
    assert weights.std() > 0


def test_all_inside_is_not_certainty():
    """Twelve of twelve compounds inside: Wilson's interval begins at 76 %."""
    table = judged(24, 12)
    table = replace(table, predicted=table.truth, low=table.truth - 1, high=table.truth + 1)
    low, high = scores.coverage(table, draws=50)[0].interval_95
    assert low == pytest.approx(12 / (12 + 1.96**2))
    assert high == 1.0
    none = replace(table, low=table.truth + 1, high=table.truth + 2)
    assert scores.coverage(none, draws=50)[0].interval_95 == pytest.approx((0.0, 1 - low))


def test_one_wrong_compound_is_no_ranking_with_error_bars():
    table = judged(20, 10)
    wrong = table.parent == "p3"
    table = replace(table, predicted=table.truth + np.where(wrong, 0.3, 0.0))
    assert not scores.enough(table)
    assert np.isnan(scores.rankings(table, draws=20)[0].auroc_95).all()
    assert np.isfinite(scores.gain(table, "spread", draws=20)[0])
    assert scores.enough(judged(200, 100))


def test_a_perfect_separation_has_no_error_bars():
    table = judged(60, 20)
    wrong = np.isin(table.parent, ["p1", "p4", "p7", "p9"])
    sure = np.where(wrong, 0.1, 0.9)
    table = replace(
        table, predicted=table.truth + np.where(wrong, 0.3, 0.0), probability=sure,
        signals=np.column_stack([1.0 - sure, sure]),
    )  # fmt: skip
    first = scores.rankings(table, draws=100)[0]
    assert first.auroc == 1.0
    assert np.isnan(first.auroc_95).all()
    assert np.isnan(scores.gain(table, "spread", draws=100)[1]).all()


def test_auroc_by_hand():
    wrong = np.array([False, True, False, True])
    assert scores.auroc(np.array([1.0, 2.0, 3.0, 4.0]), wrong) == pytest.approx(0.75)
    assert scores.auroc(np.ones(4), wrong) == pytest.approx(0.5)
    assert scores.auroc(np.array([1.0, 2.0, np.nan, 4.0]), wrong) == 1.0
    assert np.isnan(scores.auroc(np.ones(4), np.zeros(4, dtype=bool)))
    weighted = scores.auroc(np.array([1.0, 2.0, 3.0, 4.0]), wrong, np.array([1.0, 3.0, 1.0, 1.0]))
    assert weighted == pytest.approx((3 * 1 + 1 * 2) / (4 * 2))


def test_auroc_is_that_of_all_pairs():
    rng = np.random.default_rng(3)
    score, wrong = rng.integers(0, 9, 60).astype(float), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[wrong] for b in score[~wrong]]
    assert scores.auroc(score, wrong) == pytest.approx(np.mean(pairs))


def test_rankings_put_the_verdict_beside_each_signal():
    verdict, spread, noise, peak = scores.rankings(judged(2000, 500), draws=50)
    assert (verdict.name, spread.name, noise.name) == ("verdict", "spread", "novelty")
    assert verdict.auroc == pytest.approx(spread.auroc)  # made of it
    assert verdict.auroc > 0.75
    assert noise.auroc == pytest.approx(0.5, abs=0.05)
    assert peak.name == scores.PEAK
    assert 0.6 < peak.auroc < verdict.auroc
    assert verdict.auroc_95[0] < verdict.auroc < verdict.auroc_95[1]
    assert verdict.rank_correlation > 0.4
    assert abs(noise.rank_correlation) < 0.08


def test_rank_correlation():
    a = np.array([1.0, 2.0, 2.0, 5.0, np.nan])
    assert scores.rank_correlation(a, a**3) == pytest.approx(1.0)
    assert scores.rank_correlation(a, np.array([4.0, 3.0, 3.0, -np.inf, 0.0])) == -1.0
    assert np.isnan(scores.rank_correlation(a, np.ones(5)))


def test_reliability_of_an_honest_and_of_a_boastful_verdict():
    honest = judged(4000, 1000)
    found = scores.reliability(honest, draws=100)
    assert found.off < 0.03
    assert found.count.sum() == 4000
    crowded = found.count > 200
    assert np.abs(found.said - found.found)[crowded].max() < 0.08
    boast = scores.reliability(replace(honest, probability=np.full(4000, 0.99)), draws=10)
    assert len(boast.said) == 1
    assert boast.off == pytest.approx(0.99 - honest.right.mean())
    assert boast.brier > found.brier
    unknown = honest.probability.copy()
    unknown[:100] = np.nan
    some = scores.reliability(replace(honest, probability=unknown), draws=10)
    assert some.count.sum() == 3900


def colours():
    return replace(
        judged(8),
        truth=np.full(8, 2.0),
        predicted=np.array([2.01, 2.3, 2.2, 2.01, 2.07, 2.01, 2.4, np.nan]),
        colour=np.array(["green", "green", "green", "red", "red", "amber", "red", "green"]),
    )


def test_misleading_colours():
    found = scores.share_of_mistakes(colours())
    assert found["green"] == 0.5
    assert found["red"] == 3 / 8
    assert found["green_but_wrong"] == 3 / 8  # no prediction counts as wrong
    assert found["green_wrong_of_green"] == 3 / 4
    assert found["red_but_right"] == 1 / 8
    assert found["red_of_right"] == 1 / 3
    assert found["wrong_not_green"] == 1 / 4
    none = scores.share_of_mistakes(replace(colours(), colour=np.full(8, "amber")))
    assert np.isnan(none["green_wrong_of_green"])
    assert none["red_of_right"] == 0.0


def test_error_bars_of_misleading_colours():
    table = judged(2000, 400)
    found, ends = scores.share_of_mistakes(table), scores.spread_of_mistakes(table, draws=100)
    assert set(ends) == set(found)
    for name, value in found.items():
        assert ends[name][0] < value < ends[name][1]
    none = replace(table, colour=np.full(2000, "amber"))
    assert scores.spread_of_mistakes(none, draws=20)["green_but_wrong"][0] == 0.0
    assert 0.0 < scores.spread_of_mistakes(none, draws=20)["green_but_wrong"][1] < 0.02
    assert np.isnan(scores.spread_of_mistakes(none, draws=20)["green_wrong_of_green"]).all()


def test_the_confidently_wrong_worst_first():
    assert scores.confidently_wrong(colours()).tolist() == [7, 1, 2]


def everything(table):
    return {"all": np.ones(len(table), dtype=bool)}


def test_ablation_finds_the_signal_that_matters():
    table = judged(1500, 300)
    found = ablation(table, everything(table), draws=50)["all"]
    assert [line.signal for line in found.without] == ["spread", "novelty"]
    spread, novelty = found.without
    assert found.auroc > 0.75
    assert spread.alone == pytest.approx(found.auroc, abs=0.02)
    assert spread.loss > 0.2
    assert spread.loss_95[0] > 0.1
    assert spread.auroc == pytest.approx(found.auroc - spread.loss)
    assert novelty.loss == pytest.approx(0.0, abs=0.01)
    assert novelty.alone == pytest.approx(0.5, abs=0.06)


def test_ablation_fits_on_all_and_scores_on_groups():
    table = judged(600, 120)
    half = np.arange(600) % 2 == 0
    fitted_to = []

    def fit(part):
        fitted_to.append((len(part), part.signal_names))
        return lambda signals: 1.0 / (1.0 + signals[:, 0])

    found = ablation(table, {"one": half, "other": ~half}, fit, draws=5)
    assert min(n for n, _ in fitted_to) > 400  # never on a group alone
    assert {names for _, names in fitted_to} == {("spread", "novelty"), ("spread",), ("novelty",)}
    assert found["one"].auroc == pytest.approx(
        scores.auroc(table.signals[half, 0], ~table.right[half])
    )


@pytest.mark.parametrize("column", ["unknown", "reversed"])
def test_a_signal_without_weight_alone_tells_nothing(column):
    """Not worse than nothing: the share of right ones of the other folds is no opinion."""
    table = judged(60, 30)
    error = np.abs(table.predicted - table.truth)
    empty = {"unknown": np.full(60, np.nan), "reversed": 1.0 / (1e-3 + error)}[column]
    table = replace(table, signals=np.column_stack([table.signals[:, 0], empty]))
    found = ablation(table, {"theory": np.ones(60, dtype=bool)}, draws=5)["theory"]
    (line,) = [w for w in found.without if w.signal == "novelty"]
    assert line.alone == 0.5
    assert line.loss == pytest.approx(0.0, abs=0.01)


def test_a_parent_is_never_fitted_and_scored():
    table = judged(200, 20)
    seen = []

    def fit(part):
        seen.append(set(part.parent.tolist()))
        return lambda other: np.full(len(other), float(len(seen)))

    said = cross_fitted(table, fit, np.array([True, True]))
    assert len(seen) == 5
    for k, parents in enumerate(seen):
        assert not parents & set(table.parent[said == k + 1].tolist())


def test_the_verdict_fitted_again_is_the_verdict():
    """By its own weights of sources and its own units of signals, never with a sign reversed."""
    table = judged(4000, 1000)
    said = verdict_again(table)(table.signals)
    assert said.mean() == pytest.approx(table.right.mean(), abs=0.02)
    assert (
        np.diff(verdict_again(table)(np.array([[0.01, 0.5], [0.1, 0.5], [1.0, 0.5]]))) < 0
    ).all()
    helps = replace(table, predicted=np.where(table.signals[:, 0] > 0.07, table.truth, 9.0))
    turned = verdict_again(helps)(table.signals)
    assert np.ptp(turned) < 0.15  # a signal that grows when all is well is not used


def test_what_is_not_trusted_is_not_fitted_to():
    table = judged(400)
    odd = np.arange(400) % 10 == 0
    spoilt = replace(table, predicted=np.where(odd, np.nan, table.predicted), scored=~odd)
    same = verdict_again(spoilt)(table.signals)
    np.testing.assert_allclose(same, verdict_again(table.take(~odd))(table.signals))


def test_gain_over_one_signal():
    table = judged(2000, 500)
    value, ends = scores.gain(table, "novelty", draws=50)
    assert value == pytest.approx(0.3, abs=0.08)
    assert ends[0] < value < ends[1]
    assert scores.gain(table, "spread", draws=50)[0] == pytest.approx(0.0, abs=1e-9)


def test_the_section_says_it_all(tmp_path):
    theory, other = judged(300, 60), judged(20, 10, seed=5, source="measured")
    rows = {
        name: np.concatenate([getattr(theory, name), getattr(other, name)])
        for name in theory.__dataclass_fields__
        if name not in {"flags", "signal_names", "radius"}
    }
    rows["id"][300] = "<b>py</b>"
    rows["colour"][300], rows["predicted"][300] = "green", rows["truth"][300] + 0.4
    rows["scored"][307] = False
    both = replace(theory, **rows, flags=theory.flags + other.flags)
    page = Report("toy")
    found = add_confidence(page, both, note="made up", draws=20)
    text = page.html()
    assert "&lt;b&gt;py&lt;/b&gt;" in text
    assert "<b>py" not in text
    assert {"coverage-theory", "reliability", "intervals", "ablation-theory"} <= set(page.figures)
    assert len(found["measured"]) == 20
    assert [row["id"] for row in found["measured"] if not row["scored"]] == ["measured-7"]
    assert found["confidently_wrong"][0]["id"] == "<b>py</b>"
    assert set(found["verdict"]) == {"theory", "measured", "theory and spoiled"}
    theory = found["verdict"]["theory"]
    assert theory["ranking"][0]["name"] == "verdict"
    assert abs(theory["gain"]["spread"]["value"]) < 1e-9
    peak = theory["gain"][scores.PEAK]
    assert peak["value"] == pytest.approx(theory["ranking"][0]["auroc"] - peak["alone"])
    assert 0.02 < peak["ends_95"][0] < peak["value"] < peak["ends_95"][1]
    strata = {(row["source"], row["stratum"]): row for row in found["coverage"]}
    assert strata["measured", "all"]["spectra"] == 19
    assert ("theory", "first shell O") in strata
    lines = {line["name"]: line for line in found["summary"]}
    assert lines["green but wrong, measured"]["value"] > 0
    assert not lines["green but wrong, measured"]["reached"]
    assert lines["G2 band holds, theory"]["value"] == strata["theory", "all"]["band"]
    assert page.parts[0].startswith("<h2>How far to trust it")
    assert "in short" in page.parts[2]
    page.write(tmp_path)
    assert (tmp_path / "figures" / "reliability.png").stat().st_size > 1000


def test_computed_spectra_as_if_theory_were_exact_stand_apart():
    theory, exact = judged(200, 50), judged(200, 50, seed=6, source="exact")
    exact = replace(exact, predicted=exact.truth + 0.3 * (exact.predicted - exact.truth))
    exact.colour[:4] = "green"
    exact.predicted[:4] = exact.truth[:4] + 0.9
    rows = {
        name: np.concatenate([getattr(theory, name), getattr(exact, name)])
        for name in theory.__dataclass_fields__
        if name not in {"flags", "signal_names", "radius"}
    }
    page = Report("toy")
    found = add_confidence(
        page, replace(theory, **rows, flags=theory.flags + exact.flags), draws=10
    )
    alone = add_confidence(Report("toy"), theory, draws=10)
    for name in ("wrong", "wrong_parents", "ranking"):  # the exact ones are not among them
        both, one = (v["verdict"]["theory and spoiled"][name] for v in (found, alone))
        assert both == one
    assert found["verdict"]["exact"]["spectra"] == 200
    lines = {line["name"]: line for line in found["summary"]}
    worst = [line["name"] for line in found["summary"] if "worst stratum" in line["name"]]
    assert len(set(worst)) == len(worst) == 6
    assert lines["interval holds, exact"]["wanted"] == "≥ 0.94"
    assert "exact-0 (exact)" in page.html()
    assert "theory-0 (exact)" not in page.html()


def test_the_section_is_json():
    import json

    found = add_confidence(Report("toy"), judged(60, 20), draws=10)
    again = json.loads(json.dumps(found, allow_nan=True))
    assert again["confidently_wrong"] == found["confidently_wrong"]
    assert again["measured"] == []


def test_a_section_of_spectra_that_are_all_right():
    table = judged(30)
    page = Report("toy")
    found = add_confidence(page, replace(table, predicted=table.truth), draws=10)
    assert found["ablation"] == {}
    assert "No spectrum was green" in page.html()
