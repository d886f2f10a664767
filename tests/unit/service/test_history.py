"""What is remembered of samples, for how long, and what a result gets of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from tests import factories, spoil
from xanes_live.confidence.examined import Examined
from xanes_live.confidence.limits import Kind
from xanes_live.confidence.odd import scatter
from xanes_live.config import ConfidenceConfig, Config
from xanes_live.demo import samples
from xanes_live.domain import Confidence, Evidence, FirstShell, Mode, Repeat, Severity
from xanes_live.publish.document import node
from xanes_live.reduction import normalise, spectra_from_scan
from xanes_live.reduction.doubt import LEARNT
from xanes_live.service import history as module
from xanes_live.service import merged as merging
from xanes_live.service import repeats as judging
from xanes_live.service.history import History
from xanes_live.service.repeats import joined
from xanes_live.service.repeats_words import Series

CONFIG = ConfidenceConfig(repeats_within_s=3600.0)


class Linear:
    """An ensemble whose first shell is the mean of μ, times a slope."""

    info = factories.MODEL
    energy = np.linspace(7100.0, 7160.0, 121)
    radius = np.linspace(0.5, 5.5, 50)
    input_form = "flattened"

    def __init__(self, slope=1.0, half=0.05):
        self.calibration = {}
        self.slope, self.half, self.batches = slope, half, []

    def predict(self, mu):
        self.batches.append(len(mu))
        said = factories.prediction()
        r = 2.0 + self.slope * (np.asarray(mu).mean(axis=1) - 0.8)
        return [
            replace(
                said, first_shell=FirstShell(v, 0.01, v - self.half, v + self.half, said.members)
            )
            for v in r
        ]


def run(number, *, at=None, sample="powder", n=1, change=0.0, noise=0.002, reduced=0.0, **scan):
    """Return the result of one run of `n` sweeps."""
    rng = np.random.default_rng(number)
    spectra = []
    for index in range(n):
        plain = factories.normalised(index)
        x = plain.energy
        shape = change * np.exp(-(((x - 7125.0) / 8.0) ** 2))
        moved = factories.white_line(x, factories.E0 - reduced * (index + 1))
        mu = moved + shape + noise * rng.standard_normal(x.size)
        source = replace(plain.spectrum, noise=1.1 * noise)
        curves = replace(plain, normalised=mu, flattened=mu, spectrum=source)
        made = factories.spectrum_result(index)
        spectra.append(replace(made, normalised=curves))
    time = 1000.0 + 60.0 * number if at is None else at
    fields = {"uid": f"run-{number}", "scan_id": number, "sample": sample, "time": time}
    return factories.result(spectra=tuple(spectra), **(fields | scan))


def uncertain(result):
    """Return the run with edge steps uncertain by 14 %, post-edges being constants up to 25 eV."""
    spectra = []
    for made in result.spectra:
        old = made.normalised
        ranges = {**old.ranges, "nnorm": 0.0, "norm2": 25.0}
        item = replace(old, ranges=ranges)
        spectra.append(replace(made, normalised=item))
    return replace(result, spectra=tuple(spectra))


def add_all(results, predictor=None, history=None):
    history = history or History(CONFIG)
    predictor = predictor or Linear()
    return [history.add(result, predictor) for result in results]


def ids(repeats):
    return [repeat.scan_id for repeat in repeats.of]


def test_a_sample_measured_once_has_no_repeats():
    assert add_all([run(1)]) == [None]


def test_runs_of_one_sample_are_merged_with_their_error():
    *_, repeats = add_all([run(i) for i in range(4)])
    assert ids(repeats) == [0, 1, 2, 3]
    assert repeats.drift is None
    assert repeats.outlier is None
    assert repeats.merged.count == 4
    assert np.median(repeats.merged.sigma) == pytest.approx(0.001, rel=0.3)
    truth = factories.white_line(repeats.merged.energy)
    assert np.abs(repeats.merged.mu - truth).max() < 0.006


def test_the_ensemble_is_asked_once():
    predictor = Linear()
    add_all([run(1), run(2)], predictor)
    assert predictor.batches == [1 + 2 * merging.PAIRS]


@pytest.mark.parametrize(
    "other",
    [
        {"sample": "another"},
        {"sample": ""},
        {"element": "Mn"},
        {"edge": "L3"},
        {"at": 1000.0 + 3700.0},
    ],
)
def test_another_sample_edge_or_day_is_no_repeat(other):
    assert add_all([run(0), run(1, **other)]) == [None, None]


def test_another_model_or_configuration_is_no_repeat():
    second = run(1)
    model = replace(second.model, hash="other")
    assert add_all([run(0), replace(second, model=model)]) == [None, None]
    assert add_all([run(0), replace(second, config_hash="other")]) == [None, None]


def test_a_series_goes_on_as_long_as_no_pause_is_too_long():
    times = [0.0, 3000.0, 6000.0, 12_000.0, 13_000.0]
    found = add_all([run(i, at=1e6 + t) for i, t in enumerate(times)])
    assert [r and ids(r) for r in found] == [None, [0, 1], [0, 1, 2], None, [3, 4]]


def test_other_samples_in_between_do_not_matter():
    found = add_all([run(0), run(1, sample="b"), run(2), run(3, sample="b")])
    assert [r and ids(r) for r in found] == [None, None, [0, 2], [1, 3]]


def test_a_run_read_again_counts_once():
    found = add_all([run(0), run(1), run(1)])
    assert [r and ids(r) for r in found] == [None, [0, 1], [0, 1]]


def test_a_late_run_is_judged_with_those_before_it():
    history = History(CONFIG)
    add_all([run(0), run(2)], history=history)
    (late,) = add_all([run(1)], history=history)
    assert ids(late) == [0, 1]
    (next_,) = add_all([run(3)], history=history)
    assert ids(next_) == [0, 1, 2, 3]


def test_sweeps_of_one_run_are_repeats_even_without_a_name():
    (repeats,) = add_all([run(5, n=3, sample="")])
    assert [(r.scan_id, r.index) for r in repeats.of] == [(5, 0), (5, 1), (5, 2)]


def test_places_of_a_map_are_no_repeats():
    gradient = run(1, n=6, reduced=0.2, places=True)
    assert add_all([gradient, run(2), replace(gradient, scan=replace(gradient.scan, uid="b"))]) == [
        None,
        None,
        None,
    ]


def test_a_replay_in_order_gives_the_same():
    runs = [run(i, change=0.01 * (i == 3)) for i in range(6)]
    first, again = add_all(runs), add_all(runs)
    for a, b in zip(first, again, strict=True):
        if a is not None:
            assert (a.of, a.drift, a.outlier, a.one_more_narrows_by) == (
                (b.of, b.drift, b.outlier, b.one_more_narrows_by)
            )
            np.testing.assert_array_equal(a.merged.mu, b.merged.mu)


def test_a_drift_is_flagged_and_merges_the_first_repeats_only():
    (repeats,) = add_all([run(1, n=6, reduced=0.2)])
    assert repeats.drift is not None
    assert repeats.drift.change < 0
    (flag,) = repeats.flags
    assert flag.code == "beam_damage"
    assert "over 6 repeats" in flag.message
    last = (
        f"up to scan 1 sweep {repeats.drift.keep}." if repeats.drift.keep > 1 else "scan 1 sweep 1."
    )
    assert last in flag.remedy
    assert [r.used for r in repeats.of] == [i < repeats.drift.keep for i in range(6)]
    assert "would not help" in repeats.advice


def test_an_odd_run_is_flagged_when_it_comes_and_left_out_later():
    found = add_all([run(i, change=0.2 * (i == 3)) for i in range(6)])
    assert found[3].flags == ()
    assert found[3].own[0].code == "repeat_disagrees"
    assert found[3].own[0].message.startswith("scan 3 does not agree with the other 3:")
    assert found[5].outlier.position == 3
    assert found[5].flags == ()
    assert found[5].own == {}
    assert [r.used for r in found[5].of] == [True, True, True, False, True, True]
    assert found[5].of[3].why == "odd"


def test_a_second_odd_run_is_flagged_and_left_out_too():
    found = add_all([run(i, change=0.2 * (i == 2) + 0.3 * (i == 5)) for i in range(7)])
    assert found[5].own[0].message.startswith("scan 5 does not agree with the other 4:")
    assert [r.used for r in found[6].of] == [i not in (2, 5) for i in range(7)]


@pytest.mark.parametrize("kinds", ["AABB", "ABAB", "AAAAABBBBB", "ABC"])
def test_repeats_of_several_kinds_are_not_merged_in_silence(kinds):
    *_, repeats = add_all([run(i, change=0.2 * "ABC".index(k)) for i, k in enumerate(kinds)])
    assert repeats.outlier is None
    codes = [f.code for f in repeats.flags]
    assert codes in (["repeats_scatter"], ["beam_damage"])
    assert "would not help" in repeats.advice


def test_of_two_odd_ones_among_five_the_one_that_is_merged_is_told():
    *_, repeats = add_all([run(i, change=0.2 * (k == "B")) for i, k in enumerate("ABABA")])
    assert sum(r.used for r in repeats.of) == 4
    assert "repeats_scatter" in [f.code for f in repeats.flags]


def test_repeats_that_differ_by_noise_alone_do_not_scatter():
    for noise in (0.0005, 0.005, 0.02):
        *_, repeats = add_all([run(i, noise=noise) for i in range(8)])
        assert "repeats_scatter" not in [f.code for f in repeats.flags]


def test_a_short_repeat_does_not_cut_the_merge_short():
    short = run(2)
    spectrum = short.spectra[0]
    kept = spectrum.normalised.energy < 7145.0
    names = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    cut = replace(
        spectrum.normalised, **{name: getattr(spectrum.normalised, name)[kept] for name in names}
    )
    short = replace(short, spectra=(replace(spectrum, normalised=cut),))
    *_, repeats = add_all([run(0), run(1), short, run(3)])
    assert [r.used for r in repeats.of] == [True, True, False, True]
    assert repeats.merged.energy[-1] > Linear.energy[-1]
    *_, alone = add_all([short, replace(short, scan=replace(short.scan, uid="b", time=1200.0))])
    assert [r.used for r in alone.of] == [True, True]


def cut(result, above):
    """Return the run without what lies above an energy, eV."""
    names = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    spectra = []
    for made in result.spectra:
        old = made.normalised
        kept = old.energy < above
        curves = {name: getattr(old, name)[kept] for name in names}
        spectra.append(replace(made, normalised=replace(old, **curves)))
    return replace(result, spectra=tuple(spectra))


def test_a_bad_scan_that_was_stopped_is_not_held_against_the_good_one_that_follows():
    stopped = cut(run(0, change=0.3), factories.E0 + 30.0)
    _, repeats = add_all([stopped, run(1)])
    assert [(r.used, r.why) for r in repeats.of] == [(False, "short"), (True, "")]
    assert repeats.outlier is None
    assert [f.code for f in repeats.flags if f.severity is Severity.WARNING] == []
    assert repeats.merged.energy[-1] > Linear.energy[-1]


def test_of_two_that_do_not_agree_none_is_blamed_and_none_is_merged():
    results = [run(0, change=0.3), run(1)]
    _, repeats = add_all(results)
    (flag,) = repeats.flags
    assert flag.code == "two_repeats_disagree"
    assert "scan 0 and scan 1, do not agree" in flag.message
    assert "third" in flag.remedy
    assert repeats.merged is None
    assert repeats.outlier is None
    assert [(r.used, r.why) for r in repeats.of] == [(False, "two")] * 2
    assert "third repeat" in repeats.advice
    said = node(results[1], Config(), repeats).metadata["repeats"]
    assert said["merged"] is None


def test_a_short_repeat_does_not_hide_where_the_others_differ():
    """What sets one apart lies above the end of the short one."""

    def late(result):
        (made,) = result.spectra
        old = made.normalised
        mu = old.flattened + 0.3 * np.exp(-(((old.energy - 7165.0) / 8.0) ** 2))
        curves = replace(old, normalised=mu, flattened=mu)
        return replace(result, spectra=(replace(made, normalised=curves),))

    short = cut(run(0), factories.E0 + 35.0)
    *_, repeats = add_all([short, run(1), run(2), late(run(3)), run(4)])
    assert [r.why for r in repeats.of] == ["short", "", "", "odd", ""]
    assert repeats.outlier.position == 3


def test_sweeps_are_named_by_scan_and_sweep():
    result = run(1, n=100)
    kept = np.linspace(0, 99, module.MOST).round().astype(int)[[6, 20]]
    spectra = list(result.spectra)
    for index in kept:
        old = spectra[index].normalised
        mu = old.flattened + 0.2 * np.exp(-(((old.energy - 7125.0) / 8.0) ** 2))
        spectra[index] = replace(
            spectra[index], normalised=replace(old, normalised=mu, flattened=mu)
        )
    result = replace(result, spectra=tuple(spectra))
    (repeats,) = add_all([result])
    assert sorted(repeats.own) == list(kept)
    for index, flag in repeats.own.items():
        assert flag.message.startswith(f"scan 1 sweep {index + 1} does not agree with the other 30")
    amber = [s.index for s in joined(result, repeats).spectra if s.assessment.flags]
    assert amber == list(kept)


def test_a_scan_without_a_number_is_named_by_its_uid():
    series = Series([Repeat("3d1f8a52-6c1e", None, 0), Repeat("b", 7, 0)], [])
    assert [series.name(i) for i in (0, 1)] == ["scan 3d1f8a52", "scan 7"]


def test_a_series_that_outgrew_what_is_kept_says_so(monkeypatch):
    monkeypatch.setattr(module, "MOST", 6)
    drifting = [run(i, change=-0.03 * i) for i in range(9)]
    found = [r for r in add_all(drifting) if r is not None]
    assert [r.from_first for r in found] == [True] * 5 + [False] * 3
    early = next(f for f in found[4].flags if f.code == "beam_damage")
    assert "over 6 repeats" in early.message
    assert "the first repeats only, up to scan" in early.remedy or "scan 0." in early.remedy
    late = next(f for f in found[-1].flags if f.code == "beam_damage")
    assert "over the last 6 repeats" in late.message
    assert "begins with scan 3" in late.remedy
    assert node(drifting[-1], Config(), found[-1]).metadata["repeats"]["from_first"] is False


def test_after_a_pause_a_series_begins_anew(monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    runs = [run(i) for i in range(5)] + [run(i, at=1e5 + 60.0 * i) for i in range(5, 7)]
    found = add_all(runs)
    assert [found[4].from_first, found[6].from_first] == [False, True]


def thinned(result, every):
    """Return the run with every n-th point, flagged as coarse."""
    names = ("energy", "mu", "normalised", "flattened", "pre_edge", "post_edge")
    spectra = []
    for made in result.spectra:
        old = made.normalised
        curves = {name: getattr(old, name)[::every] for name in names}
        spectra.append(
            replace(made, normalised=replace(old, **curves, flags=(factories.flag("coarse_grid"),)))
        )
    return replace(result, spectra=tuple(spectra))


def test_a_coarse_first_repeat_neither_joins_nor_sets_the_grid_of_the_merge():
    *_, repeats = add_all([thinned(run(0), 3), run(1), run(2)])
    assert [r.used for r in repeats.of] == [False, True, True]
    assert repeats.merged.energy.size == 245
    *_, alone = add_all([thinned(run(i), 3) for i in range(2)])
    assert [r.used for r in alone.of] == [True, True]


@pytest.mark.parametrize("key", ["fe3o4", "fes2", "fen"])
def test_what_noise_does_to_the_normalisation_is_neither_drift_nor_odd(key):
    """The error of the edge step is shared by all points and no mean over them makes it smaller."""
    sample, config, alarms = samples.load(key), Config(), 0
    kept = sample.energy > sample.e0 - 100.0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        spectra = []
        for _ in range(8):
            mu = spoil.spectrum(sample) + 0.02 * rng.standard_normal(sample.energy.size)
            scan = spoil.scan(sample, spoil.transmission(sample, sample.energy[kept], mu[kept]))
            reduced = spectra_from_scan(scan, config.beamline, config.reduction)
            spectra += normalise(reduced, config.reduction)
        together = judging._on_grid(spectra)
        drift, odd = judging._compared(together)
        alarms += drift is not None or bool(odd) or scatter(together) is not None
    assert alarms <= 1


def scans_of(sample, e0s, moves=None, noise=0.002):
    """Return short scans of a measured sample, e0 taken where it is said and energies moved."""
    results = []
    for i, e0 in enumerate(e0s):
        moved = 0.0 if moves is None else moves[i]
        rng = np.random.default_rng(i)
        kept = (sample.energy > sample.e0 - 55.0) & (sample.energy < sample.e0 + 130.0)
        mu = spoil.spectrum(sample) + noise * rng.standard_normal(sample.energy.size)
        readings = spoil.transmission(sample, sample.energy[kept] + moved, mu[kept])
        config = Config(reduction={"e0": e0 + moved})
        reduced = spectra_from_scan(spoil.scan(sample, readings), config.beamline, config.reduction)
        (made,) = normalise(reduced, config.reduction)
        result = run(i)
        spectra = (replace(result.spectra[0], normalised=made),)
        results.append(replace(result, spectra=spectra))
    return results


@pytest.mark.parametrize("key", ["fe2o3", "fe3o4", "goethite"])
@pytest.mark.parametrize("jumps", [(0, 3, 6), (0, 3, 6, 7), (0, 0, 0, 6, 6, 6)])
def test_an_e0_that_jumps_between_two_steep_points_is_no_damage(key, jumps):
    results = scans_of(samples.load(key), [7120.0 + jump for jump in jumps])
    *_, repeats = add_all(results)
    assert [f.code for f in repeats.flags if f.severity is Severity.WARNING] == []
    assert all(r.used for r in repeats.of)
    # nor does it widen the error of the merge
    *_, still = add_all(scans_of(samples.load(key), [7120.0] * len(jumps)))
    assert np.median(repeats.merged.sigma) < 1.3 * np.median(still.merged.sigma)


@pytest.mark.parametrize("by", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("n", [5, 8])
def test_an_edge_that_moves_is_damage_whatever_its_e0_does(n, by):
    moves = -np.linspace(0.0, by, n)
    *_, repeats = add_all(scans_of(samples.load("fe2o3"), [7122.0] * n, moves))
    assert repeats.drift.measure == "the edge position"
    assert repeats.drift.change == pytest.approx(-by, rel=0.3)
    assert [f.code for f in repeats.flags] == ["beam_damage"]


def with_foil(result, moves):
    spectra = []
    for spectrum in result.spectra:
        done = spectrum.normalised
        foil = spoil.foil(done.energy + 0.3 + moves * (spectrum.index + 1))
        source = replace(done.spectrum, reference=foil)
        spectra.append(replace(spectrum, normalised=replace(done, spectrum=source)))
    return replace(result, spectra=tuple(spectra))


def test_a_drift_that_the_foil_shares_is_one_of_the_energies():
    drifting = run(1, n=6, reduced=0.2)
    (repeats,) = add_all([with_foil(drifting, moves=0.2)])
    assert [f.code for f in repeats.flags] == ["energy_drifts"]
    assert "-1.0" in repeats.flags[0].message
    (repeats,) = add_all([with_foil(drifting, moves=0.0)])
    assert [f.code for f in repeats.flags] == ["beam_damage"]


def in_mode(result, mode, damped=1.0):
    spectra = []
    for spectrum in result.spectra:
        done = spectrum.normalised
        curve = np.where(
            done.flattened > 1.0, 1.0 + damped * (done.flattened - 1.0), done.flattened
        )
        source = replace(done.spectrum, mode=mode)
        curves = replace(done, normalised=curve, flattened=curve, spectrum=source)
        spectra.append(replace(spectrum, normalised=curves))
    return replace(result, spectra=tuple(spectra))


def test_fluorescence_is_compared_with_earlier_transmission():
    through = in_mode(run(1), Mode.TRANSMISSION)
    damped = in_mode(run(2), Mode.FLUORESCENCE, damped=0.4)
    _, repeats = add_all([through, damped])
    (flag,) = repeats.flags
    assert flag.code == "over_absorption"
    assert "run 1" in flag.message
    assert ids(repeats) == [2]
    thin = in_mode(run(2), Mode.FLUORESCENCE)
    assert add_all([through, thin]) == [None, None]
    assert add_all([damped, through]) == [None, None]


def test_flags_reach_the_result_and_green_becomes_amber():
    results = [run(i, change=0.2 * (i == 3)) for i in range(4)]
    *_, repeats = add_all(results)
    after = joined(results[3], repeats)
    verdict = after.spectra[0].assessment
    assert verdict.confidence is Confidence.AMBER
    assert verdict.flags[0].code == "repeat_disagrees"
    assert joined(results[3], None) is results[3]


def test_only_the_odd_sweep_is_flagged_as_odd():
    result = run(1, n=5)
    odd = result.spectra[2].normalised
    bumped = odd.flattened + 0.2 * np.exp(-(((odd.energy - 7125.0) / 8.0) ** 2))
    curves = replace(odd, normalised=bumped, flattened=bumped)
    spectra = list(result.spectra)
    spectra[2] = replace(spectra[2], normalised=curves)
    result = replace(result, spectra=tuple(spectra))
    (repeats,) = add_all([result])
    codes = [[f.code for f in s.assessment.flags] for s in joined(result, repeats).spectra]
    assert codes == [[], [], ["repeat_disagrees"], [], []]


def test_more_repeats_are_advised_where_noise_matters():
    noisy = [run(i, noise=0.05) for i in range(2)]
    sure = add_all(noisy, Linear(slope=0.1))[-1]
    assert sure.one_more_narrows_by < judging.WORTH
    assert "would not help" in sure.advice
    open_ = add_all(noisy, Linear(slope=20.0))[-1]
    assert [f.code for f in open_.flags] == ["more_repeats_help"]
    assert "narrow" in open_.advice
    assert joined(noisy[1], open_).spectra[0].assessment.confidence is Confidence.GREEN


def test_no_more_repeats_are_asked_for_of_what_drifts():
    (repeats,) = add_all([run(1, n=6, reduced=0.2, noise=0.01)], Linear(slope=60.0))
    assert repeats.one_more_narrows_by > judging.WORTH
    assert [f.code for f in repeats.flags] == ["beam_damage"]
    assert "would not help" in repeats.advice


def test_a_merge_has_the_interval_of_the_judge_where_there_is_one(monkeypatch):
    predictor = Linear()
    wide = np.linspace(7090.0, 7170.0, 81)

    def survey(rows):
        return SimpleNamespace(r=2.0 + 15.0 * rows[..., 60:64].mean(axis=-1))

    doubts = []

    def examine(rows, doubt):
        assert rows.shape == (1, 81)
        doubts.extend(doubt)
        shell = FirstShell(2.1, 0.01, 2.0, 2.2, np.array([2.1]))
        said = replace(factories.prediction(), first_shell=shell)
        return [Examined(said, 0.97, {"peak": 0.0}, {}, (), Kind(), Evidence())]

    model = SimpleNamespace(survey=survey)
    judge = SimpleNamespace(wide=wide, examine=examine, model=model)
    monkeypatch.setattr(merging, "judge_of", lambda model: judge)
    *_, repeats = add_all([run(i, noise=0.03) for i in range(2)], predictor)
    shell = repeats.merged.first_shell
    half = np.hypot(0.1, 1.96 * repeats.merged.noise)
    assert (shell.low, shell.r, shell.high) == pytest.approx((2.1 - half, 2.1, 2.1 + half))
    assert repeats.merged.noise > 0.05
    assert 0.4 < repeats.merged.probability < 0.9
    assert repeats.merged.confidence is Confidence.AMBER
    assert repeats.merged.flag_codes == ("first_shell_uncertain",)
    assert repeats.one_more_narrows_by > judging.WORTH
    assert predictor.batches == []
    assert doubts == [None]
    add_all([uncertain(run(i, noise=0.03)) for i in range(2, 4)], predictor)
    _, (higher, lower) = doubts[-1]
    assert lower.shape == predictor.energy.shape
    assert (higher - lower)[-40:].mean() == pytest.approx(0.26, abs=0.02)
    # what a merge is uncertain by is the mean square of its repeats', whichever came first
    add_all([run(4), uncertain(run(5))], predictor)
    add_all([uncertain(run(4)), run(5)], predictor)
    (_, line), (_, constant) = doubts[-2:]
    share = np.sqrt(1.0 - LEARNT**2 / (0.033**2 + (0.14**2 + 0.031**2) / 2.0))
    error = share * np.sqrt((0.14**2 + 0.031**2) / 2.0)
    assert np.ptp(constant, axis=0)[-40:].mean() == pytest.approx(2.0 * error, rel=0.05)
    turned = 1.0 - (predictor.energy[-40:].mean() - factories.E0) / 117.5
    assert np.ptp(line, axis=0)[-40:].mean() == pytest.approx(2.0 * error * turned, rel=0.05)


def test_a_merge_without_a_distance_is_red_and_says_so():
    *_, repeats = add_all([run(i) for i in range(2)], Linear(slope=np.nan))
    assert repeats.merged.confidence is Confidence.RED
    assert repeats.merged.flag_codes == ("no_first_shell",)
    assert repeats.one_more_narrows_by is None


def test_the_interval_of_a_merge_has_its_noise_in_it():
    noisy = [run(i, noise=0.05) for i in range(3)]
    merged = add_all(noisy, Linear(slope=20.0))[-1].merged
    shell, bare = merged.first_shell, 0.05
    assert merged.noise > 0.01
    assert shell.high - shell.r == pytest.approx(np.hypot(bare, 1.96 * merged.noise))
    assert shell.r - shell.low == pytest.approx(np.hypot(bare, 1.96 * merged.noise))


@pytest.mark.parametrize(
    ("half", "expected"),
    [(0.05, Confidence.GREEN), (0.4, Confidence.AMBER), (0.9, Confidence.RED)],
)
def test_without_a_verdict_the_colour_of_a_merge_follows_the_spread(half, expected):
    results = [run(i) for i in range(3)]
    merged = add_all(results, Linear(half=half))[-1].merged
    assert merged.confidence is expected
    assert merged.probability is None
    assert node(results[2], Config()).metadata["repeats"] is None


def test_a_merge_is_no_better_than_what_is_merged():
    def warned(result, code):
        (made,) = result.spectra
        flags = (factories.flag(code),)
        return replace(
            result, spectra=(replace(made, normalised=replace(made.normalised, flags=flags)),)
        )

    *_, repeats = add_all([run(0), warned(run(1), "over_absorption"), run(2)])
    assert repeats.merged.confidence is Confidence.AMBER
    assert repeats.merged.flag_codes == ("over_absorption",)
    *_, repeats = add_all([run(i, flags=(factories.flag("scan_incomplete"),)) for i in range(2)])
    assert repeats.merged.flag_codes == ("scan_incomplete",)
    *_, repeats = add_all([warned(run(i), "noisy") for i in range(3)])
    assert repeats.merged.confidence is Confidence.GREEN
    *_, repeats = add_all([run(i, change=0.2 * (i % 2)) for i in range(4)])
    assert repeats.merged.confidence is Confidence.AMBER
    assert "repeats_scatter" in repeats.merged.flag_codes


def test_spoiled_and_unpredicted_spectra_are_not_remembered():
    bad = factories.flag("dropout")
    lost = run(1)
    spectrum = lost.spectra[0]
    spectrum = replace(spectrum, normalised=replace(spectrum.normalised, flags=(bad,)))
    lost = replace(lost, spectra=(spectrum, factories.unusable_result(1)))
    assert [r and ids(r) for r in add_all([run(0), lost, run(2)])] == [None, None, [0, 2]]


def test_an_aborted_run_is_no_repeat():
    aborted = run(1, flags=(factories.flag("scan_aborted"),), exit_status="abort")
    assert [r and ids(r) for r in add_all([run(0), aborted, run(2)])] == [None, None, [0, 2]]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "MOST_POINTS", 245 * 6)
    history = History(CONFIG)
    numbers = count()
    for sample in "abcdef":
        for _ in range(5):
            (last,) = add_all([run(next(numbers), sample=sample)], history=history)
        assert len(last.of) == 3
    kept = sum(len(series) for series in history._samples.values())
    assert kept <= 6


def test_of_very_many_sweeps_some_are_chosen():
    (repeats,) = add_all([run(1, n=100, sample="")])
    assert len(repeats.of) == module.MOST
    assert repeats.of[0].index == 0
    assert repeats.of[-1].index == 99


def test_a_defect_costs_the_repeats_only():
    class Broken(Linear):
        def predict(self, mu):
            raise RuntimeError("out of memory")

    assert add_all([run(0), run(1)], Broken()) == [None, None]


def test_the_document_tells_of_the_repeats():
    results = [run(i) for i in range(3)]
    *_, repeats = add_all(results)
    said = node(results[2], Config(), repeats).metadata["repeats"]
    assert said["n"] == 3
    assert said["scan_ids"] == [0, 1, 2]
    assert said["of"][1] == {"uid": "run-1", "scan_id": 1, "index": 0, "used": True, "why": ""}
    assert said["from_first"] is True
    assert said["drift"] is None
    assert said["outlier"] is None
    merged = said["merged"]
    assert merged["count"] == 3
    assert len(merged["energy"]) == len(merged["mu"]) == len(merged["sigma"]) == 245
    assert merged["first_shell"]["low"] < merged["first_shell"]["r"]
    assert merged["probability"] is None
    assert merged["confidence"] == "green"
    assert merged["flag_codes"] == []
    assert said["one_more_narrows_by"] >= 0
    assert said["advice"]
    assert node(results[2], Config()).metadata["repeats"] is None


def test_the_document_tells_of_drift_and_outlier():
    result = run(1, n=6, reduced=0.2)
    (repeats,) = add_all([result])
    said = node(result, Config(), repeats).metadata["repeats"]
    assert said["drift"].keys() == {"measure", "unit", "change", "chance", "keep"}
    odd = [run(i, change=0.2 * (i == 3)) for i in range(4)]
    *_, repeats = add_all(odd)
    said = node(odd[3], Config(), repeats).metadata["repeats"]
    assert said["outlier"]["position"] == 3


def saturating(n, tau, by=-0.2):
    """Return repeats that change at once and then no more."""
    return [run(i, change=by * (1.0 - np.exp(-i / tau))) for i in range(n)]


@pytest.mark.parametrize(("n", "tau"), [(5, 0.7), (8, 0.7), (8, 1.0), (8, 1.5), (12, 3.0)])
def test_damage_that_saturates_never_leaves_the_damaged_repeats_alone(n, tau):
    *_, repeats = add_all(saturating(n, tau))
    codes = {f.code for f in repeats.flags}
    assert codes & {"beam_damage", "first_repeat_differs"}
    assert repeats.merged.confidence is not Confidence.GREEN or repeats.of[0].used
    if "beam_damage" in codes:
        assert repeats.of[0].used
        assert [r.used for r in repeats.of] == [i < repeats.drift.keep for i in range(n)]


@pytest.mark.parametrize(("n", "tau"), [(8, 1.0), (8, 1.5), (12, 1.5), (20, 2.0)])
def test_the_change_of_a_drift_is_that_from_the_first_repeat_to_the_last(n, tau):
    """The first was taken for odd, and the change that it took with it was left out."""
    (*_, before), (*_, repeats) = add_all(saturating(4, tau)), add_all(saturating(n, tau))
    assert repeats.drift.measure == before.drift.measure == "the white line"
    share = (1.0 - np.exp(-(n - 1) / tau)) / (1.0 - np.exp(-3.0 / tau))
    assert repeats.drift.change == pytest.approx(share * before.drift.change, rel=0.2)
    flag = next(f for f in repeats.flags if f.code == "beam_damage")
    assert f"by {repeats.drift.change:+.2g} edge steps over {n} repeats" in flag.message


@pytest.mark.parametrize("tau", [0.7, 1.5, 2.5])
def test_a_damage_that_was_told_stays_told_while_the_series_grows(tau):
    told = False
    for repeats in add_all(saturating(12, tau, by=-0.12)):
        codes = {f.code for f in repeats.flags} if repeats else set()
        assert not told or codes & {"beam_damage", "first_repeat_differs"}
        told = told or bool(codes & {"beam_damage", "first_repeat_differs"})
    assert told
    assert repeats.of[0].used


def test_what_goes_back_to_where_it_was_is_told_no_longer():
    found = add_all([run(i, change=-0.1 * min(i, 3) * (i < 4)) for i in range(12)])
    assert "beam_damage" in {f.code for f in found[3].flags}
    assert found[11].drift is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tau", [0.6, 0.8])
def test_of_five_of_which_the_first_alone_is_undamaged_it_is_the_first_that_is_merged(seed, tau):
    shares = 1.0 - np.exp(-np.arange(5) / tau)
    *_, repeats = add_all([run(5 * seed + i, change=-0.2 * s) for i, s in enumerate(shares)])
    assert "beam_damage" in {f.code for f in repeats.flags}
    assert [r.used for r in repeats.of] == [True] + [False] * 4


def test_a_change_at_once_after_two_repeats_keeps_the_two():
    *_, repeats = add_all([run(i, change=-0.2 * (i > 1)) for i in range(8)])
    assert [f.code for f in repeats.flags] == ["beam_damage"]
    assert [r.used for r in repeats.of] == [True] * 2 + [False] * 6


def test_a_first_repeat_that_differs_is_odd_but_may_be_the_undamaged_one():
    *_, repeats = add_all([run(i, change=-0.2 * (i == 0)) for i in range(6)])
    assert [r.used for r in repeats.of] == [False] + [True] * 5
    assert "first_repeat_differs" in {f.code for f in repeats.flags}
    assert repeats.merged.confidence is not Confidence.GREEN


def test_the_first_that_differs_is_not_called_the_first_of_a_series_that_begins_with_a_short_one():
    short = cut(run(0), factories.E0 + 35.0)
    *_, repeats = add_all([short, *(run(i, change=-0.2 * (i == 1)) for i in range(1, 7))])
    assert [r.why for r in repeats.of] == ["short", "odd", "", "", "", "", ""]
    flag = next(f for f in repeats.flags if f.code == "first_repeat_differs")
    assert flag.message.startswith("scan 1, the first that is compared, differs from all later")


def test_on_one_grid_all_repeats_are_coarse_or_none_is():
    flagged = thinned(run(0), 1)
    *_, repeats = add_all([flagged, run(1), run(2)])
    assert [r.used for r in repeats.of] == [True] * 3
