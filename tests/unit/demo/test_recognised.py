"""What the simulated beamline sends is what the product takes it for."""

from __future__ import annotations

import pytest

from xanes_live.config import BeamlineConfig
from xanes_live.demo.programme import PROGRAMME
from xanes_live.demo.samples import load
from xanes_live.documents.callback import assemble
from xanes_live.documents.identify import identify
from xanes_live.domain import Mode, Scan


@pytest.mark.parametrize("entry", [e for e in PROGRAMME if e.repeats == 1], ids=lambda e: e.name)
def test_recognised(measure, entry) -> None:
    record = assemble(measure(entry))
    assert record is not None
    scan = identify(record, BeamlineConfig())
    if entry.expected.outcome == "ignored":
        assert scan is None
        return
    assert isinstance(scan, Scan)
    sample = load(entry.sample)
    assert (scan.element, scan.edge) == (sample.element, "K")
    assert len(scan.sweeps) == max(entry.expected.n_spectra, 1)
    assert abs(scan.sweeps[0].energy.mean() - sample.e0) < 150
    assert scan.sweeps[0].i0 is not None
    assert scan.sweeps[0].it is not None
    if entry.plan == "fluorescence":
        assert scan.mode is Mode.FLUORESCENCE
        assert scan.sweeps[0].fluorescence is not None
        assert len(scan.sweeps[0].fluorescence) == 4
