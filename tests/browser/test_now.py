"""What an operator sees of the latest result."""

import re
import time

import pytest

from tests.browser.harness import AMBER, RED, drawn, expect, shows
from xanes_live.domain import Confidence


def text(page, testid):
    return page.get_by_test_id(testid).text_content()


def test_distance_colour_interval_and_plots_of_the_latest_result(local, look):
    key = local.publish(r=2.0, sample="goethite", scan_id=42)
    page = look(local.url)
    drawn(page, key)
    assert text(page, "distance") == "2.00 Å"
    assert text(page, "colour-word") == "● green"
    assert re.search(r"95 % between 1\.\d\d–2\.\d\d Å", text(page, "interval"))
    assert "95 %" in text(page, "probability")
    assert text(page, "sample") == "goethite"
    assert "scan 42" in text(page, "scan-line")
    for plot in ("spectrum", "g2"):
        page.wait_for_selector(f"[data-testid={plot}][data-points] canvas")
        assert int(page.get_by_test_id(plot).get_attribute("data-points")) >= 50


@pytest.mark.parametrize(
    ("confidence", "flags", "mark"),
    [(Confidence.AMBER, AMBER, "▲ amber"), (Confidence.RED, RED, "■ red")],
)
def test_flags_come_in_order_with_remedy_and_a_shape(local, look, confidence, flags, mark):
    key = local.publish(confidence, flags=flags)
    page = look(local.url)
    drawn(page, key)
    shows(page, "colour-word", mark)
    shown = page.locator("[data-testid=flags] li").all_text_contents()
    assert len(shown) == len(flags)
    for line, flag in zip(shown, flags, strict=True):
        assert flag.message in line
        assert flag.remedy in line


def test_the_next_result_takes_the_place_of_the_last(local, look):
    first = local.publish(r=2.0)
    page = look(local.url)
    drawn(page, first)
    shows(page, "frames", re.compile(r"[1-9]"))
    frames = int(text(page, "frames"))
    second = local.publish(Confidence.AMBER, r=2.3)
    drawn(page, second)
    assert text(page, "distance") == "2.30 Å"
    page.wait_for_function(
        "n => Number(document.querySelector('[data-testid=frames]').textContent) > n", arg=frames
    )


def test_a_half_written_result_is_never_shown(local, look):
    first = local.publish()
    page = look(local.url)
    drawn(page, first)
    half = local.publisher.node(r=2.9)
    local.put(half.key, {**half.metadata, "status": "writing"})
    # What is announced after the half-written one is there: so that was seen and left out.
    local.publish(age_s=60, sample="announced later")
    shows(page, "recent", "announced later")
    assert text(page, "distance") == "1.98 Å"
    assert page.get_by_text("2.90").count() == 0
    local.put(half.key, half.metadata)
    drawn(page, half.key)


def test_every_form_of_the_spectrum_can_be_chosen_with_the_keyboard(local, look):
    local.publish()
    page = look(local.url)
    page.wait_for_selector("[data-testid=spectrum] canvas")
    plot, labels = page.get_by_test_id("spectrum"), []
    page.get_by_role("radio", name="flattened").focus()
    for _ in range(4):
        labels.append(plot.get_attribute("aria-label"))
        page.keyboard.press("ArrowRight")
        expect(plot).not_to_have_attribute("aria-label", labels[-1])
    assert len(set(labels)) == 4
    assert any("pre-edge" in label and "post-edge" in label for label in labels)
    assert any("derivative" in label for label in labels)


