"""The report page in a real browser: it draws, answers to pointer and keys, fits a phone, and asks for nothing."""

from __future__ import annotations

import itertools
import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_dwsep.choice import choose
from edge_dwsep.report import render
from edge_dwsep.report.figures import milliseconds
from tests.browser import CHROMIUM, Browser, Page
from tests.made_results import made_results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (Debian: apt-get install chromium)")

WIDTHS = (1280, 800, 390, 360)
OPENS_WITHIN = 2.0
"""Seconds until 5,000 runs are drawn."""

HOSTILE = "</script><img src=x onerror=alert(1)>\"'<b>&amp;\u202e\n"
MEASURE = """(() => {
  const shown = [...document.querySelectorAll("h1,h2,p,td,th,small,dd,dt,li,label,button,svg text")]
    .filter(e => e.getClientRects().length);
  const outside = svg => [...svg.querySelectorAll("text")].filter(t => {
    const a = svg.getBoundingClientRect(), b = t.getBoundingClientRect();
    return b.left < a.left - 1 || b.right > a.right + 1 || b.top < a.top - 1 || b.bottom > a.bottom + 1;
  }).map(t => t.textContent);
  return {
    content: document.documentElement.scrollWidth,
    smallest: Math.min(...shown.map(e => parseFloat(getComputedStyle(e).fontSize))),
    clipped: [...document.querySelectorAll("svg.picture, svg.chart")].flatMap(outside),
    charts: document.querySelectorAll("svg.chart").length,
  };
})()"""

CAPTION = "document.querySelector('figcaption').textContent"


