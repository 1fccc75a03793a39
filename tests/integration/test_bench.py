"""``edge-dwsep bench`` on real engines: every scenario, sessions in turns, conditions and limits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_devices import LocalDevice, prepared, start
from dwsep_devices.jobs import Setup
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import EngineCrashed
from dwsep_runtime.scenarios import Interleaved, SingleStream, Turns
from tests.conftest import CommandLine
from tests.small_models import small_onnx, small_tflite


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "small.tflite", tmp_path / "small.onnx"
    files[0].write_bytes(small_tflite())
    files[1].write_bytes(small_onnx())
    return files


def runs_of(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert run.returncode == 0, run.stderr
    runs: list[dict[str, Any]] = json.loads(run.stdout)["runs"]
    return runs


def test_a_run_tells_percentiles_state_memory_and_what_the_clock_adds(
    small: tuple[Path, Path], command_line: CommandLine
) -> None:
    run = command_line("bench", small[0], "--engine", "litert", "--mode", "rapid", "--min-seconds", "0.5", "--json")
    (record,) = runs_of(run)
    latency, memory = record["latency"], record["memory"]
    samples = decode_array(latency["samples_ns"])
    assert record["valid"]
    assert latency["count"] == len(samples) >= 64
    assert 0 < latency["p50_ms"] <= latency["p90_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
    low, high = latency["p50_interval_ms"]
    assert low <= latency["p50_ms"] <= high
    assert latency["clock"]["resolution_ns"] > 0
    assert latency["clock"]["overhead_ns"] > 0
    assert latency["warmups"][0]["count"] > 20
    assert set(latency["stages"][0]) >= {"import_ns", "load_ns", "allocate_ns"}
    assert memory["file_bytes"] == small[0].stat().st_size
    assert 0 < memory["before_load_bytes"] < memory["allocated_bytes"]
    assert memory["peak_bytes"] >= 0.9 * memory["allocated_bytes"]
    assert set(record["state"]) == {"before", "after"}
    assert record["state"]["before"]["load_1min"] is not None
    assert latency["states"][0][0]["at_ns"] >= 0


def test_several_processes_share_the_samples(small: tuple[Path, Path], command_line: CommandLine) -> None:
    run = command_line("bench", small[1], "--min-samples", "300", "--min-seconds", "0.3", "--processes", "3", "--json")
    (record,) = runs_of(run)
    assert len(record["latency"]["processes"]) == 3
    assert min(process["count"] for process in record["latency"]["processes"]) >= 100


def test_precision_ends_a_run_early(small: tuple[Path, Path], command_line: CommandLine) -> None:
    run = command_line(
        "bench", small[1], "--min-seconds", "60", "--processes", "1", "--precision", "0.9", "--json", timeout=50
    )
    (record,) = runs_of(run)
    assert record["latency"]["ended_early"]
    assert record["latency"]["measured_seconds"] < 30


def test_offline_counts_samples_a_second(small: tuple[Path, Path], command_line: CommandLine) -> None:
    options = ("--scenario", "offline", "--batch", "16", "--mode", "rapid", "--min-seconds", "0.3", "--json")
    (record,) = runs_of(command_line("bench", small[1], *options))
    throughput = record["throughput"]
    assert throughput["batch"] == 16
    times = decode_array(record["latency"]["samples_ns"])
    assert throughput["samples_per_second"] == pytest.approx(16e9 / times.mean(), rel=0.2)
    assert throughput["samples_per_second"] <= 16e9 / times.mean()
    low, high = throughput["interval"]
    assert low < high


def test_sustained_tells_latency_over_time(small: tuple[Path, Path], command_line: CommandLine) -> None:
    run = command_line("bench", small[1], "--scenario", "sustained", "--seconds", "4", "--json")
    (record,) = runs_of(run)
    windows = record["sustained"]["windows"]
    assert 10 <= len(windows) <= 21
    assert sum(window["count"] for window in windows) == record["latency"]["count"]
    assert record["latency"]["measured_seconds"] >= 4
    assert command_line("bench", small[1], "--scenario", "sustained", "--seconds", "0").returncode == 2


def test_cold_start_tells_its_stages_apart(small: tuple[Path, Path], command_line: CommandLine) -> None:
    run = command_line("bench", *small, "--engine", "litert", "--engine", "onnxruntime", "--scenario", "cold-start",
                       "--starts", "6", "--json")  # fmt: skip
    for record in runs_of(run):
        cold = record["cold_start"]
        assert cold["starts"] == 6
        parts = ("process_start", "harness", "import", "load", "allocate", "first_inference")
        assert all(cold[part]["p50_ms"] > 0 for part in parts)
        for at in range(6):
            assert sum(cold[part]["samples_ns"][at] for part in parts) == cold["total"]["samples_ns"][at]
        assert cold["total"]["interval_ms"] is not None


def test_variants_in_turns_are_compared_with_the_first(
    small: tuple[Path, Path], tmp_path: Path, command_line: CommandLine
) -> None:
    output = tmp_path / "results.json"
    run = command_line(
        "bench", *small, "--engine", "litert", "--engine", "onnxruntime", "--interleave", "--launches", "6",
        "--output", output,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    results = json.loads(output.read_text())
    (comparison,) = results["comparisons"]
    assert (comparison["baseline"], comparison["run"]) == (0, 1)
    assert len(comparison["launch_ratios"]) == 6
    assert comparison["interval"][0] <= comparison["ratio"] <= comparison["interval"][1]
    assert f"times as long as small.tflite on litert: {comparison['verdict']}" in run.stdout
    assert [len(record["latency"]["processes"]) for record in results["runs"]] == [6, 6]


def test_a_contender_that_fails_ends_the_session_and_is_named(
    small: tuple[Path, Path], tmp_path: Path, command_line: CommandLine
) -> None:
    import onnx

    model = onnx.load_from_string(small_onnx())
    model.graph.node[1].op_type = "Convolute"
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    run = command_line("bench", small[1], tmp_path / "odd.onnx", "--interleave")
    assert run.returncode == 1
    assert "refused odd.onnx" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (
            ["--interleave", "--launches", "6"],
            2,
            "--min-seconds says nothing of --interleave; it goes with offline, single",
        ),
        (["--starts", "3"], 2, "--starts says nothing of single-stream; it goes with cold-start"),
        (["--seconds", "30"], 2, "--seconds says nothing of single-stream; it goes with sustained"),
        (["--interleave", "--scenario", "offline"], 2, "--interleave compares single-stream latency"),
        (["--engine-option", "xnnpack"], 2, "--engine-option must be NAME=VALUE"),
        (["--engine-option", "xnpack=off"], 3, "did you mean 'xnnpack'"),
        (["--engine-option", "xnnpack=maybe"], 3, "must be one of on, off; received 'maybe'"),
        (["--pin", "a"], 3, "--pin must be cores separated by commas"),
        (["--pin", "4096"], 3, "4096"),
        (["--precision", "0"], 2, "0.0001"),
    ],
)
def test_wrong_options_are_one_clear_line(
    small: tuple[Path, Path], command_line: CommandLine, options: list[str], code: int, said: str
) -> None:
    run = command_line("bench", small[0], "--engine", "tflite", "--min-seconds", "0.1", *options)
    assert run.returncode == code, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_a_comparison_needs_two_runs(small: tuple[Path, Path], command_line: CommandLine) -> None:
    run = command_line("bench", small[0], "--engine", "tflite", "--interleave")
    assert run.returncode == 2
    assert "--interleave compares at least two runs" in run.stderr


def test_a_condition_that_the_machine_lacks_is_said(small: tuple[Path, Path], command_line: CommandLine) -> None:
    if list(Path("/sys/devices/system/cpu").glob("cpu*/cpufreq")):
        pytest.skip("this machine has cpufreq; the test is of one that has none")
    run = command_line(
        "bench",
        small[1],
        "--mode",
        "rapid",
        "--min-seconds",
        "0.1",
        "--governor",
        "performance",
        "--pin",
        "0",
        "--json",
    )
    (record,) = runs_of(run)
    told = {item["condition"]: item for item in record["conditions"]}
    assert told["pin"]["done"]
    assert not told["governor"]["done"]
    assert any("governor" in warning for warning in record["warnings"])


def test_a_session_that_is_ended_leaves_no_process(small: tuple[Path, Path]) -> None:
    device = LocalDevice()
    seen: list[int] = []
    try:
        setup = Setup()
        jobs = [prepared(device, small[0], "tflite", Turns(), setup) for _ in range(2)]
        contenders = tuple({"job": job.to_json(), "command": list(device.runtime_command_for(""))} for job in jobs)
        whole = prepared(device, small[0], "tflite", Interleaved(contenders, 1000, 100), setup)

        def look(event: dict[str, Any]) -> None:
            if event["event"] == "progress" and event["done"] == 1:
                raise KeyboardInterrupt

        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.1):
                seen.extend(_processes_that_map(root))

        root = device.root
        watcher = threading.Thread(target=watch)
        watcher.start()
        with pytest.raises((EngineCrashed, KeyboardInterrupt)):
            start(device, whole, timeout=20, on_event=look)
        ended.set()
        watcher.join()
        deadline = time.monotonic() + 10
        while (left := _processes_that_map(device.root)) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        device.close()
    assert len(seen) >= 1
    assert left == []


def _processes_that_map(folder: str) -> list[int]:
    """Processes that have a file of a folder in their memory, as TFLite has its model."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if folder in (process / "maps").read_text("utf-8", "replace"):
                    found.append(int(process.name))
            except OSError:
                continue
    return found


