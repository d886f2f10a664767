"""Spectrum → NormalisedSpectrum: larch's numbers, the announced edge, and honest flags."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tests import factories, measured
from xanes_live.config import BeamlineConfig, ReductionConfig
from xanes_live.domain import Mode, NormalisedSpectrum, Severity, Spectrum, Unusable
from xanes_live.edges import edge_energy
from xanes_live.reduction import normalise, pre_edge, spectra_from_scan
from xanes_live.reduction.edge import find_e0
from xanes_live.reduction.locate import locate_edge, rise_at
from xanes_live.reduction.steady import steadied
from xanes_live.reduction.uncertainty import edge_step_error, post_edge_error, step_noise

CONFIG = ReductionConfig()


def spectrum_of(energy, mu, element="Fe", edge="K", **changes) -> Spectrum:
    fields = {"mode": Mode.GIVEN, "noise": 1e-4} | changes
    return Spectrum(energy=energy, mu=mu, element=element, edge=edge, **fields)


def of(s: measured.Measured, **changes) -> Spectrum:
    return spectrum_of(s.energy, s.mu, s.scan.element, s.scan.edge, **changes)


def one(spectrum, config=CONFIG):
    (result,) = normalise([spectrum], config)
    return result


def codes(result):
    return [flag.code for flag in result.flags]


# -- numbers -------------------------------------------------------------------------------------


def test_the_whole_reduction_of_measured_files_gives_larch_s_numbers():
    for s in measured.spectra():
        (spectrum,) = spectra_from_scan(s.scan, BeamlineConfig(), CONFIG)
        result = one(spectrum)
        theirs = measured.larch_pre_edge(spectrum.energy, spectrum.mu)
        assert isinstance(result, NormalisedSpectrum), s.name
        assert result.e0 == pytest.approx(theirs.e0, abs=1e-6), s.name
        assert result.edge_step == pytest.approx(theirs.edge_step, rel=1e-6), s.name
        np.testing.assert_allclose(result.flattened, theirs.flat, atol=1e-6, err_msg=s.name)
        assert result.ranges["norm2"] == pytest.approx(theirs.pre_edge_details.norm2)


def test_configured_parameters_are_used_and_published():
    s = measured.spectrum("Fe2O3")
    parameters = {"e0": 7125.0, "pre1": -150.0, "pre2": -30.0, "norm1": 100.0, "norm2": 700.0,
                  "nnorm": 1, "nvict": 1}  # fmt: skip
    result = one(of(s), ReductionConfig(**parameters))
    theirs = measured.larch_pre_edge(s.energy, s.mu, **parameters)
    assert result.e0 == 7125.0
    assert result.edge_step == pytest.approx(theirs.edge_step, rel=1e-6)
    del parameters["e0"]
    assert result.ranges == pytest.approx(parameters)


def test_order_is_kept_and_grids_may_differ():
    s = [measured.spectrum(n) for n in ("Fe2O3", "FeS2_rt", "Fe_Foil", "FeO_rt")]
    mixed = [of(s[0]), of(s[1]), replace(of(s[0]), mu=2 * s[0].mu, index=2), of(s[2]),
             spectrum_of(s[3].energy, np.ones(s[3].energy.size)), of(s[3])]  # fmt: skip
    results = normalise(mixed, CONFIG)
    assert [isinstance(r, Unusable) for r in results] == [False] * 4 + [True, False]
    for spectrum, result in zip(mixed, results, strict=True):
        if isinstance(result, NormalisedSpectrum):
            assert result.spectrum is spectrum
            alone = one(spectrum)
            assert result.e0 == alone.e0
            np.testing.assert_allclose(result.normalised, alone.normalised, rtol=1e-9, atol=1e-12)
    assert normalise([], CONFIG) == ()


# -- the announced edge --------------------------------------------------------------------------


def test_every_measured_edge_is_found_and_is_the_announced_one():
    for s in measured.spectra():
        result = one(of(s))
        assert isinstance(result, NormalisedSpectrum), s.name
        assert "edge_far" not in codes(result), s.name
        assert -4.0 < result.e0 - edge_energy(s.scan.element, s.scan.edge) < 21.0, s.name


@pytest.mark.parametrize("labelled", ["Fe", "Cr", "Co", "Cu", "Zn"])
@pytest.mark.parametrize("name", ["Mn2O3", "MnO_rt", "Fe2O3", "Cu_Foil", "Ni2O3", "V2O5"])
def test_a_scan_of_another_element_is_called_that(name, labelled):
    s = measured.spectrum(name)
    if s.scan.element == labelled:
        return
    wrong = replace(of(s), element=labelled)
    result = one(wrong)
    assert isinstance(result, Unusable)
    (flag,) = (f for f in result.flags if f.severity is Severity.ERROR)
    assert flag.code == "wrong_edge"
    assert f"{s.scan.element} {s.scan.edge}" in flag.message


def test_a_small_announced_edge_is_found_beside_a_larger_one_of_another_element():
    """Mn and Fe in one long scan, announced as iron."""
    x = np.arange(6400.0, 7400.0, 1.0)
    mn = 3.0 * factories.white_line(x, 6545.0)
    fe = 0.2 * factories.white_line(x, 7118.0)
    result = one(spectrum_of(x, mn + fe))
    assert isinstance(result, NormalisedSpectrum)
    assert result.e0 == pytest.approx(7118.0, abs=2.0)
    assert result.edge_step == pytest.approx(0.2, rel=0.1)
    without = one(spectrum_of(x, mn))
    assert codes(without) == ["wrong_edge"]
    assert "Mn K" in without.flags[0].message


def test_an_edge_off_the_usual_scale_is_used_with_a_warning():
    s = measured.spectrum("FeO_rt")
    for shift in (-18.0, 15.0):
        result = one(replace(of(s), energy=s.energy + shift))
        assert codes(result) == ["edge_far", "energy_scale_off"]
        assert result.e0 == pytest.approx(one(of(s)).e0 + shift, abs=0.6)


def test_an_edge_is_far_from_the_table_whatever_was_announced():
    """Plans announce the e0 of an oxide, Athena's files the e0 that was found."""
    metal = of(measured.spectrum("Fe_Foil"), e0_announced=7124.0)
    assert codes(one(metal)) == []
    oxide = of(measured.spectrum("FeO_rt"))
    off = replace(oxide, energy=oxide.energy - 18.0, e0_announced=one(oxide).e0 - 18.0)
    (flag,) = (flag for flag in one(off).flags if flag.code == "edge_far")
    assert f"{one(off).e0 - 7112.0:+.1f} eV" in flag.message


