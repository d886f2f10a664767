"""What became of earlier predictions is learnt, and only from structures not asked about."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.evaluation.test_judging import unseen
from tests.unit.evaluation.toy import RECIPE
from xanes_live.confidence.assess import Calibration
from xanes_live.confidence.experience import (
    G2_PREFIX,
    PREFIX,
    Experience,
    features,
    g2_features,
)
from xanes_live.confidence.signals import EXPERIENCE
from xanes_live.ensemble.augment import Augmentation
from xanes_live.ensemble.experience_training import train_experience, train_g2_experience
from xanes_live.ensemble.recipe import DiscrepancySection, parse_recipe
from xanes_live.errors import ModelFormatError
from xanes_live.evaluation.confidence_scores import auroc
from xanes_live.evaluation.experience import with_experience
from xanes_live.evaluation.fitting import cross_fitted, fit_band
from xanes_live.evaluation.unseen import LAB_STRETCH, as_if_exact

N_HEADS, N_G2 = 4, 12
N_FEATURES = N_HEADS + 2 + 2 * N_G2


def both_or_none(n=900, seed=0):
    """Predictions that are wrong where exactly one of two signs is given: no signal tells alone."""
    table = unseen(n)
    rng = np.random.default_rng(seed)
    signs = rng.random((len(table), 2)) < 0.5
    mean = table.g2_mean.copy()
    mean[:, :2] = np.where(signs, 2.0, 0.2)
    size = np.where(signs[:, 0] != signs[:, 1], 0.2, 0.02)
    signals = np.full_like(table.signals, np.nan)
    signals[:, :EXPERIENCE] = rng.random((len(table), EXPERIENCE)) * 0.02
    error = size * rng.choice((-1.0, 1.0), len(table))
    return replace(table, g2_mean=mean, signals=signals, r=table.truth + error)


def test_what_only_the_whole_prediction_tells_is_learnt():
    table = both_or_none()
    wrong = np.abs(table.error) > 0.1
    before = auroc(-cross_fitted(table).probability, wrong)
    learnt, arrays = with_experience(table)
    after = auroc(-cross_fitted(learnt).probability, wrong)
    assert before < 0.6
    assert after > 0.85
    assert all(name.startswith((PREFIX, G2_PREFIX)) for name in arrays)
    np.testing.assert_array_equal(learnt.signals[:, :EXPERIENCE], table.signals[:, :EXPERIENCE])


def test_of_a_structure_nothing_is_learnt_by_heart():
    table = both_or_none()
    rng = np.random.default_rng(3)  # every structure right or wrong by lot, and easily known again
    _, which = np.unique(table.parent, return_inverse=True)
    lot = rng.random(which.max() + 1) < 0.5
    mean = rng.uniform(0, 2, (which.max() + 1, table.g2_mean.shape[1]))[which]
    same = np.full(len(table), 2.1)  # r tells nothing
    table = replace(table, g2_mean=mean, r=same, truth=same - np.where(lot[which], 0.2, 0.02))
    learnt, _ = with_experience(table)
    computed = table.source == "theory"
    said = auroc(learnt.signals[computed, EXPERIENCE], (np.abs(table.error) > 0.1)[computed])
    assert 0.35 < said < 0.65


def test_measured_spectra_and_kin_teach_nothing():
    table = both_or_none()
    computed = table.source == "theory"
    odd = replace(table, r=np.where(computed, table.r, table.truth + 5.0))
    _, arrays = with_experience(odd)
    _, as_before = with_experience(table)
    for name, value in as_before.items():
        np.testing.assert_array_equal(value, arrays[name])
    some = sorted(set(table.parent[computed].tolist()))[:120]
    kin = dict.fromkeys(set(table.parent[~computed].tolist()), some)
    apart = with_experience(table, kin)[0].signals[:, EXPERIENCE]
    together = with_experience(table)[0].signals[:, EXPERIENCE]
    assert not np.array_equal(apart[~computed], together[~computed])
    np.testing.assert_array_equal(apart[computed], together[computed])


def test_where_other_structures_are_too_few_nothing_is_learnt_and_the_band_goes_by_the_members():
    """Two structures, each kin to half of the measured compounds: none is left to learn from."""
    table = both_or_none(300)
    measured = sorted(set(table.parent[table.source != "theory"].tolist()))
    kin = {name: {("one", "two")[i % 2]} for i, name in enumerate(measured)}
    own = np.array(["one", "two"])[np.arange(len(table)) % 2]
    two = replace(table, parent=np.where(table.source == "theory", own, table.parent))
    same, arrays = with_experience(two, kin)
    assert same is two
    assert arrays == {}
    stored = fit_band(same)
    assert not stored["band_expected"]
    assert np.isfinite(stored["band_factor"]).all()


def learnt(shown, wrong, n_g2=N_G2, **options):
    arrays = train_experience(shown, wrong, most=4.0, **options)
    return Experience.from_arrays({PREFIX + k: v for k, v in arrays.items()}, n_g2)


def test_odds_are_those_found():
    rng = np.random.default_rng(1)
    shown = rng.standard_normal((4000, N_FEATURES))
    chance = 1.0 / (1.0 + np.exp(-1.5 * shown[:, 0]))
    odds = learnt(shown, rng.random(4000) < chance).odds(shown)
    assert np.abs(odds / (1.0 + odds) - chance).mean() < 0.08


def test_the_same_seed_learns_the_same():
    rng = np.random.default_rng(2)
    shown, wrong = rng.standard_normal((300, 5)), rng.random(300) < 0.3
    one, two = (train_experience(shown, wrong, most=4.0, seed=7) for _ in range(2))
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])


def test_nothing_is_said_that_goes_beyond_what_was_learnt():
    rng = np.random.default_rng(4)
    shown = rng.standard_normal((300, N_FEATURES))
    experience = learnt(shown, shown[:, 0] > 0)
    far = np.full((1, N_FEATURES), 1e9)
    edge = experience.wrong.mean + 4.0 * experience.wrong.scale
    np.testing.assert_allclose(experience.odds(far), experience.odds(edge[None]))
    assert np.isfinite(experience.odds(-far)).all()


def test_what_does_not_fit_the_model_is_refused():
    rng = np.random.default_rng(5)
    shown = rng.standard_normal((200, N_FEATURES))
    with pytest.raises(ModelFormatError, match="does not fit"):
        learnt(shown, shown[:, 0] > 0, n_g2=N_G2 + 1)
    with pytest.raises(ModelFormatError, match=r"weight\.0"):
        Experience.from_arrays({PREFIX + "mean": np.zeros(3)}, N_G2)
    assert Experience.from_arrays({"mean": np.zeros(3)}, N_G2) is None


def test_the_unknown_is_silent_and_few_spectra_teach_nothing():
    table = unseen(60, 10)
    same, arrays = with_experience(table)
    assert same is table
    assert arrays == {}
    heads = np.full((2, N_HEADS), np.nan)
    shown = features(heads, np.array([2.0, np.nan]), np.ones((2, N_G2)), np.zeros((2, N_G2)))
    assert shown.shape == (2, N_FEATURES)
    assert np.isfinite(shown).all()


def test_computed_spectra_as_if_theory_were_exact():
    vary = Augmentation(stretch=1.07, stretch_sd=0.08, shift_sd=0.5, noise_max=0.01)
    modes = DiscrepancySection(path="residuals.npz")
    recipe = parse_recipe(tomllib.loads(RECIPE)).model_copy(
        update={"augmentation": vary, "discrepancy": modes}
    )
    exact = as_if_exact(recipe)
    assert exact.discrepancy is None
    assert (exact.augmentation.stretch_sd, exact.augmentation.shift_sd) == (LAB_STRETCH, 0.5)
    assert (exact.augmentation.stretch, exact.augmentation.noise_max) == (1.07, 0.01)


def test_how_far_g2_is_off_is_learnt_where_the_members_do_not_tell():
    table = both_or_none()
    rng = np.random.default_rng(6)
    tall = table.g2_mean[:, :1] > 1.0  # where G2 is tall at first, it is off at all radii
    true = np.where(tall, 0.4, 0.05) * np.ones(N_G2)
    off = true * rng.standard_normal(table.g2_mean.shape)
    table = replace(table, g2_truth=table.g2_mean + off, g2_sigma=np.full_like(table.g2_mean, 0.1))
    learnt, arrays = with_experience(table)
    ratio = learnt.g2_expected / true
    assert 0.8 < np.median(ratio[tall[:, 0]]) < 1.25
    assert 0.8 < np.median(ratio[~tall[:, 0]]) < 1.25
    by_sigma, by_experience = fit_band(table), fit_band(learnt)
    assert by_experience["band_expected"]
    assert not by_sigma["band_expected"]
    error = np.abs(off)
    for part in (tall[:, 0], ~tall[:, 0]):  # by σ the band is too narrow for one, too wide for all
        own = learnt.take(part & (table.source == "theory"))
        bands = Calibration.from_mapping(by_experience, N_G2)
        half = bands.half_width(own.g2_mean, own.g2_sigma, own.g2_expected)
        held = error[part & (table.source == "theory")] <= half
        assert held.mean() > 0.92
    assert any(name.startswith(G2_PREFIX) for name in arrays)


def test_of_unknown_g2_nothing_is_learnt():
    rng = np.random.default_rng(8)
    shown, error = rng.standard_normal((400, 5)), rng.standard_normal((400, 3))
    unknown = np.concatenate([error, np.full((50, 3), np.nan)])
    more = np.concatenate([shown, shown[:50]])
    one = train_g2_experience(shown, error, most=4.0)
    two = train_g2_experience(more, unknown, most=4.0)
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])


def test_experience_of_g2_of_another_model_is_refused():
    rng = np.random.default_rng(9)
    n_features = g2_features(np.ones(1), *np.ones((2, 1, N_G2))).shape[1]
    wrong = train_experience(rng.standard_normal((200, N_FEATURES)), np.arange(200) < 9, most=4.0)
    g2 = train_g2_experience(
        rng.standard_normal((200, n_features)), rng.standard_normal((200, N_G2 - 1)), most=4.0
    )
    arrays = {PREFIX + k: v for k, v in wrong.items()} | {G2_PREFIX + k: v for k, v in g2.items()}
    with pytest.raises(ModelFormatError, match="does not fit"):
        Experience.from_arrays(arrays, N_G2)
    alone = Experience.from_arrays({k: v for k, v in arrays.items() if k[0] == "e"}, N_G2)
    assert alone.g2_error(np.ones(1), *np.ones((2, 1, N_G2))) is None
