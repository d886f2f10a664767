"""What an operator does with thousands of results."""

import csv
import io
import re
import time
from datetime import UTC, datetime

import pytest

from tests.browser.harness import RED, expect
from xanes_live.domain import Confidence

SAMPLES = ("goethite", "hematite", "siderite", "pyrite")


def fill(local, count, **options):
    """Put results that differ in what one filters by; return the time of the last but a minute.

    The documents are shared, so this is quick.
    """
    now = time.time()
    kinds = {
        Confidence.GREEN: local.publisher.node(r=2.0),
        Confidence.RED: local.publisher.node(Confidence.RED, flags=RED, r=2.4),
    }

    def put_all():
        for i in range(count):
            kind = Confidence.RED if i % 5 == 0 else Confidence.GREEN
            document = {
                **kinds[kind].metadata,
                "sample": SAMPLES[i % 4],
                "scan_id": i,
                "raw_uid": f"run{i}",
                "time": now - 60 * (count - i),
                "first_shell": {"r": 2.0 + 0.01 * (i % 4), "low": 1.9, "high": 2.1},
                **options,
            }
            local.tiled.put("sandbox/xanes_live", f"key{i}", document, announced=False)

    local.do(put_all)
    local.do(local.tiled.drop)  # as after an outage: everything is searched for
    return now


def count(page, expected):
    # Nothing after it: everything there is was read.
    expect(page.get_by_test_id("count")).to_have_text(expected)


@pytest.fixture
def filled(local):
    """When the 200 results of the history were made, s since the epoch."""
    return fill(local, 200)


@pytest.fixture
def history(local, look, filled):
    page = look(local.url + "#/history")
    count(page, "200 of 200")
    return page


def test_ten_thousand_results_are_a_list_of_few_rows(local, look):
    fill(local, 10_000)
    page = look(local.url + "#/history")
    count(page, "10000 of 10000")
    assert page.get_by_test_id("row").count() < 60
    first = page.get_by_test_id("row").first.text_content()
    page.get_by_test_id("list").focus()
    page.keyboard.press("End")
    page.wait_for_selector("[data-testid=row]:has-text('#0')")
    expect(page.get_by_test_id("row").first).not_to_have_text(first)
    page.get_by_test_id("filter-text").fill("pyrite scan 7")
    count(page, re.compile(r"^[1-9]\d* of 10000$"))
    assert page.get_by_test_id("row").count() < 60


@pytest.mark.parametrize(
    ("control", "value", "expected"),
    [
        ("filter-text", "pyrite", "50 of 200"),
        ("filter-text", "PYRITE dropout", "10 of 200"),
        ("filter-text", "nothing of the kind", "0 of 200"),
        ("filter-sample", "hema", "50 of 200"),
        ("filter-scan", "10-19", "10 of 200"),
        ("filter-scan", "7", "1 of 200"),
    ],
)
def test_filters_of_text(history, control, value, expected):
    history.get_by_test_id(control).fill(value)
    count(history, expected)
    history.get_by_test_id("clear").click()
    count(history, "200 of 200")


def test_filters_of_colour_flag_edge_and_time(history, filled):
    history.get_by_test_id("colour-green").uncheck()
    count(history, "40 of 200")
    history.get_by_test_id("clear").click()
    history.get_by_test_id("filter-flag").select_option("dropout")
    count(history, "40 of 200")
    history.get_by_test_id("filter-flag").select_option("")
    history.get_by_test_id("filter-edge").select_option("Fe K")
    count(history, "200 of 200")
    moment = datetime.fromtimestamp(filled - 60 * 10.5, UTC).astimezone()
    since = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    history.get_by_test_id("filter-from").fill(since)
    count(history, "10 of 200")


def test_several_are_selected_with_the_keyboard_and_laid_over_one_another(history):
    history.get_by_test_id("list").focus()
    for key in ("Space", "ArrowDown", "Space", "ArrowDown", "ArrowDown", "Space"):
        history.keyboard.press(key)
    expect(history.get_by_test_id("selected")).to_have_text("3 selected")
    for plot in ("overlay-spectra", "overlay-g2"):
        history.wait_for_function(
            "id => document.querySelectorAll(`[data-testid=${id}] .u-series`).length === 4",
            arg=plot,
        )
    history.get_by_test_id("merge").check()
    history.wait_for_selector("[data-testid=merged]:has-text('of 3 results')")
    assert "±" in history.get_by_test_id("merged").text_content()
    history.get_by_test_id("select-none").click()
    history.wait_for_selector("[data-testid=overlay-spectra] .nothing")


def test_repeats_are_grouped_with_mean_and_scatter(history):
    history.get_by_label("repeats").check(force=True)
    history.wait_for_selector("[data-testid=group]")
    expect(history.get_by_test_id("group")).to_have_count(4)
    merges = history.get_by_test_id("group-merge").all_text_contents()
    assert sorted(m.split()[0] for m in merges) == ["2.00", "2.01", "2.02", "2.03"]
    assert all("± 0.000" in m for m in merges)
    expect(history.get_by_test_id("group").first).to_contain_text("40 of 50 repeats")
    history.get_by_test_id("list").focus()
    history.keyboard.press("Home")
    history.keyboard.press("Space")
    expect(history.get_by_test_id("selected")).to_have_text("50 selected")
    history.keyboard.press("Enter")
    history.wait_for_selector("[data-testid=row]")


