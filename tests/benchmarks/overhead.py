"""What the harness adds around a measurement: time, memory, and the spread of p50 from run to run.

python -m tests.benchmarks.overhead
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import HEADER, show, spread
from tests.benchmarks.networks import SIZES, networks

REPEATS = 9
RUNS = 10
MOST_SECONDS = 0.6
MOST_MEGABYTES = 60.0

BARE = """
import json, os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy
{imports}
print(json.dumps([int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmRSS")][0]))
"""
IMPORTS = {
    "litert": "import ai_edge_litert.compiled_model, ai_edge_litert.interpreter, ai_edge_litert.options",
    "onnxruntime": "import onnxruntime",
}


def bench(file: Path, engine: str, *options: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("edge-dwsep")), "bench", str(file), "--engine", engine, "--json"]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if not run.stdout:
        raise SystemExit(run.stderr)
    (record,) = json.loads(run.stdout)["runs"]
    return dict(record)


def around(file: Path, engine: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a local run of one process that are neither warm-up nor measurement, and its record."""
    started = time.perf_counter()
    record = bench(file, engine, "--processes", "1", "--min-seconds", "1")
    seconds = time.perf_counter() - started
    latency = record["latency"]
    return seconds - latency["measured_seconds"] - latency["warmups"][0]["seconds"], record


def bare_bytes(engine: str) -> int:
    code = BARE.format(imports=IMPORTS[engine])
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def time_and_memory() -> list[bool]:
    met = []
    for engine, form in (("litert", "tflite"), ("onnxruntime", "onnx")):
        file = networks("0.1 ms")[form]
        runs = [around(file, engine) for _ in range(REPEATS)]
        seconds = statistics.median(taken for taken, _ in runs)
        met.append(
            show(
                f"seconds of bench around the measurement, {engine}",
                f"{seconds:.2f} s",
                f"{MOST_SECONDS:.2f} s",
                seconds / MOST_SECONDS,
                f"at most {MOST_SECONDS} s",
                met=seconds <= MOST_SECONDS,
            )
        )
        bare = statistics.median(bare_bytes(engine) for _ in range(3))
        ours = statistics.median(record["memory"]["before_load_bytes"] for _, record in runs)
        added = (ours - bare) / 1e6
        met.append(
            show(
                f"resident set before load, beside a bare import, {engine}",
                f"{ours / 1e6:.1f} MB",
                f"{bare / 1e6:.1f} MB",
                ours / bare,
                f"at most +{MOST_MEGABYTES:g} MB",
                met=added <= MOST_MEGABYTES,
            )
        )
    return met


def litert_benchmark_mean(file: Path) -> float:
    command = [str(Path(sys.executable).with_name("litert-benchmark")), f"--model={file}", "--num_threads=1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Inference \(avg\):\s+([0-9.]+) ms", printed)
    if not found:
        raise SystemExit(f"litert-benchmark printed no mean: {printed[-500:]}")
    return float(found.group(1))


def spreads() -> list[bool]:
    met = []
    for size in SIZES:
        file = networks(size)["tflite"]
        ours, theirs = [], []
        for _ in range(RUNS):
            theirs.append(litert_benchmark_mean(file))
            ours.append(bench(file, "litert")["latency"]["p50_ms"])
        ratio = spread(ours) / spread(theirs)
        met.append(
            show(
                f"spread of p50 over {RUNS} runs beside litert-benchmark's mean, {size}",
                f"{100 * spread(ours):.1f} %",
                f"{100 * spread(theirs):.1f} %",
                ratio,
                "at most 0.5",
                met=ratio <= 0.5,
            )
        )
    return met


def main() -> bool:
    print(HEADER)
    return all([*time_and_memory(), *spreads()])


if __name__ == "__main__":
    sys.exit(not main())