def test_an_announced_energy_is_looked_for_where_the_table_has_none():
    energy = factories.energies(e0=3000.0)
    mu = factories.white_line(energy, 3000.0)
    result = one(spectrum_of(energy, mu, element="X", edge="", e0_announced=3000.0))
    assert result.e0 == pytest.approx(3000.0, abs=1.0)


@pytest.mark.parametrize("seed", range(20))
def test_no_edge_in_what_has_none(seed):
    rng = np.random.default_rng(seed)
    energy = np.sort(rng.uniform(6950.0, 7400.0, 300))
    background = rng.uniform(-1, 1) * ((energy - 7100.0) / 300.0) + (energy / 7100.0) ** -3
    noise = rng.choice([1e-4, 1e-2, 0.3]) * rng.standard_normal(energy.size)
    result = one(spectrum_of(energy, background + noise))
    assert isinstance(result, Unusable)
    assert codes(result) == ["no_edge"]


def test_constant_mu_has_no_edge():
    energy = factories.energies()
    assert codes(one(spectrum_of(energy, np.full(energy.size, 0.4)))) == ["no_edge"]


def test_a_falling_edge_is_told_with_its_step():
    s = measured.spectrum("Fe2O3")
    result = one(of(s, noise=None))
    upside_down = one(replace(of(s), mu=-s.mu))
    assert isinstance(result, NormalisedSpectrum)
    assert codes(upside_down) == ["negative_edge_step"]
    assert "-" in upside_down.flags[0].message


