"""Everything that can go wrong with scans, one after the other under one name: no defect shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import factories, measured, spoil
from tests.hostile import test_reduction as mangling
from xanes_live.config import Config
from xanes_live.demo import samples
from xanes_live.domain import Channels, Mode, Scan
from xanes_live.pipeline import process
from xanes_live.publish.document import node
from xanes_live.service.history import History
from xanes_live.service.repeats import joined


class Predictor(factories.Predictor):
    def predict(self, mu):
        assert np.isfinite(mu).all()
        return super().predict(mu)


WAYS = [
    getattr(mangling, name)
    for name in [
        "cut",
        "noisy",
        "spiked",
        "shifted",
        "thinned",
        "scaled",
        "tilted",
        "rounded",
        "twice",
        "holed",
    ]
]


def judged(scans):
    """Take scans through everything and return what was said of repeats; defects are raised."""
    config, predictor = Config(), Predictor()
    history = History(config.confidence)
    said = []
    for number, scan in enumerate(scans):
        taken = replace(scan, uid=f"u{number}", scan_id=number, sample="x", time=1e9 + number)
        result = process(taken, {("Fe", "K"): predictor}, config)
        repeats = history._add(result, predictor)
        document = node(joined(result, repeats), config, repeats)
        said.append(document.metadata["repeats"])
    return said


def test_spoiled_scans_of_one_name():
    iron = [samples.load(key) for key in ("fe2o3", "goethite", "fe_foil")]
    scans = [way(sample) for sample in iron for way in (spoil.good, *spoil.WAYS.values())]
    assert any(judged(scans))


@pytest.mark.parametrize("seed", range(3))
def test_mangled_scans_of_one_name(seed):
    rng = np.random.default_rng(seed)
    spectra = [s for s in measured.spectra() if s.scan.element == "Fe"]
    scans = []
    for _ in range(20):
        s = spectra[rng.integers(len(spectra))]
        e, mu = s.energy, s.mu
        for way in rng.choice(len(WAYS), rng.integers(0, 3)):
            if e.size > 2:
                e, mu = WAYS[way](rng, e, mu)
        sweeps = (Channels(energy=e, mu=mu),) * int(rng.integers(1, 4))
        scans.append(Scan(uid="", sweeps=sweeps, element="Fe", edge="K", mode=Mode.GIVEN))
    judged(scans)
