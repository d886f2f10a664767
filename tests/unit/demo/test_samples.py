from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from xanes_live.demo.samples import FILES, load

DATA = resources.files("xanes_live.demo") / "data"


@pytest.mark.parametrize("key", FILES)
def test_every_sample_is_a_usable_spectrum(key: str) -> None:
    sample = load(key)
    assert np.all(np.diff(sample.energy) > 0)
    assert np.isfinite(sample.mu).all()
    assert sample.energy[0] < sample.e0 - 15 < sample.e0 + 80 < sample.energy[-1]
    assert sample.absorption.min() == pytest.approx(0.2)
    np.testing.assert_allclose(np.diff(sample.absorption), np.diff(sample.mu), atol=1e-12)


@pytest.mark.parametrize("key", FILES)
def test_fluorescence_begins_at_the_edge(key: str) -> None:
    sample = load(key)
    below = sample.energy < sample.e0 - 10
    assert sample.emission[below].max() < 0.06 * sample.emission.max()
    assert sample.emission.min() >= 0


@pytest.mark.parametrize(
    ("name", "i0", "it"), [("FeO_rt_01.xdi", 1, 2), ("Fe_Foil_rt_2016Foils.xdi", 2, 1)]
)
def test_columns_are_those_the_header_names(name: str, i0: int, it: int) -> None:
    key = next(k for k, (_, file) in FILES.items() if file == name)
    table = np.loadtxt((DATA / name).read_text().splitlines())
    np.testing.assert_allclose(load(key).mu, np.log(table[:, i0] / table[:, it]))


def test_nothing_is_shipped_that_is_not_listed_or_has_no_licence_note() -> None:
    names = {path.name for path in DATA.iterdir()}
    assert names == {file for _, file in FILES.values()} | {"LICENSE.txt"}
    assert "Public Domain" in (DATA / "LICENSE.txt").read_text()
