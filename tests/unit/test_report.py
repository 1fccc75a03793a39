"""The report page: what it says, what it escapes, and which figures its script is given."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.arrays import encode_array
from edge_dwsep.choice import choose
from edge_dwsep.report import render
from edge_dwsep.report.figures import milliseconds, percent, size
from edge_dwsep.report.looks import Looks
from edge_dwsep.report.toml_text import toml_text
from tests.made_results import made_results

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='y'>&amp;]]>\x00\ud800</noscript><!--"


def run(variant: str = "tflite-w8a8", engine: str = "litert", **changes: Any) -> dict[str, Any]:
    """Return one run that succeeded, its fields replaced by ``changes``."""
    p50, top1 = changes.pop("p50", 0.052), changes.pop("top1", 0.914)
    return {
        "device": "local",
        "model": "mobilenet_v1 0.25",
        "variant": variant,
        "format": "tflite",
        "scheme": variant.partition("-")[2],
        "engine": engine,
        "engine_version": "2.3.0",
        "threads": 1,
        "batch": 1,
        "file": f"{variant}.tflite",
        "file_bytes": 314_168,
        "sha256": "5e" * 32,
        "status": "ok",
        "valid": True,
        "error": None,
        "latency": {"count": 4000, "p50_ms": p50, "p50_interval_ms": [0.98 * p50, 1.02 * p50], "p90_ms": 1.15 * p50},
        "accuracy": {"count": 2000, "top1": top1, "top1_interval": [top1 - 0.013, top1 + 0.012], "confusion": [[1]]},
        "agreement": {"reference": "keras float32", "top1": 0.995, "interval": [0.991, 0.998]},
        "warnings": [],
        "state": {
            "before": {"monotonic_ns": 10**9, "load_1min": 0.5, "temperature_c": 41.5, "governor": None},
            "after": {"monotonic_ns": 3 * 10**9, "load_1min": 0.9, "temperature_c": 47.0, "governor": None},
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
            {
                "name": "mobilenet_v1 0.25",
                "input_shape": [32, 32, 1],
                "params": 218000,
                "weights_sha256": "ab" * 32,
                "reference": {"name": "keras float32", "top1": 0.9155, "top1_interval": [0.9025, 0.927]},
            }
        ],
        "data": {"name": "fashion-mnist-test-sample", "count": 2000, "sha256": "cd" * 32},
        "devices": [{"name": "local", "cpu": "a CPU", "cores": 2, "memory_bytes": 25_200_000_000}],
        "settings": {"threads": 1, "warmup_seconds": 0.5},
        "sweep": None,
        "runs": list(runs),
        **changes,
    }


CROWD = [
    run(f"{format_}-{scheme}", engine, p50=p50, top1=top1)
    for format_, scheme, engine, p50, top1 in (
        ("tflite", "float32", "tflite", 0.0931, 0.9155),
        ("tflite", "float16", "litert", 0.0725, 0.9150),
        ("tflite", "w8a8", "litert", 0.0421, 0.9125),
        ("onnx", "w8a8", "onnxruntime", 0.192, 0.9110),
    )
]


class Page(HTMLParser):
    """The elements and the text of a page without its script, as who has none would read them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._unread = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unread = tag in {"style", "script"}
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self.words += data + " "


def words(source: str) -> str:
    return " ".join(Page(source).words.split())


