"""What became of earlier predictions is learnt, and only from structures not asked about."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.evaluation.test_judging import unseen
from xanes_live.confidence.experience import PREFIX, Experience
from xanes_live.confidence.signals import NAMES, OWN, looks, percent
from xanes_live.ensemble.experience_training import train_experience
from xanes_live.evaluation.calibrate import auroc
from xanes_live.evaluation.experience import with_experience
from xanes_live.evaluation.fitting import cross_fitted

N_HEADS = 4


def both_or_none(n=900, seed=0):
    """Predictions that are wrong where exactly one of two signs is given: no signal tells alone."""
    table = unseen(n)
    rng = np.random.default_rng(seed)
    signs = rng.random((len(table), 2)) < 0.5
    mean = table.g2_mean.copy()
    mean[:, :2] = np.where(signs, 2.0, 0.2)
    size = np.where(signs[:, 0] != signs[:, 1], 0.2, 0.02)
    signals = np.full_like(table.signals, np.nan)
    signals[:, :OWN] = rng.random((len(table), OWN)) * 0.02
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
    assert all(name.startswith(PREFIX) for name in arrays)
    np.testing.assert_array_equal(learnt.signals[:, :OWN], table.signals[:, :OWN])


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
    said = auroc(learnt.signals[computed, OWN], (np.abs(table.error) > 0.1)[computed])
    assert 0.35 < said < 0.65


def test_odds_are_those_found():
    rng = np.random.default_rng(1)
    shown = rng.standard_normal((4000, 3))
    chance = 1.0 / (1.0 + np.exp(-1.5 * shown[:, 0]))
    wrong = rng.random(4000) < chance
    arrays = {PREFIX + k: v for k, v in train_experience(shown, wrong, most=4.0).items()}
    odds = Experience.from_arrays(arrays).odds(shown)
    said = odds / (1.0 + odds)
    assert np.abs(said - chance).mean() < 0.05
    assert percent(1.0) == pytest.approx(50.0)


def test_the_same_seed_learns_the_same():
    rng = np.random.default_rng(2)
    shown, wrong = rng.standard_normal((300, 5)), rng.random(300) < 0.3
    one, two = (train_experience(shown, wrong, most=4.0, seed=7) for _ in range(2))
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name])


def test_nothing_is_said_that_goes_beyond_what_was_learnt():
    rng = np.random.default_rng(4)
    shown = rng.standard_normal((300, 5))
    arrays = train_experience(shown, shown[:, 0] > 0, most=4.0)
    experience = Experience.from_arrays({PREFIX + k: v for k, v in arrays.items()})
    far = np.full((1, 5), 1e9)
    edge = experience.mean + 4.0 * experience.scale
    np.testing.assert_allclose(experience.odds(far), experience.odds(edge[None]))
    assert np.isfinite(experience.odds(-far)).all()


def test_unknown_signals_are_silent_and_few_spectra_teach_nothing():
    table = unseen(60, 10)
    learnt, arrays = with_experience(table)
    assert learnt is table
    assert arrays == {}
    assert Experience.from_arrays({"mean": np.zeros(3)}) is None
    signals, n_g2 = np.full((2, len(NAMES)), np.nan), 12
    shown = looks(signals, np.full((2, N_HEADS), np.nan), np.array([2.0, np.nan]),
                  np.ones((2, n_g2)), np.zeros((2, n_g2)))  # fmt: skip
    assert shown.shape == (2, OWN + N_HEADS + 2 + 2 * n_g2)
    assert np.isfinite(shown).all()
