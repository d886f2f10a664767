from dataclasses import replace

import numpy as np
import orjson
import pytest

from tests import factories
from xanes_live.config import Config
from xanes_live.domain import Confidence, Cyclic, Evidence, FirstShell, Rival
from xanes_live.publish.document import MAX_POINTS, declined_node, located, node, representative
from xanes_live.publish.keys import result_key
from xanes_live.publish.stacks import MAX_LISTED

CONFIG = Config.model_validate(
    {"tiled": {"uri": "http://tiled.lab.org/api/v1?api_key=secret", "raw_path": "smi/raw"}}
)
GREEN, AMBER, RED = Confidence


def spectra_of(*colours):
    return tuple(factories.spectrum_result(i, colour) for i, colour in enumerate(colours))


def test_one_spectrum_is_described_completely():
    flag = factories.flag("noisy")
    spectrum = factories.spectrum_result(0, AMBER, (flag,))
    result = factories.result(spectra=(spectrum,))
    published = node(result, CONFIG)
    said, done, document = spectrum.prediction, spectrum.normalised, published.metadata
    assert published.key == result.key
    assert document["raw_uid"] == factories.UID
    assert document["raw_path"] == f"smi/raw/{factories.UID}"
    assert document["raw_uri"] == (f"http://tiled.lab.org/api/v1/metadata/smi/raw/{factories.UID}")
    wanted = {
        "status": "complete",
        "kind": "prediction",
        "scan_id": 17,
        "sample": "Fe foil",
        "element": "Fe",
        "edge": "K",
        "plan_name": "xanes",
        "time": factories.START,
        "stop_time": factories.START + 60,
        "confidence": "amber",
        "probability": 0.7,
        "flag_codes": ["noisy"],
        "config_hash": result.config_hash,
        "software": result.software,
        "e0": 7112.0,
        "edge_step": 1.1,
        "energy_shift": 0.0,
        "mode": "transmission",
        "quality": {"i0": "good", "it": "good"},
        "n_spectra": 1,
        "spectra": None,
    }
    assert {k: document[k] for k in wanted} == wanted
    assert document["flags"] == [flag.as_dict()]
    assert document["model"] == {
        "id": factories.MODEL.id,
        "version": factories.MODEL.version,
        "hash": factories.MODEL.hash,
    }
    shell = said.first_shell
    assert document["first_shell"] == {
        "r": shell.r,
        "sigma": shell.sigma,
        "low": shell.low,
        "high": shell.high,
    }
    assert [p["region"] for p in document["peaks"]] == ["near", "near"]
    np.testing.assert_allclose(document["g2"]["mean"], said.mean, atol=1e-6)
    np.testing.assert_allclose(document["g2"]["sigma"], said.sigma, atol=1e-6)
    band = document["g2"]["band95"]
    np.testing.assert_allclose(band["lower"], spectrum.assessment.lower, atol=1e-6)
    np.testing.assert_allclose(band["upper"], spectrum.assessment.upper, atol=1e-6)
    np.testing.assert_allclose(document["spectrum"]["energy"], done.energy, atol=1e-5)
    for name in ("mu", "normalised", "flattened", "pre_edge", "post_edge"):
        np.testing.assert_allclose(document["spectrum"][name], getattr(done, name), atol=1e-6)
    assert published.whole
    assert "secret" not in orjson.dumps(document).decode()


def test_another_distance_is_published_where_there_is_one():
    spectrum = factories.spectrum_result(0)
    verdict = replace(spectrum.assessment, evidence=Evidence(rival=Rival(2.35, 0.31)))
    told = factories.result(spectra=(replace(spectrum, assessment=verdict),))
    assert node(told, CONFIG).metadata["rival"] == {"r": 2.35, "probability": 0.31}
    assert node(factories.result(spectra=(spectrum,)), CONFIG).metadata["rival"] is None


def test_the_arrays_are_the_numbers_themselves():
    result = factories.result()
    published = node(result, CONFIG)
    said, done = result.spectra[0].prediction, result.spectra[0].normalised
    for name, values in {
        "radius": said.radius,
        "mean": said.mean,
        "sigma": said.sigma,
        "lower": result.spectra[0].assessment.lower,
        "upper": result.spectra[0].assessment.upper,
        "energy": done.energy,
        "normalised": done.normalised,
        "flattened": done.flattened,
    }.items():
        assert published.arrays[name].dtype == np.float64
        np.testing.assert_array_equal(published.arrays[name], values)
    assert len(published.arrays) == 8
    assert published.units["radius"] == "Å"
    assert published.units["energy"] == "eV"