def data_of(source: str) -> dict[str, Any]:
    """Return the figures that the page's script draws."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', source, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def column(source: str, name: str) -> list[Any]:
    """Return a figure of every run; None of each where the page does not have it."""
    data = data_of(source)
    return list(data["runs"].get(name) or [None] * data["count"])


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": [run(variant=HOSTILE)]},
        {"runs": [run(engine=HOSTILE), run(engine="tflite")]},
        {"runs": [run(engine_version=HOSTILE)]},
        {"runs": [run(scheme=HOSTILE)]},
        {"runs": [run(device=HOSTILE, model=HOSTILE, format=HOSTILE)]},
        {"runs": [run(id=HOSTILE, engine_options={HOSTILE: HOSTILE}, conditions=[HOSTILE])]},
        {"runs": [run(warnings=[HOSTILE])]},
        {"runs": [run(status="failed", error=HOSTILE)]},
        {"runs": [run(file=HOSTILE)]},
        {"runs": [run(sha256=HOSTILE, harness_sha256=HOSTILE)]},
        {"runs": [run(state={"before": {HOSTILE: HOSTILE}, "after": {HOSTILE: [HOSTILE]}})]},
        {"models": [{"name": HOSTILE, "input_shape": [HOSTILE], "weights_sha256": HOSTILE}]},
        {"data": {"name": HOSTILE, "sha256": HOSTILE}},
        {"devices": [{"name": HOSTILE, "cpu": HOSTILE, HOSTILE: HOSTILE}]},
        {"settings": {HOSTILE: {HOSTILE: HOSTILE}}},
        {"versions": {HOSTILE: HOSTILE, "edge-dwsep": HOSTILE}},
        {"command": HOSTILE},
        {"created": HOSTILE},
        {"failed_exports": [{"variant": HOSTILE, "error": HOSTILE}]},
        {"sweep": {"name": HOSTILE, "plan": {HOSTILE: [HOSTILE]}, "excluded": [{"what": HOSTILE, "reason": HOSTILE}]}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_text_from_the_results_never_becomes_markup(changes: dict[str, Any]) -> None:
    source = render({**results(run()), **changes})
    page = Page(source)
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [
        {"type": "application/json", "id": "data"},
        {},
    ]
    assert "img" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in page.elements].count("noscript") == source.count("</noscript>") == 1
    assert "<!--" not in source
    assert "<script>alert(1)</script>" in page.words + json.dumps(data_of(source))
    source.encode("utf-8")


def test_nothing_is_loaded_from_anywhere() -> None:
    source = render(results(*CROWD))
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg")|url\(|@import|\bfetch\(|innerHTML|eval\(""", source)
    page = Page(source)
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name in {"src", "href", "xlink:href"}]


def test_the_policy_allows_the_script_and_the_style_of_the_page_and_nothing_else() -> None:
    source = render(results(*CROWD))
    policy = next(attributes["content"] for _, attributes in Page(source).elements if "http-equiv" in attributes)
    hashes = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name in ("script", "style")
        for text in re.findall(rf"<{name}>(.*?)</{name}>", source, re.DOTALL)
    }
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes['script']}'; style-src 'sha256-{hashes['style']}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_a_page_is_a_function_of_its_results() -> None:
    given = results(*CROWD)
    before = copy.deepcopy(given)
    assert render(given) == render(given)
    assert given == before


def test_runs_may_come_one_by_one() -> None:
    given = results(*CROWD)
    assert render({**given, "runs": iter(given["runs"])}) == render(given)


def test_the_summary_names_model_data_device_and_runs() -> None:
    text = words(render(results(*CROWD[:3], run(status="failed", error="no memory"))))
    assert "mobilenet_v1 0.25 (input 32\xd732\xd71, 218,000 parameters), 4 runs on local (a CPU, 2 cores)" in text
    assert ", 1 of which failed; accuracy on 2,000 images of fashion-mnist-test-sample." in text


def test_the_summary_of_a_sweep_counts_what_there_is() -> None:
    given = made_results(130, devices=4, threads=(1,))
    given["runs"][0]["reused"] = True
    given["sweep"]["finished"] = None
    text = words(render(given))
    assert "4 models on 4 devices" in text
    assert "Sweep made. 1 run of it had been measured before. It is not finished." in text


def test_no_run_is_called_better_than_another_without_a_choice() -> None:
    assert not re.search(
        r"\b(fastest|best|worst|winner|slowest|wins|ranked|first place)\b", words(render(results(*CROWD)))
    )


