import math

import numpy as np
import pytest

from xanes_live.descriptor import (
    G2Grid,
    combine_votes,
    coordination,
    first_shell,
    g2_from_distances,
    ligand,
    shell_distance,
    shell_votes,
)

RADIUS = G2Grid().radius


@pytest.mark.parametrize(
    ("distances", "numbers", "expected"),
    [
        ([1.945] * 3 + [2.116] * 3 + [2.9], [8] * 6 + [26], 2.0305),  # hematite
        ([2.482] * 8 + [2.867] * 6, [26] * 14, 2.482),  # bcc iron: two shells
        ([2.22] * 4 + [2.378] * 4 + [3.1] * 2, [8] * 8 + [14] * 2, 2.299),  # almandine
        ([1.0, 1.9, 1.9, 2.6], [1, 7, 7, 6], 1.9),  # hydrogen does not count
        ([1.9, np.nan, 1.7], [7, 7, 7], 1.8),  # in any order, padded
        ([1.66] + [1.94] * 5 + [3.1] * 6, [7] + [6] * 11, (1.66 + 5 * 1.94) / 6),  # nitroprusside
        ([1.78] * 2 + [2.10] * 5 + [2.9] * 3, [6] * 7 + [8] * 3, 14.06 / 7),  # carbonyls, a ring
        ([1.65] + [2.15] * 5, [8] * 6, 12.4 / 6),  # ferryl
        ([1.65] + [2.30] * 5, [8] * 6, 1.65),  # a gap of 0.65 Å is one whatever stands before it
        (
            [1.99] * 3 + [2.5] * 8 + [2.7] * 3,
            [6] * 3 + [26] * 11,
            28.1 / 11,
        ),  # cementite: interstitial
        ([1.90] + [2.68] * 12, [7] + [26] * 12, 2.68),  # a nitride's corner
        ([1.74] + [2.517] * 3 + [2.683] * 8, [7] + [26] * 11, 29.015 / 11),  # Fe4N's
        (
            [1.87] * 2 + [2.50] * 4 + [2.66] * 8,
            [6] * 2 + [26] * 12,
            31.28 / 12,
        ),  # cementite's other site: twelve, not four
        ([1.90] * 4 + [2.6] * 8, [7] * 4 + [26] * 8, 1.9),  # four are a shell
        ([1.77] * 3 + [2.6] * 4, [6] * 3 + [26] * 4, 1.77),  # carbonyls of a cluster
        ([2.20] * 2 + [2.6] * 8, [16] * 2 + [26] * 8, 2.2),  # sulfur is seen
        ([1.93] * 4 + [2.28] * 2, [8] * 6, 1.93),  # Jahn–Teller: hausmannite's four and two
        ([2.36, 2.42, 2.45, 2.49, 2.52, 2.72, 2.92], [16] * 6 + [26], 2.4933),  # troilite
        ([1.96] * 2 + [2.03] * 4 + [2.45] * 8, [6] * 6 + [26] * 8, 2.0067),  # six are a shell
        ([2.47] * 6 + [2.55] * 6 + [1.9], [26] * 12 + [8], 2.51),  # oxygen in a metal
        ([2.45] * 8 + [2.68] * 4, [26] * 8 + [8] * 4, 2.45),  # a metal nearest: metals
        ([2.45] * 4 + [2.46] * 4, [26] * 4 + [14] * 4, 2.455),  # a Heusler phase: both
        ([1.6, 2.0] + [2.3] * 4, [8] * 6, 12.8 / 6),  # equal ones are not parted
        ([1.65, 2.05] + [2.40] * 5, [8] * 7, 15.7 / 7),
    ],
)
def test_known_structures(distances, numbers, expected):
    assert shell_distance(distances, numbers) == pytest.approx(expected, abs=1e-3)


def test_a_shell_does_not_grow_for_ever():
    assert shell_distance(np.arange(2.0, 4.0, 0.19), [8]) == pytest.approx(2.285)  # to 2.57
    assert coordination([2.0, 2.42, 2.84, 3.26], [8]) == 3  # four would be 1.26 Å wide
    assert coordination([2.0, 2.2, 2.4, 2.64, 2.8], [8]) == 3  # nothing stands before the rest


@pytest.mark.parametrize("seed", range(8))
def test_the_two_shells_of_a_body_centred_metal_stay_apart_when_its_atoms_move(seed):
    moved = 0.04 * np.random.default_rng(seed).standard_normal(14)
    distances = np.array([2.482] * 8 + [2.867] * 6) + moved  # the gap closes to some 0.2 Å
    assert shell_distance(distances, [26]) == pytest.approx(distances[:8].mean())
    assert coordination(distances, [26]) == 8


def test_the_eight_nearest_of_a_body_centred_metal_where_the_gap_has_all_but_closed():
    distances = [2.40, 2.45, 2.47, 2.50, 2.52, 2.55, 2.58, 2.62, 2.69, 2.75, 2.85, 2.9, 2.91, 2.97]
    assert coordination(distances, [26]) == 8
    assert coordination(distances[:12], [26]) == 12  # of twelve that is no gap


