"""The report page: what it says, what it escapes, and what its picture measures."""

from __future__ import annotations

import copy
import itertools
import math
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from edge_dwsep.report import render
from edge_dwsep.report.figures import milliseconds, percent, size
from edge_dwsep.report.placement import Anchor, Box, place
from edge_dwsep.report.runs import labels, read_runs

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='y'>&amp;]]>\x00\ud800"


def run(variant: str = "tflite-w8a8", engine: str = "litert", **changes: Any) -> dict[str, Any]:
    """Return one run that succeeded, its fields replaced by ``changes``."""
    p50, top1 = changes.pop("p50", 0.052), changes.pop("top1", 0.914)
    return {
        "variant": variant,
        "format": "tflite",
        "scheme": variant.partition("-")[2],
        "engine": engine,
        "engine_version": "2.3.0",
        "threads": 1,
        "file": f"{variant}.tflite",
        "file_bytes": 314_168,
        "sha256": "5e" * 32,
        "status": "ok",
        "error": None,
        "latency": {"count": 4000, "p50_ms": p50, "p50_interval_ms": [0.98 * p50, 1.02 * p50], "p90_ms": 1.15 * p50},
        "accuracy": {"count": 2000, "top1": top1, "top1_interval": [top1 - 0.013, top1 + 0.012], "confusion": [[1]]},
        "agreement": {"reference": "keras float32", "top1": 0.995, "interval": [0.991, 0.998]},
        "warnings": [],
        "state": {
            "before": {"load_1min": 0.5, "temperature_c": 41.5, "governor": None},
            "after": {"load_1min": 0.9, "temperature_c": 47.0, "governor": None},
        },
        **changes,
    }


def results(*runs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what results.json would hold for these runs."""
    return {
        "schema_version": 4,
        "created": "2026-11-22T19:00:00Z",
        "command": "edge-dwsep demo",
        "versions": {"edge-dwsep": "0.1.0", "python": "3.11.7"},
        "models": [
            {"name": "mobilenet_v1 0.25", "input_shape": [32, 32, 1], "params": 218000, "weights_sha256": "ab" * 32}
        ],
        "data": {"name": "fashion-mnist-test-sample", "count": 2000, "sha256": "cd" * 32},
        "reference": {"name": "keras float32", "top1": 0.9155, "top1_interval": [0.9025, 0.927]},
        "devices": [{"name": "local", "cpu": "a CPU", "cores": 2, "memory_bytes": 25_200_000_000}],
        "settings": {"threads": 1, "warmup_seconds": 0.5},
        "runs": list(runs),
        **changes,
    }


CROWD = [
    run("tflite-float32", "tflite", p50=0.0931, top1=0.9155, file_bytes=876_000),
    run("tflite-float32", "litert", p50=0.0712, top1=0.9155, file_bytes=876_000),
    run("tflite-float16", "tflite", p50=0.0940, top1=0.9150, file_bytes=446_200),
    run("tflite-float16", "litert", p50=0.0725, top1=0.9150, file_bytes=446_200),
    run("tflite-w8-dynamic", "tflite", p50=0.0880, top1=0.9140, file_bytes=289_400),
    run("tflite-w8-dynamic", "litert", p50=0.0655, top1=0.9140, file_bytes=289_400),
    run("tflite-w8a8", "tflite", p50=0.0683, top1=0.9125),
    run("tflite-w8a8", "litert", p50=0.0421, top1=0.9125),
    run("onnx-float32", "onnxruntime", p50=0.118, top1=0.9155, file_bytes=861_000),
    run("onnx-w8a8", "onnxruntime", p50=0.192, top1=0.9110, file_bytes=281_500),
]


class Page(HTMLParser):
    """The elements and the text of a page, as a browser would read them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._unread = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unread = tag == "style"
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.words += data + " "


def words(source: str) -> str:
    return " ".join(Page(source).words.split())


def pictures(source: str) -> dict[str, ET.Element]:
    """Return the page's drawings by name; that they parse shows that they are well-formed XML."""
    found = re.findall(r'<svg class="picture (\w+)".*?</svg>', source, re.DOTALL)
    texts = re.findall(r'<svg class="picture .*?</svg>', source, re.DOTALL)
    return {name: ET.fromstring(text) for name, text in zip(found, texts, strict=True)}  # noqa: S314


def points(picture: ET.Element) -> dict[int, ET.Element]:
    return {int(group.attrib["data-run"]): group for group in picture.iterfind(".//g[@class='point']")}


def mark_area(point: ET.Element) -> float:
    """Measure the mark of a point in square pixels, whatever its shape."""
    mark = next(element for element in point if "mark" in element.get("class", ""))
    if mark.tag == "circle":
        return math.pi * float(mark.attrib["r"]) ** 2
    corners = [tuple(map(float, corner.split(","))) for corner in mark.attrib["points"].split()]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in itertools.pairwise([*corners, corners[0]]))) / 2


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": [run(variant=HOSTILE)]},
        {"runs": [run(engine=HOSTILE), run(engine="tflite")]},
        {"runs": [run(engine_version=HOSTILE)]},
        {"runs": [run(scheme=HOSTILE)]},
        {"runs": [run(warnings=[HOSTILE])]},
        {"runs": [run(status="failed", error=HOSTILE)]},
        {"runs": [run(file=HOSTILE)]},
        {"runs": [run(sha256=HOSTILE)]},
        {"runs": [run(state={"before": {HOSTILE: HOSTILE}, "after": {HOSTILE: [HOSTILE]}})]},
        {"models": [{"name": HOSTILE, "input_shape": [HOSTILE], "weights_sha256": HOSTILE}]},
        {"data": {"name": HOSTILE, "sha256": HOSTILE}},
        {"devices": [{"name": HOSTILE, "cpu": HOSTILE, HOSTILE: HOSTILE}]},
        {"reference": {"name": HOSTILE, "top1": 0.9}},
        {"settings": {HOSTILE: {HOSTILE: HOSTILE}}},
        {"versions": {HOSTILE: HOSTILE, "edge-dwsep": HOSTILE}},
        {"command": HOSTILE},
        {"created": HOSTILE},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_text_from_the_results_never_becomes_markup(changes: dict[str, Any]) -> None:
    source = render({**results(run()), **changes})
    page = Page(source)
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.words
    assert all(points(picture) or not changes.get("runs") for picture in pictures(source).values())
    source.encode("utf-8")