def test_a_choice_is_told_in_its_own_words_and_marks_its_runs() -> None:
    given = made_results(40, threads=(1,))
    choice = choose(given)
    source = render(given, choice)
    text = words(source)
    for one in choice.devices:
        assert f"{one.device} {one.recommendation}" in text
    assert {at for at, on in enumerate(column(source, "front")) if on} == choice.front
    assert {at for at, on in enumerate(column(source, "recommended")) if on} == choice.recommended
    assert column(render(given), "front") == [None] * 40


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "w8a8 litert 2.3.0 1 314 kB 0.0520 [0.0510, 0.0530] 0.0598 91.4 [90.1, 92.6] 99.5 [99.1, 99.8]"),
        ({"accuracy": None, "agreement": None}, "314 kB 0.0520 [0.0510, 0.0530] 0.0598"),
        ({"latency": None}, "314 kB 91.4 [90.1, 92.6] 99.5 [99.1, 99.8]"),
        ({"latency": {"p50_ms": 4.6}, "file_bytes": 3_490_000}, "3.49 MB 4.60 91.4"),
        ({"status": "failed", "error": "op 12 unknown"}, "litert 2.3.0 1 314 kB Failed: op 12 unknown"),
        ({"status": "failed", "error": None}, "Failed: no reason was recorded"),
    ],
    ids=["whole", "latency-only", "accuracy-only", "no-interval", "failed", "failed-silently"],
)
def test_a_row_of_the_table_for_who_has_no_script(changes: dict[str, Any], expected: str) -> None:
    assert expected in words(render(results(run(**changes))))


def test_failures_and_warnings_are_written_once_with_their_runs() -> None:
    runs = [
        run(warnings=["busy"]),
        run("b"),
        run("c", warnings=["busy", "hot"]),
        run("d", status="failed", error="no memory"),
        run("e", status="failed", error="no memory"),
    ]
    text = words(render(results(*runs, failed_exports=[{"variant": "onnx-w8a8", "error": "no such operator"}])))
    assert "Warnings busy Runs 1, 3 hot Run 3" in text
    assert "Failures no memory Runs 4, 5 onnx-w8a8 could not be made: no such operator" in text


def test_what_was_left_out_of_a_plan_is_told_with_the_reason() -> None:
    text = words(render(made_results(40)))
    assert "Left out of the plan there is no ONNX file of scheme float16 onnx-float16" in text


def test_the_device_section_shows_the_state_keys_that_have_values() -> None:
    text = words(render(results(run(), run("b", state={"before": None, "after": {"load_1min": 1.5}}))))
    assert "Before the first run load 1min 0.5 temperature, \N{DEGREE SIGN}C 41.5" in text
    assert "After the last run load 1min 1.5 How" in text
    assert "memory 25.2 GB" in text
    assert "governor" not in text


def test_how_to_repeat_gives_command_versions_settings_and_digests() -> None:
    text = words(render(results(run(harness_sha256="a2" * 32))))
    told = ("edge-dwsep demo", "python 3.11.7", "warmup seconds 0.5", *(part * 32 for part in ("ab", "cd", "5e", "a2")))
    for part in told:
        assert part in text.partition("How to repeat")[2]


def test_how_to_repeat_a_sweep_gives_its_plan_as_toml() -> None:
    text = Page(render(made_results(40, threads=(1,)))).words
    assert 'device = ["local", "pi4"]\nthreads = [1]\ndata = "fashion-mnist"\n\n[measure]\nmode = "rapid"' in text


@pytest.mark.parametrize(
    "values",
    [
        {"model": ["a b", 'quote "', "back\\slash", "new\nline", "\x7f\x01", "caf\u00e9"], "alpha": [0.35, 1.0]},
        {"a key": True, "measure": {"mode": "rapid", "nested": {"deep": [1, 2]}, "seconds": 6.0}, "seed": 0},
    ],
)
def test_a_plan_is_read_again_from_its_toml(values: dict[str, Any]) -> None:
    tomllib = pytest.importorskip("tomllib")
    assert tomllib.loads(toml_text(values)) == values


@pytest.mark.parametrize("given", [{}, {"runs": None}, {"runs": []}, results()], ids=["empty", "none", "list", "whole"])
def test_results_without_runs_say_so(given: dict[str, Any]) -> None:
    source = render(given)
    assert "There are no runs in these results." in words(source)
    assert "<table" not in source
    assert "<script" not in source


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"latency": {"p50_ms": "fast"}, "accuracy": {"top1": float("nan")}},
        {"latency": {"p50_ms": 0.0}, "accuracy": {"top1": 0.9}, "state": 3, "warnings": "none", "threads": None},
        {"latency": {"p50_ms": 1.0, "distribution_ms": ["a"] * 41}, "launches": [3, {"started": "today"}]},
        {"latency": {"p50_ms": 1.0, "samples_ns": {"data": "?"}}, "operators": {"operators": [{"ns": "x"}]}},
        {"agreement": {"mcnemar": {"b": 5, "c": 3}}, "accuracy": {"count": 4, "top1": 0.5}},
        run(latency=None),
        run(accuracy=None),
    ],
)
def test_a_run_that_lacks_a_figure_is_on_the_page_all_the_same(entry: dict[str, Any]) -> None:
    source = render(results(entry, run("b")))
    assert data_of(source)["count"] == 2
    assert column(source, "drop") == [None, None]


