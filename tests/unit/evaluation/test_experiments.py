import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from xanes_live.evaluation import experiments
from xanes_live.evaluation.sections import _who_moves_more

ENERGY = np.arange(7095.0, 7180.0, 0.1)
GRID = np.linspace(7112.5, 7160.0, 475)


def spectrum(r, scale=1.0):
    x = ENERGY - 7118.0
    k = np.sqrt(np.clip(x, 0, None) * 0.2625 / scale)
    edge = 0.5 + np.arctan(x / 0.8) / np.pi
    return edge * (1.0 + 0.2 * np.sin(2 * k * r + 1.0) * np.exp(-x.clip(0) / 60))


SPECTRA = np.array([spectrum(1.9), spectrum(2.2)])


def test_shift_moves_to_higher_energies():
    moved = experiments.shifted(ENERGY, SPECTRA, GRID, 2.0)
    plain = experiments.shifted(ENERGY, SPECTRA, GRID, 0.0)
    rise = GRID[np.argmax(np.gradient(moved, axis=1), axis=1)]
    before = GRID[np.argmax(np.gradient(plain, axis=1), axis=1)]
    assert rise - before == pytest.approx([2.0, 2.0], abs=0.11)


def test_broadening_is_a_gaussian():
    expected = gaussian_filter1d(SPECTRA, 2.0 / 2.35482 / 0.1, axis=1, mode="nearest")
    found = experiments.broadened(ENERGY, SPECTRA, GRID, 2.0)
    np.testing.assert_allclose(found, experiments.shifted(ENERGY, expected, GRID, 0.0), atol=2e-3)
    plain = experiments.broadened(ENERGY, SPECTRA, GRID, 0.0)
    np.testing.assert_array_equal(plain, experiments.shifted(ENERGY, SPECTRA, GRID, 0.0))


def test_stretching_is_about_the_edge():
    assert experiments.edge_energy(ENERGY, SPECTRA) == pytest.approx([7118.0] * 2, abs=0.5)
    grown = experiments.stretched(ENERGY, SPECTRA, GRID, 1.1)
    below = GRID < 7117.0
    plain = experiments.shifted(ENERGY, SPECTRA, GRID, 0.0)
    np.testing.assert_allclose(grown[:, below], plain[:, below])


def test_only_what_is_below_the_edge_is_scaled():
    scaled = experiments.pre_edge_scaled(ENERGY, SPECTRA, GRID, 2.0)
    plain = experiments.shifted(ENERGY, SPECTRA, GRID, 0.0)
    low = GRID < 7113.0
    np.testing.assert_allclose(scaled[:, low], 2 * plain[:, low])
    np.testing.assert_allclose(scaled[:, GRID > 7116], plain[:, GRID > 7116])


def oscillation(spectra):
    """A predictor that follows Natoli's rule exactly: the best-fitting r of the model curve."""
    trial = np.linspace(1.6, 2.6, 201)
    library = experiments.shifted(ENERGY, np.array([spectrum(r) for r in trial]), GRID, 0.0)
    best = [trial[np.argmin(((library - s) ** 2).sum(axis=1))] for s in spectra]
    return np.zeros((len(spectra), 50)), np.array(best)


def test_natolis_rule_is_found_where_it_holds():
    result = experiments.natoli(oscillation, ENERGY, SPECTRA, GRID)
    assert result["found"][4] == 0.0
    slope = np.polyfit(result["factor"], result["found"], 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.2)


def test_response_is_zero_without_change():
    plain = experiments.shifted(ENERGY, SPECTRA, GRID, 0.0)
    g2, shell = experiments.response(oscillation, [plain, plain], plain)
    assert g2.shape == shell.shape == (2, 2)
    assert not g2.any()
    assert not shell.any()


@pytest.mark.parametrize(
    ("bad", "said"),
    [((0.0, 2.0, 3.0), "that are bad move more: the"), ((9.0, 0.5, 0.5), "move less here"),
     ((0.0, 2.0, 0.5), "move more for 1 of 2 changes")],
)  # fmt: skip
def test_the_note_says_which_predictions_moved_more(bad, said):
    sizes, good = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    assert said in _who_moves_more({"shift": (sizes, good, np.array(bad))})