def test_single_stream_in_a_process_reports_a_finite_overhead(small: tuple[Path, Path]) -> None:
    device = LocalDevice()
    try:
        result = start(
            device, prepared(device, small[1], "onnxruntime", SingleStream(64, 0.2, 0.5), Setup()), timeout=60
        )
    finally:
        device.close()
    assert result["invalid"] == []
    assert 0 < result["measured"]["loop_ns_per_sample"] < 100_000
    assert np.isfinite(decode_array(result["measured"]["samples_ns"])).all()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_bench_ends_its_processes(small: tuple[Path, Path], ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "edge_dwsep", "bench", str(small[1]), "--min-seconds", "600", "--processes", "1"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        assert process.stderr is not None
        process.stderr.readline()
        deadline = time.monotonic() + 20
        while not (children := _children_of(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        children |= _children_of(process.pid)
        process.send_signal(ending)
        _, said = process.communicate(timeout=30)
        deadline = time.monotonic() + 10
        while (left := children & _alive()) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in said
    assert len(children) >= 1
    assert left == set()


def _stat_of_all() -> list[tuple[int, list[str]]]:
    """Number of each process that is no zombie, and what /proc/PID/stat tells after its name: field 3 and on."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                fields = (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                found.append((int(process.name), fields))
    return found


def _alive() -> set[tuple[int, str]]:
    """Number and time of start of every process, which together are no other's."""
    return {(number, fields[19]) for number, fields in _stat_of_all()}


def _children_of(parent: int) -> set[tuple[int, str]]:
    return {(number, fields[19]) for number, fields in _stat_of_all() if fields[1] == str(parent)}
