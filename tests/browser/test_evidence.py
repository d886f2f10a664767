"""What stands behind a result, as a visiting user reads it."""

import re

import numpy as np
import pytest

from tests.browser.harness import drawn, expect, shows

ENERGY = np.arange(7090.0, 7200.0, 1.0)
E0 = 7120.0
BUMP = 0.3 * np.exp(-(((ENERGY - E0 - 11.0) / 4.0) ** 2))
EVIDENCE = {
    "e0": E0,
    "novelty": 0.97,
    "probability": 0.55,
    "rival": {"r": 2.352, "probability": 0.31},
    "nearest": [
        {"name": "α-FeOOH, goethite", "distance": 0.021, "r": 2.02, "ligand": "O"},
        {"name": "<b>FeS2</b>", "distance": 0.034, "r": 2.26, "ligand": "S"},
        {"name": "unknown distance", "distance": 0.05, "r": None, "ligand": None},
    ],
    "sensitivity": [
        {"kind": "shift", "value": -1.0, "r": 1.95, "g2": 0.03},
        {"kind": "shift", "value": 1.0, "r": 2.4, "g2": 0.21},
        {"kind": "broadening", "value": 1.5, "r": 1.99, "g2": 0.05},
    ],
    "cyclic": {
        "energy": ENERGY.tolist(),
        "measured": (1.0 + BUMP).tolist(),
        "returned": np.ones_like(ENERGY).tolist(),
        "residual": BUMP.tolist(),
        "score": 2.4,
    },
    "repeats": {
        "n": 3,
        "of": [
            {"uid": "a", "scan_id": 11, "index": 0, "used": True},
            {"uid": "b", "scan_id": 12, "index": 0, "used": False},
            {"uid": "c", "scan_id": 13, "index": 0, "used": True},
        ],
        "drift": {
            "measure": "the edge position",
            "unit": "eV",
            "change": -0.42,
            "chance": 0.002,
            "keep": 2,
        },
        "outlier": {"position": 1, "times": 5.1},
        "merged": {
            "count": 2,
            "energy": ENERGY.tolist(),
            "mu": (1.0 + BUMP).tolist(),
            "sigma": np.full(ENERGY.size, 0.01).tolist(),
            "first_shell": {"r": 2.01, "low": 1.96, "high": 2.06, "noise": 0.004},
            "probability": 0.896,
            "confidence": "amber",
            "flag_codes": ["first_shell_uncertain", "novel"],
        },
        "one_more_narrows_by": 0.012,
        "advice": "One more repeat would narrow the interval by about 0.01 Å.",
    },
}


@pytest.fixture
def page(local, look):
    made = local.publisher.node(r=2.0)
    g2 = {**made.metadata["g2"], "skill_to": 2.6}
    local.put(made.key, {**made.metadata, **EVIDENCE, "g2": g2})
    shown = look(local.url)
    drawn(shown, made.key)
    return shown


def test_the_likeliest_other_distance_stands_beside_the_probability(page):
    shows(
        page, "probability",
        "right within 0.1 Å with probability 55 %; if not, rather 2.35 Å "
        "(31 % by the network's own count)",
    )  # fmt: skip


