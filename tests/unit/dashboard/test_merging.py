"""Repeats merge to their mean, with the scatter as error."""

import dataclasses

import numpy as np
import pytest

from tests import factories
from xanes_live.config import Config
from xanes_live.dashboard.merging import merged
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
    assert shell["error"] == pytest.approx(0.02 / np.sqrt(3))


def test_one_result_has_no_scatter():
    assert merged(repeats(1))["first_shell"]["spread"] is None


def test_results_without_spectra_are_passed_over():
    nothing = detail("k", {"status": "complete"})
    assert merged([nothing]) == {"spectrum": None, "first_shell": None}
    assert merged([nothing, *repeats(2)])["spectrum"]["count"] == 2


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
