"""bench by other means than the clock: instructions on an emulated board, and a program of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CommandLine, Demo
from tests.lab_fixtures import require_lab
from tests.unit.test_benchmark_runner import GPU


@pytest.mark.slow
def test_two_runs_count_the_same_instructions_whatever_the_host_does(
    demo: Demo, command_line: CommandLine, tmp_path: Path
) -> None:
    require_lab()
    counted = []
    for round_ in range(2):
        output = tmp_path / f"{round_}.json"
        asked = ("--device", "lab-pi4", "--cost", "instructions", "--engine", "litert", "--output", output)
        files = [demo.artifact("float32.tflite"), demo.artifact("w8a8.tflite")]
        done = command_line("bench", *files, *asked)
        assert done.returncode == 0, done.stderr
        runs = json.loads(output.read_text())["runs"]
        assert all(run["emulated"] and run["latency"] is None for run in runs)
        assert all(run["cost"]["unit"] == "instructions" for run in runs)
        assert all(0 < run["cost"]["least"] <= run["cost"]["per_inference"] <= run["cost"]["most"] for run in runs)
        assert "M instructions" in done.stdout
        counted.append([run["cost"]["per_inference"] for run in runs])
    assert counted[0] == pytest.approx(counted[1], rel=0.001)
    assert counted[0][0] > 100_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cost", "instructions"], "local: instructions are counted by the emulated boards alone"),
        (["--cost", "instructions", "--device", "lab-android"], "lab-android: instructions are counted by"),
        (["--cost", "instructions", "--threads", "4"], "--threads says nothing of --cost"),
        (["--cost", "instructions", "--interleave"], "--interleave says nothing of --cost"),
        (["--cost", "seconds"], "'seconds' is not 'instructions'"),
        (["--runner", "benchmark_model"], "which is no file"),
        (["--runner", "benchmark_model=absent"], "which is no file"),
        (["--runner", "other=MODEL"], "unknown runner 'other'"),
        (["--runner", "benchmark_model=MODEL", "--batch", "2"], "--batch says nothing of --runner"),
        (["--runner", "benchmark_model=MODEL", "--engine", "litert"], "--engine says nothing of --runner"),
        (["--runner", "benchmark_model=MODEL", "--engine-option", "xnnpack=off"], "--engine-option says nothing of"),
        (["--runner-argument", "--use_gpu=true"], "--runner-argument goes with --runner"),
        (["--cost", "instructions", "--runner", "benchmark_model=MODEL"], "leave out --runner"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    demo: Demo, command_line: CommandLine, options: list[str], said: str
) -> None:
    model = demo.artifact("w8a8.tflite")
    done = command_line("bench", model, *(option.replace("MODEL", str(model)) for option in options))
    assert done.returncode in {2, 3}
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def tool_that_prints(folder: Path, text: str, exit_code: int = 0) -> Path:
    tool = folder / "benchmark_model"
    tool.write_text(f"#!/bin/sh\necho \"$@\" > '{folder}/called'\ncat <<'end'\n{text}end\nexit {exit_code}\n")
    tool.chmod(0o755)
    return tool


def test_a_program_of_the_users_measures_and_is_marked_so(
    demo: Demo, command_line: CommandLine, tmp_path: Path
) -> None:
    tool = tool_that_prints(tmp_path, GPU)
    runner = ("--runner", f"benchmark_model={tool}", "--runner-argument=--use_gpu=true", "--threads", 2)
    done = command_line("bench", demo.artifact("w8a8.tflite"), *runner, "--min-samples", 7, "--json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    assert run["engine"] == "benchmark_model"
    assert run["latency"] is None
    assert run["native"]["mean_us"] == 74481.6
    assert any("no samples, so there is no interval" in warning for warning in run["warnings"])
    called = (tmp_path / "called").read_text().split()
    assert called[1:] == ["--num_threads=2", "--num_runs=7", "--min_secs=10", "--use_gpu=true"]
    assert called[0].startswith("--graph=")


def test_a_program_that_prints_something_else_is_a_failed_run(
    demo: Demo, command_line: CommandLine, tmp_path: Path
) -> None:
    tool = tool_that_prints(tmp_path, "hello\n")
    done = command_line("bench", demo.artifact("w8a8.tflite"), "--runner", f"benchmark_model={tool}")
    assert done.returncode == 6
    assert "printed no 'Inference timings in us'" in done.stderr


def test_onnx_is_not_for_benchmark_model(demo: Demo, command_line: CommandLine, tmp_path: Path) -> None:
    tool = tool_that_prints(tmp_path, GPU)
    done = command_line("bench", demo.artifact("w8a8.onnx"), "--runner", f"benchmark_model={tool}")
    assert done.returncode == 3
    assert "benchmark_model runs .tflite files" in done.stderr
