"""Sweeps through the command line, with real converters and engines on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dwsep_export import open_artifact
from edge_dwsep.checkpoints import checkpoint_names
from edge_dwsep.results_file import read_results
from tests.sweep_place import Place

CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
SHORT = ("--mode", "rapid", "--min-seconds", "0.2", "--min-samples", "60", "--max-warmup-seconds", "0.3")
PLAN = (CHECKPOINT, "--data", "fashion-mnist-sample", "--engine", "litert,onnxruntime", "--processes", "2", *SHORT)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("sweeping"))


@pytest.fixture(scope="module")
def swept(place: Place) -> dict[str, Any]:
    """What a first sweep of float32 and w8a8 told, as JSON."""
    done = place.run("sweep", *PLAN, "--scheme", "float32,w8a8", "--profile-ops", "--output", "first", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def of(run: Mapping[str, Any]) -> tuple[str, str]:
    return run["variant"], run["engine"]


def kinds(told: Mapping[str, Any]) -> list[str]:
    return [step["kind"] for step in told["steps_done"]]


@pytest.mark.slow
def test_every_variant_is_made_measured_and_kept(place: Place, swept: dict[str, Any]) -> None:
    assert [of(run) for run in swept["runs"]] == [
        ("tflite-float32", "litert"),
        ("tflite-w8a8", "litert"),
        ("onnx-float32", "onnxruntime"),
        ("onnx-w8a8", "onnxruntime"),
    ]
    for run in swept["runs"]:
        assert run["status"] == "ok"
        assert run["accuracy"]["count"] == 2000
        assert 0.90 < run["accuracy"]["top1"] < 0.94
        assert len(run["launches"]) == 2
        assert run["latency"]["p50_interval_ms"][0] <= run["latency"]["p50_ms"] <= run["latency"]["p50_interval_ms"][1]
        assert run["operators"] is not None
        assert run["reused"] is False
    assert swept["runs"][0]["agreement"]["top1"] == 1.0
    assert swept["models"][0]["reference"]["top1"] == swept["runs"][0]["accuracy"]["top1"]
    assert swept["sweep"]["excluded"] == []


@pytest.mark.slow
def test_the_folder_has_artifacts_that_are_not_stale_results_with_samples_and_reports(
    place: Place, swept: dict[str, Any]
) -> None:
    folder = place.folder / "first"
    for run in swept["runs"]:
        artifact = open_artifact(folder / "artifacts" / run["file"])
        assert artifact.sha256 == run["sha256"]
        assert artifact.manifest_sha256 == run["manifest_sha256"]
    results = read_results(folder / "results.json")
    assert [of(run) for run in results["runs"]] == [of(run) for run in swept["runs"]]
    assert all(run["latency"]["samples_ns"]["shape"][0] == run["latency"]["count"] for run in results["runs"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert all(run["variant"] in page and run["variant"] in text for run in swept["runs"])


@pytest.mark.slow
def test_choosing_afterwards_starts_from_the_plan_of_the_sweep(place: Place, swept: dict[str, Any]) -> None:
    limited = place.run(
        "sweep", *PLAN, "--scheme", "float32,w8a8", "--max-size", "500kB", "--output", "limited", "--json"
    )
    assert limited.returncode == 0, limited.stderr
    chosen = place.run("results", "choose", "limited", "--json")
    assert json.loads(chosen.stdout) == json.loads(limited.stdout)["choice"]
    wider = place.run("results", "choose", "limited", "--max-size", "2MB", "--json")
    assert json.loads(wider.stdout)["devices"][0]["unmet"] == {}
    assert json.loads(chosen.stdout)["devices"][0]["unmet"] != {}


@pytest.mark.slow
def test_rounds_are_taken_in_turns_over_all_runs(swept: dict[str, Any]) -> None:
    launches = [step["title"].partition(", round ") for step in swept["steps_done"] if step["kind"] == "launch"]
    assert [said[2] for said in launches] == ["1 of 2"] * 4 + ["2 of 2"] * 4
    assert [said[0] for said in launches[:4]] == [said[0] for said in launches[4:]]


@pytest.mark.slow
def test_again_unchanged_does_nothing_and_tells_the_same(place: Place, swept: dict[str, Any]) -> None:
    before = place.steps()
    page = (place.folder / "first" / "report.html").stat().st_mtime_ns
    again = place.run("sweep", *PLAN, "--scheme", "float32,w8a8", "--profile-ops", "--output", "first", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert kinds(told) == []
    assert [run["id"] for run in told["runs"]] == [run["id"] for run in swept["runs"]]
    assert told["choice"] == swept["choice"]
    assert place.steps() == before
    assert (place.folder / "first" / "report.html").stat().st_mtime_ns == page


@pytest.mark.slow
def test_an_added_scheme_costs_its_own_steps_alone(place: Place, swept: dict[str, Any]) -> None:
    before = place.steps()
    more = place.run(
        "sweep", *PLAN, "--scheme", "float32,float16,w8a8", "--profile-ops", "--output", "second", "--json"
    )
    assert more.returncode == 0, more.stderr
    told = json.loads(more.stdout)
    assert sorted(kinds(told)) == ["accuracy", "convert", "launch", "launch", "operators", "verify"]
    assert all("tflite-float16" in step["title"] for step in told["steps_done"])
    assert {of(run): run["reused"] for run in told["runs"]} == {
        ("tflite-float32", "litert"): True,
        ("tflite-float16", "litert"): False,
        ("tflite-w8a8", "litert"): True,
        ("onnx-float32", "onnxruntime"): True,
        ("onnx-w8a8", "onnxruntime"): True,
    }
    after = place.steps()
    assert {key: after[key] for key in before} == before
    assert len(list((place.folder / "second" / "artifacts").glob("*.tflite"))) == 3


@pytest.mark.slow
def test_measured_again_when_asked_to_with_the_same_artifacts(place: Place, swept: dict[str, Any]) -> None:
    again = place.run(
        "sweep", *PLAN, "--scheme", "w8a8", "--format", "tflite", "--again", "--output", "third", "--json"
    )
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert sorted(kinds(told)) == ["accuracy", "launch", "launch"]
    assert told["runs"][0]["sha256"] == swept["runs"][1]["sha256"]
    assert told["runs"][0]["id"] != swept["runs"][1]["id"]


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_with_what_is_left(tmp_path: Path) -> None:
    place = Place(tmp_path)
    command = place.command("sweep", *PLAN, "--scheme", "float32,float16", "--output", "killed")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=place.environment, cwd=tmp_path, stderr=log, stdout=log)
        deadline = time.monotonic() + 300
        try:
            while sum(kind == "launch" for kind, _ in place.steps().values()) < 2:
                assert time.monotonic() < deadline
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    before = place.steps()
    resumed = place.run("sweep", "--resume", "--output", "killed", "--json")
    assert resumed.returncode == 0, resumed.stderr
    told = json.loads(resumed.stdout)
    after = place.steps()
    assert {key: after[key] for key in before} == before
    assert len(after) - len(before) <= len(told["steps_done"]) <= len(after) - len(before) + 1
    assert not set(kinds(told)) - {"launch", "accuracy"}
    assert [run["status"] for run in told["runs"]] == ["ok"] * 3
    assert all(len(run["launches"]) == 2 for run in told["runs"])
    assert place.run("sweep", "--resume", "--output", "killed", "--json").returncode == 0


@pytest.mark.slow
def test_untrained_networks_of_several_sizes_are_swept_without_data(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = place.run(
        *("sweep", "mobilenet_v1", "--alpha", "0.25,0.03125", "--resolution", 32, "--format", "tflite"),
        *("--scheme", "float32,w8a8", "--engine", "litert", "--threads", "1,2", *SHORT, "--output", "out", "--json"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(run["model"], run["variant"], run["threads"]) for run in told["runs"]] == [
        (f"mobilenet_v1_{alpha}_32", variant, threads)
        for alpha in ("0.25", "0.03125")
        for variant in ("tflite-float32", "tflite-w8a8")
        for threads in (1, 2)
    ]
    assert all(run["accuracy"] is None and run["latency"] for run in told["runs"])
    assert [model["trained"] for model in told["models"]] == [False, False]


@pytest.mark.slow
def test_another_preprocessing_makes_another_manifest_of_the_same_file_and_takes_no_time_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    plan = ("mobilenet_v1", "--alpha", "0.03125", "--resolution", 32, "--format", "tflite", "--scheme", "float32")
    given = ("sweep", *plan, "--engine", "litert", *SHORT, "--output", "out", "--json")
    told = []
    for scale in (0.25, 0.5):
        done = place.run(*given, "--scale", scale)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
        (run,) = told[-1]["runs"]
        artifact = open_artifact(tmp_path / "out" / "artifacts" / run["file"])
        assert artifact.manifest is not None
        assert set(artifact.manifest.preprocessing.scale) == {scale}
        assert (run["sha256"], run["manifest_sha256"]) == (artifact.sha256, artifact.manifest_sha256)
    assert sorted(kinds(told[1])) == ["reference", "verify"]
    first, second = (one["runs"][0] for one in told)
    assert first["latency"] == second["latency"]


def test_a_dry_run_shows_the_plan_and_does_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shown = place.run("sweep", *PLAN, "--scheme", "float32,float16", "--dry-run", "--output", "out")
    assert shown.returncode == 0, shown.stderr
    assert "3 variants, 3 runs: about" in shown.stdout
    assert "onnx-float16: onnx does not carry float16" in shown.stdout
    assert [path.name for path in tmp_path.iterdir()] == []


def test_every_checkpoint_can_be_planned(tmp_path: Path) -> None:
    place = Place(tmp_path)
    shown = place.run("sweep", *checkpoint_names(), "--data", "fashion-mnist-sample", "--dry-run", "--json")
    assert shown.returncode == 0, shown.stderr
    assert {run["model"] for run in json.loads(shown.stdout)["runs"]} == set(checkpoint_names())


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ((), "give a plan (FILE.toml) or a model", 2),
        (("--resume",), "--resume: there is no sweep in", 2),
        (("mobilenet_v1", "--resume"), "--resume: there is no sweep in", 2),
        (("mobilenet_v9",), "did you mean 'mobilenet_v", 3),
        (("mobilenet_v1", "--scheme", "w4"), "scheme", 3),
        (("mobilenet_v1", "--engine", "onnx"), "did you mean 'onnxruntime'", 3),
        (("mobilenet_v1", "--device", "nowhere"), "unknown device 'nowhere'", 3),
        (("mobilenet_v1", "--max-drop", "much"), "max-drop", 3),
        (("plan.toml",), "plan.toml", 3),
    ],
)
def test_what_is_not_accepted_is_told_in_a_line_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], said: str, code: int
) -> None:
    refused = Place(tmp_path).run("sweep", *arguments, "--output", "out")
    assert refused.returncode == code, refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out").exists()
