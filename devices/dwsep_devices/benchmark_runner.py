"""Runner ``benchmark_model``: the user's own build of TensorFlow Lite's benchmark tool, for delegates of the device.

GPU, NPU and NNAPI delegates need the device's own C library, so no Python of ours reaches them. The tool tells
latencies alone, and those as statistics: there are no samples, no outputs, and no intervals can be computed.
"""

from __future__ import annotations

__all__ = ["RUNNER", "parse_benchmark_model", "run_benchmark_model"]

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_devices.errors import DeviceUnsuitable, PermanentDeviceError
from dwsep_runtime.errors import EngineCrashed, EngineError, OutputTooLong, ProtocolError, TimedOut
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.spawn import Completed

RUNNER = "benchmark_model"

START = 'chmod 755 "$1" && exec "$@" 2>&1'
"""The tool writes to standard output or to standard error, by platform."""

NOT_EXECUTABLE = (126, 127)
"""Exit codes of a shell that could not start a program (POSIX.1-2017, "Exit Status for Commands")."""

KEPT_LINES = 60
MOST_OUTPUT = 1 << 24
"""Characters that the tool may print; with a profile of every operator it prints some hundred thousand."""

NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?)"
SUMMARY = re.compile(
    rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}, "
    rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}"
)
STATISTICS = re.compile(r"(?:^|\s)count=([0-9]{1,15})\s+(.*)$")
NAMES = {"first": "first", "curr": "last", "min": "min", "max": "max", "avg": "mean", "std": "std"}
LATER_NAMES = {"p5": "p5", "median": "median", "p95": "p95"}
"""Told since TensorFlow 2.17."""

MEMORY = re.compile(
    rf"[Mm]emory footprint(?: delta from the start of the tool)? \(MB\): init={NUMBER} overall={NUMBER}"
)
PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: {NUMBER}")
SIZE = re.compile(rf"The input model file size \(MB\): {NUMBER}")
DELEGATE = re.compile(r"delegate|acceleration is unsupported", re.IGNORECASE)
NOT_APPLIED = re.compile(
    r"will not be executed by the delegate|acceleration is unsupported|[Ff]ailed to apply|could ?n.t (?:be )?appl|"
    r"delegate (?:is )?not supported"
)