@pytest.mark.parametrize("begins", [3.0, 6.0, 9.0, 12.0])
def test_a_scan_begun_on_the_white_line_does_not_fall_but_begins_too_late(begins):
    x = np.arange(begins, 250.0, 0.5)
    rise = 0.3 / (1.0 + np.exp(-(x - 14.0)))  # the scan's only rise
    mu = 1.0 + rise + 2.0 * np.exp(-0.5 * ((x - 16.0) / 5.0) ** 2) - 2e-3 * x
    result = one(spectrum_of(x + 7112.0, mu))
    assert isinstance(result, Unusable)
    assert codes(result) == ["too_short"]
    assert "begins" in result.flags[0].message


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_noise_does_not_hide_the_edge(noise):
    rng = np.random.default_rng(0)
    for s in measured.spectra():
        step = float(pre_edge(s.energy, s.mu).edge_step)
        mu = s.mu + noise * step * rng.standard_normal(s.mu.size)
        result = one(replace(of(s), mu=mu, noise=noise * step))
        assert isinstance(result, NormalisedSpectrum), s.name
        assert ("noisy" in codes(result)) == (noise > 0.02), s.name


def test_a_step_is_measured_in_height_and_sign():
    energy = np.arange(7000.0, 7300.0, 1.0)
    mu = 0.7 * (0.5 + np.arctan((energy - 7112.0) / 1.5) / np.pi) - 1e-3 * (energy - 7000.0)
    found = rise_at(energy, mu, 7112.0)
    assert found.step == pytest.approx(0.7, rel=0.02)
    assert found.significance > 20
    assert rise_at(energy, -mu, 7112.0).step == pytest.approx(-0.7, rel=0.02)
    assert rise_at(energy, mu, 7299.5).significance == 0.0
    assert np.isnan(locate_edge(energy, mu, 7112.0, "Cu", "K").e0)


# -- ranges --------------------------------------------------------------------------------------


def cut(s, low, high):
    e0 = float(pre_edge(s.energy, s.mu).e0)
    keep = (s.energy >= e0 + low) & (s.energy <= e0 + high)
    return replace(of(s), energy=s.energy[keep], mu=s.mu[keep])


def test_full_scans_are_not_flagged():
    for name in ("Fe2O3", "FeS2_rt", "FeO_rt", "Fe3O4", "CuO", "Ni2O3"):
        assert codes(one(of(measured.spectrum(name)))) == [], name


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-100, 800, []),
        (-60, 150, []),
        (-60, 90, ["short_post_edge"]),
        (-60, 48, ["short_post_edge"]),
        (-60, 43, ["short_post_edge"]),
        (-60, 39, ["short_post_edge"]),
        (-60, 25, ["short_post_edge"]),
        (-20, 150, ["short_pre_edge"]),
        (-8, 150, ["short_pre_edge"]),
        (-60, 15, ["too_short"]),
        (-60, 8, ["too_short"]),
        (-1, 150, ["too_short"]),
    ],
)
def test_short_ranges_are_flagged_or_refused(low, high, expected):
    for name in ("Fe2O3", "FeS2_rt", "FeO_rt"):
        result = one(cut(measured.spectrum(name), low, high))
        assert codes(result) == expected, name
        assert isinstance(result, Unusable) == ("too_short" in expected)


@pytest.mark.parametrize("name", ["Fe2O3", "FeO_rt", "Fe3O4"])
def test_a_scan_that_stops_on_the_edge_is_too_short_and_not_without_one(name):
    s = measured.spectrum(name)
    for end in (5.0, 10.0, 13.0):
        kept = s.energy < 7112.0 + end
        result = one(spectrum_of(s.energy[kept], s.mu[kept]))
        assert codes(result) == ["too_short"], end


@pytest.mark.parametrize("name", ["Fe2O3", "FeO_rt", "Fe_Foil"])
def test_an_edge_narrower_than_the_steps_is_not_said_to_be_absent(name):
    s = measured.spectrum(name)
    seen = []
    for start in np.arange(7050.0, 7062.0, 1.0):
        energy = np.arange(start, 7240.0, 15.0)
        seen += codes(one(spectrum_of(energy, np.interp(energy, s.energy, s.mu))))
    assert "no_edge" not in seen
    assert "too_few_points" in seen