def test_the_document_is_strict_json_and_small():
    text = orjson.dumps(node(factories.result(), CONFIG).metadata)
    assert b"NaN" not in text
    assert len(text) < 40_000


def test_what_is_not_a_number_becomes_null():
    spectrum = factories.spectrum_result()
    nan = float("nan")
    shell = FirstShell(nan, nan, nan, nan, np.full(8, nan))
    spectrum = replace(spectrum, prediction=replace(spectrum.prediction, first_shell=shell))
    document = node(factories.result(spectra=(spectrum,)), CONFIG).metadata
    assert document["first_shell"] == {"r": None, "sigma": None, "low": None, "high": None}


def test_a_long_spectrum_is_thinned_in_the_document_only():
    spectrum = factories.spectrum_result(n_points=2 * MAX_POINTS + 1)
    published = node(factories.result(spectra=(spectrum,)), CONFIG)
    curves = published.metadata["spectrum"]
    assert curves["stride"] == 3
    assert len(curves["energy"]) == len(curves["flattened"]) <= MAX_POINTS
    assert published.arrays["energy"].size == 2 * MAX_POINTS + 1
    assert not published.whole


def test_a_spectrum_without_prediction_says_what_it_has():
    spectrum = factories.unusable_result(0, "no_edge")
    published = node(factories.result(spectra=(spectrum,)), CONFIG)
    assert published.metadata["confidence"] == "red"
    assert published.metadata["flag_codes"] == ["no_edge"]
    assert published.metadata["g2"] is None
    assert published.metadata["first_shell"] is None
    assert published.metadata["spectrum"] is None
    assert published.arrays == {}
    only_normalised = replace(factories.spectrum_result(), prediction=None)
    published = node(factories.result(spectra=(only_normalised,)), CONFIG)
    assert set(published.arrays) == {"energy", "normalised", "flattened"}


def test_a_run_without_spectra_shows_its_flags():
    flag = factories.flag("no_edge")
    document = node(factories.result(spectra=(), flags=(flag,)), CONFIG).metadata
    assert document["confidence"] == "red"
    assert document["flags"] == [flag.as_dict()]
    assert document["flag_codes"] == ["no_edge"]


@pytest.mark.parametrize(
    ("colours", "middle"),
    [
        ((GREEN, GREEN, RED), GREEN),
        ((GREEN, AMBER, RED), AMBER),
        ((GREEN, RED), RED),
        ((RED, GREEN, GREEN, AMBER), AMBER),
        ((RED, RED, GREEN), RED),
    ],
)
def test_many_spectra_are_represented_by_the_median(colours, middle):
    chosen = representative(spectra_of(*colours))
    assert chosen.assessment.confidence is middle
    document = node(factories.result(spectra=spectra_of(*colours)), CONFIG).metadata
    assert document["confidence"] == middle.value
    assert document["spectra"]["count"] == len(colours)
    assert sum(document["spectra"]["colours"].values()) == len(colours)
    assert document["spectra"]["confidence"] == [c.value for c in colours]