def forty() -> dict[str, Any]:
    return made_results(40, threads=(1,), operators=12)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of forty runs of two models on two devices, one of which failed."""
    given = forty()
    path = tmp_path_factory.mktemp("sweep") / "report.html"
    path.write_text(render(given, choose(given)), encoding="utf-8")
    return path


def middle_of(page: Page, selector: str) -> tuple[float, float]:
    """Where the first element lies that matches, scrolled into sight."""
    x, y = page.evaluate(
        f"""(() => {{
          const element = document.querySelector({json.dumps(selector)});
          element.scrollIntoView({{ block: "center" }});
          const box = element.getBoundingClientRect();
          return [box.left + box.width / 2, box.top + box.height / 2];
        }})()"""
    )
    return x, y


def count_of(page: Page, selector: str) -> int:
    found: int = page.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")
    return found


def choose_axis(page: Page, title: str, metric: str) -> None:
    page.evaluate(
        f"""(() => {{
          const select = document.querySelector({json.dumps(f'select[aria-label="{title}"]')});
          select.value = {json.dumps(metric)};
          select.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})()"""
    )


def untick(page: Page, name: str, value: str) -> None:
    page.click(*middle_of(page, f'input[name="{name}"][value="{value}"]'))


def distinct_rows(png: bytes) -> tuple[int, int, int]:
    """Return width, height and the number of different rows of a PNG image (RFC 2083, not interlaced)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    pixels = zlib.decompress(data)
    row = len(pixels) // height
    return width, height, len({pixels[start : start + row] for start in range(0, len(pixels), row)})


def test_every_part_is_drawn_and_nothing_is_complained_of_or_asked_for(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        assert page.complaints == []
        assert page.requests == []
        assert count_of(page, ".picture .mark[data-run]") == 19
        assert count_of(page, "table.runs tbody tr") == 20
        assert "1 run without both figures is in the table only." in page.evaluate(CAPTION)
        assert page.evaluate("document.querySelector('tr td.error').textContent").startswith("Failed: operator")
        titles = page.evaluate(
            "[...document.querySelectorAll('h2')].filter(e => e.offsetParent).map(e => e.textContent)"
        )
    assert titles == [
        *("Every run", "How the times are distributed", "Accuracy against float", "Operators", "The device over time"),
        *("Failures", "Warnings", "Left out of the plan", "Devices", "How to repeat"),
    ]


def test_a_pointer_on_a_mark_is_told_its_figures(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        assert page.evaluate("document.querySelector('.tip').hidden")
        page.move(*middle_of(page, '.picture .mark[data-run="7"]'))
        told = page.evaluate("document.querySelector('.tip').innerText")
        page.move(2, 2)
        assert page.evaluate("document.querySelector('.tip').hidden")
        assert page.complaints == []
    assert told.startswith("7 mobilenet_v2 0.35 96 \u00b7 tflite-w8a8 \u00b7 litert \u00b7 local")
    assert f"p50 latency\n{milliseconds(forty()['runs'][6]['latency']['p50_ms'])} ms [" in told
    assert "top-1 lost against float" in told


def test_a_click_opens_the_details_of_a_run_and_marks_it_everywhere(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        page.click(*middle_of(page, '.picture .mark[data-run="6"]'))
        details = page.evaluate("document.querySelector('#details').innerText")
        assert count_of(page, 'tr.selected[data-run="6"]') == 1
        page.click(*middle_of(page, "#details button"))
        assert page.evaluate("document.querySelector('#details').hidden")
        assert count_of(page, "tr.selected") == 0
        page.click(*middle_of(page, 'tr[data-run="4"] button'))
        failed = page.evaluate("document.querySelector('#details').innerText")
        assert page.complaints == []
    assert "another process took the core 7 times a second" in details
    assert "p50 of each launch" in details
    assert "Failed: operator FULLY_CONNECTED" in failed


def test_filters_leave_out_runs_from_every_part(browser: Browser, sweep: Path) -> None:
    def shown(page: Page) -> tuple[int, int, str]:
        status = page.evaluate("document.querySelector('.count').textContent")
        return count_of(page, ".picture .mark[data-run]"), count_of(page, "table.runs tbody tr"), status

    with browser.page(sweep) as page:
        untick(page, "scheme", "float16")
        assert shown(page) == (16, 16, "16 of 40 runs")
        untick(page, "engine", "onnxruntime")
        assert shown(page) == (12, 12, "12 of 40 runs")
        assert "dashed" not in page.evaluate(CAPTION)
        untick(page, "model", "mobilenet_v1 0.35 96")
        assert "The dashed line is keras float32, " in page.evaluate(CAPTION)
        assert shown(page) == (6, 6, "6 of 40 runs")
        assert count_of(page, "#distributions g.row") == 6
        untick(page, "format", "tflite")
        assert shown(page)[1:] == (0, "0 of 40 runs")
        assert page.evaluate("document.querySelector('.nothing').innerText") == "No run passes the filters."
        page.evaluate("[...document.querySelectorAll('button')].find(e => e.textContent === 'Show all').click()")
        assert shown(page) == (19, 20, "20 of 40 runs")
        untick(page, "device", "")
        assert shown(page) == (39, 40, "40 runs")
        assert count_of(page, ".picture .front-line") == 2
        assert page.complaints == []


@pytest.mark.parametrize(
    ("across", "up", "scales"),
    [("p90", "top1", "linear linear"), ("size", "drop", "log linear"), ("macs", "memory", "linear linear")],
)
def test_other_figures_can_be_drawn(browser: Browser, sweep: Path, across: str, up: str, scales: str) -> None:
    with browser.page(sweep) as page:
        choose_axis(page, "Across", across)
        choose_axis(page, "Up", up)
        assert count_of(page, ".picture .mark[data-run]") == 19
        assert page.evaluate("document.querySelector('.picture').dataset.scales") == scales
        assert page.complaints == []


def test_an_axis_is_logarithmic_when_asked_to_be(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        for expected in ("log linear", "linear linear"):
            page.click(*middle_of(page, 'input[aria-label="Across: log scale"]'))
            assert page.evaluate("document.querySelector('.picture').dataset.scales") == expected
        assert page.evaluate("document.querySelector('input[aria-label=\"Up: log scale\"]').disabled")


def test_the_front_is_of_runs_that_no_other_is_shown_to_beat(browser: Browser, tmp_path: Path) -> None:
    """By size and p50: B is larger and not shown to be faster than A, C is larger and faster, D larger and slower."""
    given = made_results(4, devices=1, threads=(1,))
    figures = {"A": (100, 2.0), "B": (200, 1.98), "C": (300, 1.0), "D": (400, 1.5)}
    for run, (name, (size, p50)) in zip(given["runs"], figures.items(), strict=True):
        run.update(variant=name, file_bytes=size, status="ok", error=None)
        run["latency"] = {"p50_ms": p50, "p50_interval_ms": [0.97 * p50, 1.03 * p50]}
    path = tmp_path / "report.html"
    path.write_text(render(given), encoding="utf-8")
    with browser.page(path) as page:
        choose_axis(page, "Up", "size")
        fronts = page.evaluate("[...document.querySelectorAll('.picture .mark.front')].map(e => e.dataset.run).sort()")
        said = page.evaluate("document.querySelector('.picture').getAttribute('aria-label')")
    assert fronts == ["1", "3"]
    assert said.startswith("file size against p50 latency of 4 runs, 2 on the front")


def test_memory_and_counts_are_ranked_beyond_what_they_scatter_by_alone(browser: Browser, tmp_path: Path) -> None:
    """B takes 1 % more memory than A and C 10 %; B takes 0.005 % more instructions, C 0.1 %; all are as fast."""
    given = made_results(4, devices=1, threads=(1,))
    figures = {"A": (1.0, 1.0), "B": (1.01, 1.00005), "C": (1.1, 1.001), "D": (1.2, 1.2)}
    for run, (name, (memory, count)) in zip(given["runs"], figures.items(), strict=True):
        run.update(variant=name, status="ok", error=None, memory={"peak_bytes": round(50e6 * memory)})
        run["latency"] = {"p50_ms": 2.0, "p50_interval_ms": [1.9, 2.1]}
        run["cost"] = {"per_inference": 1e6 * count, "least": 0.9e6, "most": 1.3e6}
    path = tmp_path / "report.html"
    path.write_text(render(given), encoding="utf-8")
    with browser.page(path) as page:
        for axis in ("memory", "instructions"):
            choose_axis(page, "Up", axis)
            marks = "[...document.querySelectorAll('.picture .mark.front')].map(e => e.dataset.run).sort()"
            assert page.evaluate(marks) == ["1", "2"], axis


def test_keys_walk_through_the_marks_and_tell_of_them(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        page.evaluate("document.querySelector('.picture').focus()")
        said = []
        for key in ("ArrowRight", "ArrowRight", "End", "Home"):
            page.press(key)
            said.append(page.evaluate("document.querySelector('[aria-live=polite].unseen').textContent"))
        page.press("Enter")
        details = page.evaluate("document.querySelector('#details').innerText")
        page.press("Escape")
        assert page.evaluate("document.querySelector('#details').hidden && document.querySelector('.tip').hidden")
        assert page.complaints == []
    assert said[0] == said[3]
    assert len(set(said)) == 3
    timed = [(run["latency"]["p50_ms"], at) for at, run in enumerate(forty()["runs"], 1) if run["latency"]]
    p50, fastest = min(timed)
    assert said[0].startswith(f"Run {fastest}, mobilenet")
    assert f"p50 latency {milliseconds(p50)} ms" in said[0]
    assert details.startswith(f"{fastest} mobilenet")


def test_the_table_is_sorted_by_a_click_on_a_column_and_back(browser: Browser, sweep: Path) -> None:
    def positions(page: Page) -> list[int]:
        found: list[int] = page.evaluate("[...document.querySelectorAll('tbody tr')].map(e => Number(e.dataset.run))")
        return found

    press = "[...document.querySelectorAll('button')].find(e => e.textContent === '{}').click()"
    with browser.page(sweep) as page:
        before = positions(page)
        page.evaluate(press.format("p50, ms"))
        by_p50 = positions(page)
        page.evaluate(press.format("p50, ms"))
        assert positions(page)[:-1] == by_p50[:-1][::-1]
        assert positions(page)[-1] == by_p50[-1] == 4  # the one that failed
        assert page.evaluate("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
        page.evaluate(press.format("In the order of the results"))
        assert positions(page) == before


def test_the_operators_of_another_run_are_shown(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        assert count_of(page, "#operators rect.operator") == 12
        first = page.evaluate("document.querySelector('#operators .chart').getAttribute('aria-label')")
        page.evaluate(
            "(() => { const s = document.querySelector('#operators select'); s.selectedIndex = 1;"
            " s.dispatchEvent(new Event('change')); })()"
        )
        assert page.evaluate("document.querySelector('#operators .chart').getAttribute('aria-label')") != first
        assert page.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_layout_fits_the_screen_and_stays_legible(browser: Browser, sweep: Path, width: int, scheme: str) -> None:
    with browser.page(sweep, width, prefers_color_scheme=scheme) as page:
        measured = page.evaluate(MEASURE)
        shown_width, height, rows = distinct_rows(page.screenshot())
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert measured["content"] <= width
    assert measured["smallest"] >= 12
    assert measured["clipped"] == []
    assert measured["charts"] == 4
    assert (shown_width, height) == (width, 900)
    assert rows > 200
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_page_is_drawn_anew_for_a_window_that_becomes_narrow(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        page.resize(390, 800)
        page.evaluate("new Promise(done => setTimeout(done, 300))")
        assert page.evaluate("document.querySelector('.picture').getBoundingClientRect().width") <= 390
        assert page.evaluate(MEASURE)["clipped"] == []


def test_schemes_and_engines_are_told_apart_without_color(browser: Browser, sweep: Path) -> None:
    """Each look has a form of its own: the paths of its swatch, whatever their fill."""
    forms = (
        "[...document.querySelectorAll('tbody .swatch')].map(e => [...e.children].map(p => p.getAttribute('d')).join())"
    )
    names = (
        "[...document.querySelectorAll('tbody tr')].map(e => [e.querySelector('th .entry > span').innerText,"
        " e.querySelectorAll('td.words')[2].innerText.split(' ')[0]].join().replace(/^(tflite|onnx)-/, ''))"
    )
    with browser.page(sweep, forced_colors="active") as page:
        page.call("Emulation.setEmulatedVisionDeficiency", type="achromatopsia")
        looks = dict(zip(page.evaluate(names), page.evaluate(forms), strict=True))
        assert distinct_rows(page.screenshot())[2] > 200
        assert page.complaints == []
    assert len(looks) == 10
    assert len(set(looks.values())) == 10


def test_without_scripts_the_page_is_a_table(browser: Browser, sweep: Path) -> None:
    with browser.page(sweep) as page:
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call("Page.reload")
        browser.wait("Page.loadEventFired", page.session)
        page.call("Emulation.setScriptExecutionDisabled", value=False)
        text = page.evaluate("document.querySelector('noscript table').innerText")
        assert page.evaluate("document.querySelector('#drawn').hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert text.count("\n") >= 40
    assert "tflite-w8a8" in text


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    given: dict[str, Any] = made_results(40, threads=(1,), operators=4)
    for model in given["models"]:
        model["name"] += HOSTILE
    for run in given["runs"]:
        for key in ("model", "variant", "engine", "scheme", "format", "device", "file", "id"):
            run[key] += HOSTILE
        run["warnings"] = [HOSTILE]
        if run["operators"]:
            run["operators"]["operators"][0]["name"] = HOSTILE
    for device in given["devices"]:
        device["name"] += HOSTILE
    path = tmp_path / "report.html"
    path.write_text(render(given, choose(given)), encoding="utf-8")
    with browser.page(path) as page:
        page.click(*middle_of(page, '.picture .mark[data-run="6"]'))
        assert HOSTILE.strip() in page.evaluate("document.querySelector('#details').textContent")
        assert count_of(page, "img, b b, main script") == 0
        assert page.complaints == []
        assert page.requests == []
    assert not [event for event in browser.events if event["method"] == "Page.javascriptDialogOpening"]


@pytest.mark.parametrize(
    "slipped",
    [
        '<img src="http://127.0.0.1:9/pixel.png">',
        "<script>document.title = 'run'</script>",
        "<style>body { background: red }</style>",
        "<b onclick='1' style='color: red'>b</b><iframe src='data:text/html,x'></iframe>",
    ],
)
def test_the_policy_of_the_page_stops_what_might_slip_in(
    browser: Browser, sweep: Path, tmp_path: Path, slipped: str
) -> None:
    path = tmp_path / "report.html"
    path.write_text(sweep.read_text(encoding="utf-8").replace("</main>", f"{slipped}</main>"), encoding="utf-8")
    with browser.page(path) as page:
        assert page.evaluate("document.title") != "run"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        complaints = page.complaints
    assert complaints
    assert all("Content Security Policy" in complaint for complaint in complaints)


def test_the_browser_would_tell_of_a_request(browser: Browser, tmp_path: Path) -> None:
    """The control of the tests above: an image from elsewhere, and a page that may load it."""
    path = tmp_path / "page.html"
    path.write_text('<!doctype html><img src="http://127.0.0.1:9/pixel.png">', encoding="utf-8")
    with browser.page(path) as page:
        assert page.requests == ["http://127.0.0.1:9/pixel.png"]
        assert page.complaints


def test_five_thousand_runs_open_within_two_seconds(browser: Browser, tmp_path: Path) -> None:
    given = made_results(5000, devices=3, threads=(1, 2, 4), operators=30)
    path = tmp_path / "report.html"
    path.write_text(render(given), encoding="utf-8")
    taken = []
    for _ in range(3):
        began = time.monotonic()
        with browser.page(path) as page:
            taken.append(time.monotonic() - began)
            assert page.complaints == []
            assert "1,680 of 5,000 runs" in page.evaluate("document.querySelector('.count').textContent")
            untick(page, "device", "")
            assert page.evaluate("document.querySelector('.count').textContent") == "5,000 runs"
            crowd = page.evaluate(
                "[...document.querySelectorAll('.picture .mark')].map(e => (e.getAttribute('d').match(/Z/g)"
                " ?? []).length).reduce((a, b) => a + b)"
            )
            assert crowd == sum(run["status"] == "ok" for run in given["runs"])
            page.move(*middle_of(page, ".picture .mark.front"))
            assert not page.evaluate("document.querySelector('.tip').hidden")
    assert min(taken) < OPENS_WITHIN


def test_pages_of_little_are_drawn_without_complaint(browser: Browser, tmp_path: Path) -> None:
    whole = made_results(6, devices=1, threads=(1,))
    pieces = ("latency", "accuracy", "agreement", "launches", "memory", "file_bytes", "state")
    for at, absent in enumerate(itertools.combinations(pieces, 3)):
        for run in whole["runs"]:
            run.update(status="ok", error=None)
        given = {**whole, "runs": [{**run, **dict.fromkeys(absent)} for run in whole["runs"]]}
        path = tmp_path / f"{at}.html"
        path.write_text(render(given), encoding="utf-8")
        with browser.page(path) as page:
            assert page.complaints == [], absent
            assert count_of(page, "table.runs tbody tr") == 6
