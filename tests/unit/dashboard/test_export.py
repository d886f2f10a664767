"""Files taken away hold the published numbers, read back by somebody else's reader."""

import csv
import io
import json

import h5py
import numpy as np
import pytest

from tests import factories
from xanes_live.config import Config
from xanes_live.dashboard import export
from xanes_live.dashboard.view import detail
from xanes_live.documents.files import read_file
from xanes_live.publish.document import declined_node, node

SAMPLES = [
    "Fe foil",
    "<script>alert(1)</script>",
    "a\nb",
    '=cmd|"x"',
    "../../etc/passwd",
    "Ω/β",
    "",
]


def made(**options):
    published = node(factories.result(**options), Config())
    return detail(published.key, published.metadata), published.metadata


def rows(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


def test_csv_holds_spectrum_and_g2():
    table = rows(export.as_csv(*made()).decode())
    energy = [float(r["energy / eV"]) for r in table]
    g2 = [float(r["g2_mean"]) for r in table if r["g2_mean"]]
    np.testing.assert_allclose(energy, factories.energies(), rtol=1e-8)
    np.testing.assert_allclose(g2, factories.prediction().mean, atol=1e-5)


@pytest.mark.parametrize("sample", SAMPLES)
def test_names_do_not_break_files(sample):
    shown, document = made(sample=sample)
    assert len(rows(export.as_csv(shown, document).decode())) == 245
    assert set(export.file_name(shown)) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    )
    assert not export.file_name(shown).startswith(".")


def test_json_is_the_document():
    shown, document = made()
    assert json.loads(export.as_json(shown, document)) == json.loads(json.dumps(document))


@pytest.mark.parametrize("sample", SAMPLES)
def test_xdi_is_read_back(tmp_path, sample):
    path = tmp_path / "out.xdi"
    path.write_bytes(export.as_xdi(*made(sample=sample)))
    (scan,) = read_file(path)
    assert (scan.element, scan.edge) == ("Fe", "K")
    np.testing.assert_allclose(scan.sweeps[0].energy, factories.energies(), rtol=1e-7)


def test_xdi_is_read_by_larch(tmp_path):
    larch = pytest.importorskip("larch.io")
    path = tmp_path / "out.xdi"
    path.write_bytes(export.as_xdi(*made()))
    group = larch.read_xdi(str(path))
    np.testing.assert_allclose(group.energy, factories.energies(), rtol=1e-7)
    assert group.attrs["element"]["symbol"] == "Fe"


def test_nexus_is_a_nexus_file():
    file = h5py.File(io.BytesIO(export.as_nexus(*made())))
    entry = file[file.attrs["default"]]
    spectrum = entry[entry.attrs["default"]]
    assert (entry.attrs["NX_class"], spectrum.attrs["NX_class"]) == ("NXentry", "NXdata")
    energy = spectrum[spectrum.attrs["axes"]]
    np.testing.assert_allclose(energy, factories.energies(), rtol=1e-8)
    assert energy.attrs["units"] == "eV"
    np.testing.assert_allclose(entry["g2/mean"], factories.prediction().mean, atol=1e-5)
    assert entry["first_shell/r"][()] == pytest.approx(1.98)
    assert json.loads(entry["process/document"][()])["raw_uid"] == factories.UID


@pytest.mark.parametrize("ending", list(export.MAKERS))
def test_a_scan_that_was_not_predicted_can_be_taken_too(ending):
    published = declined_node(factories.declined(), Config())
    shown = detail(published.key, published.metadata)
    assert export.MAKERS[ending](shown, published.metadata)


@pytest.mark.parametrize("ending", list(export.MAKERS))
def test_hostile_documents_become_files(ending):
    document = {"status": "complete", "sample": "x" * 10**6, "g2": 7, "spectrum": {"energy": "a"}}
    assert export.MAKERS[ending](detail("k", document), document)
