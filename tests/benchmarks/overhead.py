"""What the harness adds around a measurement: time, memory, and the spread of p50 from run to run.

python -m tests.benchmarks.overhead
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import HEADER, show, spread, tell
from tests.benchmarks.networks import SIZES, networks

REPEATS = 9
DEFAULT_REPEATS = 3
RUNS = 10
RUN_SECONDS = 4
MOST_SECONDS = 0.6
MOST_MEGABYTES = 60.0

BARE = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy
{code}
print([int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("{field}")][0])
"""
IMPORTS = {
    "litert": "import ai_edge_litert.compiled_model, ai_edge_litert.interpreter, ai_edge_litert.options",
    "onnxruntime": "import onnxruntime",
}
LOADED = {
    "litert": """
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.options import CpuOptions, Options
model = CompiledModel.from_file(sys.argv[1], options=Options(cpu_options=CpuOptions(num_threads=1)))
inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
(details,) = model.get_input_tensor_details(model.get_signature_by_index(0)["key"]).values()
inputs[0].write(numpy.random.default_rng(0).random(details["shape"], numpy.float32))
for _ in range(100):
    model.run_by_index(0, inputs, outputs)
""",
    "onnxruntime": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(value,) = session.get_inputs()
shape = [size if isinstance(size, int) else 1 for size in value.shape]
feed = {value.name: numpy.random.default_rng(0).random(shape, numpy.float32)}
for _ in range(100):
    session.run(None, feed)
""",
}

PEER = """
import json, statistics, sys
from types import SimpleNamespace
from ai_edge_litert.tools import benchmark_litert_model as tool
told = {}
def mean(values):
    told[len(values)] = statistics.mean(values), sum(values) / 1000
    return told[len(values)][0]
tool.statistics = SimpleNamespace(mean=mean, median=statistics.median, stdev=statistics.stdev)
tool.run_benchmark(tool.parse_args())
print(json.dumps(told[max(told)]))
"""
"""litert-benchmark, and its mean and seconds unrounded: what it prints has two decimals of a millisecond."""


def bench(file: Path, engine: str, *options: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).with_name("edge-dwsep")), "bench", str(file), "--engine", engine, "--json"]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if not run.stdout:
        raise SystemExit(run.stderr)
    (record,) = json.loads(run.stdout)["runs"]
    return dict(record)


def around(file: Path, engine: str, *options: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a local run that are neither warm-up nor measurement, and its record."""
    started = time.perf_counter()
    record = bench(file, engine, *options)
    seconds = time.perf_counter() - started
    latency = record["latency"]
    return seconds - latency["measured_seconds"] - sum(warmup["seconds"] for warmup in latency["warmups"]), record


def bare_bytes(code: str, field: str, *arguments: object) -> float:
    """What /proc/self/status tells of a script's memory when it has done its work, the median of three."""
    command = [sys.executable, "-c", BARE.format(code=code, field=field), *map(str, arguments)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    return statistics.median(int(run.stdout.split()[-1]) for run in runs)


def show_memory(name: str, ours: float, bare: float) -> bool:
    met = ours - bare <= MOST_MEGABYTES * 1e6
    goal = f"at most +{MOST_MEGABYTES:g} MB"
    return show(name, f"{ours / 1e6:.1f} MB", f"{bare / 1e6:.1f} MB", ours / bare, goal, met=met)


def time_and_memory() -> list[bool]:
    met = []
    for engine, form in (("litert", "tflite"), ("onnxruntime", "onnx")):
        file = networks("0.1 ms")[form]
        runs = [around(file, engine, "--processes", "1", "--min-seconds", "1") for _ in range(REPEATS)]
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
        whole = statistics.median(around(file, engine)[0] for _ in range(DEFAULT_REPEATS))
        tell(f"seconds of the default command around it, {engine}", f"{whole:.2f} s")
        before, peak = (
            statistics.median(record["memory"][key] for _, record in runs)
            for key in ("before_load_bytes", "peak_bytes")
        )
        bare = bare_bytes(IMPORTS[engine], "VmRSS")
        met.append(show_memory(f"resident set before load, beside a bare import, {engine}", before, bare))
        bare = bare_bytes(LOADED[engine], "VmHWM", file)
        met.append(show_memory(f"peak, beside a script of 100 inferences, {engine}", peak, bare))
    return met


SHIPPED = 50
"""Inferences that litert-benchmark makes unless told otherwise."""


def litert_benchmark(file: Path, count: int) -> float:
    """Mean in milliseconds of litert-benchmark, unrounded, in a fresh process."""
    command = [sys.executable, "-c", PEER, f"--model={file}", f"--num_runs={count}", "--num_threads=1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(json.loads(printed.splitlines()[-1])[0])


def spreads() -> list[bool]:
    """Beside litert-benchmark as it is shipped, and, to tell length from method, made to run as long as ours."""
    met = []
    for size in SIZES:
        file = networks(size)["tflite"]
        ours, shipped, long = [], [], []
        for _ in range(RUNS):
            latency = bench(file, "litert", "--min-seconds", str(RUN_SECONDS))["latency"]
            ours.append(latency["p50_ms"])
            shipped.append(litert_benchmark(file, SHIPPED))
            long.append(litert_benchmark(file, latency["count"]))
        ratio = spread(ours) / spread(shipped) if spread(shipped) else math.inf
        met.append(
            show(
                f"spread of p50 over {RUNS} runs beside litert-benchmark's mean, {size}",
                f"{100 * spread(ours):.1f} %",
                f"{100 * spread(shipped):.1f} %",
                ratio,
                "at most 0.5",
                met=ratio <= 0.5,
            )
        )
        tell(f"  beside its mean of as many inferences as ours, {size}", f"{100 * spread(long):.1f} %")
    return met


def main() -> bool:
    print(HEADER)
    return all([*time_and_memory(), *spreads()])


if __name__ == "__main__":
    sys.exit(not main())
