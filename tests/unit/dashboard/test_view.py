"""What is shown of a result is what was published, and of anything else nothing harmful."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from xanes_live.config import Config
from xanes_live.dashboard import view
from xanes_live.domain import Confidence, Drift, MergedRepeats, Outlier, Repeat, Repeats
from xanes_live.flags import make
from xanes_live.publish.document import declined_node, node

from .test_safe import JSON


def published(**options):
    return node(factories.result(**options), Config())


def test_a_row_holds_what_was_published():
    made = published(confidence=Confidence.AMBER, sample="goethite")
    row = view.summary(made.key, made.metadata)
    shell = factories.prediction().first_shell
    assert (row.key, row.raw_uid, row.scan_id) == (made.key, factories.UID, 17)
    assert (row.sample, row.element, row.edge, row.colour) == ("goethite", "Fe", "K", "amber")
    assert (row.r, row.low, row.high) == (shell.r, shell.low, shell.high)
    assert (row.e0, row.edge_step, row.n_spectra) == (factories.E0, 1.1, 1)
    assert row.time == factories.START


def test_the_selection_loses_nothing_that_a_row_needs():
    jmespath = pytest.importorskip("jmespath")
    made = published()
    selected = jmespath.search(view.SELECT, dict(made.metadata))
    assert view.summary(made.key, selected) == view.summary(made.key, made.metadata)


def test_the_curves_are_those_of_the_prediction():
    made = published()
    shown = view.detail(made.key, made.metadata)
    said, reduced = factories.prediction(), factories.normalised()
    np.testing.assert_allclose(shown["g2"]["mean"], said.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shown["g2"]["radius"], said.radius, rtol=1e-6)
    np.testing.assert_allclose(shown["spectrum"]["flattened"], reduced.flattened, atol=1e-6)
    assert len(shown["g2"]["lower"]) == said.radius.size
    assert [p["r"] for p in shown["peaks"]] == [p.r for p in said.peaks]


def test_a_run_of_many_spectra_says_something_of_each():
    made = published(n_spectra=5)
    sweeps = view.detail(made.key, made.metadata)["sweeps"]
    assert sweeps["count"] == 5
    assert len(sweeps["first_shell_r"]) == len(sweeps["colours"]) == len(sweeps["mean"]) == 5


def test_a_declined_scan_has_no_colour_but_a_reason():
    made = declined_node(factories.declined(), Config())
    shown = view.detail(made.key, made.metadata)
    assert (shown["colour"], shown["kind"], shown["g2"]) == ("", "declined", None)
    assert shown["flags"][0]["code"] == "no_model"


def test_flags_keep_their_order_and_remedy():
    flags = (make("no_edge"), make("coarse_grid", step=2.0))
    spectrum = factories.spectrum_result(0, Confidence.RED, flags)
    shown = view.detail("k", published(spectra=(spectrum,)).metadata)
    assert [f["code"] for f in shown["flags"]] == ["no_edge", "coarse_grid"]
    assert shown["flags"][0]["remedy"] == flags[0].remedy


@given(JSON)
def test_any_document_can_be_shown(document):
    json.dumps(view.detail("key", document), allow_nan=False)
    json.dumps(view.summary("key", document).row(), allow_nan=False)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *view.FIELDS,
                "flags",
                "g2",
                "spectrum",
                "spectra",
                "first_shell",
                "model",
                "peaks",
                "signals",
                "nearest",
                "cyclic",
                "sensitivity",
                "repeats",
                "novelty",
                "rival",
            ]
        ),
        JSON,
    )
)
def test_known_names_with_wrong_types_can_be_shown(document):
    text = json.dumps(view.detail("key", document), allow_nan=False)
    assert len(text) < 200_000


def test_a_curve_of_another_length_than_its_axis_is_left_out():
    shown = view.detail("k", {"g2": {"radius": [1, 2, 3], "mean": [1, 2], "sigma": [0, 0, 0]}})
    assert set(shown["g2"]) == {"radius", "sigma", "skill_to"}


def test_megabytes_do_not_pass():
    hostile = {
        "sample": "x" * 1_000_000,
        "flags": [{"code": "a", "message": "y" * 1_000_000}] * 1000,
        "g2": {"radius": list(range(200_000)), "mean": [float("nan")] * 200_000},
        "signals": {str(i): i for i in range(100_000)},
    }
    assert len(json.dumps(view.detail("k", hostile), allow_nan=False)) < 200_000


def test_times_that_cannot_be_are_none():
    assert view.moment(1e12) is None
    assert view.moment("2026") is None
    assert view.moment(factories.START) == factories.START


def test_neighbours_keep_their_distance_and_ligand():
    near = {"name": "goethite", "distance": 0.02, "r": 2.02, "ligand": "O"}
    shown = view.detail("k", {"nearest": [near, {"name": "x", "r": "2"}], "novelty": 0.4})
    assert shown["nearest"] == [
        near,
        {"name": "x", "distance": None, "r": None, "ligand": ""},
    ]
    assert shown["novelty"] == 0.4


def test_how_far_g2_has_skill_is_known_or_none():
    g2 = {"radius": [1, 2, 3], "mean": [0, 1, 0]}
    assert view.detail("k", {"g2": {**g2, "skill_to": 2.6}})["g2"]["skill_to"] == 2.6
    assert view.detail("k", {"g2": {**g2, "skill_to": "far"}})["g2"]["skill_to"] is None


def test_repeats_are_shown_as_they_were_published():
    made = factories.result()
    of = tuple(Repeat(f"uid{i}", i, 0, used=i != 1) for i in range(3))
    energy = np.linspace(7000.0, 7200.0, 50)
    shell = factories.prediction().first_shell
    merged = MergedRepeats(
        energy, np.ones(50), np.full(50, 0.01), 2, shell, 0.004, 0.896, Confidence.AMBER, ("novel",)
    )
    drift = Drift("the edge position", "eV", -0.4, 0.003, 2)
    said = Repeats(of, drift, Outlier(1, 5.0), merged, 0.01, "Take another one.")
    shown = view.detail("k", node(made, Config(), said).metadata)["repeats"]
    assert [r["used"] for r in shown["of"]] == [True, False, True]
    assert (shown["n"], shown["outlier"], shown["advice"]) == (3, 1, "Take another one.")
    assert shown["drift"] == {
        "measure": "the edge position",
        "unit": "eV",
        "change": -0.4,
        "chance": 0.003,
        "keep": 2,
    }
    np.testing.assert_allclose(shown["merged"]["energy"], energy)
    assert shown["merged"]["shell"]["r"] == shell.r
    assert shown["merged"]["probability"] == 0.896
    assert (shown["merged"]["colour"], shown["merged"]["codes"]) == ("amber", ["novel"])
    assert shown["from_first"] is True
    outgrown = dataclasses.replace(
        said, from_first=False, of=(dataclasses.replace(of[0], why="short"), *of[1:])
    )
    shown = view.detail("k", node(made, Config(), outgrown).metadata)["repeats"]
    assert shown["from_first"] is False
    assert [r["why"] for r in shown["of"]] == ["short", "", ""]
    assert view.detail("k", node(made, Config()).metadata)["repeats"] is None