def run_benchmark_model(
    device: Device,
    binary: Path,
    model: Path,
    *,
    threads: int,
    num_runs: int = 50,
    seconds: float = 1.0,
    timeout: float,
    arguments: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure a model on a device by the user's own benchmark_model.

    Args:
        device: where.
        binary: the tool, built for that device.
        model: a .tflite file.
        threads: that the CPU's kernels may use.
        num_runs: inferences at least.
        seconds: to measure for at least.
        timeout: seconds until it is ended.
        arguments: further ones for the tool, such as ``--use_gpu=true``; they come last, so that they hold.

    Returns:
        What :func:`parse_benchmark_model` tells, with ``runner``, ``binary`` (name and sha256), ``arguments`` and
        ``log``, the last lines of the tool.

    Raises:
        DeviceError: the device failed, or cannot run that program.
        TimedOut: it did not finish in time.
        EngineCrashed: it ended by a signal.
        EngineError: it failed, and says why.
        ProtocolError: it does not print what the tool does.
    """
    if not binary.is_file():
        raise PermanentDeviceError(
            f"{device.name}: {binary} is no file; --runner {RUNNER}=PATH takes the tool built for the device"
        )
    there, its_model = push_blob(device, binary), push_blob(device, model)
    asked = [
        f"--num_threads={threads}",
        f"--num_runs={num_runs}",
        f"--min_secs={seconds:g}",
        *arguments,
    ]
    lines: list[str] = []
    printed = 0

    def take(line: str) -> None:
        nonlocal printed
        printed += len(line)
        if printed > MOST_OUTPUT:
            raise OutputTooLong(f"{binary.name} printed more than {MOST_OUTPUT:,} characters and was ended")
        lines.append(line.rstrip("\r\n"))

    completed = device.run(
        ["sh", "-c", START, "sh", there, f"--graph={its_model}", *asked],
        timeout=timeout,
        environment=device.runtime_environment,
        on_line=take,
    )
    log = [*lines, *completed.errors]
    _require_done(device, binary, model, completed, log)
    return {
        "runner": RUNNER,
        "binary": {"name": binary.name, "sha256": sha256_of(binary)},
        "arguments": asked,
        **parse_benchmark_model(log),
        "log": log[-KEPT_LINES:],
    }


def parse_benchmark_model(lines: Sequence[str]) -> dict[str, Any]:
    """What the tool's output tells (tensorflow/lite/tools/benchmark/benchmark_model.cc).

    Returns:
        ``init_us``, ``first_us``, ``warmup_us`` and ``mean_us``; ``runs`` and ``warmup``, each with count, first, last,
        min, max, mean, std, p5, median and p95 in microseconds, None for what it does not tell; ``memory_mb`` with
        init, overall and peak; ``model_mb``; ``delegates``, its lines about them, and ``delegated``, false if one of
        them says that a delegate was not used, None if none was.

    Raises:
        ProtocolError: it is not the output of the tool, or not all of it.
    """
    summary = next((found for line in lines if (found := SUMMARY.search(line))), None)
    statistics = [
        _statistics(int(found.group(1)), found.group(2)) for line in lines if (found := STATISTICS.search(line))
    ]
    if summary is None or not statistics:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        raise ProtocolError(
            f"the runner printed no 'Inference timings in us' of TensorFlow Lite's benchmark_model; its last line is "
            f"{last[:200]!r}"
        )
    init, first, warmup, mean = (float(value) for value in summary.groups())
    memory = next((found for line in lines if (found := MEMORY.search(line))), None)
    delegates = [line.strip() for line in lines if DELEGATE.search(line)]
    return {
        "init_us": init,
        "first_us": first,
        "warmup_us": warmup,
        "mean_us": mean,
        "runs": statistics[-1],
        "warmup": statistics[0] if len(statistics) > 1 else None,
        "memory_mb": {
            "init": float(memory.group(1)) if memory else None,
            "overall": float(memory.group(2)) if memory else None,
            "peak": _number(PEAK, lines),
        },
        "model_mb": _number(SIZE, lines),
        "delegates": delegates,
        "delegated": not any(NOT_APPLIED.search(line) for line in delegates) if delegates else None,
    }


def _statistics(count: int, rest: str) -> dict[str, float | int | None]:
    """One ``count=...`` line: all values, or ``curr=`` alone if there is one or all are the same."""
    told = {name: float(value) for name, value in re.findall(rf"(\w+)={NUMBER}", rest)}
    if "avg" not in told and "curr" in told:
        same = told["curr"]
        told = {**dict.fromkeys([*NAMES, *LATER_NAMES], same), "std": 0.0}
    return {"count": count, **{ours: told.get(its) for its, ours in {**NAMES, **LATER_NAMES}.items()}}


def _number(pattern: re.Pattern[str], lines: Sequence[str]) -> float | None:
    return next((float(found.group(1)) for line in lines if (found := pattern.search(line))), None)


def _require_done(device: Device, binary: Path, model: Path, completed: Completed, log: Sequence[str]) -> None:
    last = next((line.strip() for line in reversed(log) if line.strip()), "it gave no reason")[:200]
    if completed.timed_out:
        raise TimedOut(f"{binary.name} did not finish {model.name} in time and was ended; give a longer --timeout")
    if completed.returncode in NOT_EXECUTABLE:
        raise DeviceUnsuitable(
            f"{device.name}: {binary.name} does not run there: {last}; build it for that device (Android on arm64: "
            "bazel build -c opt --config=android_arm64 //tensorflow/lite/tools/benchmark:benchmark_model)"
        )
    if completed.returncode < 0:
        raise EngineCrashed(f"{binary.name} crashed on {model.name}: signal {-completed.returncode}; it ends: {last!r}")
    if completed.returncode:
        raise EngineError(f"{binary.name} ended with exit code {completed.returncode} on {model.name}: {last}")
