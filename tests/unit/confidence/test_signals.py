"""Signals, verdict, limits: what confidence is made from."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logit

from tests import factories
from xanes_live.confidence.assess import Calibration, drivers, judge_examined
from xanes_live.confidence.copies import CHANGES, centre, copies, wide_grid
from xanes_live.confidence.examined import Examined
from xanes_live.confidence.judge import _moved_by, _rival
from xanes_live.confidence.limits import Kind, limits, ordinary
from xanes_live.confidence.novelty import Library, warps
from xanes_live.confidence.places import Places
from xanes_live.confidence.signals import NAMES, SIGNALS, UNITS, measure
from xanes_live.confidence.verdict import (
    Verdict,
    fit_error,
    fit_probability,
    less_certain,
    scaled,
)
from xanes_live.config import ConfidenceConfig
from xanes_live.domain import Confidence, Evidence, Others, Rival, Survey
from xanes_live.ensemble.forward_training import principal
from xanes_live.flags import FLAGS

GRID = np.linspace(7112.5, 7160.0, 96)
WIDE = wide_grid(GRID)
CALIBRATION = Calibration.from_mapping({"band_factor": 3.0, "band_floor": 0.05}, 50)


def edge(energy, at=7120.0):
    return 0.5 + np.arctan((energy - at) / 2.0) / np.pi


def verdict(**changes):
    middle = np.arange(UNITS.shape[1]) == 1  # one size of each signal has weight
    ones = np.broadcast_to(middle, UNITS.shape)
    values = {
        "names": NAMES, "units": UNITS, "weights": 0.5 * ones, "intercept": 4.0,
        "widths": 0.2 * ones, "base": -4.0, "quantile": 2.5,
    }  # fmt: skip
    return Verdict(**(values | changes))


# -- copies ------------------------------------------------------------------------------------


def test_the_wide_grid_contains_the_models_and_reaches_beyond():
    inner = WIDE[centre(WIDE, GRID)]
    assert np.allclose(inner, GRID, atol=1e-9)
    assert WIDE[0] <= GRID[0] - 8.0
    assert WIDE[-1] >= GRID[-1] + 8.0


def test_a_shifted_copy_is_the_spectrum_measured_with_shifted_energies():
    made = copies(WIDE, edge(WIDE)[None], GRID)[0]
    for copy, change in zip(made, CHANGES, strict=True):
        if change.kind == "shift":
            assert np.allclose(copy, edge(GRID, 7120.0 + change.value), atol=5e-3)


def test_broadening_is_gaussian_of_the_stated_width():
    line = np.exp(-0.5 * ((WIDE - 7136.0) / 2.0) ** 2)[None]
    made = copies(WIDE, line, GRID)[0]
    for copy, change in zip(made, CHANGES, strict=True):
        if change.kind == "broadening":
            sigma = np.hypot(2.0, change.value / np.sqrt(8 * np.log(2)))
            assert copy.max() == pytest.approx(2.0 / sigma, rel=0.02)


def test_copies_of_many_are_copies_of_each():
    mu = np.stack([edge(WIDE, 7118.0), edge(WIDE, 7124.0)])
    both = copies(WIDE, mu, GRID)
    assert np.allclose(both[1], copies(WIDE, mu[1:], GRID)[0])
    assert np.allclose(Places.on(WIDE, GRID).of(mu)[0], edge(GRID, 7118.0))


# -- novelty -----------------------------------------------------------------------------------


def library(n=40, count=6):
    rng = np.random.default_rng(2)
    at = rng.uniform(7117.0, 7124.0, n)
    width = rng.uniform(2.0, 9.0, n)
    spectra = np.array(
        [
            edge(GRID, a) + 0.3 * np.exp(-(((GRID - a - 8) / w) ** 2))
            for a, w in zip(at, width, strict=True)
        ]
    )
    mean = spectra.mean(axis=0)
    basis = principal(spectra - mean, count)
    words = {"names": [f"amcsd:c{k}" for k in range(n // 2)], "elements": ["O", "S"]}
    return spectra, Library.from_arrays(
        {
            "mean": mean, "basis": basis, "points": (spectra - mean) @ basis.T,
            "group": np.repeat(np.arange(n // 2), 2), "r": np.linspace(1.8, 2.4, n),
            "element": np.arange(n) % 2,
        },
        words,
    )  # fmt: skip


def widened(spectrum):
    return np.interp(WIDE, GRID, spectrum)


def test_a_training_spectrum_finds_itself_and_its_compound():
    spectra, known = library()
    found = known.look_up(WIDE, np.stack([widened(s) for s in spectra[:6]]), GRID)
    assert found.index[:, 0].tolist() == list(range(6))
    assert np.all(found.distance[:, 0] < 5e-3)
    assert np.all(np.diff(found.distance, axis=1) >= 0)
    named = known.describe(found.index[3], found.distance[3])
    assert named[0].name == "amcsd:c1"
    assert named[0].ligand == "S"
    assert len({n.name for n in named}) == len(named)  # each compound once


def test_distances_are_those_of_whole_spectra_whatever_the_components():
    """Also what the components cannot describe counts."""
    known = library(count=3)[1]
    strange = edge(GRID) + 0.2 * np.sin((GRID - 7112.5) / 1.3)
    found = known.look_up(WIDE, widened(strange)[None], GRID)
    in_components = known.points @ known.basis + known.mean
    direct = np.sqrt(
        ((warps(WIDE, widened(strange)[None], GRID)[0][:, None] - in_components) ** 2).mean(-1)
    ).min()
    assert found.distance[0, 0] == pytest.approx(direct, rel=1e-3)


def test_the_nearest_of_many_training_spectra_are_those_of_all_compared_one_by_one():
    spectra, known = library(n=5000)
    asked = np.stack([widened(s) for s in spectra[::1700]])
    found = known.look_up(WIDE, asked, GRID)
    own = warps(WIDE, asked, GRID) - known.mean
    for k, warped in enumerate(own):
        along = warped @ known.basis.T
        outside = (warped**2).sum(-1) - (along**2).sum(-1)
        square = ((along[:, None] - known.points) ** 2).sum(-1) + outside[:, None]
        nearest = np.sqrt(np.sort(square.min(axis=0))[: found.distance.shape[1]] / GRID.size)
        np.testing.assert_allclose(found.distance[k], nearest, atol=3e-4)


def test_a_shift_of_the_energies_is_not_novel_but_a_strange_shape_is():
    spectra, known = library()
    shifted = known.look_up(WIDE, np.interp(WIDE - 1.5, GRID, spectra[8])[None], GRID)
    strange = known.look_up(WIDE, (1.0 - widened(spectra[8]))[None], GRID)
    assert shifted.mean_distance[0] < 0.05
    assert strange.mean_distance[0] > 5 * shifted.mean_distance[0]


# -- signals and verdict -----------------------------------------------------------------------


def survey(moved=0.0):
    said = factories.prediction()
    mean = np.stack([said.mean] + [said.mean * (1 + moved)] * len(CHANGES))[None]
    r = np.full((1, 1 + len(CHANGES)), 1.98)
    r[0, 1:] += moved
    return Survey((said,), mean, r, {"first_shell_error": np.array([np.log(0.05)])})


def test_signals_are_silent_where_nothing_moves_and_speak_where_it_does():
    radius = factories.prediction().radius
    still, moved = (measure(survey(m), radius, None, None, None)[0] for m in (0.0, 0.1))
    at = NAMES.index
    assert still[at("shift")] == 0
    assert moved[at("shift")] == pytest.approx(0.1)
    assert moved[at("broadening")] == pytest.approx(0.1)
    assert moved[at("g2_moved")] == pytest.approx(0.1)
    assert still[at("ambiguity")] == pytest.approx(0.05)
    assert np.isnan(still[at("novelty")])  # without a library it is not known
    assert np.isnan(still[at("cyclic")])


def test_what_lies_beyond_counts_as_odds_and_never_without_end():
    radius = factories.prediction().radius
    at = NAMES.index("beyond")
    for chance, odds in ((0.2, 0.25), (0.0, 1e-5), (1.0, 1e5)):
        said = replace(survey(), others=Others(*np.array([[chance], [2.4], [0.1]])))
        assert measure(said, radius, None, None, None)[0, at] == pytest.approx(odds, rel=1e-3)
    assert np.isnan(measure(survey(), radius, None, None, None)[0, at])


def test_another_distance_is_told_from_15_percent_on():
    chance = np.array([0.14, 0.16, np.nan, 0.9])
    others = Others(np.zeros(4), np.array([2.4, 2.4, np.nan, 2.4]), chance)
    told = [_rival(replace(survey(), others=others), i) for i in range(4)]
    assert told == [None, Rival(2.4, 0.16), None, Rival(2.4, 0.9)]
    assert _rival(survey(), 0) is None


def test_every_signal_has_a_registered_flag_with_one_number():
    for signal in SIGNALS:
        assert FLAGS[signal.flag].message.format(value=0.1, other="")


@given(
    arrays(float, (2, len(NAMES)), elements=st.floats(0, 1e3)),
    st.integers(0, len(NAMES) - 1),
    st.floats(0, 1e3),
)
def test_nothing_that_goes_wrong_raises_the_probability(rows, column, more):
    base = rows[:1]
    worse = base.copy()
    worse[0, column] += more
    judge = verdict()
    assert judge.probability(worse)[0] <= judge.probability(base)[0] + 1e-12
    assert judge.half_width(worse)[0] >= judge.half_width(base)[0] - 1e-12


@given(st.floats(0.01, 0.999), st.floats(0.0, 2.0), st.floats(0.0, 0.5))
def test_what_is_known_to_be_uncertain_lowers_the_probability(probability, by_noise, more):
    chance = np.array([probability])
    once = less_certain(chance, np.array([by_noise]))
    again = less_certain(chance, np.array([by_noise + more]))
    assert 0.0 <= again[0] <= once[0] <= probability


def test_errors_add_as_normal_ones_do():
    """68.27 % within 0.1 Å is σ = 0.1 Å; with as much again it is √2 times that."""
    both = less_certain(np.array([0.682689, 0.9]), np.array([0.1, 0.0]))
    assert both == pytest.approx([0.520500, 0.9], abs=1e-5)


def test_causes_of_doubt_add_up_and_a_shell_that_is_lost_counts_as_wrong():
    pairs = np.zeros((2, 2, 5))
    moves = np.array([2.03, 1.97, 2.04, 1.96, np.nan, 2.0, 2.0, 2.0])
    moved = _moved_by([None, pairs, pairs, None], np.full(4, 2.0), moves)
    assert moved == pytest.approx([0.0, 0.05, 0.1 / np.sqrt(2.0), 0.0])


def test_an_unknown_signal_counts_as_silent():
    nothing = np.full((1, len(NAMES)), np.nan)
    assert verdict().probability(nothing) == verdict().probability(np.zeros((1, len(NAMES))))
    assert np.all(np.isfinite(scaled(np.array([[np.inf, np.nan]]), np.ones((2, 3)))))


def test_a_verdict_survives_being_written_and_read():
    read = Verdict.from_mapping(verdict().as_mapping())
    row = np.full((1, len(NAMES)), 0.05)
    assert read.probability(row) == pytest.approx(verdict().probability(row), abs=1e-4)
    assert read.half_width(row) == pytest.approx(verdict().half_width(row), rel=1e-3)


def test_older_models_have_one_size_of_each_signal():
    """Where others have a row for each signal they have a number."""
    stored = verdict().as_mapping()
    flat = {key: [row[1] for row in stored[key]] for key in ("units", "weights", "widths")}
    row = np.full((1, len(NAMES)), 0.05)
    assert Verdict.from_mapping(stored | flat).probability(row) == pytest.approx(
        verdict().probability(row), abs=1e-4
    )


def test_what_signals_cost_adds_up_to_what_is_lost():
    weights = np.random.default_rng(5).uniform(0.0, 0.5, UNITS.shape)
    judge = verdict(weights=weights)
    rows = np.random.default_rng(6).exponential(0.1, (4, len(NAMES)))
    lost = 4.0 - logit(judge.probability(rows))
    assert judge.blame(rows).shape == rows.shape
    assert judge.blame(rows).sum(axis=1) == pytest.approx(lost)
    one = np.zeros((1, len(NAMES)))
    one[0, 3] = 0.2
    assert np.flatnonzero(judge.blame(one)[0]).tolist() == [3]


def test_a_signal_may_matter_at_any_size():
    """Odds that fall steeply once a signal is 20 times its unit, and hardly before."""
    rng = np.random.default_rng(9)
    signal = 10.0 ** rng.uniform(-3.0, 3.0, (20000, 1))
    chance = 1.0 / (1.0 + np.exp(-(2.5 - 4.0 * np.log1p(signal[:, 0] / 20.0))))
    right = (rng.random(20000) < chance).astype(float)
    x = scaled(signal, np.array([[0.05, 1.0, 20.0]]))
    weights, intercept = fit_probability(x, right, np.ones(20000), ridge=1e-5)
    assert weights == pytest.approx([0.0, 0.0, 4.0], abs=0.3)
    assert 1.0 / (1.0 + np.exp(x @ weights - intercept)) == pytest.approx(chance, abs=0.03)


def test_an_ordinary_first_shell_may_have_a_width_of_its_own():
    rows = np.full((2, len(NAMES)), 0.05)
    own = np.array([True, False])
    assert verdict().half_width(rows, own).tolist() == verdict().half_width(rows).tolist()
    read = Verdict.from_mapping(verdict(quantile_ordinary=1.0).as_mapping())
    narrow, wide = read.half_width(rows, own)
    assert narrow == pytest.approx(wide / 2.5, rel=1e-3)
    assert read.half_width(rows)[0] == wide


def test_what_the_network_does_not_say_is_not_ordinary():
    said = {"soft": np.array([0.1, 0.9, 0.1, np.nan]), "carbon": np.zeros(4)}
    assert not ordinary(said, 4).any()
    said["metal"] = np.array([0.0, 0.0, 0.8, 0.0])
    assert ordinary(said, 4).tolist() == [True, False, False, False]


def test_the_fit_finds_the_signal_that_matters_and_is_calibrated():
    rng = np.random.default_rng(7)
    x = rng.uniform(0, 3, (6000, 2))
    right = (rng.random(6000) < 1 / (1 + np.exp(-(3.0 - 2.0 * x[:, 0])))) * 1.0
    weights, intercept = fit_probability(x, right, np.ones(6000), ridge=1e-5)
    assert weights == pytest.approx([2.0, 0.0], abs=0.2)
    assert intercept == pytest.approx(3.0, abs=0.3)


def test_the_expected_error_is_the_mean_absolute_error():
    rng = np.random.default_rng(8)
    x = rng.uniform(0, 2, (8000, 2))
    error = rng.exponential(np.exp(-3.0 + 0.8 * x[:, 1]))
    widths, base = fit_error(x, error, np.ones(8000), ridge=1e-6, least=0.0)
    assert widths == pytest.approx([0.0, 0.8], abs=0.06)
    assert base == pytest.approx(-3.0, abs=0.06)


# -- verdict in words --------------------------------------------------------------------------


def examined(chance, kind=None, strange=(), **signals):
    table = dict.fromkeys(NAMES, 0.0) | signals
    cost = {name: value * 10 for name, value in table.items()}
    said = factories.prediction()
    return Examined(said, chance, table, cost, strange, kind or Kind(), Evidence())


def judged(found, *flags):
    return judge_examined(
        found, factories.normalised(flags=flags), factories.model_input(), (), CALIBRATION,
        ConfidenceConfig(),
    )  # fmt: skip


def test_a_probable_distance_is_green_without_a_flag():
    said = judged(examined(0.95, spread=0.2))
    assert said.confidence is Confidence.GREEN
    assert said.flags == ()
    assert said.probability == 0.95


@pytest.mark.parametrize(
    ("chance", "colour", "code"),
    [
        (0.7, Confidence.AMBER, "first_shell_uncertain"),
        (0.2, Confidence.RED, "first_shell_unlikely"),
    ],
)
def test_an_improbable_one_says_so_and_why(chance, colour, code):
    said = judged(examined(chance, spread=0.3, novelty=0.2, shift=0.01))
    assert said.confidence is colour
    codes = [flag.code for flag in said.flags]
    assert codes[0] == code
    assert codes[1:] == ["members_disagree", "novel"]  # a shift of 0.01 Å drove nothing


def test_what_can_be_acted_upon_comes_first():
    said = judged(examined(0.2, spread=0.3), factories.flag("noisy"))
    assert said.flags[0].code == "noisy"


def test_a_spectrum_unlike_all_others_is_not_green_however_sure_the_verdict():
    said = judged(examined(0.95, strange=("novelty", "cyclic"), novelty=0.3, cyclic=4.0))
    assert said.confidence is Confidence.AMBER
    assert {flag.code for flag in said.flags} == {"novel", "cyclic_residual"}


def test_experience_is_told_without_a_second_probability():
    (flag,) = drivers(examined(0.2, experience=1.0 / 3.0))
    assert flag.code == "often_wrong"
    assert "%" not in flag.message


def test_another_distance_is_named_where_there_is_one():
    (plain,) = drivers(examined(0.2, beyond=1.0))
    assert plain.message == "the network holds other distances possible"
    found = replace(examined(0.2, beyond=1.0), evidence=Evidence(rival=Rival(2.345, 0.31)))
    assert drivers(found)[0].message.endswith("possible, 2.35 Å with 31 %")


def test_a_change_of_g2_is_not_told_as_one_of_the_distance():
    (flag,) = drivers(examined(0.2, g2_moved=0.45))
    assert "45%" in flag.message
    assert "Å" not in flag.message


def test_a_limit_of_the_theory_says_what_tends_to_go_wrong():
    """In what an operator reads: message and remedy."""
    for flag in limits(Kind(soft=0.9, metal=0.9), 2.5):
        assert "Å" in flag.remedy, flag.code
    for flag in limits(Kind(carbon=0.9, coordination=4.0), 1.8):
        assert re.search("too long|too sure", flag.remedy), flag.code


def test_drivers_name_one_flag_once():
    found = examined(0.2, neighbours=0.2, neighbours_spread=0.2)
    assert [f.code for f in drivers(found)] == ["neighbours_disagree"]


@pytest.mark.parametrize(
    ("kind", "r", "codes"),
    [
        (Kind(coordination=6.0), 2.0, []),
        (Kind(soft=0.8, coordination=6.0), 2.26, ["limit_soft"]),
        (Kind(metal=0.9, coordination=8.0), 2.5, ["limit_metallic"]),
        (Kind(metal=0.9, coordination=5.0), 2.5, ["limit_metallic"]),
        (Kind(carbon=0.8, coordination=6.0), 1.85, ["limit_linear_carbon"]),
        (Kind(carbon=0.8, coordination=10.0), 2.05, []),  # a ring, not a carbonyl
        (Kind(coordination=4.1), 1.9, ["limit_under_coordinated"]),
        (Kind(), 1.9, []),  # a model that does not say
    ],
)
def test_known_limits_of_theory_are_named(kind, r, codes):
    assert [flag.code for flag in limits(kind, r)] == codes


def test_without_a_first_shell_there_is_no_verdict_but_red():
    said = examined(0.99)
    shell = replace(said.prediction.first_shell, r=np.nan)
    said = replace(said, prediction=replace(said.prediction, first_shell=shell))
    assert judged(said).confidence is Confidence.RED
    assert judged(said).flags[0].code == "no_first_shell"


def test_a_distance_that_g2_has_no_peak_for_is_never_green():
    """The network has an output of its own for the distance."""
    said = judged(examined(0.99, peak=np.nan))
    assert said.confidence is Confidence.RED
    assert [flag.code for flag in said.flags] == ["no_first_shell"]
    assert "do not use it" in said.flags[0].message
    unlikely = judged(examined(0.2, peak=np.nan, spread=0.3))
    assert {"no_first_shell", "first_shell_unlikely"} <= {flag.code for flag in unlikely.flags}
    flat = replace(survey(), mean=np.zeros_like(survey().mean))
    signals = measure(flat, factories.prediction().radius, None, None, None)[0]
    assert np.isnan(signals[NAMES.index("peak")])


def test_the_probability_of_a_kind_is_between_none_and_certain():
    kind = Kind.of({"metal": 1.02, "soft": -0.03})
    assert (kind.metal, kind.soft, kind.carbon) == (1.0, 0.0, 0.0)