def test_the_script_is_given_figures_with_their_intervals() -> None:
    source = render(results(run(p50=0.0523456), run("b", latency=None, file_bytes=None)))
    assert column(source, "p50") == [0.052346, None]
    assert column(source, "p50_low") == [0.051299, None]
    assert column(source, "top1") == [0.914, 0.914]
    assert column(source, "top1_high") == [0.926, 0.926]
    assert column(source, "size") == [314168, None]
    assert "memory" not in data_of(source)["runs"]


def test_the_loss_against_float_is_counted_on_the_same_images() -> None:
    agreement = {"top1": 0.98, "interval": [0.97, 0.99], "mcnemar": {"b": 30, "c": 10, "p": 0.002, "verdict": "worse"}}
    source = render(results(run(agreement=agreement, accuracy={"count": 1000, "top1": 0.9})))
    assert column(source, "drop") == [0.02]
    assert [round(column(source, f"drop_{end}")[0], 3) for end in ("low", "high")] == [0.008, 0.034]


def test_times_are_told_alike_by_all_samples_and_by_their_quantiles() -> None:
    samples = np.random.default_rng(3).lognormal(13, 0.1, 4000).astype(np.int64)
    p50 = float(np.median(samples)) / 1e6
    kept = (np.quantile(samples, np.linspace(0, 1, 41)) / 1e6).tolist()
    full = run(latency={"p50_ms": p50, "samples_ns": encode_array(samples)})
    light = run("b", latency={"p50_ms": p50, "distribution_ms": kept})
    first, second = column(render(results(full, light)), "quantiles")
    assert first == second
    assert (len(first), first[20]) == (41, 1000)
    assert sorted(first) == first


def test_a_device_is_followed_by_its_launches_or_else_by_its_runs() -> None:
    (device,) = data_of(render(results(run())))["devices"]
    assert device["states"] == [[0, 41.5, None, 0.5], [2, 47, None, 0.9]]
    assert device["launches"] == []
    given = made_results(20, devices=1, threads=(1,), launches=3)
    (device,) = data_of(render(given))["devices"]
    assert len(device["launches"]) == 3 * len([one for one in given["runs"] if one["status"] == "ok"])
    assert [row[0] for row in device["states"]] == sorted(row[0] for row in device["states"])
    assert {row[2] for row in device["states"]} <= {1800}


def test_operators_are_told_as_long_as_there_is_room() -> None:
    given = made_results(240, devices=2, threads=(1, 4), operators=30)
    data = data_of(render(given))
    profiled = [at for at, one in enumerate(given["runs"], start=1) if one["operators"]]
    assert sorted(map(int, data["operators"])) == profiled
    assert data["operators_left_out"] == 0
    first = data["operators"][str(profiled[0])]
    assert len(first["rows"]) == 30
    assert data["operator_names"][first["rows"][1][1]] == "DEPTHWISE_CONV_2D"
    many = made_results(1400, devices=1)
    for one in many["runs"]:
        one["operators"] = given["runs"][0]["operators"]
    data = data_of(render(many))
    assert data["operators_left_out"] == 1400 - len(data["operators"]) > 0


def test_schemes_and_engines_are_told_apart_and_keep_their_looks() -> None:
    looks = Looks.of(["mine", "w8a8", "float32"], ["mine", "litert", "onnxruntime"])
    assert looks.schemes["w8a8"] == Looks.of(["w8a8"], []).schemes["w8a8"]
    assert len({color for color, _ in looks.schemes.values()}) == len({sign for _, sign in looks.schemes.values()}) == 3
    assert len(set(looks.engines.values())) == 3


def test_a_page_of_five_thousand_runs_is_smaller_than_five_megabytes() -> None:
    given = made_results(5000, devices=3, threads=(1, 2, 4), operators=40)
    assert len(render(given).encode()) < 5_000_000


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