def test_tabs_follow_the_arrow_keys(local, look):
    local.publish()
    page = look(local.url)
    page.get_by_test_id("tab-raw").focus()
    for tab in ("nearest", "sensitivity", "cyclic", "signals"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_test_id(f"tab-{tab}")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_test_id(f"tab-{tab}")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_be_visible()


def test_a_scan_without_model_says_so(local, look):
    declined = local.publisher
    from tests import factories
    from xanes_live.publish.document import declined_node

    now = time.time()
    made = declined_node(factories.declined(time=now, stop_time=now), declined.config)
    local.put(made.key, made.metadata)
    page = look(local.url)
    drawn(page, made.key)
    shows(page, "colour-word", "not predicted")
    shows(page, "flags", "no model for the Cu K edge")
    assert text(page, "distance") == "–"


HOSTILE = {
    "script": {"sample": "<script>alert(1)</script><img src=x onerror=alert(2)>"},
    "numbers": {"first_shell": {"r": "2", "low": None, "high": []}, "e0": {}, "edge_step": "NaN"},
    "curves": {"g2": {"radius": [1, 2, 3], "mean": ["a", None, {}]}, "spectrum": [1, 2, 3]},
    "types": {"flags": "x", "peaks": 7, "signals": [1], "model": "m", "spectra": "y", "time": "t"},
    "long": {
        "sample": "x" * 1_000_000,
        "flags": [{"code": "a", "message": "y" * 1_000_000, "severity": 1}] * 100,
    },
    "nested": {"sample": {"a": [[[[]]]]}, "flag_codes": [{"x": 1}, None, "ok"]},
}


VIEWS = {
    "history": "[data-testid=row] >> nth=1",
    "result/": "[data-testid=one] [data-testid=tab-take]",
    "": "[data-testid=recent] li >> nth=1",
}
TWO_FRAMES = (
    "() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))"
)


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_documents_are_shown_as_text_or_not_at_all(local, look, name):
    good = local.publish(age_s=30)
    page = look(local.url)
    drawn(page, good)
    made = local.publisher.node()
    local.put(made.key, {**made.metadata, **HOSTILE[name]})
    page.wait_for_function("() => document.querySelectorAll('.recent li').length === 2")
    for view, there in VIEWS.items():
        page.goto(f"{local.url}#/{view}{made.key if view == 'result/' else ''}")
        page.wait_for_selector(there)
        page.wait_for_function(TWO_FRAMES)
    after = local.publish(r=2.22, age_s=-5)
    drawn(page, after)
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_of_many_spectra_is_an_image_with_a_cursor(local, look):
    local.publish(n_spectra=12, r=2.0)
    page = look(local.url)
    shows(page, "sweep-label", "of 12")
    page.get_by_test_id("spectra-image").focus()
    before = text(page, "sweep-label")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_test_id("sweep-label")).not_to_have_text(before)
    page.get_by_test_id("sweep-index").fill("0")
    shows(page, "sweep-label", "spectrum 1 of 12")
    expect(page.get_by_test_id("g2")).to_have_attribute("aria-label", re.compile(r"\[1/12\]"))
    page.get_by_test_id("g2-image").click(position={"x": 200, "y": 150})
    expect(page.get_by_test_id("sweep-label")).not_to_contain_text("spectrum 1 of 12")


@pytest.mark.parametrize("width", [360, 768, 1440, 3840])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_size_and_scheme_is_readable(local, look, width, scheme):
    local.publish(Confidence.AMBER, flags=AMBER, sample="a rather long name of a sample " * 3)
    size = {"width": width, "height": 2160 if width == 3840 else 800}
    page = look(local.url, viewport=size, color_scheme=scheme)
    page.wait_for_selector("[data-testid=g2] canvas")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Nothing is squeezed: beside each other only where there is room for that.
    assert page.get_by_test_id("live").evaluate("e => e.clientWidth") >= 220
    height = page.get_by_test_id("distance").evaluate(
        "e => parseFloat(getComputedStyle(e).fontSize)"
    )
    assert height >= 56
    contrast = page.get_by_test_id("colour-word").evaluate(CONTRAST)
    assert contrast >= 4.5


# Contrast as WCAG 2 defines it, of an element's text against the card it stands on.
CONTRAST = """element => {
  const paint = document.createElement("canvas").getContext("2d");
  const rgb = (css) => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = css; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (css) => rgb(css).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const style = getComputedStyle(document.documentElement);
  const ink = light(getComputedStyle(element).color);
  const grounds = ["--panel", "--amber-bg"].map((n) => light(style.getPropertyValue(n)));
  return Math.min(...grounds.map((g) => (Math.max(ink, g) + 0.05) / (Math.min(ink, g) + 0.05)));
}"""


def test_the_first_plot_is_there_within_the_first_requests(local, look):
    """No request but the page's own files and the websocket stands before the first plot."""
    local.publish()
    asked = []
    page = look("about:blank", home=local.url)
    page.on("request", lambda r: asked.append(r.url.removeprefix(local.url)))
    page.goto(local.url)
    page.wait_for_selector("[data-testid=g2] canvas")
    before = [a for a in asked if a.startswith("api/") and not a.startswith("api/raw")]
    assert before == []
