"""Flags in the order an operator wants them."""

from __future__ import annotations

import pytest

from tests.factories import flag
from xanes_live.domain import Severity
from xanes_live.flags import CAUSES, FLAGS, SYMPTOMS, by_importance, make


def order(*codes: str) -> list[str]:
    return [f.code for f in by_importance(tuple(flag(code) for code in codes))]


def test_errors_come_before_warnings_and_notes():
    assert order("aligned", "glitch", "no_edge") == ["no_edge", "glitch", "aligned"]


def test_equals_come_in_the_order_of_the_table_whatever_order_they_were_found_in():
    expected = ["scan_aborted", "dropout", "too_short"]
    assert order("too_short", "dropout", "scan_aborted") == expected
    assert order("dropout", "scan_aborted", "too_short") == expected


def test_the_reason_for_an_unsure_model_comes_before_that_it_is_unsure():
    assert order("ensemble_spread_large", "over_absorption")[0] == "over_absorption"
    assert order("ensemble_spread_large", "glitch")[0] == "ensemble_spread_large"
    assert order("ensemble_spread_large", "over_absorption", "dropout")[0] == "dropout"


def test_every_reason_is_a_warning():
    """An error comes first anyway, and what changes nothing is no reason."""
    assert {FLAGS[code].severity for code in CAUSES} == {Severity.WARNING}


@pytest.mark.parametrize(
    "code", ["short_pre_edge", "edge_step_unstable", "coarse_grid", "channel_invalid"]
)
def test_what_spoils_a_spectrum_comes_before_that_its_distance_is_unlikely(code):
    assert order("first_shell_unlikely", code)[0] == code


def test_what_the_model_says_keeps_its_order_and_comes_last():
    said = ["first_shell_uncertain", "novel", "sensitive_to_shift", "cyclic_residual"]
    assert order(*said, "glitch") == ["glitch", *said]
    assert order(*reversed(said)) == said[::-1]


def test_one_message_is_said_once():
    same, other = (make("small_edge_step", step=step, more="") for step in (0.01, 0.02))
    assert by_importance((same, other, same)) == (same, other)


def test_a_flag_of_another_version_comes_last_among_equals():
    from xanes_live.domain import Flag, Severity

    strange = Flag("of_the_future", Severity.WARNING, "new")
    assert by_importance((strange, flag("glitch")))[-1] == strange


@pytest.mark.parametrize("code", sorted(CAUSES | SYMPTOMS))
def test_codes_named_in_the_order_are_in_the_table(code):
    assert code in FLAGS


def test_one_thing_is_not_said_in_the_words_for_several():
    one, many = (make("glitch", count=n, energy=7101.0).message for n in (1, 31))
    assert one == "1 glitched point removed, the worst at 7101.0 eV"
    assert many == "31 glitched points removed, the worst at 7101.0 eV"
    assert make("dropout", energy=7120.1, count=1).message.endswith("for 1 point")
    said = make("scan_incomplete", points=1, announced=300).message
    assert said == "1 of 300 announced points were taken"