def test_many_spectra_are_stacked_and_summarised():
    noisy = factories.flag("noisy")
    spectra = (
        factories.spectrum_result(0, GREEN, r=1.9),
        factories.spectrum_result(1, AMBER, (noisy,), r=2.0),
        factories.unusable_result(2, "no_edge"),
    )
    published = node(factories.result(spectra=spectra), CONFIG)
    arrays, summary = published.arrays, published.metadata["spectra"]
    assert arrays["mean"].shape == (3, 50)
    np.testing.assert_array_equal(arrays["mean"][1], spectra[1].prediction.mean)
    assert np.isnan(arrays["mean"][2]).all()
    assert np.isnan(arrays["normalised"][2]).all()
    np.testing.assert_allclose(arrays["normalised"][0], spectra[0].normalised.normalised, rtol=1e-6)
    np.testing.assert_array_equal(arrays["confidence"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["first_shell_r"][:2], [1.9, 2.0])
    assert summary["first_shell_r"] == [1.9, 2.0, None]
    assert summary["e0"] == [7112.0, 7112.0, None]
    assert summary["flag_counts"] == {"noisy": 1, "no_edge": 1}
    assert summary["described"] == 1
    assert summary["grid"].startswith("as measured")
    assert set(published.metadata["flag_codes"]) == {"noisy", "no_edge"}
    assert published.metadata["first_shell"]["r"] == 2.0
    np.testing.assert_allclose(summary["mean"][0], spectra[0].prediction.mean, atol=1e-6)
    assert summary["mean"][2] == [None] * 50
    assert published.whole


def test_sweeps_of_different_lengths_share_the_described_one_s_energies():
    spectra = (
        factories.spectrum_result(0, n_points=245),
        factories.spectrum_result(1, n_points=123),
        factories.spectrum_result(2, n_points=300),
    )
    chosen = representative(spectra)
    published = node(factories.result(spectra=spectra), CONFIG)
    grid = published.arrays["energy"]
    np.testing.assert_array_equal(grid, chosen.normalised.energy)
    assert f"spectrum {chosen.index}" in published.metadata["spectra"]["grid"]
    for spectrum in spectra:
        done = spectrum.normalised
        row = published.arrays["normalised"][spectrum.index]
        np.testing.assert_allclose(row, np.interp(grid, done.energy, done.normalised), atol=1e-6)


def test_nothing_is_extrapolated():
    short = factories.normalised(1)
    cut = slice(60, 180)
    short = replace(
        short,
        energy=short.energy[cut],
        normalised=short.normalised[cut],
        flattened=short.flattened[cut],
    )
    spectra = (
        factories.spectrum_result(0),
        replace(factories.spectrum_result(1), normalised=short),
        factories.spectrum_result(2),
    )
    spectra = tuple(
        replace(s, assessment=replace(s.assessment, probability=p))
        for s, p in zip(spectra, (0.9, 0.99, 0.5), strict=True)
    )
    published = node(factories.result(spectra=spectra), CONFIG)
    row = published.arrays["flattened"][1]
    assert np.isnan(row[:60]).all()
    assert np.isnan(row[180:]).all()
    np.testing.assert_allclose(row[cut], short.flattened, rtol=1e-6)


def test_a_run_with_very_many_spectra_keeps_its_document_small():
    one = factories.spectrum_result()
    spectra = tuple(replace(one, index=i) for i in range(MAX_LISTED + 1))
    published = node(factories.result(spectra=spectra[:1], key="k-1"), CONFIG)
    many = node(replace(factories.result(), spectra=spectra), CONFIG)
    assert not many.whole
    assert many.metadata["spectra"]["listed"] is False
    assert "first_shell_r" not in many.metadata["spectra"]
    size = len(orjson.dumps(many.metadata))
    assert size < len(orjson.dumps(published.metadata)) + 2000
    assert many.arrays["first_shell_r"].shape == (MAX_LISTED + 1,)


def test_a_declined_scan_is_published_with_its_reason():
    declined = factories.declined()
    published = declined_node(declined, CONFIG)
    assert published.key == result_key(declined.uid, None, "declined", CONFIG.hash())
    assert published.metadata["kind"] == "declined"
    assert published.metadata["status"] == "complete"
    assert published.metadata["flag_codes"] == ["no_model"]
    assert "Cu" in published.metadata["flags"][0]["message"]
    assert published.metadata["plan_name"] == "xanes"
    assert published.arrays == {}
    assert published.whole
    orjson.dumps(published.metadata)


@pytest.mark.parametrize(
    "published", [node(factories.result(), CONFIG), declined_node(factories.declined(), CONFIG)]
)
def test_a_run_that_was_read_elsewhere_names_that_place(published):
    there = located(published, "http://old.lab.org/tiled/api/v1/", ("archive", "2021", "a b"))
    assert there.metadata["raw_path"] == "archive/2021/a b"
    assert there.metadata["raw_uri"] == (
        "http://old.lab.org/tiled/api/v1/metadata/archive/2021/a%20b"
    )
    nowhere = located(published, "", ())
    assert nowhere.metadata["raw_path"] is nowhere.metadata["raw_uri"] is None
    for moved in (there, nowhere):
        assert (moved.key, moved.metadata.keys()) == (published.key, published.metadata.keys())
        assert moved.metadata["raw_uid"] == published.metadata["raw_uid"]


@pytest.mark.parametrize(("step", "published"), [(0.1, 0.4), (0.15, 0.3), (0.2, 0.4), (0.5, 0.5)])
def test_the_cyclic_residual_is_thinned_as_far_as_it_can_still_be_drawn(step, published):
    energy = 7105.0 + step * np.arange(100)
    curve = np.sin(energy)
    cyclic = Cyclic(energy, curve, 0.9 * curve, 0.1 * curve, 1.2)
    made = factories.spectrum_result(0)
    verdict = replace(made.assessment, evidence=Evidence(cyclic=cyclic))
    result = factories.result(spectra=(replace(made, assessment=verdict),))
    said = node(result, CONFIG).metadata["cyclic"]
    assert np.diff(said["energy"]) == pytest.approx(published)
    np.testing.assert_allclose(said["residual"], 0.1 * np.sin(said["energy"]), atol=1e-6)
    assert said["score"] == 1.2