def test_nothing_is_loaded_from_anywhere() -> None:
    source = render(results(*CROWD))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", source)
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name in {"src", "href", "xlink:href"}]
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert str(policy).startswith("default-src 'none'")


def test_a_page_is_a_function_of_its_results() -> None:
    given = results(*CROWD)
    before = copy.deepcopy(given)
    assert render(given) == render(given)
    assert given == before


def test_the_summary_names_model_data_device_and_runs() -> None:
    text = words(render(results(*CROWD[:3], run(status="failed", error="no memory"))))
    assert "mobilenet_v1 0.25 (input 32\xd732\xd71, 218,000 parameters), 4 runs on local (a CPU, 2 cores)" in text
    assert ", 1 of which failed; accuracy on 2,000 images of fashion-mnist-test-sample." in text


def test_no_run_is_called_better_than_another() -> None:
    assert not re.search(
        r"\b(fastest|best|worst|winner|slowest|wins|ranked|first place)\b", words(render(results(*CROWD)))
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "tflite-w8a8 litert 2.3.0 314 kB 0.0520 [0.0510, 0.0530] 0.0598 91.4 [90.1, 92.6] 99.5 [99.1, 99.8]"),
        ({"accuracy": None, "agreement": None}, "314 kB 0.0520 [0.0510, 0.0530] 0.0598 \u2013 \u2013"),
        ({"latency": None}, "314 kB \u2013 \u2013 91.4 [90.1, 92.6] 99.5 [99.1, 99.8]"),
        ({"latency": {"p50_ms": 4.6}, "file_bytes": 3_490_000}, "3.49 MB 4.60 \u2013 91.4"),
        ({"status": "failed", "error": "op 12 unknown"}, "tflite-w8a8 litert 2.3.0 314 kB Failed: op 12 unknown"),
        ({"status": "failed", "error": None}, "Failed: no reason was recorded"),
    ],
    ids=["whole", "latency-only", "accuracy-only", "no-interval", "failed", "failed-silently"],
)
def test_a_row_of_the_table(changes: dict[str, Any], expected: str) -> None:
    assert expected in words(render(results(run(**changes))))


