from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests import factories
from xanes_live.client.dataset import dataset
from xanes_live.client.results import Published
from xanes_live.config import Config
from xanes_live.publish.document import declined_node, node


def published(made, arrays="complete"):
    """Return a result as the client finds it, its arrays in memory."""
    children = {name: SimpleNamespace(read=lambda v=v: v) for name, v in made.arrays.items()}
    metadata = {**made.metadata, "arrays": arrays}
    return Published(made.key, metadata, {made.key: children if arrays == "complete" else {}})


def test_one_spectrum_with_units():
    made = node(factories.result(), Config())
    data = dataset(published(made))
    assert dict(data.sizes) == {"radius": 50, "energy": 245}
    assert set(data.coords) == {"radius", "energy"}
    for name in ("mean", "sigma", "lower", "upper"):
        assert data[name].dims == ("radius",)
        np.testing.assert_array_equal(data[name], made.arrays[name])
    for name in ("normalised", "flattened"):
        np.testing.assert_array_equal(data[name], made.arrays[name])
    for name in ("mu", "pre_edge", "post_edge"):
        assert data[name].dims == ("energy",)
    assert data["radius"].attrs["units"] == "Å"
    assert data["energy"].attrs["units"] == "eV"
    assert all("units" in v.attrs and "long_name" in v.attrs for v in data.variables.values())
    assert data.attrs["sample"] == "Fe foil"
    assert data.attrs["e0"] == 7112.0
    assert '"r": 1.98' in data.attrs["first_shell"]


@pytest.mark.parametrize("arrays", ["none", "writing"])
@pytest.mark.parametrize("n_spectra", [1, 3])
def test_without_arrays_the_document_gives_the_same_to_its_digits(arrays, n_spectra):
    made = node(factories.result(n_spectra), Config())
    data, full = dataset(published(made, arrays)), dataset(published(made))
    assert set(full.variables) - set(data.variables) <= {"confidence"}
    for name in data.variables:
        np.testing.assert_allclose(data[name], full[name], rtol=1e-6, atol=1e-6)
        assert data[name].dims == full[name].dims


def test_many_spectra_have_a_dimension_of_their_own():
    spectra = (factories.spectrum_result(0), factories.unusable_result(1))
    made = node(factories.result(spectra=(*spectra, factories.spectrum_result(2))), Config())
    data = dataset(published(made))
    assert data["mean"].dims == ("spectrum", "radius")
    assert data["flattened"].dims == ("spectrum", "energy")
    assert data["first_shell_r"].dims == ("spectrum",)
    assert np.isnan(data["first_shell_r"][1])
    assert data["first_shell_r"].attrs["units"] == "Å"
    np.testing.assert_array_equal(data["confidence"], [0, 2, 0])


def test_a_thinned_document_does_not_spoil_the_arrays():
    made = node(factories.result(spectra=(factories.spectrum_result(n_points=5000),)), Config())
    data = dataset(published(made))
    assert data.sizes["energy"] == 5000
    assert "mu" not in data
    assert dataset(published(made, "writing")).sizes["energy"] == 1667


def test_partial_results_give_what_there_is():
    assert dataset(published(declined_node(factories.declined(), Config()))).sizes == {}
    only = replace(factories.spectrum_result(), prediction=None)
    data = dataset(published(node(factories.result(spectra=(only,)), Config())))
    assert "flattened" in data
    assert "mean" not in data


def test_it_can_be_stored(tmp_path):
    made = node(factories.result(3), Config())
    path = tmp_path / "result.nc"
    dataset(published(made)).to_netcdf(path)
    assert path.stat().st_size > 1000