@pytest.mark.parametrize("name", ["Fe2O3", "FeO_rt", "FeS2_rt"])
def test_an_edge_of_few_points_is_not_said_to_be_absent(name):
    s = measured.spectrum(name)
    kept = np.linspace(0, s.energy.size - 1, 30).astype(int)
    found = codes(one(spectrum_of(s.energy[kept], s.mu[kept])))
    assert set(found) & {"coarse_grid", "short_pre_edge"}
    assert "no_edge" not in found


@pytest.mark.parametrize("name", ["FeS2_rt", "FeO_rt", "Ni2O3"])
def test_an_edge_in_a_short_scan_is_not_said_to_be_absent(name):
    s = measured.spectrum(name)
    x = s.energy - edge_energy(s.scan.element, s.scan.edge)
    kept = (x > -15.0) & (x < 35.0)
    found = codes(one(spectrum_of(s.energy[kept], s.mu[kept], s.scan.element)))
    assert set(found) & {"short_pre_edge", "too_short"}
    assert "no_edge" not in found


def test_noise_is_never_told_to_be_what_is_wanted():
    s = measured.spectrum("Fe2O3")
    step = float(pre_edge(s.energy, s.mu).edge_step)
    (flag,) = (f for f in one(of(s, noise=0.02003 * step)).flags if f.code == "noisy")
    assert "2.1 %" in flag.message
    assert "2 times the counts would bring it to 2 %" in flag.remedy


def test_a_scan_that_stops_before_the_edge_is_too_short_not_of_another_element():
    s = measured.spectrum("Fe2O3")
    result = one(cut(s, -200, -30))
    assert codes(result) == ["too_short"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-200, -50, r"the scan ends \d+ eV below the edge"),
        (-60, 15, r"the scan ends 1\d eV above the edge"),
        (-2, 150, r"the scan begins \d eV below the edge"),
        (20, 150, r"the scan begins \d+ eV above the edge"),
    ],
)
def test_a_scan_that_is_too_short_is_told_where_it_begins_or_ends(low, high, said):
    result = one(cut(measured.spectrum("Fe_Foil"), low, high))
    assert codes(result) == ["too_short"]
    assert re.search(said, result.flags[0].message), result.flags[0].message


@pytest.mark.parametrize("high", [30, 48, 60, 90, 120, 160, 250])
def test_the_uncertainty_of_the_step_is_that_of_cutting_real_scans(high):
    """On spectra of the test set: at least two thirds within 1.5 σ, and σ not absurdly wide."""
    pulls = []
    for s in measured.spectra():
        whole = pre_edge(s.energy, s.mu)
        if s.energy[-1] - float(whole.e0) < 400.0:
            continue
        result = one(cut(s, -100, high))
        assert isinstance(result, NormalisedSpectrum)
        error = result.edge_step / float(whole.edge_step) - 1.0
        pulls.append(abs(error) / (result.edge_step_sigma / result.edge_step))
    assert len(pulls) >= 10
    assert np.mean(np.array(pulls) < 1.5) >= 0.66
    assert np.median(pulls) > 0.1


@pytest.mark.parametrize(
    ("low", "high", "asked", "which"),
    [
        (-100, 58, {"norm1": 150.0}, "post-edge"),
        (-100, 155, {"norm1": 150.0, "norm2": 400.0, "nnorm": 1}, "post-edge"),
        (-10, 200, {"pre2": -50.0}, "pre-edge"),
        (-10, 200, {"pre2": -30.0}, "pre-edge"),
        (-10, 200, {"pre1": -150.0, "pre2": -30.0}, "pre-edge"),
    ],
)
def test_a_configured_range_that_the_scan_does_not_hold_is_replaced(low, high, asked, which):
    given = [(key, value) for key, value in asked.items() if key != "nnorm"]
    for name in ("Fe2O3", "FeS2_rt", "FeO_rt"):
        scan = cut(measured.spectrum(name), low, high)
        usual = one(scan, ReductionConfig(nnorm=asked.get("nnorm")))
        result = one(scan, ReductionConfig(**asked))
        assert result.edge_step == usual.edge_step
        assert result.edge_step_sigma == usual.edge_step_sigma
        assert result.ranges == usual.ranges
        told = [flag for flag in result.flags if flag.code == "range_replaced"]
        assert codes(usual) == [code for code in codes(result) if code != "range_replaced"]
        assert which in told[0].message
        assert all(f"{key} = {value:g}" in told[0].message for key, value in given)


