"""Classes of first-shell distance: what is taught, what is learnt, what is made of it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from xanes_live.ensemble.classes import (
    beyond,
    cross_entropy,
    likeliest_other,
    probabilities,
    shares,
)
from xanes_live.ensemble.ensemble import Ensemble
from xanes_live.ensemble.network import Architecture
from xanes_live.ensemble.recipe import stored_recipe
from xanes_live.ensemble.save import write_model
from xanes_live.ensemble.training import Trainer, targets
from xanes_live.errors import ConfigurationError

CENTRES = np.linspace(1.6, 2.8, 25)


@given(st.floats(1.6, 2.8))
def test_shares_have_their_mean_at_the_distance(distance):
    share = shares(np.array([distance]), CENTRES)[0]
    assert share.sum() == pytest.approx(1.0)
    assert share @ CENTRES == pytest.approx(distance, abs=0.026)  # less than a class at the ends


def test_distances_beyond_the_classes_count_to_the_outermost_and_unknown_ones_to_none():
    low, high, unknown = shares(np.array([0.5, 9.0, np.nan]), CENTRES)
    assert low.argmax() == 0
    assert high.argmax() == len(CENTRES) - 1
    assert np.isnan(unknown).all()


def test_cross_entropy_against_numpy_and_nothing_where_unknown():
    rng = np.random.default_rng(0)
    said = rng.normal(size=(3, 4, 25))
    target = shares(np.array([1.9, 2.0, 2.3, np.nan]), CENTRES)
    found = cross_entropy(torch.tensor(said), torch.tensor(target).expand(3, -1, -1)).numpy()
    wanted = -(np.nan_to_num(target) * log_softmax(said, axis=-1)).sum(-1)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert (found[:, 3] == 0).all()


@given(st.floats(1.0, 4.0), st.integers(0, 99))
def test_what_lies_beyond_is_what_a_sum_over_fine_steps_says(r, seed):
    probability = np.random.default_rng(seed).dirichlet(np.full(25, 0.3))
    fine = np.linspace(CENTRES[0] - 0.025, CENTRES[-1] + 0.025, 250_001)
    density = probability[np.clip(((fine - fine[0]) / 0.05).astype(int), 0, 24)] / 0.05
    near = np.abs(fine - np.clip(r, CENTRES[0], CENTRES[-1])) <= 0.1
    wanted = 1.0 - (density * near).sum() * (fine[1] - fine[0])
    found = beyond(probability[None], CENTRES, np.array([r]), 0.1)
    assert found[0] == pytest.approx(wanted, abs=2e-3)


def test_no_distance_leaves_it_unknown():
    even, nothing = np.full((1, 25), 0.04), np.array([np.nan])
    assert np.isnan(beyond(even, CENTRES, nothing, 0.1))[0]
    assert np.isnan(likeliest_other(even, CENTRES, nothing, 0.1)).all()


def test_of_two_distances_the_other_is_named_with_its_probability():
    two = 0.7 * shares(np.array([2.0]), CENTRES) + 0.3 * shares(np.array([2.4]), CENTRES)
    for asked, other, chance in ((2.0, 2.4, 0.3), (2.4, 2.0, 0.7), (2.03, 2.4, 0.3)):
        r, probability = likeliest_other(two, CENTRES, np.array([asked]), 0.1)
        assert r[0] == pytest.approx(other, abs=0.01)
        assert probability[0] == pytest.approx(chance, abs=0.02)


@pytest.mark.parametrize("given", [2.0, 2.12, 2.24])
def test_the_flank_of_the_only_heap_is_no_other_distance(given):
    wide = np.exp(-0.5 * ((CENTRES - 2.12) / 0.12) ** 2)[None]
    found = likeliest_other(wide / wide.sum(), CENTRES, np.array([given]), 0.1)
    assert np.isnan(found).all()


def test_a_distance_beyond_the_classes_counts_to_the_outermost_for_both():
    last = shares(np.array([2.8]), CENTRES)
    assert beyond(last, CENTRES, np.array([3.3]), 0.1)[0] < 0.01
    assert np.isnan(likeliest_other(last, CENTRES, np.array([3.3]), 0.1)).all()


def test_members_count_alike_however_sure():
    said = np.array([[[90.0, 0.0], [0.0, 1.0]]])
    assert probabilities(said)[0, 0] == pytest.approx((1.0 + 1 / (1 + np.e)) / 2)


@pytest.mark.parametrize(
    "classes",
    [(2.0,), (2.0, 2.1, 2.3), (2.0, 1.9), (-0.1, -0.05), (1.0, np.inf), (2.0, 2.2), (2.0, np.nan)],
)
def test_classes_that_are_none_are_refused(make_recipe, classes):
    with pytest.raises(ConfigurationError, match="classes are"):
        make_recipe(network={"classes": classes}).architecture()


def test_a_trained_network_knows_where_the_distances_are(toy_set, make_recipe):
    recipe = make_recipe(
        network={"classes": list(CENTRES)}, training={"epochs": 60}, augmentation={"noise_max": 0.0}
    )
    target = targets(toy_set, recipe)
    np.testing.assert_allclose(target[:, -25:], shares(toy_set.shell, CENTRES), atol=1e-6)
    trainer = Trainer(toy_set, recipe)
    ensemble = Ensemble.in_memory(trainer.run().network, recipe)
    mu = np.array([np.interp(ensemble.energy, toy_set.energy, row) for row in toy_set.mu])
    found = ensemble.survey(mu[:, None])
    likely = probabilities(ensemble.outputs(mu)[..., -25:])
    assert np.abs(likely @ CENTRES - toy_set.shell).mean() < 0.08
    assert set(found.heads) == {"first_shell"}
    true, far = (beyond(likely, CENTRES, toy_set.shell + off, 0.1) for off in (0.0, 0.4))
    assert true.mean() < 0.6 < far.mean()
    np.testing.assert_allclose(found.others.beyond, beyond(likely, CENTRES, found.r[:, 0], 0.1))
    along = ensemble.survey(mu[:2, None], mu[2:7])
    np.testing.assert_allclose(along.r_further, found.r[2:7, 0], atol=1e-5)
    np.testing.assert_allclose(along.r, found.r[:2], atol=1e-5)
    assert len(along.predictions) == 2
    assert found.r_further.size == 0


def test_a_stored_model_with_classes_says_the_same(toy_set, make_recipe, tmp_path):
    recipe = make_recipe(network={"classes": list(CENTRES)})
    trained = Trainer(toy_set, recipe).run()
    for offset in (0.0, 0.07):
        calibration = {"first_shell": {"offset": offset, "scale": 1.0, "floor": 0.0}}
        write_model(tmp_path, trained.network, recipe, data={}, calibration=calibration)
        stored = Ensemble.load(tmp_path)
        mu = np.zeros((2, 1, 60))
        found, likely = stored.survey(mu), probabilities(stored.outputs(mu[:, 0])[..., -25:])
        # the distance is corrected, and so are the classes: what is said of both stays
        wanted = beyond(likely, CENTRES + offset, found.r[:, 0], 0.1)
        np.testing.assert_allclose(found.others.beyond, wanted)
    again = stored_recipe(stored.model.description, tmp_path)
    assert again.architecture() == recipe.architecture()


def test_what_is_unknown_of_one_spectrum_does_not_count_for_the_others(toy_set, make_recipe):
    trainer = Trainer(toy_set, make_recipe(network={"classes": list(CENTRES)}))
    target = trainer.target[:4].expand(3, -1, -1).clone()
    said = torch.zeros_like(target)
    known = trainer.loss(said, target)
    target[:, 2:] = torch.nan
    some = trainer.loss(said, target)
    assert torch.isfinite(some).all()
    own = cross_entropy(said[..., -25:], target[..., -25:]).mean(dim=1)
    assert (own > 0).all()
    assert (some < known).all()


def test_an_element_there_is_not_is_refused(make_recipe):
    with pytest.raises(ConfigurationError, match="no element BR"):
        make_recipe(data={"ligands": {"BR": 2.0, "I": 2.0}})


def test_without_classes_nothing_is_said(toy_set, make_recipe):
    recipe = make_recipe()
    ensemble = Ensemble.in_memory(Trainer(toy_set, recipe).network.eval(), recipe)
    assert ensemble.survey(np.zeros((1, 1, 60))).others is None
    assert Architecture().n_total == 50
