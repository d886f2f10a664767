"""Repeats merge to their mean, with the scatter as error."""

import dataclasses

import numpy as np
import pytest

from tests import factories
from xanes_live.config import Config
from xanes_live.dashboard.merging import _spectrum, merged
from xanes_live.dashboard.view import detail
from xanes_live.publish.document import node


def repeats(n, offset=0.1):
    found = []
    for i in range(n):
        spectrum = factories.spectrum_result(i, r=2.0 + 0.02 * i)
        curves = spectrum.normalised
        moved = dataclasses.replace(
            curves,
            normalised=curves.normalised + offset * i,
            flattened=curves.flattened + offset * i,
        )
        spectrum = dataclasses.replace(spectrum, index=0, normalised=moved)
        published = node(factories.result(spectra=(spectrum,), uid=f"u{i}"), Config())
        found.append(detail(published.key, published.metadata))
    return found


def test_mean_and_error():
    result = merged(repeats(3))
    spectrum, shell = result["spectrum"], result["first_shell"]
    np.testing.assert_allclose(
        spectrum["flattened"], factories.normalised().flattened + 0.1, atol=1e-5
    )
    np.testing.assert_allclose(spectrum["sigma"], 0.1 / np.sqrt(3), rtol=1e-3)
    assert shell["mean"] == pytest.approx(2.02)
    assert shell["spread"] == pytest.approx(0.02)
    assert "error" not in shell  # the model's own error is not in it
    assert (result["why"], result["left_out"]) == ("", 0)


def test_results_that_agree_by_accident_are_as_uncertain_as_their_noise():
    found = [{**one, "noise": 0.01, "edge_step": 1.0} for one in repeats(2, offset=0.0)]
    assert min(merged(found)["spectrum"]["sigma"]) > 0.005
    odd = [{**one, "ranges": {"pre1": -50.0, "nnorm": 1e9}} for one in found]
    assert min(merged(odd)["spectrum"]["sigma"]) > 0.005


def test_one_result_has_no_scatter():
    assert merged(repeats(1))["first_shell"]["spread"] is None


def test_results_without_spectra_are_passed_over():
    nothing = detail("k", {"status": "complete"})
    assert merged([nothing]) == {
        "spectrum": None,
        "first_shell": None,
        "why": "",
        "left_out": 0,
    }
    assert merged([nothing, *repeats(2)])["spectrum"]["count"] == 2


def test_red_ones_and_a_run_processed_again_do_not_count():
    first, second, red = repeats(3)
    twin = {**first, "key": "other", "r": 3.0}
    red = {**red, "colour": "red"}
    result = merged([first, second, red, twin])
    assert result["spectrum"]["count"] == result["first_shell"]["count"] == 2
    assert result["first_shell"]["mean"] == pytest.approx(2.01)
    assert result["left_out"] == 2
    alone = merged([red])
    assert alone["spectrum"]["count"] == 1
    assert alone["first_shell"] is None


@pytest.mark.parametrize(
    ("field", "word"), [("mode", "modes"), ("config", "configurations"), ("model_hash", "models")]
)
def test_distances_of_different_kinds_are_not_averaged(field, word):
    first, second = repeats(2)
    result = merged([first, {**second, field: "other"}])
    assert result["first_shell"] is None
    assert word in result["why"]
    assert result["spectrum"]["count"] == 2


def test_a_quiet_hung_detector_is_known_by_its_flag():
    flag = {"code": "channel_frozen", "severity": "warning", "message": "", "remedy": ""}
    (found,) = repeats(1)
    assert [f.code for f in _spectrum({**found, "flags": [flag]}).flags] == ["channel_frozen"]


def test_spectra_without_common_energies_are_not_merged():
    first, second = repeats(2)
    second["spectrum"]["energy"] = [e + 5000 for e in second["spectrum"]["energy"]]
    result = merged([first, second])
    assert result["spectrum"] is None
    assert result["first_shell"]["count"] == 2


def test_holes_and_disorder_do_no_harm():
    first, second, third = repeats(3)
    second["spectrum"]["flattened"][5] = None
    third["spectrum"]["energy"] = third["spectrum"]["energy"][::-1]
    assert merged([first, second, third])["spectrum"]["count"] == 2