def test_a_range_told_is_one_that_holds_data():
    scan = cut(measured.spectrum("Fe2O3"), -10, 58)
    result = one(scan, ReductionConfig(pre2=-30.0, norm1=150.0))
    assert codes(result) == ["short_pre_edge", "short_post_edge", *["range_replaced"] * 2]
    assert "only 10 eV" in result.flags[0].message
    assert "only 55 eV" in result.flags[1].message
    # larch calls the end of a range 300 eV, exchanged for its beginning, where data end at 120 eV
    exchanged = ReductionConfig(norm1=300.0, norm2=50.0, nnorm=1)
    result = one(cut(measured.spectrum("Fe2O3"), -100, 120), exchanged)
    assert result.ranges["norm2"] == pytest.approx(120.0, abs=5.0)


@pytest.mark.parametrize(
    "asked",
    [
        {"norm1": 50.0, "norm2": 600.0},
        {"norm1": 50.0},
        {"norm2": 600.0},
        {"pre1": -150.0, "pre2": -30.0},
        {"norm1": 20.0, "norm2": 24.0},
    ],
)
def test_a_configured_range_cut_short_by_the_data_is_larch_s(asked):
    scan = cut(measured.spectrum("Fe2O3"), -100, 160)
    result = one(scan, ReductionConfig(**asked))
    theirs = measured.larch_pre_edge(scan.energy, scan.mu, **asked)
    assert result.edge_step == pytest.approx(theirs.edge_step, rel=1e-6)
    assert "range_replaced" not in codes(result)


def test_sweeps_of_one_grid_may_hold_a_range_or_not():
    """Which of them do hangs on where each has its edge."""
    s = measured.spectrum("Fe2O3")
    scan = cut(s, -100, 130)
    later = replace(scan, mu=np.interp(scan.energy - 10.0, s.energy, s.mu), index=1)
    config = ReductionConfig(norm1=93.0)
    together = normalise([scan, later, scan], config)
    assert ["range_replaced" in codes(result) for result in together] == [False, True, False]
    for spectrum, result in zip((scan, later, scan), together, strict=True):
        assert result.edge_step == pytest.approx(one(spectrum, config).edge_step, rel=1e-9)


def test_the_percentage_told_is_the_error_of_the_range():
    result = one(cut(measured.spectrum("Fe2O3"), -100, 60))
    (flag,) = result.flags
    expected = 100.0 * post_edge_error(result.ranges["norm2"], int(result.ranges["nnorm"]))
    assert f"{expected:.0f} %" in flag.message


@pytest.mark.parametrize("degree", [1, 2])
def test_noise_does_to_the_edge_step_what_is_said(degree):
    x = np.concatenate([np.arange(-100.0, -20.0, 5.0), np.arange(-20.0, 200.0, 1.0)])
    energy = 7120.0 + x
    mu = 0.1 + 0.5 * (1.0 + np.tanh(x / 2.0))
    noisy = mu + 0.02 * np.random.default_rng(0).standard_normal((400, x.size))
    ranges = {"pre1": -100.0, "pre2": -30.0, "norm1": 25.0, "norm2": 199.0, "nnorm": degree}
    found = pre_edge(energy, noisy, e0=np.full(400, 7120.0), **ranges)
    assert step_noise(x, ranges, 0.02) == pytest.approx(float(np.std(found.edge_step)), rel=0.15)


@pytest.mark.parametrize("degree", range(6))
@pytest.mark.parametrize("points", [1, 2, 7, 300])
def test_noise_of_the_edge_step_is_what_least_squares_say(degree, points):
    x = np.concatenate((np.linspace(-150.0, -40.0, 30), np.geomspace(30.0, 700.0, points)))
    ranges = {"pre1": -150.0, "pre2": -40.0, "norm1": 30.0, "norm2": 700.0, "nnorm": degree}
    variance = 0.0
    for part, terms in ((x[:30], 2), (x[30:], min(degree + 1, points))):
        inverse = np.linalg.pinv(np.polynomial.legendre.legvander(part / 700.0, terms - 1))
        at_edge = np.polynomial.legendre.legvander(np.zeros(1), terms - 1)
        variance += float(((at_edge @ inverse) ** 2).sum())
    assert step_noise(x, ranges, 0.01) == pytest.approx(0.01 * np.sqrt(variance), rel=1e-6)


