"""The output of TensorFlow Lite's benchmark_model, as it is printed on boards and phones, and the runner around it."""

from __future__ import annotations

import pytest

from dwsep_devices.benchmark_runner import parse_benchmark_model, run_benchmark_model
from dwsep_devices.errors import DeviceUnsuitable, PermanentDeviceError
from dwsep_devices.local import LocalDevice
from dwsep_runtime.errors import EngineCrashed, EngineError, OutputTooLong, ProtocolError, TimedOut

GPU = """\
STARTING!
Log parameter values verbosely: [0]
Min num runs: [50]
Use gpu: [1]
Loaded model model.tflite
INFO: Created TensorFlow Lite delegate for GPU.
Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
The input model file size (MB): 0.541472
Initialized session in 18.738ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=6 first=140706 curr=74599 min=74599 max=140706 avg=85791.2 std=24559

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=74456 curr=74516 min=73909 max=75323 avg=74481.6 std=268

Inference timings in us: Init: 18738, First inference: 140706, Warmup (avg): 85791.2, Inference (avg): 74481.6
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory \
footprint of the model at runtime. Take the information at your discretion.
Peak memory footprint (MB): init=6.44141 overall=64.8633
"""

LATER = """\
INFO: The input model file size (MB): 8.45746
INFO: count=1 curr=1041765
INFO: count=24 first=42142 curr=42232 min=42142 max=42763 avg=42435.4 std=147 p5=42232 median=42405 p95=42729
INFO: Inference timings in us: Init: 143669, First inference: 72635, Warmup (avg): 1.04176e+06, Inference (avg): 42435.4
INFO: Memory footprint delta from the start of the tool (MB): init=23.5625 overall=27.5859
INFO: Overall peak memory footprint (MB) via periodic monitoring: 31.5
"""


def test_the_summary_and_both_statistics_are_read():
    told = parse_benchmark_model(GPU.splitlines())
    assert (told["init_us"], told["first_us"], told["warmup_us"], told["mean_us"]) == (18738, 140706, 85791.2, 74481.6)
    assert told["warmup"]["count"] == 6
    assert told["runs"] == {
        "count": 50, "first": 74456, "last": 74516, "min": 73909, "max": 75323, "mean": 74481.6, "std": 268,
        "p5": None, "median": None, "p95": None,
    }  # fmt: skip
    assert told["memory_mb"] == {"init": 6.44141, "overall": 64.8633, "peak": None}
    assert told["model_mb"] == 0.541472
    assert told["delegated"] is True
    assert any("completely executed by the delegate" in line for line in told["delegates"])


def test_later_versions_tell_percentiles_and_peak_memory():
    told = parse_benchmark_model(LATER.splitlines())
    assert (told["runs"]["p5"], told["runs"]["median"], told["runs"]["p95"]) == (42232, 42405, 42729)
    assert told["warmup"]["count"] == 1
    assert told["warmup"]["mean"] == told["warmup"]["median"] == 1041765
    assert told["warmup_us"] == 1041760
    assert told["memory_mb"] == {"init": 23.5625, "overall": 27.5859, "peak": 31.5}
    assert told["delegated"] is None


@pytest.mark.parametrize(
    "line",
    [
        "GPU acceleration is unsupported on this platform.",
        "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.",
    ],
)
def test_a_delegate_that_was_not_used_is_told(line):
    assert parse_benchmark_model([line, *LATER.splitlines()])["delegated"] is False


def test_times_that_are_all_the_same_are_read():
    told = parse_benchmark_model(["count=50 curr=100(all same)", *LATER.splitlines()[3:]])
    assert (told["runs"]["mean"], told["runs"]["min"], told["runs"]["std"]) == (100, 100, 0)


@pytest.mark.parametrize("lines", [[], ["hello"], LATER.splitlines()[:3], [LATER.splitlines()[3]]])
def test_what_is_not_the_whole_output_is_refused(lines):
    with pytest.raises(ProtocolError, match="no 'Inference timings in us'"):
        parse_benchmark_model(lines)


@pytest.mark.parametrize("number", ["1.2.3", "7e", "1e999", "5-", "9" * 5000])
def test_numbers_that_are_none_are_no_error_of_ours(number):
    lines = LATER.replace("init=23.5625", f"init={number}").replace("first=", f"first={number} other=").splitlines()
    told = parse_benchmark_model([*lines[:-1], f"count={'9' * 5000} curr=1", *lines])
    assert told["runs"]["median"] == 42405


@pytest.fixture
def local():
    device = LocalDevice()
    yield device
    device.close()


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "a model.tflite"
    path.write_bytes(b"not read by a stand-in")
    return path


def tool(folder, script):
    path = folder / "benchmark_model"
    path.write_text(f"#!/bin/sh\n{script}\n")
    return path


def test_the_tool_is_run_with_the_model_and_its_arguments(local, tmp_path, model):
    binary = tool(tmp_path, f"printf '%s\\n' \"$@\"\ncat <<'end' >&2\n{GPU}end")
    told = run_benchmark_model(local, binary, model, threads=2, seconds=3, timeout=10, arguments=["--use_gpu=true"])
    assert told["runner"] == "benchmark_model"
    assert told["mean_us"] == 74481.6
    assert told["arguments"] == ["--num_threads=2", "--num_runs=50", "--min_secs=3", "--use_gpu=true"]
    assert told["log"][0].startswith("--graph=") or len(told["log"]) == 60
    assert len(told["binary"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("echo 'ERROR: Failed to load model'; exit 1", EngineError, "exit code 1 on a model.tflite: ERROR: Failed"),
        ("kill -SEGV $$", EngineCrashed, "signal 11"),
        ("sleep 10", TimedOut, "did not finish a model.tflite in time"),
        ("echo done", ProtocolError, "its last line is 'done'"),
        ("yes", OutputTooLong, "benchmark_model printed more than 16,777,216 characters and was ended"),
        ("exit 127", DeviceUnsuitable, "local: benchmark_model does not run there"),
    ],
)
def test_each_way_to_fail_has_its_own_error(local, tmp_path, model, script, error, words):
    with pytest.raises(error, match=words):
        run_benchmark_model(local, tool(tmp_path, script), model, threads=1, timeout=30 if script == "yes" else 1)


def test_a_tool_that_is_no_file_is_refused(local, tmp_path, model):
    with pytest.raises(PermanentDeviceError, match="--runner benchmark_model=PATH"):
        run_benchmark_model(local, tmp_path / "absent", model, threads=1, timeout=1)