def test_neighbours_say_their_distance_and_whether_it_fits(page):
    page.get_by_test_id("tab-nearest").click()
    rows = page.locator("[data-testid=nearest] tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("2.02")
    expect(rows.nth(0)).to_contain_text("+0.02 Å, ● inside the interval")
    expect(rows.nth(1)).to_contain_text("<b>FeS2</b>")
    expect(rows.nth(1)).to_contain_text("▲ outside the interval")
    shows(page, "nearest", "They differ by 0.24 Å among themselves")
    shows(page, "novelty", "■ This spectrum is unlike nearly everything the model knows")
    shows(page, "novelty", "97 %")


def test_sensitivity_is_said_and_drawn_for_each_kind_of_change(page):
    page.get_by_test_id("tab-sensitivity").click()
    shows(
        page,
        "sensitivity",
        "If the energy scale were off by 1.0 eV, the distance would move by 0.40 Å. ▲ That is more",
    )
    shows(page, "sensitivity", re.compile(r"resolution were worse by 1\.5 eV.*0\.01 Å\. ● That is"))
    for plot, points in {"shift": 3, "shift-g2": 3, "broadening": 2, "broadening-g2": 2}.items():
        page.wait_for_selector(f"[data-testid=sensitivity-{plot}] canvas")
        box = page.get_by_test_id(f"sensitivity-{plot}")
        expect(box).to_have_attribute("data-points", str(points))


def test_the_residual_has_a_place_in_energy(page):
    page.get_by_test_id("tab-cyclic").click()
    page.wait_for_selector("[data-testid=cyclic-plot] canvas")
    page.wait_for_selector("[data-testid=cyclic-residual] canvas")
    shows(page, "cyclic-words", "▲ The prediction leaves more of the spectrum unexplained")
    shows(page, "cyclic-words", "2.4 × the usual residual")
    shows(page, "cyclic-words", re.compile(r"\d+ %\) lies in the white line, 7126 to 7137 eV"))


def test_repeats_say_what_was_merged_and_what_drifts(page):
    page.get_by_test_id("tab-repeats").click()
    shows(page, "repeats", "narrow the interval by about 0.01 Å")
    shows(page, "repeats-merged", "2 repeats merged: 2.01 Å, 95 % between 1.96–2.06 Å")
    shows(page, "repeats-merged", "with the noise of the merge, by itself σ = 0.004 Å")
    shows(page, "repeats-merged", "▲ amber Right within 0.1 Å with probability 89 %")
    shows(page, "repeats-merged", "first shell uncertain, novel")
    shows(page, "repeats-drift", "▲ The edge position drifts by −0.42 eV")
    shows(page, "repeats-drift", "from scan 11 to the last")
    shows(page, "repeats-drift", "up to scan 12 they are still good")
    shows(page, "repeats", "scan 12 ▲ does not agree with the others, left out of the merge")
    page.wait_for_selector("[data-testid=repeats-plot] canvas")


def test_where_g2_has_no_skill_it_says_so_on_screen_and_on_paper(page):
    label = re.compile(r"no skill shown beyond 2\.6 Å")
    expect(page.get_by_test_id("g2")).to_have_attribute("aria-label", label)
    with page.expect_download() as download:
        page.get_by_test_id("g2-svg").click()
    assert label.search(download.value.path().read_text())


def test_tabs_keep_the_focus_when_the_next_result_comes(page, local):
    tab = page.get_by_test_id("tab-nearest")
    tab.click()
    expect(tab).to_be_focused()
    made = local.publisher.node(r=2.3, age_s=-5)
    local.put(made.key, {**made.metadata, **EVIDENCE, "novelty": 0.1})
    drawn(page, made.key)
    shows(page, "novelty", "● Spectra like this one are well known")
    expect(tab).to_be_focused()


def test_without_such_signals_the_tabs_say_so(local, look):
    made = local.publisher.node()
    local.put(made.key, {**made.metadata, **dict.fromkeys(EVIDENCE), "e0": E0})
    page = look(local.url)
    drawn(page, made.key)
    for tab in ("nearest", "sensitivity", "cyclic"):
        page.get_by_test_id(f"tab-{tab}").click()
        expect(page.get_by_role("tabpanel")).to_contain_text("This result")
    expect(page.get_by_test_id("tab-repeats")).to_have_count(0)


@pytest.mark.parametrize("width", [360, 3840])
def test_evidence_fits_every_screen(local, look, width):
    made = local.publisher.node()
    local.put(made.key, {**made.metadata, **EVIDENCE})
    page = look(local.url, viewport={"width": width, "height": 900})
    for tab in ("nearest", "sensitivity", "cyclic", "repeats"):
        page.get_by_test_id(f"tab-{tab}").click()
        page.wait_for_selector(f"[data-testid={tab}]")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
