import numpy as np
import pytest

from xanes_live.descriptor import G2Grid, g2_from_distances
from xanes_live.evaluation import scores
from xanes_live.evaluation.baselines import constant, nearest
from xanes_live.evaluation.scores import Predictions

RADIUS = G2Grid().radius


def shells(*distances):
    r = np.repeat(np.array(distances), 6, axis=-1)
    return g2_from_distances(r, np.full(r.shape, 8))


def test_summary_by_hand():
    s = scores.summary(np.array([1.0, 2.0, 3.0, 6.0, np.nan]))
    assert (s["count"], s["median"], s["mean"]) == (4, 2.5, 3.0)
    assert s["coefficient_of_variation"] == pytest.approx(np.sqrt(3.5) / 3.0)
    assert s["interquartile_range"] == pytest.approx(2.0)
    assert scores.summary(np.array([np.nan])) == {"count": 0}


def test_peak_errors_by_region():
    truth = shells([2.0, 3.2, 4.4], [1.9, 3.0, 4.0])
    mean = shells([2.05, 3.2, 4.6], [1.9, 3.0, 4.1])
    near, missed = scores.peak_errors(RADIUS, mean, truth, (1.0, 3.5))
    assert near == pytest.approx([0.05, 0.0, 0.0, 0.0], abs=0.01)
    assert missed == 0.0
    far, _ = scores.peak_errors(RADIUS, mean, truth, (3.5, 6.0))
    assert far == pytest.approx([0.2, 0.1], abs=0.02)


def test_a_peak_that_is_not_there_is_missed():
    errors, missed = scores.peak_errors(RADIUS, shells([2.0]), shells([4.4]), (3.5, 6.0))
    assert (len(errors), missed) == (0, 1.0)


def test_spread_that_knows_and_spread_that_does_not():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.1, 2.0, (500, 1)) * np.ones(40)
    truth = np.zeros((500, 40))
    mean = rng.standard_normal((500, 40)) * sigma
    honest = scores.spread_scores(Predictions(mean, sigma, truth[:, 0], truth[:, 0]), truth)
    assert honest["coverage_2_sigma"] == pytest.approx(0.954, abs=0.01)
    assert honest["sigma_rmse_correlation"] > 0.95
    blind = scores.spread_scores(
        Predictions(mean, rng.permutation(sigma), truth[:, 0], truth[:, 0]), truth
    )
    assert abs(blind["sigma_rmse_correlation"]) < 0.15


def test_shell_scores_and_groups():
    error = np.array([0.3, 0.3, 0.3, 0.02, -0.04, np.nan])
    group = np.array(["foil", "foil", "foil", "a", "b", "c"])
    each = scores.shell_scores(error)
    assert each["median"] == pytest.approx(0.3)
    assert each["right"] == pytest.approx(2 / 6)
    by_compound = scores.shell_scores(error, group)
    assert by_compound["count"] == 4
    assert by_compound["median"] == pytest.approx(0.04)
    assert by_compound["right"] == pytest.approx(0.5)


def test_an_offset_is_fitted_on_other_compounds():
    rng = np.random.default_rng(1)
    group = np.array([f"c{k}" for k in range(40)])
    error = 0.2 + 0.01 * rng.standard_normal(40)
    assert scores.shell_scores(error)["median"] == pytest.approx(0.2, abs=0.01)
    fitted = scores.two_fold(error, group)
    assert fitted["median"] < 0.015
    assert fitted["right"] == 1.0
    low, high = scores.bootstrap(error, group)
    assert low <= 0.2 <= high


def test_skill():
    truth = np.random.default_rng(2).normal(size=(30, 50))
    truth[0] = np.nan
    nothing = scores.g2_skill(RADIUS, np.zeros((30, 50)), truth, np.zeros(50), (2.6, 6.0))
    half = scores.g2_skill(RADIUS, truth * 0.5, truth, np.zeros(50), (2.6, 6.0))
    assert (nothing, half) == (pytest.approx(1.0), pytest.approx(0.25))


def test_baselines():
    rng = np.random.default_rng(3)
    library, g2 = rng.normal(size=(60, 20)), rng.normal(size=(60, 50))
    shell = rng.uniform(1.8, 2.4, 60)
    looked_up = nearest(library[[7, 3]] + 1e-3, library, g2, shell, 1)
    np.testing.assert_allclose(looked_up.mean, g2[[7, 3]])
    np.testing.assert_allclose(looked_up.shell, shell[[7, 3]])
    order = np.argsort(((library - library[7]) ** 2).sum(axis=1))[:5]
    five = nearest(library[[7]], library, g2, shell, 5)
    np.testing.assert_allclose(five.mean[0], g2[order].mean(axis=0))
    assert five.shell[0] == pytest.approx(np.median(shell[order]))
    same = constant(g2, shell, 3)
    np.testing.assert_allclose(same.mean, np.tile(g2.mean(axis=0), (3, 1)))