def test_threads_are_named_where_they_differ() -> None:
    assert "1 thread" not in words(render(results(run(), run("tflite-float32"))))
    text = words(render(results(run(), run(threads=4))))
    assert "litert 2.3.0, 1 thread" in text
    assert "litert 2.3.0, 4 threads" in text


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run("a"), run("b")], ("a", "b")),
        ([run("a"), run("a", "tflite"), run("b")], ("a \xb7 litert", "a \xb7 tflite", "b")),
        ([run("a", threads=1), run("a", threads=4)], ("a \xb7 litert \xb7 1 thread", "a \xb7 litert \xb7 4 threads")),
        ([run("a", threads=None), run("a", threads=None)], ("a \xb7 litert \xb7 run 1", "a \xb7 litert \xb7 run 2")),
    ],
)
def test_labels_are_as_long_as_needed_to_differ(runs: list[dict[str, Any]], expected: tuple[str, ...]) -> None:
    assert labels(read_runs(results(*runs))) == expected


def test_a_warning_shared_by_runs_is_written_once() -> None:
    text = words(render(results(run(warnings=["busy"]), run("b"), run("c", warnings=["busy", "hot"]))))
    assert "Warnings a busy Runs 1, 3 b hot Run 3" in text


def test_the_device_section_shows_the_state_keys_that_have_values() -> None:
    text = words(render(results(run(), run("b", state={"before": None, "after": {"load_1min": 1.5}}))))
    assert "Before the first run load 1min 0.5 temperature, \N{DEGREE SIGN}C 41.5" in text
    assert "After the last run load 1min 1.5 State" in text
    assert "memory 25.2 GB" in text
    assert "governor" not in text


def test_how_to_repeat_gives_command_versions_settings_and_digests() -> None:
    text = words(render(results(run())))
    for part in ("edge-dwsep demo", "python 3.11.7", "warmup seconds 0.5", "ab" * 32, "cd" * 32, "5e" * 32):
        assert part in text.partition("How to repeat")[2]


@pytest.mark.parametrize("given", [{}, {"runs": None}, {"runs": []}, results()], ids=["empty", "none", "list", "whole"])
def test_results_without_runs_say_so(given: dict[str, Any]) -> None:
    source = render(given)
    assert "There are no runs in these results." in words(source)
    assert "<table" not in source
    assert not pictures(source)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"latency": {"p50_ms": "fast"}, "accuracy": {"top1": float("nan")}},
        {"latency": {"p50_ms": 0.0}, "accuracy": {"top1": 0.9}, "state": 3, "warnings": "none", "threads": None},
        run(latency=None),
        run(accuracy=None),
    ],
)
def test_runs_that_cannot_be_drawn_leave_a_page_without_a_picture(entry: dict[str, Any]) -> None:
    source = render(results(entry))
    assert "No run has both a latency and an accuracy" in words(source)
    assert not pictures(source)


@pytest.mark.parametrize("file_bytes", [None, 0, -1, "large"])
def test_a_run_of_unknown_size_is_drawn_hollow(file_bytes: object) -> None:
    point = points(pictures(render(results(run(), run("b", file_bytes=file_bytes))))["wide"])[2]
    assert any(element.get("class") == "mark hollow" for element in point)


def test_each_picture_has_one_point_for_each_run_that_succeeded_with_both_figures() -> None:
    runs = [*CROWD, run("failed", status="failed", error="no memory"), run("timed", accuracy=None)]
    source = render(results(*runs))
    drawn = pictures(source)
    assert set(drawn) == {"wide", "narrow"}
    for picture in drawn.values():
        assert set(points(picture)) == set(range(1, 11))
    assert "2 runs without both figures are in the table only." in words(source)


@pytest.mark.parametrize("name", ["wide", "narrow"])
def test_the_area_of_a_mark_is_proportional_to_the_file_size(name: str) -> None:
    drawn = points(pictures(render(results(*CROWD)))[name])
    per_byte = [mark_area(drawn[at]) / entry["file_bytes"] for at, entry in enumerate(CROWD, start=1)]
    assert per_byte == pytest.approx([per_byte[0]] * len(per_byte), rel=0.01)


def test_the_size_legend_has_the_scale_of_the_marks() -> None:
    picture = pictures(render(results(*CROWD)))["wide"]
    legend = picture.find(".//g[@class='sizes']")
    assert legend is not None
    written = [text.text for text in legend.iterfind("text")]
    assert written == ["1 MB", "500 kB", "200 kB", "File size:"]
    areas = [math.pi * float(circle.attrib["r"]) ** 2 for circle in legend.iterfind("circle")]
    expected = mark_area(points(picture)[1]) / CROWD[0]["file_bytes"]
    assert [area / amount for area, amount in zip(areas, (1e6, 5e5, 2e5), strict=True)] == pytest.approx(
        [expected] * 3, rel=0.01
    )


