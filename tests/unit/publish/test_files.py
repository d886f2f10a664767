import h5py
import numpy as np
import pytest

from tests import factories
from xanes_live.config import Config
from xanes_live.publish.document import node
from xanes_live.publish.files import write_file


@pytest.mark.parametrize("n_spectra", [1, 4])
def test_the_file_holds_every_array_with_its_unit(tmp_path, n_spectra):
    published = node(factories.result(n_spectra), Config())
    path = write_file(tmp_path, published)
    assert path.name == f"{published.key}.h5"
    with h5py.File(path) as file:
        assert set(file) == set(published.arrays)
        for name, values in published.arrays.items():
            np.testing.assert_array_equal(file[name][()], values)
            assert file[name].dtype == values.dtype
        assert file["energy"].attrs["units"] == "eV"


def test_written_again_it_is_the_same_and_nothing_is_left_beside_it(tmp_path):
    published = node(factories.result(), Config())
    assert write_file(tmp_path, published) == write_file(tmp_path, published)
    assert [p.suffix for p in tmp_path.rglob("*") if p.is_file()] == [".h5"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(tmp_path, node(factories.result(), Config()))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
