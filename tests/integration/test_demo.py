"""The demo, end to end."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from dwsep_export import open_artifact
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.percentiles import percentile
from edge_dwsep.choice import choose
from edge_dwsep.report import render
from tests.conftest import Demo

RUNS = {
    (f"tflite-{scheme}", engine)
    for scheme in ("float32", "float16", "w8-dynamic", "w8a8")
    for engine in ("tflite", "litert")
} | {("onnx-float32", "onnxruntime"), ("onnx-w8a8", "onnxruntime")}


@pytest.fixture(scope="module")
def results(demo: Demo) -> dict[str, Any]:
    assert demo.run.returncode == 0, demo.run.stderr
    loaded: dict[str, Any] = json.loads((demo.folder / "results.json").read_text())
    return loaded


def test_every_variant_ran_on_every_engine_that_can(results: dict[str, Any]) -> None:
    assert {(run["variant"], run["engine"]) for run in results["runs"]} == RUNS
    assert {run["status"] for run in results["runs"]} == {"ok"}
    assert results["failed_exports"] == []


def test_accuracy_is_the_checkpoints_within_its_interval(results: dict[str, Any]) -> None:
    assert results["reference"]["top1"] == pytest.approx(0.925, abs=0.01)
    for run in results["runs"]:
        accuracy = run["accuracy"]
        assert accuracy["count"] == 2000
        assert accuracy["top1_interval"][0] < accuracy["top1"] < accuracy["top1_interval"][1]
        assert np.sum(accuracy["confusion"]) == 2000
        assert np.trace(accuracy["confusion"]) == round(2000 * accuracy["top1"])
        assert accuracy["top5"] > accuracy["top1"] > 0.91


def test_float_variants_agree_with_keras_and_int8_nearly_does(results: dict[str, Any]) -> None:
    least = {"float32": 0.999, "float16": 0.998, "w8-dynamic": 0.99, "w8a8": 0.97}
    for run in results["runs"]:
        assert run["agreement"]["top1"] >= least[run["scheme"]], run["variant"]


def test_percentiles_are_those_of_the_raw_samples(results: dict[str, Any]) -> None:
    for run in results["runs"]:
        latency = run["latency"]
        samples = decode_array(latency["samples_ns"])
        assert len(samples) == latency["count"] >= 1024
        assert samples.sum() >= 0.9e9
        assert latency["p50_ms"] == percentile(samples, 50) / 1e6
        assert latency["p50_interval_ms"][0] <= latency["p50_ms"] <= latency["p50_interval_ms"][1]
        assert latency["p50_ms"] <= latency["p90_ms"]


def test_results_name_their_artifacts_by_hash(demo: Demo, results: dict[str, Any]) -> None:
    for run in results["runs"]:
        artifact = open_artifact(demo.folder / "artifacts" / run["file"])
        assert (run["sha256"], run["manifest_sha256"]) == (artifact.sha256, artifact.manifest_sha256)


def test_the_table_shows_every_run_and_fits_a_file(demo: Demo, results: dict[str, Any]) -> None:
    lines = demo.run.stdout.splitlines()
    assert lines[0].split()[0] == "variant"
    rows = {tuple(line.split()[:2]) for line in lines[1:]}
    assert rows >= {(run["variant"], run["engine"]) for run in results["runs"]}
    assert "…" not in demo.run.stdout


def test_the_report_is_that_of_the_results(demo: Demo, results: dict[str, Any]) -> None:
    assert (demo.folder / "report.html").read_text() == render(results, choose(results))


def test_nothing_but_the_results_is_left_behind(demo: Demo) -> None:
    assert sorted(path.name for path in demo.folder.iterdir()) == ["artifacts", "report.html", "results.json"]
    names = [path.name for path in (demo.folder / "artifacts").iterdir()]
    assert len(names) == 12
    assert not [name for name in names if name.startswith(".") or "part" in name]


def test_the_terminal_shows_no_noise(demo: Demo) -> None:
    assert all(line.startswith("demo: ") for line in demo.run.stderr.splitlines()), demo.run.stderr