def test_trends_against_time_scan_and_a_number_of_the_run(history, local):
    for i in range(200):
        start = {"uid": f"run{i}", "time": 1.7e9 + i, "temperature": {"value": 300 + i}}
        local.do(local.tiled.put, "raw", f"run{i}", {"start": start, "stop": {}}, announced=False)
    history.get_by_test_id("tab-trend").click()
    points = "n => document.querySelector('[data-testid=trend]')?.dataset.points === n"
    history.wait_for_function(points, arg="200")
    axis = history.get_by_test_id("trend-x")
    axis.select_option("scan_id")
    history.wait_for_function(points, arg="200")
    axis.select_option("more")
    history.wait_for_selector(
        "[data-testid=trend-x] option:text('temperature.value')", state="attached"
    )
    axis.select_option("run:temperature.value")
    history.wait_for_function(
        "() => document.querySelector('[data-testid=trend]').getAttribute('aria-label')"
        ".includes('temperature.value')"
    )
    history.wait_for_function(points, arg="200")
    history.get_by_label("edge step").check(force=True)
    label = re.compile("edge step")
    expect(history.get_by_test_id("trend")).to_have_attribute("aria-label", label)


def test_new_results_join_the_list(history, local):
    local.publish(sample="brand new")
    count(history, "201 of 201")
    expect(history.get_by_test_id("row").first).to_contain_text("brand new")


def test_enter_opens_a_result_and_escape_leads_back(history):
    history.get_by_test_id("filter-scan").fill("7")
    count(history, "1 of 200")
    history.get_by_test_id("list").focus()
    history.keyboard.press("Enter")
    history.wait_for_selector("[data-testid=one] [data-testid=distance]")
    assert history.url.endswith("#/result/key7")
    history.keyboard.press("Escape")
    history.wait_for_selector("[data-testid=list]")
    count(history, "1 of 200")  # the filter is as it was left


def test_keys_lead_everywhere(history):
    history.keyboard.press("n")
    history.wait_for_selector("[data-testid=distance]")
    history.keyboard.press("/")
    history.wait_for_selector("[data-testid=filter-text]:focus")
    history.keyboard.press("Tab")
    history.get_by_test_id("list").focus()
    history.keyboard.press("?")
    expect(history.get_by_test_id("help")).to_be_visible()
    history.keyboard.press("Escape")
    expect(history.get_by_test_id("help")).to_be_hidden()


def test_the_list_as_a_file(history, local):
    local.publish(sample='=SUM(1,2)"x"')
    count(history, "201 of 201")
    with history.expect_download() as download:
        history.get_by_test_id("export-list").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == 201
    assert rows[0]["sample"] == '\'=SUM(1,2)"x"'
    assert {r["colour"] for r in rows} == {"green", "red"}


def test_files_permalink_and_code_of_a_result(history, local, tmp_path):
    history.goto(local.url + "#/result/key8")
    history.get_by_test_id("tab-take").click()
    heads = {"csv": b"# key: key8", "json": b"{", "h5": b"\x89HDF", "xdi": b"# XDI/1.0"}
    for ending, head in heads.items():
        with history.expect_download() as download:
            history.get_by_test_id(f"export-{ending}").click()
        assert download.value.suggested_filename.endswith(f".{ending}")
        assert download.value.path().read_bytes().startswith(head)
    link = history.get_by_test_id("permalink").text_content()
    code = history.get_by_test_id("python").text_content()
    assert 'results.dataset("key8")' in code
    compile(code, "code", "exec")
    assert len(code.splitlines()) == 3
    history.goto("about:blank")
    history.goto(link)
    history.wait_for_selector("[data-testid=distance]:has-text('2.00')")


def test_plots_as_files(history, local):
    history.goto(local.url + "#/result/key9")
    for plot in ("spectrum", "g2"):
        with history.expect_download() as download:
            history.get_by_test_id(f"{plot}-svg").click()
        svg = download.value.path().read_text()
        assert svg.startswith("<svg")
        assert "<path" in svg
        with history.expect_download() as download:
            history.get_by_test_id(f"{plot}-png").click()
        assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_permalink_to_nothing_says_so(local, look):
    page = look(local.url + "#/result/unknown")
    page.wait_for_selector("[data-testid=one-error]")
    local.put("unknown", local.publisher.node(r=2.5).metadata)
    page.wait_for_selector("[data-testid=distance]:has-text('2.50')")


def test_without_a_writers_key_nothing_can_be_reprocessed(local, look):
    key = local.publish()
    page = look(f"{local.url}#/result/{key}")
    page.wait_for_selector("[data-testid=reprocess]:has-text('Not possible')")
    expect(page.get_by_test_id("publish")).to_be_hidden()
    answer = page.evaluate(
        """key => fetch("api/reprocess", {
          method: "POST", headers: {"Content-Type": "application/json"},
          body: JSON.stringify({keys: [key], changes: {e0: 7112}, publish: true}),
        }).then(r => r.status)""",
        key,
    )
    assert answer == 403


def test_lines_of_an_overlay_can_be_told_apart_without_colour(history):
    history.get_by_test_id("list").focus()
    for key in ("Space", "ArrowDown", "Space", "ArrowDown", "Space", "ArrowDown", "Space"):
        history.keyboard.press(key)
    expect(history.get_by_test_id("selected")).to_have_text("4 selected")
    markers = history.locator("[data-testid=overlay-g2] .u-series .u-marker")
    expect(markers).to_have_count(5)  # the first is that of the axis
    styles = markers.evaluate_all("all => all.slice(1).map((m) => m.style.borderStyle)")
    assert set(styles) == {"solid", "dashed", "dotted", "double"}