@pytest.mark.parametrize(
    ("slowest", "scale", "ticks"),
    [
        (0.05, "linear", {"0.048", "0.05", "0.052"}),
        (0.15, "linear", {"0.06", "0.1", "0.14"}),
        (0.151, "log", {"0.05", "0.1"}),
        (50.0, "log", {"0.1", "1", "10"}),
    ],
)
def test_latency_is_logarithmic_above_a_ratio_of_three(slowest: float, scale: str, ticks: set[str]) -> None:
    picture = pictures(render(results(run("a", p50=0.05), run("b", p50=slowest))))["wide"]
    assert picture.get("data-scale") == scale
    assert ticks <= {text.text for text in picture.iterfind("text[@class='tick']")}


def test_bars_span_the_intervals_and_cross_at_the_point() -> None:
    entry = run(p50=1.0, top1=0.5, latency={"p50_ms": 1.0, "p50_interval_ms": [0.9, 1.2]})
    point = points(pictures(render(results(entry, run("b", p50=2.0, top1=0.9))))["wide"])[1]
    across, up = (
        [float(number) for number in re.findall(r"[\d.]+", bar.attrib["d"])]
        for bar in point.iterfind("path[@class='bar']")
    )
    target = point.find("circle[@class='target']")
    assert target is not None
    x, y = float(target.attrib["cx"]), float(target.attrib["cy"])
    assert across[1] == across[3] == pytest.approx(y, abs=0.1)
    assert up[0] == up[2] == pytest.approx(x, abs=0.1)
    assert (x - across[0]) / (across[2] - x) == pytest.approx(0.1 / 0.2, rel=0.01)
    assert up[1] < y < up[3]


def test_a_pointer_on_a_mark_is_told_all_its_figures() -> None:
    title = points(pictures(render(results(run())))["wide"])[1].findtext("title")
    assert str(title).splitlines() == [
        "tflite-w8a8",
        "litert 2.3.0, w8a8",
        "p50 0.0520 ms [0.0510, 0.0530]",
        "p90 0.0598 ms",
        "top-1 91.4 % [90.1, 92.6]",
        "file 314 kB",
    ]


def test_schemes_and_engines_are_told_apart_and_keep_their_looks() -> None:
    def look(source: str, at: int) -> tuple[str | None, int]:
        """Return the color and the number of different x of the corners: 0 for circle, 2 square, 3 diamond."""
        mark = next(e for e in points(pictures(source)["wide"])[at] if e.get("class") == "mark")
        return mark.get("fill"), len({corner.split(",")[0] for corner in mark.get("points", "").split()})

    source = render(results(*CROWD))
    looks = [look(source, at) for at in range(1, 11)]
    assert len(set(looks)) == 10
    assert look(render(results(CROWD[7])), 1) == looks[7]


def test_many_runs_are_numbered_and_keyed() -> None:
    runs = [run(f"variant-{at}", p50=0.05 * 1.1**at) for at in range(40)]
    source = render(results(*runs))
    assert [point.findtext("text") for point in points(pictures(source)["wide"]).values()].count("7") == 1
    assert '<ol class="key">' in source
    assert '<ol class="key narrow">' in render(results(*runs[:5]))


def test_crowded_labels_overlap_neither_each_other_nor_a_mark() -> None:
    """Ten long labels for points that lie within a few marks of one another, as variants of one network do."""
    anchors = [Anchor(200.0 + 27 * at, 200 + 9.0 * (at % 3), 12, 130, 17) for at in range(10)]
    bounds = Box(40, 40, 800, 480)
    placed = place(anchors, bounds)
    assert not [pair for pair in itertools.combinations(placed, 2) if pair[0].box.overlap(pair[1].box)]
    assert not [at for at in placed for anchor in anchors if at.box.overlap(anchor.box)]
    assert all(at.box.left >= 40 and at.box.right <= 800 and at.box.top >= 40 and at.box.bottom <= 480 for at in placed)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (milliseconds(0.05213), "0.0521"),
        (milliseconds(0.09996), "0.100"),
        (milliseconds(0.9996), "1.00"),
        (milliseconds(12.345), "12.3"),
        (milliseconds(99.96), "100"),
        (milliseconds(1234.0), "1230"),
        (milliseconds(None), "\u2013"),
        (percent(0.914), "91.4"),
        (percent(1.0), "100.0"),
        (size(512), "512 B"),
        (size(314_168), "314 kB"),
        (size(999_700), "1.00 MB"),
        (size(25_200_000_000), "25.2 GB"),
    ],
)
def test_figures_are_rounded_as_stated(written: str, expected: str) -> None:
    assert written == expected
