"""What a recipe makes of what it is told."""

import pytest

from xanes_live.ensemble.augment import Augmentation
from xanes_live.ensemble.recipe import MeasuredSection, near_the_edge, stored_recipe
from xanes_live.ensemble.save import recipe_as_stored
from xanes_live.errors import ConfigurationError

COPPER = {"element": "Cu", "energy_start": 8979.0, "energy_stop": 9029.0}


def test_a_pivot_off_the_energies_is_put_near_the_edge(make_recipe):
    recipe = make_recipe(model=COPPER, measured={"path": "m.npz"})
    assert recipe.augmentation.pivot == pytest.approx(8987.0)  # 16 % of the way
    assert recipe.measured.augmentation.pivot == pytest.approx(8987.0)
    assert recipe.measured.augmentation.shift_sd == 0.7  # the rest is as it was


def test_a_pivot_among_the_energies_stays(make_recipe):
    assert make_recipe(model=COPPER, augmentation={"pivot": 9020.0}).augmentation.pivot == 9020.0
    assert make_recipe().augmentation.pivot == 7120.0


def test_a_fermi_energy_off_the_energies_pulls_nothing_away(make_recipe):
    copper = make_recipe(model=COPPER, augmentation={"fermi_pull": 0.5})
    assert copper.augmentation.fermi == pytest.approx(8982.75)  # not iron's 7116 eV
    assert make_recipe(augmentation={"fermi_pull": 0.5}).augmentation.fermi == 7116.0


def test_measured_spectra_mixed_in_later_are_varied_about_their_own_edge(make_recipe):
    later = make_recipe(model=COPPER).model_copy(update={"measured": MeasuredSection(path="m.npz")})
    assert later.measured.augmentation.pivot == 7120.0
    assert near_the_edge(later).measured.augmentation.pivot == pytest.approx(8987.0)


@pytest.mark.parametrize("name", ["fermi_pull", "far_fwhm_min", "far_fwhm_max"])
def test_measured_spectra_have_no_fermi_energy_to_be_changed_by(make_recipe, name):
    with pytest.raises(ConfigurationError, match="of computed spectra alone"):
        make_recipe(measured={"path": "m.npz", "augmentation": {name: 0.5}})
    assert getattr(Augmentation(), name) == 0.0


def test_a_stored_recipe_is_read_beside_its_model(make_recipe, tmp_path):
    recipe = make_recipe(discrepancy={"path": "/far/away/d.npz"}, measured={"path": "/far/m.npz"})
    again = stored_recipe({"recipe": recipe_as_stored(recipe)}, tmp_path)
    assert again.discrepancy.path == tmp_path / "d.npz"
    assert again.measured.path == tmp_path / "m.npz"
    assert again.training == recipe.training


def test_a_model_without_a_recipe_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="no recipe"):
        stored_recipe({}, tmp_path)


@pytest.mark.parametrize(
    ("section", "values", "word"),
    [
        ("model", {"energy_stop": 7000.0}, "not above"),
        ("model", {"element": "Ni"}, "not of the K edge of Ni"),
        ("model", {"element": "Qq"}, "Qq"),
        ("model", {"id": "../x y"}, "id"),
        ("model", {"element": "fe"}, "element: 'fe' is written Fe"),
        ("model", {"edge": " k"}, "edge: ' k' is written K"),
        ("training", {"members": 1}, "members"),
        ("network", {"heads": ["first_shell_error", "soft"]}, "needs the head first_shell"),
        ("descriptor", {"size": 1}, "G2 grid"),
        ("descriptor", {"r_min": 5.5}, "G2 grid"),
        ("descriptor", {"r_c": 0.0}, "r_c"),
        ("data", {"weights": {"tmqm": -1.0}}, "tmqm"),
        ("network", {"kernel": 0}, "at least 1"),
        ("network", {"stride": 0}, "at least 1"),
        ("network", {"channels": [0, 2]}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make_recipe, section, values, word):
    with pytest.raises(ConfigurationError, match=word):
        make_recipe(**{section: values}).architecture()