def test_twelve_displaced_neighbours_of_a_close_packed_metal_are_one_shell():
    rng = np.random.default_rng(2)
    for _ in range(20):
        distances = 2.52 + 0.04 * rng.standard_normal(12)
        assert coordination(distances, [26]) == 12
    assert coordination([1.9] * 6 + [2.05] * 3, [8]) == 9  # fewer than ten: as they are


@pytest.mark.parametrize("seed", range(6))
def test_what_is_nearest_by_chance_does_not_decide_between_kinds(seed):
    """Four silicon and four iron at 2.45 Å, displaced: always a shell of eight."""
    rng = np.random.default_rng(seed)
    r = 2.45 + 0.03 * rng.standard_normal((200, 8))
    assert (coordination(r, np.array([14] * 4 + [26] * 4)) == 8).all()


def test_no_neighbour_no_shell():
    assert np.isnan(shell_distance([np.nan], [8]))
    assert np.isnan(shell_distance([1.0], [1]))
    assert np.isnan(shell_distance(np.zeros((2, 0)), np.zeros((2, 0)))).all()


def members(r, number, count=9, spread=0.01, seed=0, heavier_second=0.0):
    rng = np.random.default_rng(seed)
    shells = r + spread * rng.standard_normal((count, 1)) * np.ones(6)
    second = np.full((count, 4), r + 1.1)
    z = np.concatenate([np.full((count, 6), number), np.full((count, 4), 26)], axis=1)
    g2 = g2_from_distances(np.concatenate([shells, second], axis=1), z)
    return g2 + heavier_second * np.exp(-48 * (RADIUS - r - 0.63) ** 2), shells.mean(axis=1)


@pytest.mark.parametrize("r", [1.9, 1.97, 2.0, 2.05, 2.15, 2.26])
def test_votes_are_the_members_own_distances(r):
    g2, truth = members(r, 8)
    votes = shell_votes(RADIUS, g2)
    np.testing.assert_allclose(votes, truth, atol=0.02)
    assert np.corrcoef(votes, truth)[0, 1] > 0.95


def test_a_stronger_second_shell_is_not_taken_for_the_first():
    # a tetrahedral site with a heavy neighbour 0.63 Å further: the highest bin is the wrong one
    g2, _ = members(2.0, 8, heavier_second=6.0)
    assert RADIUS[g2.mean(axis=0).argmax()] > 2.5
    assert combine_votes(shell_votes(RADIUS, g2))[0] == pytest.approx(2.0, abs=0.05)


def test_members_without_a_shell_have_no_vote():
    g2, _ = members(2.0, 8)
    g2[:2] = 0.0
    votes = shell_votes(RADIUS, g2)
    assert np.isnan(votes[:2]).all()
    assert np.isfinite(votes[2:]).all()
    g2[:6] = 0.0
    assert np.isnan(combine_votes(shell_votes(RADIUS, g2))[0])


def test_batch_as_one_by_one():
    g2 = np.stack([members(r, 8, seed=k)[0] for k, r in enumerate((1.9, 2.0, 2.3))])
    votes = shell_votes(RADIUS, g2)
    for one, row in zip(g2, votes, strict=True):
        np.testing.assert_array_equal(shell_votes(RADIUS, one), row)


def test_interval_by_hand():
    votes = np.array([2.0, 2.02, 2.04])
    shell = first_shell(votes, offset=0.01, scale=2.0, floor=0.03)
    assert shell.r == pytest.approx(2.03)
    assert shell.sigma == pytest.approx(0.02)
    half = math.hypot(0.03, 1.959964 * 2.0 * 0.02)
    assert (shell.low, shell.high) == pytest.approx((2.03 - half, 2.03 + half))


def test_too_few_votes_are_no_answer():
    shell = first_shell(np.array([2.0, np.nan, np.nan, np.nan]))
    assert np.isnan([shell.r, shell.sigma, shell.low, shell.high]).all()


def test_coordination():
    padded = [[2.0] * 6 + [np.nan] * 2, [2.22] * 4 + [2.378] * 4, [0.9, 1.9, 2.6] + [np.nan] * 5]
    numbers = np.array([[8] * 8, [8] * 8, [1, 8, 8] + [0] * 5])
    assert coordination(padded, numbers).tolist() == [6, 8, 1]


def test_the_commonest_element_of_the_first_shell_is_named():
    distances = [[1.9, 2.0, 2.1, 3.0, 0.98], [2.0, 2.1, np.nan, np.nan, np.nan], [np.nan] * 5]
    numbers = [[8, 7, 8, 26, 1], [8, 16, 0, 0, 0], [0] * 5]
    assert ligand(distances, numbers).tolist() == ["O", "S", ""]  # of two equals the heavier