def test_the_step_error_grows_with_noise_and_shrinks_with_range():
    assert edge_step_error(100, 400, 2, 0.0) < edge_step_error(100, 400, 2, 0.05)
    errors = [post_edge_error(reach, 1) for reach in (30, 60, 100, 150, 250)]
    assert errors == sorted(errors, reverse=True)


def test_coarse_grids_near_the_edge_are_flagged():
    s = measured.spectrum("Fe2O3")
    keep = np.ones(s.energy.size, dtype=bool)
    e0 = float(pre_edge(s.energy, s.mu).e0)
    keep[(s.energy > e0 + 4.0) & (s.energy < e0 + 8.0)] = False
    result = one(replace(of(s), energy=s.energy[keep], mu=s.mu[keep]))
    assert codes(result) == ["coarse_grid"]
    assert "4." in result.flags[0].message


def test_small_steps_are_flagged_where_the_scale_is_known():
    s = measured.spectrum("Fe2O3")
    thin = replace(of(s), mu=0.01 * s.mu, noise=1e-6)
    assert codes(one(thin)) == []
    assert codes(one(replace(thin, mode=Mode.TRANSMISSION))) == ["small_edge_step"]
    assert codes(one(replace(thin, mode=Mode.FLUORESCENCE))) == []
    on_background = replace(thin, mode=Mode.FLUORESCENCE, mu=thin.mu + 3.0)
    assert codes(one(on_background)) == ["small_edge_step"]


# -- noise ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_noise_on_fine_steps_moves_e0_off_no_edge(share):
    """With steps as at LUCIA the steepest point may be 13 eV too early, far from the table."""
    s = measured.spectrum("Hedenbergite")
    parts = ((7040.0, 7104.0, 2.0), (7104.0, 7117.0, 0.05), (7117.0, 7145.0, 0.3))
    x = np.concatenate([np.arange(*part) for part in (*parts, (7145.0, 7280.0, 1.0))])
    clean = spectrum_of(x, np.interp(x, s.energy, s.mu))
    noise = share * one(clean).edge_step
    for seed in range(20):
        scatter = noise * np.random.default_rng(seed).standard_normal(x.size)
        result = one(replace(clean, mu=clean.mu + scatter, noise=noise))
        assert "edge_far" not in codes(result)
        assert result.e0 == pytest.approx(one(clean).e0, abs=7.0)


def test_e0_of_clean_spectra_stays_where_larch_has_it():
    for s in measured.spectra():
        e0 = find_e0(s.energy, s.mu)
        assert steadied(s.energy, s.mu[None], e0[None]) == e0, s.name


def test_steadying_takes_many_spectra_and_leaves_alone_what_has_no_edge():
    s = measured.spectrum("Gillepsite")
    at = float(find_e0(s.energy, s.mu))
    rows = np.stack([s.mu, s.mu, np.zeros(s.mu.size)])
    found = steadied(s.energy, rows, np.array([at, at - 15.0, np.nan]))
    assert found[0] == at
    assert found[1] == pytest.approx(at, abs=2.5)
    assert np.isnan(found[2])


def test_whether_steps_are_coarse_does_not_hang_on_chemistry_or_noise():
    """One grid, the same word: e0 of the metal is 14 eV below that of an oxide."""
    s = [measured.spectrum(name) for name in ("Fe_Foil", "Fe2O3", "FeS2_rt", "Fe3O4")]
    for fine_from, fine_to in ((-10.0, 25.0), (-6.0, 22.0), (-30.0, 10.0), (5.0, 40.0)):
        x = np.concatenate([np.arange(-80.0, fine_from, 5.0), np.arange(fine_from, fine_to, 0.5),
                            np.arange(fine_to, 200.0, 2.0)]) + 7112.0  # fmt: skip
        told = {"coarse_grid" in codes(one(spectrum_of(x, np.interp(x, m.energy, m.mu))))
                for m in s}  # fmt: skip
        assert told == {fine_from > 0.0 or fine_to < 20.0}
